//! An `mqtt` section, ready to be carried out: every template read, every name checked.

use std::time::Duration;

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::codec::{Filter, Letter, Options};
use super::session::MOST;
use super::status::{Report, Status};
use crate::backlog::spool::SpoolError;
use crate::config::model::{Message, MqttConfig, MqttVersion, ReadFormat, WriteFormat};
use crate::event::json::Generation;
use crate::event::{Event, FilterPair, Guid};
use crate::net::stream::Route;
use crate::net::tls::{TlsError, client};
use crate::wire::payload::{self, Style};
use crate::wire::topic::{Scope, Settings, Template, TemplateError, matches};

/// What is known of the driver and its host.
#[derive(Clone, Debug, Default)]
pub struct BridgeNames {
    /// The driver's GUID.
    pub driver_guid: Guid,
    /// The daemon's GUID, where there is a daemon.
    pub server_guid: Option<Guid>,
    /// The driver's name in the daemon.
    pub driver_name: String,
    /// What tells this machine from others.
    pub machine_id: String,
}

/// Which directions the bridge carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directions {
    /// Clients' events to the broker.
    pub publish: bool,
    /// Messages to the clients.
    pub subscribe: bool,
}

/// A section that cannot be carried out.
#[derive(Debug, Error)]
pub enum MqttError {
    /// A template that cannot be used.
    #[error("{key}: {template:?}")]
    Template {
        /// The file and the key path.
        key: String,
        /// What stands there.
        template: String,
        /// Why it cannot be.
        #[source]
        source: TemplateError,
    },
    /// TLS that cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An outbox that cannot be on disk.
    #[error("outbox.path")]
    Spool(#[from] SpoolError),
}

/// Everything that the worker needs to know.
pub(super) struct Plan {
    pub(super) route: Route,
    /// For each address of the broker.
    pub(super) connect_timeout: Duration,
    pub(super) options: Options,
    pub(super) outlets: Vec<Outlet>,
    pub(super) filters: Vec<Filter>,
    pub(super) birth: Option<Letter>,
    /// Which events of the broker's are taken.
    pub(super) filter: FilterPair,
    settings: Settings,
    formats: Vec<ReadFormat>,
    /// What the broker allows.
    max_qos: u8,
    retain_available: bool,
}

/// A topic that events are published to.
pub(super) struct Outlet {
    topic: Template,
    qos: u8,
    retain: bool,
    format: WriteFormat,
}

impl Plan {
    pub(super) fn new(
        config: &MqttConfig,
        names: &BridgeNames,
        directions: Directions,
        generation: Generation,
    ) -> Result<Self, MqttError> {
        let settings = settings(config, names, generation);
        let outlets = match directions.publish {
            true => outlets(config, &settings)?,
            false => Vec::new(),
        };
        let mut filters = Vec::new();
        let mut formats = Vec::new();
        if directions.subscribe {
            for (at, subscription) in config.subscribe.iter().enumerate() {
                let key = format!("subscribe[{at}].topic");
                let filter = Template::filter(&subscription.topic, &settings).map_err(failed(
                    config,
                    &key,
                    &subscription.topic,
                ))?;
                filters.push(Filter {
                    filter,
                    qos: subscription.qos,
                    options: subscription.options,
                });
                formats.push(subscription.format);
            }
        }
        let letter = |message: &Option<Message>, key: &str| match message {
            None => Ok(None),
            Some(message) => letter(config, message, key, &settings).map(Some),
        };
        let tls = config.tls.as_ref().map(client::config).transpose()?;
        Ok(Self {
            route: Route {
                host: config.host.clone(),
                port: config.port,
                bind: config.bind,
                tls,
                nodelay: config.nodelay,
            },
            connect_timeout: config.connect_timeout,
            options: Options {
                version: config.version,
                client_id: settings.client_id.clone(),
                login: config
                    .user
                    .clone()
                    .map(|user| (user, config.password.clone().unwrap_or_default())),
                clean_session: config.clean_session,
                keep_alive: config.keep_alive,
                receive_maximum: config.receive_maximum,
                send_maximum: config.send_maximum,
                v5: config.v5.clone(),
                will: letter(&config.will, "will")?,
            },
            outlets,
            filters,
            birth: letter(&config.birth, "birth")?,
            filter: config.filter,
            settings,
            formats,
            max_qos: 2,
            retain_available: true,
        })
    }

    /// The status document that a section asks for. Its will goes before any other, and its topic is
    /// listened to, so that another driver with the same GUID is found out.
    pub(super) fn status(
        &mut self,
        config: &MqttConfig,
        report: Report,
    ) -> Result<Option<Status>, MqttError> {
        let Some(wanted) = &config.status else {
            return Ok(None);
        };
        let topic = Template::topic(&wanted.topic, &self.settings).map_err(failed(
            config,
            "status.topic",
            &wanted.topic,
        ))?;
        let guid = self.settings.driver_guid.to_string();
        // It is said again and again: there is no need for it to come exactly once.
        let status = Status::new(
            topic.clone(),
            wanted.qos.min(1),
            wanted.interval,
            guid,
            report,
        );
        if self.options.will.is_some() {
            tracing::info!(
                "{}.will: the will of this connection marks the status offline instead",
                config.place
            );
        }
        self.options.will = Some(status.offline());
        self.filters.push(Filter {
            filter: topic,
            qos: 0,
            options: Default::default(),
        });
        Ok(Some(status))
    }

    /// Events that may be in flight, so that all their copies find identifiers.
    pub(super) fn window(&self) -> usize {
        const MOST_EVENTS: usize = 500;
        (usize::from(MOST) / self.outlets.len().max(1)).clamp(1, MOST_EVENTS)
    }

    /// Lowers what is asked of the broker to what it allows.
    pub(super) fn limit(&mut self, max_qos: u8, retain_available: bool) {
        let less = |outlet: &Outlet| outlet.qos > max_qos || outlet.retain && !retain_available;
        let news = (max_qos, retain_available) != (self.max_qos, self.retain_available);
        if news && self.outlets.iter().any(less) {
            tracing::warn!(
                max_qos,
                retain_available,
                "the broker allows less than the topics ask for; they are published with what it allows"
            );
        }
        (self.max_qos, self.retain_available) = (max_qos, retain_available);
    }

    pub(super) fn max_qos(&self) -> u8 {
        self.max_qos
    }

    /// The QoS of a copy.
    pub(super) fn qos(&self, outlet: u8) -> u8 {
        let outlet = self.outlets.get(usize::from(outlet));
        outlet.map_or(0, |outlet| outlet.qos.min(self.max_qos))
    }

    /// True where anything is published with QoS 2.
    pub(super) fn uses_qos_2(&self) -> bool {
        let birth = self.birth.as_ref().is_some_and(|birth| birth.qos == 2);
        birth || self.outlets.iter().any(|outlet| outlet.qos == 2)
    }

    /// Topic and payload of a copy, and whether the broker keeps it.
    pub(super) fn render(&self, outlet: u8, event: &Event) -> (String, Vec<u8>, bool) {
        let Some(outlet) = self.outlets.get(usize::from(outlet)) else {
            return Default::default();
        };
        let scope = Scope {
            settings: &self.settings,
            event: Some(event),
            format: Some(outlet.format),
        };
        let topic = outlet.topic.text(&scope);
        let mut bytes = Vec::with_capacity(256 + 5 * event.data.len());
        payload::write(event, outlet.format, self.settings.style, &mut bytes);
        (topic, bytes, outlet.retain && self.retain_available)
    }

    /// True where what is published there comes back.
    pub(super) fn comes_back(&self, topic: &str) -> bool {
        let v5 = self.options.version == MqttVersion::V5;
        self.filters
            .iter()
            .any(|filter| !(v5 && filter.options.no_local) && matches(&filter.filter, topic))
    }

    /// How payloads of a topic are read.
    pub(super) fn read_format(&self, topic: &str) -> ReadFormat {
        let inlets = self.filters.iter().zip(&self.formats);
        let mut matching = inlets.filter(|(filter, _)| matches(&filter.filter, topic));
        matching
            .next()
            .map(|(_, format)| *format)
            .unwrap_or_default()
    }

    /// What takes back a birth: the will, where both have one topic. A broker says a will only where
    /// a client is gone without a goodbye.
    pub(super) fn farewell(&self) -> Option<Letter> {
        let (birth, will) = (self.birth.as_ref()?, self.options.will.as_ref()?);
        (birth.topic == will.topic).then(|| will.clone())
    }
}

fn failed(
    config: &MqttConfig,
    key: &str,
    template: &str,
) -> impl FnOnce(TemplateError) -> MqttError + use<> {
    let (key, template) = (format!("{}.{key}", config.place), template.to_owned());
    move |source| MqttError::Template {
        key,
        template,
        source,
    }
}

fn settings(config: &MqttConfig, names: &BridgeNames, generation: Generation) -> Settings {
    let rnd = steady_random(names);
    Settings {
        driver_guid: names.driver_guid,
        server_guid: names.server_guid.unwrap_or(names.driver_guid),
        client_id: client_id(config, &rnd),
        user: config.user.clone().unwrap_or_default(),
        host: config.host.clone(),
        port: config.port,
        driver_name: names.driver_name.clone(),
        rnd,
        escapes: config.user_escapes.clone(),
        as_daemon: config.topic_compat,
        style: Style {
            generation,
            measurement_block: config.measurement_block,
        },
    }
}

fn outlets(config: &MqttConfig, settings: &Settings) -> Result<Vec<Outlet>, MqttError> {
    let mut outlets = Vec::new();
    for (at, publication) in config.publish.iter().enumerate() {
        let key = format!("publish[{at}].topic");
        let topic = if config.escape_topics {
            Template::for_publishing(&publication.topic, settings)
        } else {
            Template::literal(&publication.topic)
        };
        outlets.push(Outlet {
            topic: topic.map_err(failed(config, &key, &publication.topic))?,
            qos: publication.qos,
            retain: publication.retain,
            format: publication.format,
        });
    }
    Ok(outlets)
}

fn letter(
    config: &MqttConfig,
    message: &Message,
    key: &str,
    settings: &Settings,
) -> Result<Letter, MqttError> {
    let key = format!("{key}.topic");
    let mut topic =
        Template::topic(&message.topic, settings).map_err(failed(config, &key, &message.topic))?;
    if config.shared_with_daemon {
        // The daemon clears and sets its own on the topic as it stands.
        topic.push_str("/link");
    }
    Ok(Letter {
        topic,
        payload: message.payload.clone().into_bytes(),
        qos: message.qos,
        retain: message.retain,
    })
}

/// Never the daemon's, which has the same section before it.
fn client_id(config: &MqttConfig, rnd: &str) -> String {
    let configured = config.client_id.replace("{{rnd}}", rnd);
    match (configured.is_empty(), config.shared_with_daemon) {
        (true, _) => format!("vscp-link-{rnd}"),
        (false, true) => format!("{configured}-link"),
        (false, false) => configured,
    }
}

/// Sixteen digits that are the same for this driver on this machine over restarts, so that a
/// session which the broker keeps is found again.
fn steady_random(names: &BridgeNames) -> String {
    let mut hash = Sha256::new();
    hash.update(names.driver_guid.bytes());
    hash.update(names.machine_id.as_bytes());
    hash.finalize()
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02X}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_driver;

    fn plan(mqtt: &str, shared: bool) -> Plan {
        let text = format!("{{\"mqtt\": {{{mqtt}}}}}");
        let mut config = load_driver(&text).unwrap().0.mqtt.remove(0);
        config.shared_with_daemon = shared;
        let names = BridgeNames {
            driver_guid: "::1".parse().unwrap(),
            server_guid: Some("::2".parse().unwrap()),
            driver_name: "link".to_owned(),
            machine_id: "this machine".to_owned(),
        };
        let directions = Directions {
            publish: true,
            subscribe: true,
        };
        Plan::new(&config, &names, directions, Generation::V2).unwrap()
    }

    #[test]
    fn beside_a_daemon_names_differ_from_the_daemons() {
        let section = "\"clientid\": \"vscpd\", \"will\": {\"topic\": \"w/{{srvguid[15]}}\", \
                       \"payload\": \"down\"}";
        let (alone, beside) = (plan(section, false), plan(section, true));
        assert_eq!(alone.options.client_id, "vscpd");
        assert_eq!(beside.options.client_id, "vscpd-link");
        assert_eq!(alone.options.will.unwrap().topic, "w/2");
        assert_eq!(beside.options.will.unwrap().topic, "w/2/link");
    }

    #[test]
    fn what_the_broker_does_not_allow_is_lowered() {
        let mut plan = plan(
            "\"publish\": [{\"topic\": \"a\", \"qos\": 2, \"retain\": true}, {\"topic\": \"b\", \"qos\": 1}]",
            false,
        );
        assert_eq!((plan.qos(0), plan.qos(1)), (2, 1));
        plan.limit(1, false);
        assert_eq!((plan.qos(0), plan.qos(1)), (1, 1));
        plan.limit(0, true);
        assert_eq!((plan.qos(0), plan.qos(1)), (0, 0));
    }

    #[test]
    fn no_local_is_of_mqtt_5_alone() {
        let section = |version: u16| {
            format!(
                "\"protocol-version\": {version}, \
                 \"subscribe\": [{{\"topic\": \"a/#\", \"v5-options\": \"NO_LOCAL\"}}]"
            )
        };
        assert!(plan(&section(311), false).comes_back("a/b"));
        assert!(!plan(&section(5), false).comes_back("a/b"));
        assert!(!plan(&section(311), false).comes_back("b"));
    }

    #[test]
    fn a_goodbye_takes_back_the_birth() {
        let with = |will: &str| {
            format!(
                "\"birth\": {{\"topic\": \"p\", \"payload\": \"here\"}}, \
                 \"will\": {{\"topic\": \"{will}\", \"payload\": \"gone\", \"retain\": true}}"
            )
        };
        let same = plan(&with("p"), false);
        assert!(same.birth.as_ref().unwrap().retain);
        assert_eq!(same.farewell().unwrap().payload, b"gone");
        assert!(plan(&with("q"), false).farewell().is_none());
    }

    #[test]
    fn random_names_stay_the_same() {
        let section = "\"clientid\": \"x-{{rnd}}\"";
        let id = plan(section, false).options.client_id;
        assert_eq!(id, plan(section, false).options.client_id);
        assert_eq!(id.len(), 18);
        assert!(plan("", false).options.client_id.starts_with("vscp-link-"));
    }

    #[test]
    fn topics_are_rendered_once() {
        let plan = plan(
            "\"subscribe\": [{\"topic\": \"vscp/{{guid[15]}}/#\", \"format\": \"xml\"}], \
             \"publish\": [{\"topic\": \"a\"}, {\"topic\": \"b\"}, {\"topic\": \"c\"}]",
            false,
        );
        assert_eq!(plan.filters[0].filter, "vscp/1/#");
        assert_eq!(plan.read_format("vscp/1/x"), ReadFormat::Xml);
        assert_eq!(plan.read_format("else"), ReadFormat::Auto);
        assert_eq!(plan.window(), 333, "identifiers for all copies");
    }
}
