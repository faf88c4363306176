//! Why a driver does not start, and where that is said.

use std::fmt;

use thiserror::Error;

use super::loaded::LoadError;
use super::report;
use super::status::StatusError;
use crate::auth::RandomError;
use crate::discovery::PortError;
use crate::error::with_causes;
use crate::log::{LogError, Logger};
use crate::mqtt::MqttError;
use crate::net::listener::BindError;
use crate::net::tls::TlsError;
use crate::remote::LinkError;

/// Why a driver does not start.
#[derive(Debug, Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the log cannot be opened")]
    Log(#[from] LogError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    #[error("the bridge to MQTT cannot start")]
    Mqtt(#[from] MqttError),
    #[error("a link cannot be made")]
    Link(#[from] LinkError),
    #[error(transparent)]
    Discovery(#[from] PortError),
    #[error(transparent)]
    Status(#[from] StatusError),
    #[error("the link server cannot start")]
    Random(#[from] RandomError),
    #[error("it is being closed")]
    Closing,
    #[error("the runtime cannot start")]
    Runtime(#[from] std::io::Error),
}

/// A start that failed, and the log to say so in.
pub(super) struct StartError {
    cause: Box<Cause>,
    logger: Option<Logger>,
}

impl StartError {
    pub(super) fn new(cause: Cause, logger: Option<Logger>) -> Self {
        Self {
            cause: Box::new(cause),
            logger,
        }
    }

    /// Says why: in the driver's log where it has one, else in the system's.
    pub(super) fn report(self) {
        let text = format!("the driver does not start: {self}");
        match &self.logger {
            Some(logger) => tracing::dispatcher::with_default(&logger.dispatch(), || {
                text.lines().for_each(|line| tracing::error!("{line}"));
            }),
            None => text.lines().for_each(report),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&with_causes(&*self.cause))
    }
}
