//! What a broker keeps, for somebody who asks once: `vscp-link` looks at status documents this way.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroizing;

use super::codec::{CodecError, Filter, Options, Packet};
use super::connection::{Connection, ConnectionError};
use crate::config::model::{MqttVersion, TlsClient, V5Config};
use crate::net::lookup;
use crate::net::stream::Route;
use crate::net::tls::{TlsError, client};

/// Messages that are taken.
const MOST: usize = 1000;
/// How long further ones may take once the broker has answered what was asked after them.
const AFTER: Duration = Duration::from_millis(300);
/// The identifier of the subscription.
const SUBSCRIBE: u16 = 1;

/// A broker, and who asks.
#[derive(Debug)]
pub struct Inquiry {
    /// Its name, or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// TLS, where it is on.
    pub tls: Option<TlsClient>,
    /// User and password, where it wants to know.
    pub login: Option<(String, Zeroizing<String>)>,
    /// For everything together.
    pub patience: Duration,
}

/// Why nothing can be said.
#[derive(Debug, Error)]
pub enum InquiryError {
    /// A certificate, or a key.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The name.
    #[error("the name cannot be looked up: {0}")]
    Lookup(#[source] io::Error),
    /// The connection, or the login.
    #[error("{0}")]
    Connection(String),
    /// The topic.
    #[error("the broker refused the subscription: {0}")]
    Refused(String),
}

impl From<ConnectionError> for InquiryError {
    fn from(error: ConnectionError) -> Self {
        Self::Connection(error.to_string())
    }
}

impl From<CodecError> for InquiryError {
    fn from(error: CodecError) -> Self {
        ConnectionError::from(error).into()
    }
}

impl Inquiry {
    /// The messages that the broker keeps under this topic, which may have wildcards, by their
    /// topics. One that is said meanwhile takes the place of the one before.
    ///
    /// # Errors
    /// [`InquiryError`].
    pub async fn retained(&self, filter: &str) -> Result<BTreeMap<String, Bytes>, InquiryError> {
        let deadline = Instant::now() + self.patience;
        let mut connection = self.connect().await?;
        let wanted = Filter {
            filter: filter.to_owned(),
            qos: 0,
            options: Default::default(),
        };
        connection.subscribe(SUBSCRIBE, &[wanted])?;
        // Its answer comes when what is kept has come, or nearly.
        connection.ping();
        connection.flush().await?;
        let many = filter.contains(['+', '#']);
        let mut found = BTreeMap::new();
        let mut end = deadline;
        while found.len() < MOST {
            let Ok(packet) = timeout_at(end, connection.next()).await else {
                break;
            };
            match packet? {
                Packet::Message(message) => {
                    found.extend(message.payload.map(|payload| (message.topic, payload)));
                    if !many {
                        break;
                    }
                }
                Packet::Subscribed(answers) => {
                    if let Some(Some(why)) = answers.into_iter().next() {
                        return Err(InquiryError::Refused(why));
                    }
                }
                Packet::Alive => end = deadline.min(Instant::now() + AFTER),
                Packet::Farewell(why) => return Err(ConnectionError::Farewell(why).into()),
                _ => {}
            }
        }
        connection.disconnect();
        // Whether it hears that is its own affair.
        let _ = timeout_at(deadline, connection.flush()).await;
        Ok(found)
    }

    async fn connect(&self) -> Result<Connection, InquiryError> {
        let route = Route {
            host: self.host.clone(),
            port: self.port,
            bind: None,
            tls: self.tls.as_ref().map(client::config).transpose()?,
            nodelay: true,
        };
        let mut random = [0; 8];
        // Without random numbers it has an id that another one may have too.
        let _ = getrandom::fill(&mut random);
        let options = Options {
            version: MqttVersion::V311,
            client_id: format!("vscp-link-{:016x}", u64::from_be_bytes(random)),
            login: self.login.clone(),
            clean_session: true,
            keep_alive: Duration::from_secs(60),
            receive_maximum: u16::MAX,
            send_maximum: None,
            v5: V5Config::default(),
            will: None,
        };
        let addresses = lookup::addresses(&self.host, self.port, self.patience)
            .await
            .map_err(InquiryError::Lookup)?;
        let mut failed = ConnectionError::Timeout;
        for address in addresses {
            match Connection::open(address, &route, self.patience, &options).await {
                Ok((connection, _)) => return Ok(connection),
                Err(error) => failed = error,
            }
        }
        Err(failed.into())
    }
}
