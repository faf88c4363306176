//! What can be seen to be wrong with a changed configuration before anything is touched.
//!
//! A certificate that cannot be read is no reason to let somebody stay who was removed: what
//! cannot be had is left as it was, and the rest is applied.

use std::sync::Arc;

use super::bridges::About;
use super::engine::{Engine, Owned};
use super::interfaces::places;
use super::loaded::Loaded;
use super::settings::standing_place;
use crate::config::model::LogConfig;
use crate::error::with_causes;
use crate::files::Seen;
use crate::log::Logger;
use crate::net::tls::server::Acceptor;

/// A configuration that can be had, as far as that can be seen.
pub(super) struct Checked {
    /// What cannot be had is as before.
    pub(super) new: Loaded,
    /// What does the handshakes from now on.
    pub(super) tls: Option<Arc<Acceptor>>,
    /// What is wrong.
    pub(super) held: Vec<String>,
}

impl Engine {
    /// Looks at what is another, and at everything where it takes a start.
    pub(super) fn check(&self, mut new: Loaded, owned: &Owned) -> Checked {
        let old = &owned.loaded;
        let start = needs_a_start(old, &new).is_some();
        let mut held = new.keep_key(old);
        let about = About::new(self.guid, self.layout, &new);
        let all = start || about != About::new(self.guid, self.layout, old);
        if let Err(error) = owned.bridges.check(&new.plan, &about, all, &self.hub) {
            held.push(with_causes(&error));
            new.keep_brokers(old);
        }
        if let Err(error) = owned.links.check(&new.config) {
            held.push(with_causes(&error));
            new.config.links.clone_from(&old.config.links);
        }
        let links = owned
            .links
            .check_disk(&new.config)
            .map_err(|e| with_causes(&e));
        let standings = self.standings.check(&standing_place(&new.config));
        let standings = standings.map_err(|error| with_causes(&error));
        if let Err(error) = links.and(standings) {
            held.push(error);
            new.config.outbox.clone_from(&old.config.outbox);
        }
        let port = {
            let _context = owned.runtime.enter();
            owned.discovery.check(&new)
        };
        if let Err(error) = port {
            held.push(with_causes(&error));
            new.config.discovery.clone_from(&old.config.discovery);
        }
        let watched = owned.status.check(&new.config);
        if let Err(error) = owned.runtime.block_on(watched) {
            held.push(with_causes(&error));
            new.config.status.clone_from(&old.config.status);
        }
        let as_failed = owned
            .failed
            .as_ref()
            .filter(|failed| start && failed.seen.is_still_so());
        let in_vain = owned.in_vain.as_ref().is_some_and(Seen::is_still_so);
        if as_failed.is_some() || in_vain {
            // Another try would cut people off, and end as the one before it.
            new.keep_interfaces(old);
        }
        let same = old.config.tls == new.config.tls && !start;
        let mut tls = match owned.interfaces.acceptor(new.config.tls.as_ref(), same) {
            Ok(tls) => tls,
            Err(error) => {
                held.push(with_causes(&error));
                new.keep_interfaces(old);
                owned.interfaces.tls()
            }
        };
        let wanted = places(&new.config);
        let taken = owned.interfaces.taken(&wanted);
        let taken = owned.runtime.block_on(taken);
        if !taken.is_empty() {
            held.extend(taken);
            new.keep_interfaces(old);
            tls = owned.interfaces.tls();
        }
        if start {
            held.extend(as_failed.map(|failed| failed.why.clone()));
            if let Err(error) = Logger::check(&new.config.logging) {
                held.push(with_causes(&error));
            }
            if !held.is_empty() {
                new.keep_what_takes_a_start(old);
            }
        }
        Checked { new, tls, held }
    }
}

/// What cannot be changed while it runs.
pub(super) fn needs_a_start(old: &Loaded, new: &Loaded) -> Option<&'static str> {
    let without_levels = |config: &LogConfig| {
        let mut config = config.clone();
        for sink in config
            .file
            .iter_mut()
            .map(|file| &mut file.sink)
            .chain(&mut config.console)
        {
            sink.level = Default::default();
        }
        config.journal = config.journal.map(|_| Default::default());
        config
    };
    if old.config.abi != new.config.abi {
        Some("abi is another")
    } else if without_levels(&old.config.logging) != without_levels(&new.config.logging) {
        Some("logging is another in more than its levels")
    } else if (old.plan.publish, old.plan.subscribe) != (new.plan.publish, new.plan.subscribe) {
        Some("events are carried by another client")
    } else {
        None
    }
}
