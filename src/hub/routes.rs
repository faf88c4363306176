//! Which interfaces are beyond which link.

use std::collections::{HashMap, VecDeque};

use crate::event::Guid;

/// What has been learned of the far ends of links: from their lists of interfaces, and from the
/// GUIDs of their events.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// Channels of links by the first fourteen bytes of a GUID.
    known: HashMap<[u8; 14], u16>,
    order: VecDeque<[u8; 14]>,
}

impl Routes {
    /// Interfaces that are remembered; the oldest are forgotten.
    const MOST: usize = 4096;

    /// This interface is beyond that channel. One that is known to be beyond another stays there for
    /// as long as that link does: nobody takes it away by saying so.
    pub(super) fn learn(&mut self, guid: &Guid, channel: u16) {
        let interface = guid.interface();
        if interface == [0; 14] || self.known.contains_key(&interface) {
            return;
        }
        self.known.insert(interface, channel);
        if self.order.len() == Self::MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        self.order.push_back(interface);
    }

    /// The channel of the link that has this interface.
    pub(super) fn of(&self, guid: &Guid) -> Option<u16> {
        self.known.get(&guid.interface()).copied()
    }

    /// A link is gone.
    pub(super) fn forget(&mut self, channel: u16) {
        self.known.retain(|_, known| *known != channel);
        let known = &self.known;
        self.order.retain(|interface| known.contains_key(interface));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guid(n: u16, node: u8) -> Guid {
        let mut bytes = [9; 16];
        bytes[..2].copy_from_slice(&n.to_be_bytes());
        bytes[15] = node;
        Guid::from(bytes)
    }

    #[test]
    fn nodes_are_beyond_the_link_of_their_interface() {
        let mut routes = Routes::default();
        routes.learn(&guid(1, 0), 5);
        assert_eq!(routes.of(&guid(1, 7)), Some(5));
        assert_eq!(routes.of(&guid(2, 0)), None);
        routes.learn(&guid(1, 3), 6);
        assert_eq!(routes.of(&guid(1, 7)), Some(5), "it is taken");
        routes.learn(&guid(2, 0), 6);
        routes.learn(&Guid::ZERO, 6);
        assert_eq!(routes.of(&Guid::ZERO), None);
        routes.forget(5);
        routes.learn(&guid(1, 3), 6);
        assert_eq!(routes.of(&guid(1, 7)), Some(6), "now it has moved");
        routes.forget(6);
        routes.learn(&guid(2, 0), 5);
        assert_eq!(
            (routes.of(&guid(1, 0)), routes.of(&guid(2, 0))),
            (None, Some(5))
        );
        assert_eq!(routes.order.len(), 1);
    }

    #[test]
    fn is_bounded() {
        let mut routes = Routes::default();
        for n in 0..5000 {
            routes.learn(&guid(n, 0), 1);
        }
        assert_eq!(
            (routes.known.len(), routes.order.len()),
            (Routes::MOST, Routes::MOST)
        );
        assert_eq!(
            (routes.of(&guid(0, 0)), routes.of(&guid(4999, 0))),
            (None, Some(1))
        );
    }
}
