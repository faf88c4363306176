//! Where the server is, and who logs in.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::ClientConfig;
use vscpl2drv_link::config::model::{LINK_PORT, TlsClient, TlsVersions};
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::net::tls::client;
use vscpl2drv_link::wire::binary::Cipher;
use zeroize::Zeroizing;

use crate::args::LoginArgs;
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::frames;

/// Holds the password where the command line does not.
const PASSWORD_VARIABLE: &str = "VSCP_LINK_PASSWORD";
/// Bytes of a password, far more than any server takes.
const PASSWORD_MAX: u64 = 4096;

/// A host and a port, not looked up yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Address {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
    /// TLS is spoken there.
    pub(crate) secure: bool,
}

/// Why a text is not an [`Address`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(crate) enum AddressError {
    #[error("a host was expected, as in localhost:9598 or [::1]:9598")]
    Host,
    #[error("{0:?} is not a port, 1 to 65535")]
    Port(String),
    #[error("{0}:// cannot be spoken, only tcp:// and stcp:// can")]
    Scheme(String),
}

/// `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address, with `tcp://`
/// before it or not, or with `stcp://` for TLS.
impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (secure, text) = match text.split_once("://") {
            Some(("tcp", rest)) => (false, rest),
            Some(("stcp", rest)) => (true, rest),
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.to_owned())),
            None => (false, text),
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or(AddressError::Host)?;
                match rest.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if rest.is_empty() => (host, None),
                    None => return Err(AddressError::Host),
                }
            }
            // More than one colon: an IPv6 address without a port.
            None if text.matches(':').count() > 1 => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err(AddressError::Host);
        }
        let port = match port {
            None => LINK_PORT,
            Some(text) => match text.parse() {
                Ok(port) if port != 0 => port,
                _ => return Err(AddressError::Port(text.to_owned())),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
            secure,
        })
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// Everything that logging in needs, so that it can be done again.
pub(crate) struct Login {
    address: Address,
    user: String,
    password: Zeroizing<String>,
    timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
    cipher: Option<Cipher>,
}

impl Login {
    /// From the command line; asks for the password where it is nowhere else.
    ///
    /// # Errors
    /// Where there is no password, or it cannot be read.
    pub(crate) fn new(args: &LoginArgs) -> Result<Self, Failure> {
        Ok(Self {
            address: args.host.clone(),
            user: args.user.clone(),
            password: password(args)?,
            timeout: Duration::from_secs(args.timeout),
            tls: tls(args)?,
            cipher: frames::cipher(args)?,
        })
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// A new connection, logged in.
    ///
    /// # Errors
    /// Where the server is not there, is none, or says no.
    pub(crate) fn open(&self) -> Result<Client, ClientError> {
        let mut client = Client::connect(&self.address, self.tls.as_ref(), self.timeout)?;
        if let Some(cipher) = &self.cipher {
            client.go_binary(cipher.clone())?;
        }
        client.login(&self.user, &self.password)?;
        Ok(client)
    }
}

/// TLS, where the address asks for it.
fn tls(args: &LoginArgs) -> Result<Option<Arc<ClientConfig>>, Failure> {
    if !args.host.secure {
        return match (&args.ca_file, &args.certificate, args.insecure) {
            (None, None, false) => Ok(None),
            _ => Err(Failure::usage(
                "--ca-file, --certificate and --insecure are for TLS: write the host as stcp://HOST"
                    .to_owned(),
            )),
        };
    }
    let config = TlsClient {
        place: "--host".to_owned(),
        ca_file: args.ca_file.clone(),
        ca_path: None,
        os_certs: false,
        certificate: args.certificate.clone(),
        key: args.certificate.clone(),
        pass_phrase: None,
        check_host: true,
        check_certificate: !args.insecure,
        versions: TlsVersions::default(),
        ciphers: Vec::new(),
        alpn: Vec::new(),
    };
    client::config(&config)
        .map(Some)
        .map_err(|error| Failure::problem(with_causes(&error)))
}

fn password(args: &LoginArgs) -> Result<Zeroizing<String>, Failure> {
    if let Some(password) = &args.password {
        return Ok(Zeroizing::new(password.clone()));
    }
    match given(args.password_file.as_deref())? {
        Some(password) => Ok(password),
        None => ask(&format!("Password of {}: ", args.user)),
    }
}

/// A new password for a user, which is asked for twice.
///
/// # Errors
/// Where there is none, or the two are not the same.
pub(crate) fn new_password(name: &str, file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    if let Some(password) = given(file)? {
        return Ok(password);
    }
    let password = ask(&format!("New password of {name}: "))?;
    if ask("The same again: ")? != password {
        return Err(Failure::problem("these were two passwords"));
    }
    Ok(password)
}

/// A password from a file, or from the environment.
fn given(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(path) = file {
        let io = |e| Failure::Io(format!("{} cannot be read", path.display()), e);
        return first_line(File::open(path).map_err(io)?)
            .map(Some)
            .map_err(io);
    }
    Ok(std::env::var(PASSWORD_VARIABLE).ok().map(Zeroizing::new))
}

/// Asks on the terminal, without an echo.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "a password is needed: --password-file, or the variable {PASSWORD_VARIABLE}"
        )));
    }
    rpassword::prompt_password(prompt)
        .map(Zeroizing::new)
        .map_err(|e| Failure::Io("the password cannot be read".into(), e))
}

fn first_line(input: impl Read) -> std::io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    BufReader::new(input.take(PASSWORD_MAX)).read_line(&mut line)?;
    let length = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(length);
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, shown) in [
            ("localhost", "localhost:9598"),
            ("tcp://broker.example:1", "broker.example:1"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("[::1]:9598", "[::1]:9598"),
            ("[::1]", "[::1]:9598"),
            ("::1", "[::1]:9598"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn addresses_that_are_none() {
        for text in ["", ":9598", "[::1", "[::1]9598", "two words", "[]"] {
            assert_eq!(text.parse::<Address>(), Err(AddressError::Host), "{text}");
        }
        for text in ["a:0", "a:", "a:65536", "a:b"] {
            assert!(
                matches!(text.parse::<Address>(), Err(AddressError::Port(_))),
                "{text}"
            );
        }
        assert_eq!(
            "http://a".parse::<Address>(),
            Err(AddressError::Scheme("http".into()))
        );
        assert!("stcp://a".parse::<Address>().unwrap().secure);
        assert!(!"tcp://a".parse::<Address>().unwrap().secure);
    }

    #[test]
    fn only_the_line_end_is_taken_off_a_password() {
        assert_eq!(*first_line(&b" secret \r\nmore"[..]).unwrap(), " secret ");
        assert_eq!(*first_line(&b""[..]).unwrap(), "");
    }
}
