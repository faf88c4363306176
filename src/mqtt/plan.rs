//! An `mqtt` section, ready to be carried out: every template read, every name checked.

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::client::{IDENTIFIERS, Options, Will};
use crate::config::model::{MqttConfig, ReadFormat, WriteFormat};
use crate::event::json::Generation;
use crate::event::{Event, Guid};
use crate::wire::payload;
use crate::wire::topic::{Scope, Settings, Template, TemplateError};

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
#[error("{key}: {template:?}")]
pub struct MqttError {
    /// The file and the key path.
    pub key: String,
    /// What stands there.
    pub template: String,
    /// Why it cannot be.
    #[source]
    pub source: TemplateError,
}

/// Everything that the worker needs to know.
pub(super) struct Plan {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) options: Options,
    pub(super) settings: Settings,
    pub(super) generation: Generation,
    pub(super) publications: Vec<Outlet>,
    pub(super) subscriptions: Vec<Inlet>,
}

/// A topic that events are published to.
pub(super) struct Outlet {
    pub(super) topic: Template,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) format: WriteFormat,
}

/// A filter that is subscribed to.
pub(super) struct Inlet {
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) format: ReadFormat,
}

impl Plan {
    pub(super) fn new(
        config: &MqttConfig,
        names: BridgeNames,
        directions: Directions,
        generation: Generation,
    ) -> Result<Self, MqttError> {
        let failed = |key: &str, template: &str| {
            let (key, template) = (format!("{}.{key}", config.place), template.to_owned());
            move |source: TemplateError| MqttError {
                key,
                template,
                source,
            }
        };
        let mut settings = Settings {
            driver_guid: names.driver_guid,
            server_guid: names.server_guid.unwrap_or(names.driver_guid),
            client_id: String::new(),
            user: config.user.clone().unwrap_or_default(),
            host: config.host.clone(),
            port: config.port,
            driver_name: names.driver_name.clone(),
            rnd: steady_random(&names),
            escapes: config.user_escapes.clone(),
            lenient: config.topic_compat,
        };
        settings.client_id = client_id(config, &settings.rnd);
        let will = match &config.will {
            None => None,
            Some(will) => {
                let rendered = Template::topic(&will.topic, &settings);
                let mut topic = rendered.map_err(failed("will.topic", &will.topic))?;
                if config.shared_with_daemon {
                    // The daemon clears and sets its own will on the topic as it stands.
                    topic.push_str("/link");
                }
                let payload = will.payload.clone();
                Some(Will {
                    topic,
                    payload,
                    qos: will.qos,
                    retain: will.retain,
                })
            }
        };
        let mut publications = Vec::new();
        for (at, publication) in config
            .publish
            .iter()
            .enumerate()
            .filter(|_| directions.publish)
        {
            let key = format!("publish[{at}].topic");
            let topic = Template::for_publishing(&publication.topic, &settings)
                .map_err(failed(&key, &publication.topic))?;
            publications.push(Outlet {
                topic,
                qos: safe_qos(publication.qos, config.clean_session, &config.place),
                retain: publication.retain,
                format: publication.format,
            });
        }
        let mut subscriptions = Vec::new();
        for (at, subscription) in config
            .subscribe
            .iter()
            .enumerate()
            .filter(|_| directions.subscribe)
        {
            let key = format!("subscribe[{at}].topic");
            let filter = Template::filter(&subscription.topic, &settings)
                .map_err(failed(&key, &subscription.topic))?;
            let (qos, format) = (subscription.qos, subscription.format);
            subscriptions.push(Inlet {
                filter,
                qos,
                format,
            });
        }
        let options = Options {
            client_id: settings.client_id.clone(),
            login: config
                .user
                .clone()
                .map(|user| (user, config.password.clone().unwrap_or_default())),
            clean_session: config.clean_session,
            keep_alive: config.keep_alive,
            connect_timeout: config.connect_timeout,
            nodelay: config.nodelay,
            will,
        };
        Ok(Self {
            host: config.host.clone(),
            port: config.port,
            options,
            settings,
            generation,
            publications,
            subscriptions,
        })
    }

    /// Events that may be in flight, so that identifiers never come round to one in use.
    pub(super) fn window(&self) -> usize {
        const MOST: usize = 500;
        (usize::from(IDENTIFIERS) / self.publications.len().max(1)).clamp(1, MOST)
    }

    /// A publication's topic and payload for an event.
    pub(super) fn render(&self, outlet: &Outlet, event: &Event) -> (String, Vec<u8>) {
        let format = payload::name(outlet.format);
        let scope = Scope {
            settings: &self.settings,
            event: Some(event),
            format,
        };
        let topic = outlet.topic.text(&scope);
        let mut bytes = Vec::with_capacity(256 + 5 * event.data.len());
        payload::write(event, outlet.format, self.generation, &mut bytes);
        (topic, bytes)
    }
}

/// In a session that the broker keeps, it takes a QoS 2 publish for one of an earlier connection
/// where the identifier is the same. QoS 1 may bring an event twice, but loses none.
fn safe_qos(qos: u8, clean_session: bool, place: &str) -> u8 {
    if qos == 2 && !clean_session {
        tracing::warn!("{place}: QoS 2 with bcleansession false is published with QoS 1");
        return 1;
    }
    qos
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
        let mut config = load_driver(&text).unwrap().0.mqtt.unwrap();
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
        Plan::new(&config, names, directions, Generation::V2).unwrap()
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
    fn qos_2_needs_a_session_of_its_own() {
        let section = |clean: bool| {
            format!(
                "\"clientid\": \"x\", \"bcleansession\": {clean}, \
                 \"publish\": [{{\"topic\": \"a\", \"qos\": 2}}]"
            )
        };
        assert_eq!(plan(&section(true), false).publications[0].qos, 2);
        assert_eq!(plan(&section(false), false).publications[0].qos, 1);
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
            "\"subscribe\": [{\"topic\": \"vscp/{{guid[15]}}/#\"}], \
             \"publish\": [{\"topic\": \"a\"}, {\"topic\": \"b\"}, {\"topic\": \"c\"}]",
            false,
        );
        assert_eq!(plan.subscriptions[0].filter, "vscp/1/#");
        assert_eq!(plan.window(), 333, "identifiers for all copies");
    }
}
