//! Where the server is, and who logs in.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;
use vscpl2drv_link::config::key;
use vscpl2drv_link::config::model::{TlsClient, TlsVersions};
use vscpl2drv_link::error::with_causes;
use vscpl2drv_link::net::tls::client;
use vscpl2drv_link::wire::binary::{Cipher, Strength};
use zeroize::Zeroizing;

use crate::address::Address;
use crate::args::{LoginArgs, TlsArgs};
use crate::client::{Client, ClientError};
use crate::failure::Failure;
use crate::messages::{self, Key};
use crate::stream::Stream;

/// Holds the password where the command line does not.
const SERVER: Elsewhere = Elsewhere {
    option: "--password-file",
    variable: "VSCP_LINK_PASSWORD",
};
/// The same of a broker's.
const BROKER: Elsewhere = Elsewhere {
    option: "--broker-password-file",
    variable: "VSCP_LINK_BROKER_PASSWORD",
};
/// Bytes of a password, far more than any server takes.
const PASSWORD_MAX: u64 = 4096;

/// Where a password may be.
#[derive(Clone, Copy)]
struct Elsewhere {
    option: &'static str,
    variable: &'static str,
}

/// Everything that logging in needs, so that it can be done again.
pub(crate) struct Login {
    address: Address,
    user: String,
    password: Zeroizing<String>,
    timeout: Duration,
    tls: Option<Arc<ClientConfig>>,
    secret: Secret,
}

/// What a key file is for.
enum Secret {
    /// There is none.
    None,
    /// For the binary mode.
    Cipher(Box<Cipher>),
    /// For the login of a websocket.
    Key(Key),
}

impl Login {
    /// From the command line; asks for the password where it is nowhere else.
    ///
    /// # Errors
    /// Where there is no password, or it cannot be read.
    pub(crate) fn new(args: &LoginArgs) -> Result<Self, Failure> {
        Self::with(args, args.host.secure)
    }

    /// The same; `secure` says that TLS is spoken, to the server or to somebody else.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub(crate) fn with(args: &LoginArgs, secure: bool) -> Result<Self, Failure> {
        // What is wrong with the call is said before anybody is asked.
        let tls = tls(&args.tls, secure, args.host.with_tls(), "--host")?;
        let tls = tls.map(|tls| client::config(&tls));
        let tls = tls
            .transpose()
            .map_err(|error| Failure::problem(with_causes(&error)))?;
        let secret = match &args.host.web {
            Some(_) => Secret::Key(messages::key(args)?),
            None => match cipher(args)? {
                Some(cipher) => Secret::Cipher(Box::new(cipher)),
                None => Secret::None,
            },
        };
        Ok(Self {
            address: args.host.clone(),
            user: args.user.clone(),
            password: password(
                &args.user,
                args.password.as_deref(),
                args.password_file.as_deref(),
            )?,
            timeout: Duration::from_secs(args.timeout),
            tls,
            secret,
        })
    }

    /// Where the server is.
    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Who logs in.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// Their password.
    pub(crate) fn password(&self) -> &str {
        &self.password
    }

    /// How TLS is spoken, where it is.
    pub(crate) fn tls(&self) -> Option<&Arc<ClientConfig>> {
        self.tls.as_ref()
    }

    /// A new connection, logged in.
    ///
    /// # Errors
    /// Where the server is not there, is none, or says no.
    pub(crate) fn open(&self) -> Result<Client, ClientError> {
        let tls = self.tls.as_ref().filter(|_| self.address.secure);
        let stream = Stream::open(&self.address, tls, self.timeout)?;
        let mut client = match (&self.secret, &self.address.web) {
            (Secret::Key(key), Some(place)) => {
                Client::web(stream, &self.address, place, key.clone(), self.timeout)?
            }
            (Secret::Cipher(cipher), _) => {
                Client::binary(stream, (**cipher).clone(), self.timeout)?
            }
            _ => Client::link(stream, self.timeout)?,
        };
        client.login(&self.user, &self.password)?;
        Ok(client)
    }
}

/// The cipher that the command line asks for.
///
/// # Errors
/// Where the key file is not usable.
fn cipher(args: &LoginArgs) -> Result<Option<Cipher>, Failure> {
    let Some(path) = &args.key_file else {
        return Ok(None);
    };
    let strength = Strength::ALL
        .into_iter()
        .find(|strength| strength.name() == args.cipher);
    key::load(path, strength.unwrap_or(Strength::Aes256))
        .map(Some)
        .map_err(|error| {
            let why = with_causes(&error);
            Failure::problem(format!(
                "the key file {} is not usable: {why}",
                path.display()
            ))
        })
}

/// TLS, where the address asks for it with `secure`; `scheme` is how it would be asked for, and
/// `option` is where.
///
/// # Errors
/// Where TLS is not spoken, and something is said about it.
pub(crate) fn tls(
    args: &TlsArgs,
    secure: bool,
    scheme: &str,
    option: &str,
) -> Result<Option<TlsClient>, Failure> {
    if !secure {
        return match (&args.ca_file, &args.certificate, args.insecure) {
            (None, None, false) => Ok(None),
            _ => Err(Failure::usage(format!(
                "--ca-file, --certificate and --insecure are for TLS: write the {} as {scheme}://HOST",
                option.trim_start_matches('-')
            ))),
        };
    }
    Ok(Some(TlsClient {
        place: option.to_owned(),
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
    }))
}

/// The password of a user: what the command line says, or where it is.
///
/// # Errors
/// Where there is none, or it cannot be read.
pub(crate) fn password(
    user: &str,
    said: Option<&str>,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, Failure> {
    said_or_found(&format!("Password of {user}: "), SERVER, said, file)
}

/// The password of a user of a broker, where there is one for a server as well.
///
/// # Errors
/// As [`password`].
pub(crate) fn broker_password(
    user: &str,
    said: Option<&str>,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, Failure> {
    let prompt = format!("Password of {user} at the broker: ");
    said_or_found(&prompt, BROKER, said, file)
}

/// A new password for a user, which is asked for twice.
///
/// # Errors
/// Where there is none, or the two are not the same.
pub(crate) fn new_password(name: &str, file: Option<&Path>) -> Result<Zeroizing<String>, Failure> {
    if let Some(password) = given(file, SERVER)? {
        return Ok(password);
    }
    let password = ask(&format!("New password of {name}: "), SERVER)?;
    if ask("The same again: ", SERVER)? != password {
        return Err(Failure::problem("these were two passwords"));
    }
    Ok(password)
}

fn said_or_found(
    prompt: &str,
    elsewhere: Elsewhere,
    said: Option<&str>,
    file: Option<&Path>,
) -> Result<Zeroizing<String>, Failure> {
    if let Some(password) = said {
        return Ok(Zeroizing::new(password.to_owned()));
    }
    match given(file, elsewhere)? {
        Some(password) => Ok(password),
        None => ask(prompt, elsewhere),
    }
}

/// A password from a file, or from the environment.
fn given(file: Option<&Path>, elsewhere: Elsewhere) -> Result<Option<Zeroizing<String>>, Failure> {
    if let Some(path) = file {
        let io = |e| Failure::Io(format!("{} cannot be read", path.display()), e);
        return first_line(File::open(path).map_err(io)?)
            .map(Some)
            .map_err(io);
    }
    Ok(std::env::var(elsewhere.variable).ok().map(Zeroizing::new))
}

/// Asks on the terminal, without an echo.
fn ask(prompt: &str, elsewhere: Elsewhere) -> Result<Zeroizing<String>, Failure> {
    if !std::io::stderr().is_terminal() {
        return Err(Failure::usage(format!(
            "a password is needed: {}, or the variable {}",
            elsewhere.option, elsewhere.variable
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
    fn only_the_line_end_is_taken_off_a_password() {
        assert_eq!(*first_line(&b" secret \r\nmore"[..]).unwrap(), " secret ");
        assert_eq!(*first_line(&b""[..]).unwrap(), "");
    }
}
