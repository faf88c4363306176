//! What is answered to which path.

use std::net::{Ipv4Addr, Ipv6Addr};

use hyper::header;
use hyper::http::uri::Authority;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;

use super::{Context, metrics, text as format};
use crate::net::http::{self, Body, set, text};

/// What there is to see.
const PAGES: &str = "/metrics\n/healthz\n/status.json\n";
/// What somebody is told who asks this machine in another's name.
const ANOTHER: &str = "this is for this machine, which is localhost or an address; \
    with status.allow any name will do\n";

/// The answer to one request; what comes behind its head is not looked at.
pub(super) fn answer<B>(request: &Request<B>, context: &Context) -> Response<Body> {
    let method = request.method();
    let mut response = match request.uri().path() {
        _ if !http::is_path(request.uri()) => {
            text(StatusCode::BAD_REQUEST, "a path is asked for\n")
        }
        _ if context.is_for_this_machine() && !is_this_machine(request) => {
            text(StatusCode::MISDIRECTED_REQUEST, ANOTHER)
        }
        "/healthz" => http::health(method, &context.gate.hub.trouble()),
        path @ ("/" | "/metrics" | "/status.json") => {
            match http::only_looks(method, "GET tells how the driver is\n") {
                Some(refusal) => refusal,
                None if path == "/" => text(StatusCode::OK, PAGES),
                None if path == "/metrics" => {
                    let mut response = text(StatusCode::OK, metrics::write(context));
                    set(&mut response, header::CONTENT_TYPE, format::CONTENT_TYPE);
                    response
                }
                None => {
                    let mut document = Value::Object((context.document)()).to_string();
                    document.push('\n');
                    let mut response = text(StatusCode::OK, document);
                    set(&mut response, header::CONTENT_TYPE, "application/json");
                    response
                }
            }
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n"),
    };
    // How it is now, and nothing that a browser should guess about.
    set(&mut response, header::CACHE_CONTROL, "no-store");
    set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// False where another name than this machine's own is asked for: a web page can have its name
/// stand for this machine, and read with a browser here what is there for this machine alone.
fn is_this_machine<B>(request: &Request<B>) -> bool {
    let target = request.uri().authority().map(Authority::as_str);
    // A browser sends one.
    let Some(asked) = target
        .map(str::as_bytes)
        .or_else(|| Some(request.headers().get(header::HOST)?.as_bytes()))
    else {
        return true;
    };
    let Ok(asked) = Authority::try_from(asked) else {
        return false;
    };
    let host = asked.host();
    let host = host.strip_suffix('.').unwrap_or(host);
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    match in_brackets {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(target: &str, host: Option<&str>) -> bool {
        let mut request = Request::builder().uri(target);
        if let Some(host) = host {
            request = request.header(header::HOST, host);
        }
        is_this_machine(&request.body(()).unwrap())
    }

    #[test]
    fn this_machine_is_localhost_or_an_address() {
        for host in [
            "localhost",
            "LocalHost:9599",
            "localhost.",
            "127.0.0.1",
            "127.0.0.1:9599",
            "[::1]:9599",
        ] {
            assert!(asks("/", Some(host)), "{host}");
            assert!(
                asks(&format!("http://{host}/"), Some("evil.example")),
                "{host}"
            );
        }
        assert!(asks("/", None));
        for host in [
            "evil.example",
            "evil.example:9599",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "x@evil.example",
            "[x]",
            "",
            "a b",
        ] {
            assert!(!asks("/", Some(host)), "{host}");
        }
        assert!(!asks("http://evil.example/", Some("localhost")));
        assert!(!asks("/", Some("evil.example")));
    }
}
