//! The files of `web-root`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header;
use hyper::{Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tower_http::services::ServeDir;
use tower_service::Service;

use crate::net::http::{Body, Guarded, only_looks, set, text};
use crate::os::is_plain_name;

/// Files that are read at a time: each is a descriptor and some buffers, for as long as the client
/// takes.
const MOST: usize = 64;
/// Bytes that are read of one at a time.
const CHUNK: usize = 16 * 1024;

/// How many more files may be read.
#[derive(Clone, Debug)]
pub(super) struct Readers(Arc<Semaphore>);

impl Default for Readers {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST)))
    }
}

/// Serves a file below `root`. Folders are not listed; their `index.html` is served. What begins
/// with a dot, or lies elsewhere by way of a link, is not there. A link may lead to what is hidden
/// below the root: somebody gave it that other name, as Kubernetes does for all files of a
/// ConfigMap.
pub(super) async fn serve(
    request: Request<Incoming>,
    root: &Path,
    readers: &Readers,
) -> Response<Body> {
    if let Some(refusal) = only_looks(request.method(), "files are read with GET\n") {
        return refusal;
    }
    let path = request.uri().path().to_owned();
    let looked = root.to_owned();
    let inside = tokio::task::spawn_blocking(move || is_inside(&looked, &path));
    if !inside.await.unwrap_or(false) {
        return text(StatusCode::NOT_FOUND, "not found\n");
    }
    let Ok(reader) = Arc::clone(&readers.0).try_acquire_owned() else {
        tracing::debug!("{MOST} files are being read: one more is not");
        let words = "too many files are being read\n";
        let mut refusal = text(StatusCode::SERVICE_UNAVAILABLE, words);
        set(&mut refusal, header::RETRY_AFTER, "1");
        return refusal;
    };
    let mut files = ServeDir::new(root).with_buf_chunk_size(CHUNK);
    match files.call(request).await {
        Ok(found) if found.status() == StatusCode::NOT_FOUND => {
            text(StatusCode::NOT_FOUND, "not found\n")
        }
        Ok(found) => {
            let mut response = found.map(|body| {
                let body = body.map_err(io::Error::other).boxed_unsync();
                Guarded::new(body, reader).boxed_unsync()
            });
            set(&mut response, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
            response
        }
        Err(never) => match never {},
    }
}

/// True where a path of a request, without hidden names in it, leads to something below the root.
fn is_inside(root: &Path, path: &str) -> bool {
    let Some(wanted) = below(path) else {
        return false;
    };
    let (Ok(root), Ok(found)) = (root.canonicalize(), root.join(wanted).canonicalize()) else {
        return false;
    };
    found.starts_with(&root) && (found.is_dir() || found.is_file()) && {
        // An index that is a link leads elsewhere too; one that is a pipe would be waited for.
        let index = found.join("index.html").canonicalize();
        index.map_or(true, |index| index.starts_with(&root) && index.is_file())
    }
}

/// The path without what stands for other bytes, relative to the root.
fn below(path: &str) -> Option<PathBuf> {
    let decoded = unescape(path)?;
    // A redirection to it would lead to a host of that name.
    if path.starts_with("//") {
        return None;
    }
    let mut wanted = PathBuf::new();
    for part in decoded.split('/').filter(|part| !part.is_empty()) {
        if part.starts_with('.') || part.contains(['\0', '\\']) || !is_plain_name(part) {
            return None;
        }
        wanted.push(part);
    }
    Some(wanted)
}

/// `%41` is `A` (RFC 3986, section 2.1).
fn unescape(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut out = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                (digit()? * 16 + digit()?) as u8
            }
            byte => byte,
        });
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_paths_lead() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        std::fs::create_dir_all(root.join("a/b")).unwrap();
        for file in [
            "secret",
            "root/x y.txt",
            "root/.hidden",
            "root/a/b/page.html",
        ] {
            std::fs::write(place.path().join(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("../secret", root.join("out")).unwrap();
        std::os::unix::fs::symlink("..", root.join("up")).unwrap();
        std::os::unix::fs::symlink("x y.txt", root.join("in")).unwrap();
        std::os::unix::fs::symlink(".hidden", root.join("shown")).unwrap();
        std::fs::create_dir(root.join("c")).unwrap();
        std::os::unix::fs::symlink("../../secret", root.join("c/index.html")).unwrap();
        for (path, inside) in [
            ("/", true),
            ("/a/b/page.html", true),
            ("/a//b/", true),
            ("//a//b/", false),
            ("/x%20y.txt", true),
            ("/in", true),
            ("/shown", true),
            ("/x%2", false),
            ("/%ff", false),
            ("/nothing", false),
            ("/.hidden", false),
            ("/%2ehidden", false),
            ("/../secret", false),
            ("/a/..%2f../secret", false),
            ("/%2e%2e/secret", false),
            ("/out", false),
            ("/up/secret", false),
            ("/c/", false),
            ("/a\\b", false),
            ("/a%00", false),
        ] {
            assert_eq!(is_inside(&root, path), inside, "{path}");
        }
    }
}
