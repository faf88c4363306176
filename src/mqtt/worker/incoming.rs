//! Packets of the broker's: acknowledgements, and messages for the clients.

use super::Worker;
use crate::event::Guid;
use crate::event::text::Defaults;
use crate::mqtt::codec::{CodecError, Message, Packet};
use crate::mqtt::connection::{Connection, ConnectionError};
use crate::mqtt::session::{Content, Outcome};
use crate::os::now;
use crate::wire::payload;

impl Worker {
    /// Takes note of a packet and puts down what MQTT answers to it.
    pub(super) fn accept(
        &mut self,
        connection: &mut Connection,
        packet: Packet,
    ) -> Result<(), ConnectionError> {
        let outcome = match packet {
            Packet::Acknowledged(identifier, refused) => {
                (self.session.acknowledged(identifier), refused, identifier)
            }
            Packet::Received(identifier, refused) => {
                let outcome = self.session.received(identifier, refused.is_some());
                if outcome == Outcome::Unknown && refused.is_none() {
                    // Of an earlier connection: it goes on until it is released.
                    connection.release(identifier)?;
                }
                (outcome, refused, identifier)
            }
            Packet::Complete(identifier) => (self.session.complete(identifier), None, identifier),
            Packet::Release(identifier) => {
                self.session.released(identifier);
                return Ok(connection.complete(identifier)?);
            }
            Packet::Message(message) => return self.message(connection, message),
            Packet::Subscribed(answers) => {
                self.subscribed(&answers);
                return Ok(());
            }
            Packet::Alive => {
                self.backoff.reset();
                return Ok(());
            }
            Packet::Farewell(why) => return Err(ConnectionError::Farewell(why)),
            Packet::Welcome(_) => return Err(CodecError::Unexpected.into()),
        };
        match outcome {
            (Outcome::Done(content), refused, _) => {
                // Now the broker does more than to accept and to throw out.
                self.backoff.reset();
                if let Some(why) = &refused {
                    self.bridge.rejected("", why);
                }
                if let Content::Copy(copy) = content {
                    self.bridge.outbox().done(copy, refused.is_some());
                }
            }
            (Outcome::Release, _, identifier) => connection.release(identifier)?,
            (Outcome::Unknown, ..) => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, answers: &[Option<String>]) {
        self.backoff.reset();
        for (filter, answer) in self.plan.filters.iter().zip(answers) {
            if let Some(why) = answer {
                tracing::error!(topic = %filter.filter, "the broker refused a subscription: {why}");
            }
        }
    }

    fn message(
        &mut self,
        connection: &mut Connection,
        message: Message,
    ) -> Result<(), ConnectionError> {
        let new = match message.qos {
            0 => true,
            1 => {
                connection.acknowledge(message.identifier)?;
                true
            }
            _ => {
                connection.received(message.identifier)?;
                self.session.comes(message.identifier)
            }
        };
        if new {
            self.deliver(&message);
        }
        Ok(())
    }

    /// Hands the event of a message to the clients; one that is none is counted.
    fn deliver(&self, message: &Message) {
        let topic = &message.topic;
        if let Some(status) = &self.status
            && status.is_about(topic)
        {
            status.look_at(message.payload.as_deref().unwrap_or_default());
            return;
        }
        let Some(bytes) = &message.payload else {
            return self.downlink.malformed(topic, &"far too long");
        };
        if bytes.is_empty() {
            // That is how retained messages are taken back.
            return;
        }
        let defaults = Defaults {
            now: now(),
            obid: 0,
            guid: Guid::ZERO,
        };
        match payload::read(bytes, self.plan.read_format(topic), &defaults) {
            Ok(event) if self.plan.filter.passes(&event) => {
                self.bridge.brought();
                self.downlink.deliver_from(event, &*self.bridge);
            }
            Ok(_) => self.downlink.filtered(),
            Err(error) => self.downlink.malformed(topic, &error),
        }
    }
}
