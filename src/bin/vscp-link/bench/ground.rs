//! Where everything is, and connections to it.

use std::rc::Rc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::mqtt::Broker;
use super::progress::{Progress, Step};
use super::run::Plan;
use super::source::Source;
use super::template::Template;
use super::wire::{BenchError, Link, Place};
use crate::login::Login;

/// Connections that are made at a time.
const AT_ONCE: usize = 32;
/// Where everything is.
pub(super) struct Ground {
    pub(super) server: Place,
    pub(super) login: Login,
    pub(super) broker: Option<Rc<Broker>>,
    /// Cancelled by Ctrl-C.
    pub(super) interrupt: CancellationToken,
}

impl Ground {
    /// Where topics are.
    pub(super) fn broker(&self) -> &Rc<Broker> {
        self.broker.as_ref().expect("topics need a broker")
    }

    /// Sessions, logged in; several at a time. As many as can be had before one fails.
    pub(super) async fn links(
        self: &Rc<Self>,
        count: usize,
        mut each: impl FnMut(Link, usize),
        progress: &mut Progress,
    ) -> Result<(), BenchError> {
        let mut opening = JoinSet::new();
        let (mut started, mut ready) = (0, 0);
        let mut trouble = None;
        loop {
            while trouble.is_none() && started < count && opening.len() < AT_ONCE {
                let ground = Rc::clone(self);
                opening.spawn_local(async move { Link::open(&ground.server, &ground.login).await });
                started += 1;
            }
            let opened = tokio::select! {
                opened = opening.join_next() => opened,
                () = self.interrupt.cancelled() => return Ok(()),
            };
            let Some(Ok(opened)) = opened else {
                break;
            };
            // Others may be on their way in.
            let link = match opened {
                Ok(link) => link,
                Err(error) => {
                    trouble.get_or_insert(error);
                    continue;
                }
            };
            each(link, ready);
            ready += 1;
            progress.show(Step {
                what: "connected",
                done: ready as u64,
                of: Some(count as u64),
                time: 0.0,
            });
        }
        trouble.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Where the events of a plan come from.
    ///
    /// # Errors
    /// Where it cannot be connected.
    pub(super) async fn source(&self, plan: &Plan, run: u32) -> Result<Source, BenchError> {
        let (class, vscp_type) = plan.event;
        const SOUND: &str = "a prepared event has its data";
        Ok(match &plan.publish {
            Some((topic, format)) => {
                let broker = self.broker();
                let session = broker.connect(&format!("{run:08x}-out")).await?;
                let template = broker.template(topic, run, *format, plan.event);
                Source::publisher(session, broker, template.expect(SOUND))
            }
            None => {
                let link = Link::open(&self.server, &self.login).await?;
                let template = Template::send(run, class, vscp_type);
                Source::client(link, template.expect(SOUND))
            }
        })
    }
}
