//! What is answered to which path.

use hyper::header;
use hyper::{Request, Response, StatusCode};
use serde_json::Value;

use super::{Context, metrics, text as format};
use crate::net::http::{self, Body, set, text};

/// What there is to see.
const PAGES: &str = "/metrics\n/healthz\n/status.json\n";

/// The answer to one request; what comes behind its head is not looked at.
pub(super) fn answer<B>(request: &Request<B>, context: &Context) -> Response<Body> {
    let method = request.method();
    let mut response = match request.uri().path() {
        _ if !http::is_path(request.uri()) => {
            text(StatusCode::BAD_REQUEST, "a path is asked for\n")
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
