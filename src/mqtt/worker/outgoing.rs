//! Events, and the driver's own messages, to the broker.

use std::time::Duration;

use tokio::time::Instant;

use super::{BATCH, BATCH_BYTES, Worker};
use crate::mqtt::codec::{Letter, Publish};
use crate::mqtt::connection::{Connection, ConnectionError};
use crate::mqtt::outbox::Flying;
use crate::mqtt::session::{Content, Copy};
use crate::wire::topic::check_topic;

/// Messages of the driver's own that may be in flight.
const MOST_LETTERS: usize = 4;
/// When to try again what found no room.
const AGAIN: Duration = Duration::from_secs(1);

impl Worker {
    /// True where a copy waits that may be published.
    pub(super) fn could_send(&self) -> bool {
        let outbox = self.bridge.outbox();
        let next = self.next.max(Copy::first_of(outbox.first()));
        let there = outbox.flying(next.serial).is_some() || outbox.can_take();
        let qos = self.plan.qos(next.outlet);
        let free = || qos == 0 || self.session.has_room(qos);
        there && free()
    }

    /// Puts down copies of events, as windows and the batch allow.
    pub(super) fn send(&mut self, connection: &mut Connection) -> Result<(), ConnectionError> {
        let outlets = self.plan.outlets.len();
        // What was acknowledged meanwhile may be further than what was looked at.
        let first = self.bridge.outbox().first();
        self.next = self.next.max(Copy::first_of(first));
        for _ in 0..BATCH {
            let flying = {
                let mut outbox = self.bridge.outbox();
                match outbox.flying(self.next.serial) {
                    Some(flying) => flying,
                    None if outbox.take() => match outbox.flying(self.next.serial) {
                        Some(flying) => flying,
                        None => return Ok(()),
                    },
                    None => return Ok(()),
                }
            };
            while usize::from(self.next.outlet) < outlets {
                let copy = self.next;
                let sent = flying.has(copy.outlet)
                    || (copy.serial < self.doubtful && self.session.holds(copy));
                if !sent {
                    let qos = self.plan.qos(copy.outlet);
                    if qos > 0 && !self.session.has_room(qos) {
                        return Ok(());
                    }
                    self.publish(connection, &flying, copy, None)?;
                }
                self.next.outlet += 1;
            }
            self.next = Copy::first_of(self.next.serial + 1);
            if connection.unwritten() >= BATCH_BYTES {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Puts one copy down, with a new identifier or with the one that it had.
    pub(super) fn publish(
        &mut self,
        connection: &mut Connection,
        flying: &Flying,
        copy: Copy,
        held: Option<u16>,
    ) -> Result<(), ConnectionError> {
        let qos = self.plan.qos(copy.outlet);
        let (topic, payload, retain) = self.plan.render(copy.outlet, flying.event.event());
        let refused = check_topic(&topic).err().map(|error| error.to_string());
        let identifier = match (&refused, held, qos) {
            (_, Some(held), _) => held,
            (Some(_), None, _) | (None, None, 0) => 0,
            (None, None, _) => match self.session.take(Content::Copy(copy), qos) {
                Some(identifier) => identifier,
                None => return Ok(()),
            },
        };
        let refused = refused.or_else(|| {
            let publish = Publish {
                topic: &topic,
                payload,
                qos,
                retain,
                again: held.is_some(),
                identifier,
            };
            let put = connection.publish(publish);
            put.err().map(|error| error.to_string())
        });
        if let Some(why) = refused {
            match (identifier, held) {
                (0, _) => {}
                (_, None) => self.session.give_back(identifier),
                (_, Some(_)) => self.let_go(connection, identifier)?,
            }
            self.bridge.rejected(&topic, &why);
            self.bridge.outbox().done(copy, true);
            return Ok(());
        }
        if self.plan.comes_back(&topic) {
            let again = flying.again || held.is_some();
            self.downlink.expect_echo(&flying.event, again);
        }
        if qos == 0 {
            self.unflushed.push(copy);
        }
        Ok(())
    }

    /// What the driver has to say of itself, where there is room for it.
    pub(super) fn tell(&mut self, connection: &mut Connection) {
        if let Some(birth) = self.birth.take()
            && !self.post(connection, &birth)
        {
            self.birth = Some(birth);
        }
        if let Some(status) = &self.status
            && Instant::now() >= self.report
        {
            let (letter, interval) = (status.online(&self.bridge), status.interval());
            let said = self.post(connection, &letter);
            self.report = Instant::now() + if said { interval } else { AGAIN };
        }
    }

    /// A message that is not an event; false where it finds no identifier now.
    pub(super) fn post(&mut self, connection: &mut Connection, letter: &Letter) -> bool {
        let qos = letter.qos.min(self.plan.max_qos());
        let identifier = match qos {
            0 => 0,
            _ if self.session.letters() >= MOST_LETTERS => return false,
            _ => match self.session.take(Content::Letter, qos) {
                Some(identifier) => identifier,
                None => return false,
            },
        };
        let put = connection.publish(Publish {
            topic: &letter.topic,
            payload: letter.payload.clone(),
            qos,
            retain: letter.retain,
            again: false,
            identifier,
        });
        if let Err(error) = put {
            if identifier != 0 {
                self.session.give_back(identifier);
            }
            self.bridge.rejected(&letter.topic, &error.to_string());
        }
        true
    }
}
