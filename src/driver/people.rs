//! Users and rules that change, and the sessions of those who are here.

use std::net::SocketAddr;
use std::sync::Arc;

use super::interfaces::Servers;
use super::loaded::Loaded;
use super::settings::{rules, settings, websocket_settings};
use crate::auth::{Service, User, UserTable};
use crate::gate::audit;
use crate::hub::{Hub, Kind};
use crate::wire::link::reply::Capabilities;

/// From now on people come in, and are here, by what `new` says.
pub(super) fn change(servers: &Servers, new: &Loaded, addresses: Capabilities) {
    let (gate, rules) = (&servers.link.gate, rules(new));
    let link = settings(new, addresses);
    servers.link.change(link, rules.limits.max_clients);
    servers.websocket.change(websocket_settings(new));
    // Who is cut off does not come back.
    gate.set(rules);
    // A session asks its channel who it belongs to when it sees that the rules are others.
    end_sessions(&gate.hub, new);
    gate.announce();
    // Whoever came in by the old rules meanwhile.
    if end_sessions(&gate.hub, new) {
        gate.announce();
    }
}

/// Sessions of users who are gone or may not be here any more end; the others have the rights
/// that they have now. True where something was done.
fn end_sessions(hub: &Hub, new: &Loaded) -> bool {
    let mut any = false;
    for channel in hub.channels().iter() {
        let service = match channel.kind() {
            Kind::Client(service) => service,
            Kind::Standing => Service::Link,
            // Nobody who came in.
            Kind::Link => continue,
        };
        if channel.ended().is_cancelled() {
            continue;
        }
        let user = channel.user();
        let peer = channel.peer().parse::<SocketAddr>().map(|peer| peer.ip());
        let may_be_here = |user: &User| {
            user.rights.admit(service)
                && (channel.kind() == Kind::Standing
                    || peer.as_ref().is_ok_and(|peer| {
                        new.config.remotes.allows(*peer) && user.remotes.allows(*peer)
                    }))
        };
        match new.users.get(&user.name) {
            Some(now) if may_be_here(now) => {
                if **now != *user {
                    channel.set_user(Arc::clone(now));
                    any = true;
                }
            }
            now => {
                let reason = match now {
                    Some(_) => "the user may not be here any more",
                    None => "there is no such user any more",
                };
                tracing::warn!(
                    client = &*channel.peer(),
                    user = %audit::Name(&user.name),
                    reason,
                    "session ended"
                );
                channel.ended().cancel();
                any = true;
            }
        }
    }
    any
}

/// One line for each user that is another.
pub(super) fn say_changes(old: &UserTable, new: &UserTable) {
    for user in new.iter() {
        match old.get(&user.name) {
            None => {
                tracing::info!(user = %audit::Name(&user.name), "configuration changed: new user")
            }
            Some(known) if known != user => {
                tracing::info!(user = %audit::Name(&user.name), "configuration changed: user");
            }
            Some(_) => {}
        }
    }
    for user in old.iter().filter(|user| new.get(&user.name).is_none()) {
        tracing::info!(user = %audit::Name(&user.name), "configuration changed: user removed");
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::super::Source;
    use super::super::loaded::load;
    use super::super::settings::{routing, servers, standing_place};
    use super::*;
    use crate::auth::Rights;
    use crate::event::Guid;
    use crate::gate::Gate;
    use crate::hub::Client;
    use crate::link::standing::Standings;

    /// Many users with these rights.
    fn loaded(place: &std::path::Path, rights: &str) -> Loaded {
        let users: Vec<String> = (0..200)
            .map(|n| {
                format!(
                    "{{\"name\": \"u{n}\", \"credentials\": \
                     \"00112233445566778899aabbccddeeff;\
                     00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\", \
                     \"rights\": \"{rights}\"}}"
                )
            })
            .collect();
        let file = place.join("users.json");
        std::fs::write(&file, format!("{{\"users\": [{}]}}", users.join(", "))).unwrap();
        let source = Source {
            config: format!("{{\"path-users\": {file:?}}}"),
            guid: Guid::ZERO,
        };
        match load(&source) {
            Ok(loaded) => loaded,
            Err(unloaded) => panic!("{}", unloaded.cause),
        }
    }

    #[test]
    fn who_sees_the_new_rules_finds_the_new_user() {
        let place = tempfile::tempdir().unwrap();
        let both = loaded(place.path(), "tcpip,send-events,receive-events");
        let less = loaded(place.path(), "tcpip,receive-events");
        let hub = Hub::new(Guid::ZERO, routing(&both.config));
        let gate = Gate::new(Arc::clone(&hub), rules(&both)).unwrap();
        let addresses = Capabilities::TCPIP;
        let place = standing_place(&both.config);
        let standings = Standings::new(Arc::clone(&hub), place, Default::default());
        let control = mpsc::channel(1).0;
        let servers = servers(Arc::clone(&gate), control, &both, addresses, standings);
        for user in both.users.iter() {
            let client = Client {
                user: Arc::clone(user),
                kind: Kind::Client(Service::Link),
                peer: "127.0.0.1:4711".to_owned(),
                now: 1,
            };
            hub.attach(client).unwrap();
        }
        let last = Arc::clone(hub.channels().last().unwrap());
        for (new, may_send) in [&less, &both]
            .into_iter()
            .cycle()
            .zip([false, true])
            .take(200)
        {
            let before = gate.version();
            std::thread::scope(|scope| {
                // As a session does that has much to say.
                let session = scope.spawn(|| {
                    while gate.version() == before {
                        std::hint::spin_loop();
                    }
                    last.user().rights.contains(Rights::SEND_EVENT)
                });
                change(&servers, new, addresses);
                assert_eq!(session.join().unwrap(), may_send);
            });
        }
    }
}
