//! The beginning of a connection: what of the session still stands.

use super::Worker;
use crate::config::model::MqttVersion;
use crate::mqtt::codec::Welcome;
use crate::mqtt::connection::{Connection, ConnectionError};
use crate::mqtt::session::{Content, Copy, Outcome, Stage};

impl Worker {
    /// Goes on where the session stands, or begins anew where the broker has none.
    pub(super) fn take_up(
        &mut self,
        connection: &mut Connection,
        welcome: &Welcome,
    ) -> Result<(), ConnectionError> {
        // As documented, it is of MQTT 5; a small number would slow QoS 1 down for nothing.
        let send = self.plan.options.send_maximum;
        let both = send.filter(|_| self.plan.options.version == MqttVersion::V5);
        self.session.limit(both, send, welcome.receive_maximum);
        self.plan
            .limit(welcome.max_qos.unwrap_or(2), welcome.retain_available);
        // Of these nobody knows whether the broker has them.
        self.unflushed.clear();
        if !welcome.session_present {
            self.session.forget();
            self.bridge.outbox().lost();
        } else if self.fresh {
            if self.plan.uses_qos_2() {
                self.session.inherit();
            }
            self.bridge.outbox().lost();
        } else if self.session.is_over() || self.differs() {
            // The broker allows less than it did: what it may have is released, and sent again.
            self.session.forget();
            self.session.inherit();
            self.bridge.outbox().lost();
        }
        self.fresh = false;
        // Again at each connection, until the broker has confirmed it.
        for identifier in self.session.stale() {
            connection.release(identifier)?;
        }
        for (identifier, content, stage) in self.session.in_flight() {
            match (stage, content) {
                (Stage::Released, _) => connection.release(identifier)?,
                (_, Content::Copy(copy)) => self.publish_again(connection, copy, identifier)?,
                (_, Content::Letter) => self.let_go(connection, identifier)?,
            }
        }
        let outbox = self.bridge.outbox();
        self.next = Copy::first_of(outbox.first());
        self.doubtful = outbox.end();
        Ok(())
    }

    /// True where something in flight has another QoS than it would have now.
    fn differs(&self) -> bool {
        let in_flight = self.session.in_flight();
        in_flight.iter().any(|(_, content, stage)| match content {
            Content::Copy(copy) => {
                let qos = if *stage == Stage::Once { 1 } else { 2 };
                self.plan.qos(copy.outlet) != qos
            }
            Content::Letter => false,
        })
    }

    /// A message that is not sent again. One of QoS 2 the broker may have, and would take the next
    /// with its identifier for the same: it is released.
    pub(super) fn let_go(
        &mut self,
        connection: &mut Connection,
        identifier: u16,
    ) -> Result<(), ConnectionError> {
        match self.session.received(identifier, false) {
            Outcome::Release => Ok(connection.release(identifier)?),
            _ => {
                self.session.give_back(identifier);
                Ok(())
            }
        }
    }

    fn publish_again(
        &mut self,
        connection: &mut Connection,
        copy: Copy,
        identifier: u16,
    ) -> Result<(), ConnectionError> {
        let Some(flying) = self.bridge.outbox().flying(copy.serial) else {
            return self.let_go(connection, identifier);
        };
        self.publish(connection, &flying, copy, Some(identifier))
    }
}
