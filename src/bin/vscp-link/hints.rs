//! How clients reach the drivers that run, as commands to try.

use std::fmt::Write as _;

use vscpl2drv_link::config::model::{DriverConfig, Interface, InterfaceHost, WebsocketConfig};

use crate::host::quoted;

/// One interface, as somebody gets in there.
struct Way {
    /// What `--host` takes.
    host: String,
    /// What else is needed, with a blank before each.
    args: String,
    /// Host and port, where a telnet client gets in.
    telnet: Option<String>,
    secure: bool,
}

/// Commands for the first interface of the link and the first for websockets; one in clear text
/// goes before one with TLS, which needs more.
pub(crate) fn hints(me: &str, drivers: &[DriverConfig]) -> String {
    let link = drivers.iter().flat_map(|driver| {
        let all = driver.interfaces.iter();
        all.map(|interface| link(driver, interface))
    });
    let web = drivers.iter().flat_map(|driver| {
        let all = driver.websocket.iter().flat_map(move |web| {
            let all = web.interfaces.iter();
            all.filter_map(move |interface| websocket(driver, web, interface))
        });
        all.collect::<Vec<_>>()
    });
    let easiest = |ways: Vec<Way>| ways.into_iter().min_by_key(|way| way.secure);
    let ways = [easiest(link.collect()), easiest(web.collect())];
    let mut out = String::new();
    for way in ways.into_iter().flatten() {
        let Way { host, args, .. } = &way;
        let _ = write!(
            out,
            "  {me} monitor --host {host}{args} --user NAME\n  \
             {me} send --host {host}{args} --user NAME 0,20,3,,,,-,0,1,35\n"
        );
        if let Some(place) = way.telnet {
            let _ = writeln!(out, "  telnet {place}");
        }
    }
    match out.is_empty() {
        true => "There is no interface at which a client could log in.\n\n".to_owned(),
        false => format!("Try, each in a terminal of its own:\n{out}\n"),
    }
}

fn link(driver: &DriverConfig, interface: &Interface) -> Way {
    let secure = interface.secure;
    let (host, port) = place(interface);
    let mut args = tls(driver, secure);
    let binary = driver.encrypted_only && !secure;
    if let (true, Some(cipher), Some(file)) = (binary, &driver.cipher, &driver.key_file) {
        let name = cipher.strength().name();
        let _ = write!(args, " --key-file {} --cipher {name}", quoted(file));
    }
    let scheme = if secure { "stcp://" } else { "" };
    let telnet = format!("{} {port}", host.trim_matches(['[', ']']));
    Way {
        host: format!("{scheme}{host}:{port}"),
        args,
        telnet: (!secure && !binary).then_some(telnet),
        secure,
    }
}

/// `None` where nobody can log in.
fn websocket(driver: &DriverConfig, web: &WebsocketConfig, interface: &Interface) -> Option<Way> {
    let secure = interface.secure;
    if driver.encrypted_only && !secure {
        return None;
    }
    let (name, path) = match (&web.ws1, &web.ws2) {
        (Some(path), _) => ("ws1", path),
        (None, Some(path)) => ("ws2", path),
        (None, None) => return None,
    };
    let (host, port) = place(interface);
    let scheme = match secure {
        true => name.replace("ws", "wss"),
        false => name.to_owned(),
    };
    let path = match path.strip_prefix('/') == Some(name) {
        true => "",
        false => path,
    };
    let key = driver.key_file.as_deref()?;
    Some(Way {
        host: format!("{scheme}://{host}:{port}{path}"),
        args: format!(" --key-file {}{}", quoted(key), tls(driver, secure)),
        telnet: None,
        secure,
    })
}

/// What a client needs where TLS is spoken.
fn tls(driver: &DriverConfig, secure: bool) -> String {
    let certificate = driver.tls.as_ref().is_some_and(|tls| tls.verify_peer);
    match (secure, certificate) {
        (false, _) => String::new(),
        (true, false) => " --ca-file FILE".to_owned(),
        (true, true) => " --ca-file FILE --certificate FILE".to_owned(),
    }
}

/// Host and port that somebody on this machine connects to.
fn place(interface: &Interface) -> (String, String) {
    let host = match &interface.host {
        InterfaceHost::AllV4 | InterfaceHost::All | InterfaceHost::Localhost => {
            "localhost".to_owned()
        }
        InterfaceHost::Address(address) if address.is_unspecified() => "localhost".to_owned(),
        InterfaceHost::Address(address) if address.is_ipv6() => format!("[{address}]"),
        InterfaceHost::Address(address) => address.to_string(),
        InterfaceHost::Name(name) => name.clone(),
    };
    let port = match interface.port {
        // The log says which.
        0 => "PORT".to_owned(),
        port => port.to_string(),
    };
    (host, port)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use vscpl2drv_link::config::load_driver;

    use super::*;

    fn said(config: &str) -> Vec<String> {
        let place = tempfile::tempdir().unwrap();
        let key = place.path().join("a key");
        std::fs::write(&key, "0123456789abcdef".repeat(4)).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let text = config.replace("KEY", key.to_str().unwrap());
        let (driver, _) = load_driver(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
        let text = hints("vscp-link", &[driver]);
        let key = format!("'{}'", key.display());
        let lines = text.lines().filter(|line| line.starts_with("  "));
        lines
            .map(|line| line.trim().replace(&key, "KEY"))
            .filter(|line| !line.contains(" send "))
            .map(|line| line.replace("vscp-link monitor --host ", ""))
            .collect()
    }

    #[test]
    fn what_is_printed_is_what_works() {
        for (config, expected) in [
            (
                "",
                &["localhost:9598 --user NAME", "telnet localhost 9598"][..],
            ),
            (
                "\"interface\": \"tcp://[::1]:0\"",
                &["[::1]:PORT --user NAME", "telnet ::1 PORT"],
            ),
            (
                "\"interface\": \"0.0.0.0:5\"",
                &["localhost:5 --user NAME", "telnet localhost 5"],
            ),
            (
                "\"interface\": [\"stcp://x:6\"], \"tls\": {\"certificate\": \"/c\"}",
                &["stcp://x:6 --ca-file FILE --user NAME"],
            ),
            (
                "\"interface\": [\"stcp://x:6\", \"127.0.0.1:7\"], \
                 \"tls\": {\"certificate\": \"/c\"}",
                &["127.0.0.1:7 --user NAME", "telnet 127.0.0.1 7"],
            ),
            (
                "\"key-file\": \"KEY\", \"encryption\": \"aes192\", \"require-encryption\": true",
                &["localhost:9598 --key-file KEY --cipher aes192 --user NAME"],
            ),
            // Websockets alone: nothing else can be spoken.
            (
                "\"key-file\": \"KEY\", \"interface\": \"ws://localhost\"",
                &["ws1://localhost:8884 --key-file KEY --user NAME"],
            ),
            (
                "\"key-file\": \"KEY\", \"interface\": \"ws://localhost\", \"enable-ws1\": false",
                &["ws2://localhost:8884 --key-file KEY --user NAME"],
            ),
            (
                "\"key-file\": \"KEY\", \"interface\": \"ws://:1\", \"url-ws1\": \"/a/ws1\"",
                &["ws1://localhost:1/a/ws1 --key-file KEY --user NAME"],
            ),
            (
                "\"key-file\": \"KEY\", \"interface\": \"ws://:1, wss://:2\", \
                 \"tls\": {\"certificate\": \"/c\"}, \"require-encryption\": true",
                &["wss1://localhost:2 --key-file KEY --ca-file FILE --user NAME"],
            ),
            // Without a key there is no websocket at all.
            ("\"interface\": \"ws://localhost\"", &[]),
            (
                "\"key-file\": \"KEY\", \"interface\": \"9598, ws://localhost\"",
                &[
                    "localhost:9598 --user NAME",
                    "telnet localhost 9598",
                    "ws1://localhost:8884 --key-file KEY --user NAME",
                ],
            ),
        ] {
            assert_eq!(said(&format!("{{{config}}}")), expected, "{config}");
        }
    }
}
