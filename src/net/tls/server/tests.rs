use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::time::SystemTime;

use rcgen::{CertificateParams, KeyPair};
use tempfile::TempDir;
use tracing::subscriber::DefaultGuard;

use super::*;
use crate::config::model::TlsVersions;

const NEW: &str = "new certificates are in use";
const BROKEN: &str = "cannot be used, the old ones stay";

/// What is logged by this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn start() -> (Self, DefaultGuard) {
        let log = Self::default();
        let to = log.clone();
        let all = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || to.clone())
            .finish();
        (log, tracing::subscriber::set_default(all))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    fn times(&self, words: &str) -> usize {
        self.text().matches(words).count()
    }
}

/// Certificate and key in PEM, of nobody in particular.
fn pair() -> [String; 2] {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    [params.self_signed(&key).unwrap().pem(), key.serialize_pem()]
}

/// In one step, as programs that renew certificates do.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(new, path).unwrap();
}

/// A folder with a certificate and its key, and who uses them.
struct Bench {
    place: TempDir,
    acceptor: Arc<Acceptor>,
    stop: CancellationToken,
}

impl Bench {
    fn start() -> Self {
        let place = tempfile::tempdir().unwrap();
        let paths = ["cert.pem", "key.pem"].map(|name| place.path().join(name));
        for (path, text) in paths.iter().zip(pair()) {
            fs::write(path, text).unwrap();
        }
        let [certificate, key] = paths;
        let config = TlsServer {
            certificate,
            key: Some(key),
            ..nothing()
        };
        let acceptor = Arc::new(Acceptor::new(config).unwrap());
        let stop = CancellationToken::new();
        tokio::spawn(Arc::clone(&acceptor).renew(stop.clone()));
        Self {
            place,
            acceptor,
            stop,
        }
    }

    fn certificate(&self) -> &Path {
        &self.acceptor.config.certificate
    }

    fn key(&self) -> &Path {
        self.acceptor.config.key.as_ref().unwrap()
    }

    fn made(&self) -> Arc<ServerConfig> {
        self.acceptor.current(|current| Arc::clone(&current.made))
    }
}

fn nothing() -> TlsServer {
    TlsServer {
        certificate: "nothing".into(),
        key: None,
        chain: None,
        verify_peer: false,
        user_from_certificate: false,
        ca_file: None,
        ca_path: None,
        verify_depth: 9,
        versions: TlsVersions::default(),
        ciphers: Vec::new(),
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_said_once_and_the_old_one_stays() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    let (made, good) = (
        bench.made(),
        fs::read_to_string(bench.certificate()).unwrap(),
    );
    replace(bench.certificate(), "nonsense");
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.times(BROKEN), 1, "{}", log.text());
    assert!(log.text().contains("cert.pem holds no certificate"));
    // It is tried again all the time, and that is no news.
    sleep(Duration::from_secs(30)).await;
    assert_eq!(log.times(BROKEN), 1, "{}", log.text());
    assert!(Arc::ptr_eq(&made, &bench.made()));
    // Another fault is.
    replace(bench.key(), "nonsense");
    replace(bench.certificate(), &good);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.times(BROKEN), 2, "{}", log.text());
    let [certificate, key] = pair();
    replace(bench.certificate(), &certificate);
    replace(bench.key(), &key);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(
        (log.times(NEW), log.times("ERROR")),
        (1, 2),
        "{}",
        log.text()
    );
    assert!(!Arc::ptr_eq(&made, &bench.made()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_was_away_is_no_new_one() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    let made = bench.made();
    let (here, away) = (bench.key(), bench.place.path().join("away"));
    fs::rename(here, &away).unwrap();
    sleep(Duration::from_secs(20)).await;
    assert_eq!(log.times(BROKEN), 1, "{}", log.text());
    fs::rename(&away, here).unwrap();
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.times("they are those in use"), 1, "{}", log.text());
    assert_eq!((log.times(NEW), log.times("ERROR")), (0, 1));
    assert!(Arc::ptr_eq(&made, &bench.made()));
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_as_old_and_as_long_is_noticed() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    // White space behind it means nothing.
    let long = |[certificate, key]: [String; 2]| {
        let text = certificate + &key;
        format!("{text:4096}")
    };
    let about = |path: &Path| {
        let about = fs::metadata(path).unwrap();
        (about.len(), about.modified().unwrap())
    };
    let config = TlsServer {
        certificate: bench.place.path().join("both.pem"),
        ..nothing()
    };
    let path = config.certificate.clone();
    fs::write(&path, long(pair())).unwrap();
    let acceptor = Arc::new(Acceptor::new(config).unwrap());
    tokio::spawn(Arc::clone(&acceptor).renew(bench.stop.clone()));
    let before = about(&path);
    let other = bench.place.path().join("other.pem");
    fs::write(&other, long(pair())).unwrap();
    let file = File::options().append(true).open(&other).unwrap();
    file.set_modified(before.1).unwrap();
    fs::rename(&other, &path).unwrap();
    assert_eq!(before, about(&path));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.times(NEW), 1, "{}", log.text());
}

/// Whenever it happens to look.
#[tokio::test(start_paused = true)]
async fn a_key_that_comes_after_its_certificate_is_no_error() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    for round in 1..=20 {
        let [certificate, key] = pair();
        let (mut first, mut second) = ((bench.certificate(), certificate), (bench.key(), key));
        if round % 2 == 0 {
            std::mem::swap(&mut first, &mut second);
        }
        sleep(Duration::from_millis(53) * round).await;
        replace(first.0, &first.1);
        sleep(Duration::from_millis(300)).await;
        replace(second.0, &second.1);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(log.times(NEW), round as usize, "{}", log.text());
    }
    assert_eq!(log.times("ERROR"), 0, "{}", log.text());
}

#[tokio::test(start_paused = true)]
async fn files_that_hold_the_same_as_before_are_no_news() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    let made = bench.made();
    let file = File::options().append(true).open(bench.certificate());
    file.unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    sleep(Duration::from_secs(3)).await;
    let text = fs::read_to_string(bench.certificate()).unwrap();
    replace(bench.certificate(), &text);
    sleep(Duration::from_secs(3)).await;
    assert_eq!(log.text(), "");
    assert!(Arc::ptr_eq(&made, &bench.made()));
}

#[tokio::test(start_paused = true)]
async fn the_looks_end_and_another_start_notices_what_came_between() {
    let (log, _guard) = Log::start();
    let bench = Bench::start();
    let made = bench.made();
    sleep(Duration::from_secs(2)).await;
    bench.stop.cancel();
    let [certificate, key] = pair();
    replace(bench.certificate(), &certificate);
    replace(bench.key(), &key);
    sleep(Duration::from_secs(5)).await;
    assert!(Arc::ptr_eq(&made, &bench.made()));
    // As the driver does that starts anew with the same section.
    tokio::spawn(Arc::clone(&bench.acceptor).renew(CancellationToken::new()));
    sleep(Duration::from_secs(2)).await;
    assert_eq!(log.times(NEW), 1, "{}", log.text());
}

#[test]
fn a_file_that_is_rewritten_inside_a_folder_is_noticed() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("ca.pem");
    fs::write(&path, "one").unwrap();
    let config = TlsServer {
        ca_path: Some(place.path().to_owned()),
        ..nothing()
    };
    let before = look(&config);
    assert_eq!(before, look(&config));
    let file = File::options().append(true).open(&path).unwrap();
    file.set_modified(SystemTime::now() + Duration::from_secs(5))
        .unwrap();
    assert_ne!(before, look(&config));
}
