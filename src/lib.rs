//! A VSCP level II driver: the tcp/ip link server, the websocket server, links to other servers and
//! the bridge to MQTT in one shared library.
//!
//! A host (the VSCP daemon, or the program `vscp-link`) loads the library and calls it through
//! the C ABI. Events flow like this:
//!
//! ```text
//!  host thread ──► abi ──► driver ──► runtime (tokio, one per VSCPOpen)
//!                                        │
//!                                        ▼                  ┌ mqtt bridges ─► outboxes ─► brokers
//!   link sessions ──┬ client channels ── hub ── uplinks ────┤
//!   websockets ─────┤                                       └ host port ─► VSCPRead / ◄─ VSCPWrite
//!   outgoing links ─┘
//! ```
//!
//! The modules, in the order in which they build on each other; none uses one below it:
//!
//! | module | what |
//! |---|---|
//! | [`event`] | the event and its codecs; pure |
//! | [`catalog`] | names of classes, types and units, and what a measurement means; pure |
//! | [`auth`] | users, rights, remotes, passwords; pure |
//! | [`wire`] | lines, the dialogues of the link and of websockets, topics and payloads; pure |
//! | [`error`], [`os`], [`files`] | errors as text, the operating system, files that change |
//! | [`config`] | JSON files to validated values, every problem with its place |
//! | [`hub`] | the router between client channels and uplinks |
//! | [`log`], [`net`] | log files, sockets |
//! | [`backlog`] | events that wait until somebody has them, on the disk too |
//! | [`gate`] | who comes in: logins, places, the audit log; for all servers |
//! | [`link`] | the link server: the I/O around [`wire::link`] |
//! | [`ws`] | the websocket server: the I/O around [`wire::ws`] |
//! | [`mqtt`] | the bridge to a broker, and its outbox in memory and on disk |
//! | [`remote`] | links to other servers, as a client of theirs |
//! | [`discovery`] | being found: answers to those who ask which servers there are |
//! | [`status`] | being watched: pages over HTTP that tell how the driver is |
//! | [`driver`] | one open driver, and the order in which it starts and stops |
//! | [`abi`] | the C functions |
//!
//! An event from a client: [`link`] reads a line, [`wire::link::Session`] makes an
//! [`event::Event`] of it, [`hub::Hub::submit`] gives it to all uplinks or to none, and the answer
//! says which. [`mqtt`]'s worker renders it for each topic and lets go of it when the broker has all
//! copies. An event from an uplink: [`hub::Downlink::deliver`] puts it into the queue of each
//! channel that wants it, and its session writes it.

pub mod abi;
pub mod auth;
pub mod backlog;
pub mod catalog;
pub mod config;
pub mod discovery;
pub mod driver;
pub mod error;
pub mod event;
pub mod files;
pub mod gate;
pub mod hub;
pub mod link;
pub mod log;
pub mod mqtt;
pub mod net;
pub mod os;
pub mod remote;
pub mod status;
pub mod wire;
pub mod ws;
