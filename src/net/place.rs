//! Places on the network, told to others without telling them where they are.

use std::net::{IpAddr, SocketAddr};

use sha2::{Digest, Sha256};

use crate::os;

/// Places of which more is said than this are not told.
const MOST: usize = 32;

/// Marks of these places: two drivers that have one in common know the same place, wherever they
/// stand themselves. One on this machine has a mark for each of its addresses, and one for this
/// machine.
#[must_use]
pub fn marks(places: impl IntoIterator<Item = SocketAddr>) -> Vec<String> {
    let own: Vec<IpAddr> = os::interfaces()
        .into_iter()
        .filter(|interface| !interface.loopback)
        .flat_map(|interface| interface.ipv4)
        .map(IpAddr::from)
        .collect();
    let mut marks = Vec::new();
    for place in places {
        let ip = place.ip().to_canonical();
        let here = ip.is_loopback() || own.contains(&ip);
        if here {
            let machine = os::machine_id().unwrap_or_default();
            marks.push(mark(&format!("{machine} {}", place.port())));
            marks.extend(own.iter().map(|ip| mark(&format!("{ip} {}", place.port()))));
        } else {
            marks.push(mark(&format!("{ip} {}", place.port())));
        }
    }
    marks.sort();
    marks.dedup();
    marks.truncate(MOST);
    marks
}

/// True where two lists of marks have one in common.
#[must_use]
pub fn meet(ours: &[String], theirs: &str) -> bool {
    theirs
        .split(',')
        .any(|mark| ours.iter().any(|own| own == mark))
}

fn mark(text: &str) -> String {
    let digest = Sha256::digest(format!("vscp-link broker {text}"));
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_one_mark_at_least() {
        let of = |text: &str| marks([text.parse().unwrap()]);
        let far = of("192.0.2.1:1883");
        assert_eq!(far.len(), 1);
        assert!(meet(&far, &of("192.0.2.1:1883").join(",")));
        assert!(!meet(&far, &of("192.0.2.1:1884").join(",")));
        assert!(!meet(&far, &of("192.0.2.2:1883").join(",")));
        assert!(!meet(&far, ""));
        // Here, by whatever address.
        assert!(meet(&of("127.0.0.1:1"), &of("[::1]:1").join(",")));
        assert!(meet(&of("[::ffff:192.0.2.1]:1883"), &far.join(",")));
        assert!(marks([]).is_empty());
    }
}
