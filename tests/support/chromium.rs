//! A real browser without a window, driven by its own protocol (CDP).

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use super::tools::{PATIENCE, need, run, wait_until};
use super::websocket::opening;

/// A host name that leads to this machine, and that the browser does not know to do so.
pub const ELSEWHERE: &str = "panel.test";

/// A browser with one page.
pub struct Chromium {
    _process: Process,
    socket: WebSocket<TcpStream>,
    session: String,
    calls: u64,
    /// Its profile, and all else that it writes.
    _place: TempDir,
}

/// Does not outlive its test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What a browser calls a key (RFC 7469, section 2.4).
fn pin(certificate: &Path) -> String {
    let script = "openssl x509 -in \"$1\" -pubkey -noout | openssl pkey -pubin -outform der | \
                  openssl dgst -sha256 -binary | openssl base64";
    need("openssl");
    let mut shell = Command::new(need("sh"));
    run(shell.args(["-c", script, "sh"]).arg(certificate))
        .trim()
        .to_owned()
}

impl Chromium {
    /// Starts one that trusts this certificate and, of those that no public authority has made, no
    /// other. It reaches nothing but this machine.
    pub fn start(certificate: &Path) -> Self {
        let place = TempDir::new().unwrap();
        let profile = place.path().join("profile");
        let log = fs::File::create(place.path().join("log")).unwrap();
        let process = Command::new(need("chromium"))
            .args([
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--disable-breakpad",
                "--disable-features=HttpsUpgrades",
                "--no-first-run",
                "--remote-debugging-port=0",
            ])
            .arg(format!(
                "--host-resolver-rules=MAP {ELSEWHERE} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
            ))
            .arg(format!(
                "--ignore-certificate-errors-spki-list={}",
                pin(certificate)
            ))
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg("about:blank")
            .env("HOME", place.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut process = Process(process);
        let mut found = None;
        wait_until("the browser listens", || {
            let ended = process.0.try_wait().unwrap();
            let said = || fs::read_to_string(place.path().join("log")).unwrap_or_default();
            assert!(ended.is_none(), "{ended:?}: {}", said());
            let text = fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
            // Two lines, the second without an end.
            found = text.split_once('\n').and_then(|(port, path)| {
                (path.len() > "/devtools/browser/".len())
                    .then(|| Some((port.parse::<u16>().ok()?, path.trim().to_owned())))
                    .flatten()
            });
            found.is_some()
        });
        let (port, path) = found.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let (socket, _) = client(opening(address, &path), stream).unwrap();
        let mut browser = Self {
            _process: process,
            socket,
            session: String::new(),
            calls: 0,
            _place: place,
        };
        let page = browser.call("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": page["targetId"], "flatten": true});
        let attached = browser.call("Target.attachToTarget", target);
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        browser.call("Page.enable", json!({}));
        browser
    }

    /// Asks the browser, or its page once there is one, to do something.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut request = json!({"id": self.calls, "method": method, "params": parameters});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        self.socket
            .send(Message::from(request.to_string()))
            .unwrap();
        loop {
            let Message::Text(text) = self.socket.read().unwrap() else {
                continue;
            };
            let mut answer: Value = serde_json::from_str(&text).unwrap();
            if answer["id"] == json!(self.calls) {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Opens an address; says why where it cannot.
    pub fn open(&mut self, url: &str) -> Result<(), String> {
        let answer = self.call("Page.navigate", json!({ "url": url }));
        if let Some(error) = answer["errorText"].as_str() {
            return Err(error.to_owned());
        }
        wait_until("the page is there", || {
            let state = self.value("[location.href, document.readyState]");
            state == json!([url, "complete"])
        });
        Ok(())
    }

    /// What an expression is in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true});
        let mut answer = self.call("Runtime.evaluate", parameters);
        let exception = &answer["exceptionDetails"];
        assert!(exception.is_null(), "{expression}: {exception}");
        answer["result"]["value"].take()
    }

    /// The text of an element.
    pub fn text(&mut self, id: &str) -> String {
        let text = self.value(&format!("document.getElementById({id:?}).textContent"));
        text.as_str().unwrap().to_owned()
    }

    /// Types into a field, over what is there.
    pub fn fill(&mut self, id: &str, text: &str) {
        self.value(&format!(
            "(field => {{ field.focus(); field.select(); }})(document.getElementById({id:?}))"
        ));
        self.call("Input.insertText", json!({ "text": text }));
    }

    /// Presses a button, as the keyboard does.
    pub fn press(&mut self, id: &str) {
        self.value(&format!("document.getElementById({id:?}).focus()"));
        for kind in ["keyDown", "keyUp"] {
            let key = json!({
                "type": kind, "key": "Enter", "code": "Enter", "text": "\r",
                "windowsVirtualKeyCode": 13,
            });
            self.call("Input.dispatchKeyEvent", key);
        }
    }

    /// Waits until an element's text has something in it.
    pub fn wait_for(&mut self, id: &str, text: &str) {
        let mut seen = String::new();
        let started = std::time::Instant::now();
        while !seen.contains(text) {
            assert!(started.elapsed() < PATIENCE, "{id}: {seen:?}, not {text:?}");
            std::thread::sleep(std::time::Duration::from_millis(20));
            seen = self.text(id);
        }
    }
}
