//! `vscp-link run`: the driver without a daemon.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use vscpl2drv_link::config;
use vscpl2drv_link::event::Guid;
use vscpl2drv_link::os::{self, Opening, Readers};

use crate::args::RunArgs;
use crate::broker::Broker;
use crate::daemon::{self, Entry};
use crate::failure::Failure;
use crate::hints::hints;
use crate::host::{self, Functions, Host, Supervisor};

/// The login of the demonstration. It is for loopback only, where whoever could use it has an
/// account on this machine already.
const DEMO_USER: &str = "admin";
const DEMO_PASSWORD: &str = "secret";
const DEMO_USERS: &str = include_str!("../../../config-samples/users.json");
const DEMO_GUID: &str = "FF:FF:FF:FF:FF:FF:FF:F5:02:88:88:00:00:00:00:01";

/// Runs until Ctrl-C.
pub(crate) fn run(options: &RunArgs) -> Result<(), Failure> {
    host::keep_end_signals();
    let functions = load(options.library.as_deref())?;
    let mut running = match &options.file {
        None => demonstrate(&functions, options.port)?,
        Some(file) => run_file(&functions, file)?,
    };
    say(&format!("driver: vscpl2drv-link {}\n", functions.version()));
    say(&running.summary);
    say("Ctrl-C ends it.\n");
    let supervisor = Supervisor::of_this_process();
    if let Err(error) = supervisor.ready() {
        complain(&format!(
            "cannot tell $NOTIFY_SOCKET that it serves: {error}\n"
        ));
    }
    host::wait_for_end();
    // Whoever could not be told before is not listening now either.
    let _ = supervisor.stopping();
    say("\nstopping\n");
    // Drivers first: what they still have goes to the broker.
    running.hosts.clear();
    drop(running.broker.take());
    say("stopped\n");
    Ok(())
}

/// Everything that runs.
struct Running {
    hosts: Vec<Host>,
    broker: Option<DemoBroker>,
    summary: String,
    _files: Option<Files>,
}

fn load(library: Option<&Path>) -> Result<Arc<Functions>, Failure> {
    let places = library.map_or_else(host::library_places, |path| vec![path.to_owned()]);
    let Some(found) = places.iter().find(|place| place.is_file()) else {
        let list: String = places
            .iter()
            .map(|p| format!("\n  {}", p.display()))
            .collect();
        return Err(Failure::problem(format!(
            "the driver's library is in none of these places (cargo build makes it, \
             --library names another):{list}"
        )));
    };
    Functions::load(found).map_err(|error| Failure::problem(error.to_string()))
}

/// A driver with a broker of its own, and nothing on disk but a users file while it runs.
fn demonstrate(functions: &Arc<Functions>, port: u16) -> Result<Running, Failure> {
    let files = Files::new()?;
    let users = files.write("users.json", DEMO_USERS)?;
    let broker = DemoBroker::start()?;
    let config = json!({
        "interface": format!("tcp://127.0.0.1:{port}"),
        "path-users": users,
        "logging": {
            "file-enable-log": false,
            "console-enable-log": true,
            "console-log-level": "warn",
            "console-pattern": "%H:%M:%S %l: %v"
        },
        "mqtt": broker.section(),
    });
    let entry = Entry {
        name: "demo".to_owned(),
        config: config.to_string(),
        guid: DEMO_GUID.parse().unwrap_or(Guid::ZERO),
        has_mqtt: true,
    };
    let host = start(functions, &entry).map_err(|failure| {
        Failure::problem(format!(
            "{failure}; if port {port} is taken, --port gives another"
        ))
    })?;
    let me = program();
    let summary = format!(
        "clients: 127.0.0.1:{port}\n\
         broker: 127.0.0.1:{broker_port}\n\
         user: {DEMO_USER}\n\
         password: {DEMO_PASSWORD}\n\
         \n\
         Try, each in a terminal of its own:\n  \
         {me} monitor --host 127.0.0.1:{port} --user {DEMO_USER} --password {DEMO_PASSWORD}\n  \
         {me} send --host 127.0.0.1:{port} --user {DEMO_USER} --password {DEMO_PASSWORD} \
         0,20,3,,,,-,0,1,35\n  \
         telnet 127.0.0.1 {port}      (then: user {DEMO_USER}, pass {DEMO_PASSWORD}, rcvloop)\n\
         \n",
        broker_port = broker.port(),
    );
    Ok(Running {
        hosts: vec![host],
        broker: Some(broker),
        summary,
        _files: Some(files),
    })
}

/// The drivers of a daemon's file, with a broker on loopback for those that name none.
fn run_file(functions: &Arc<Functions>, file: &Path) -> Result<Running, Failure> {
    let report = config::check_file(file);
    for problem in report.problems() {
        complain(&format!("{problem}\n"));
    }
    if report.has_errors() {
        return Err(Failure::problem(format!("{} has errors", file.display())));
    }
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::problem(format!("cannot read {}: {error}", file.display())))?;
    let entries = daemon::entries(file, &text).map_err(Failure::problem)?;
    let mut broker = None;
    let mut hosts = Vec::new();
    let mut summary = String::new();
    let mut drivers = Vec::new();
    for mut entry in entries {
        let (driver, _) = config::load_driver(&entry.config)
            .map_err(|error| Failure::problem(error.to_string()))?;
        let websockets = driver.websocket.as_ref().map(|found| &found.interfaces);
        let shown = driver
            .interfaces
            .iter()
            .chain(websockets.into_iter().flatten())
            .map(|i| i.text.as_str())
            .collect::<Vec<_>>();
        let own_broker = !driver.mqtt.is_empty() || entry.has_mqtt;
        if !own_broker {
            let demo = match broker.take() {
                Some(demo) => demo,
                None => DemoBroker::start()?,
            };
            entry.config = with_mqtt(&entry.config, &demo.section())?;
            summary.push_str(&format!("broker: 127.0.0.1:{}\n", demo.port()));
            broker = Some(demo);
        } else if !driver.mqtt.is_empty() {
            for mqtt in &driver.mqtt {
                summary.push_str(&format!("broker: {}:{}\n", mqtt.host, mqtt.port));
            }
        } else {
            summary.push_str("broker: as the entry's mqtt section says\n");
        }
        if !shown.is_empty() {
            summary.push_str(&format!("clients: {}\n", shown.join(", ")));
        }
        summary.push_str("user: one of the users file\npassword: that user's\n\n");
        hosts.push(start(functions, &entry)?);
        drivers.push(driver);
    }
    summary.push_str(&hints(&program(), &drivers));
    Ok(Running {
        hosts,
        broker,
        summary,
        _files: None,
    })
}

fn start(functions: &Arc<Functions>, entry: &Entry) -> Result<Host, Failure> {
    let (driver, _) =
        config::load_driver(&entry.config).map_err(|error| Failure::problem(error.to_string()))?;
    Host::start(
        functions,
        &entry.config,
        entry.guid,
        daemon::layout(&driver),
    )
    .map_err(|error| Failure::problem(format!("{}: {error}", entry.name)))
}

/// A driver's file with an `mqtt` section added, as text for VSCPOpen.
fn with_mqtt(path: &str, section: &Value) -> Result<String, Failure> {
    let failed = |why: String| Failure::problem(format!("{path}: {why}"));
    let text = fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let mut config: Value =
        serde_json::from_str(&text).map_err(|error| failed(error.to_string()))?;
    config["mqtt"] = section.clone();
    Ok(config.to_string())
}

/// The broker for trying things out, on a runtime of its own.
struct DemoBroker {
    broker: Option<Broker>,
    address: SocketAddr,
    runtime: tokio::runtime::Runtime,
}

impl DemoBroker {
    fn start() -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::problem(format!("no broker on loopback: {error}"));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("demo-broker")
            .enable_all()
            .build()
            .map_err(failed)?;
        let address = ([127, 0, 0, 1], 0).into();
        let broker = Broker::start(runtime.handle(), address).map_err(failed)?;
        Ok(Self {
            address: broker.local_addr(),
            broker: Some(broker),
            runtime,
        })
    }

    fn port(&self) -> u16 {
        self.address.port()
    }

    /// An `mqtt` section that publishes to the tree that it subscribes to: so clients meet.
    fn section(&self) -> Value {
        json!({
            "host": "127.0.0.1",
            "port": self.port(),
            "clientid": "vscp-link-demo-{{rnd}}",
            "publish": [{"topic": "vscp/{{guid}}/{{class}}/{{type}}/{{nodeid}}", "qos": 1}],
            "subscribe": [{"topic": "vscp/#", "qos": 1}]
        })
    }
}

impl Drop for DemoBroker {
    fn drop(&mut self) {
        if let Some(broker) = self.broker.take() {
            self.runtime.block_on(broker.stop());
        }
    }
}

/// A directory that only this user can look into, and that goes with the program.
struct Files(PathBuf);

impl Files {
    fn new() -> Result<Self, Failure> {
        let place = std::env::temp_dir().join(format!("vscp-link-{}", std::process::id()));
        os::create_own_folder(&place, false).map_err(|error| {
            Failure::problem(format!(
                "cannot make the directory {}: {error}",
                place.display()
            ))
        })?;
        Ok(Self(place))
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.0.join(name);
        os::open_own(&path, Opening::New, Readers::Owner)
            .and_then(|mut file| file.write_all(text.as_bytes()))
            .map_err(|error| {
                Failure::problem(format!("cannot write {}: {error}", path.display()))
            })?;
        Ok(path)
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How this program was called.
fn program() -> String {
    std::env::args()
        .next()
        .unwrap_or_else(|| "vscp-link".to_owned())
}

/// What nobody reads is no reason to stop.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
