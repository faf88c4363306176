//! The networks that may connect.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net};
use thiserror::Error;

use crate::event::number::clip;

/// A list of networks that are let in or kept out.
///
/// An entry is `+` (let in, also without a sign) or `-` (keep out) and one of
///
/// * an address, IPv4 or IPv6;
/// * a network, `10.0.0.0/8`, `10/8`, `fe80::/64`; bits behind the prefix do not count;
/// * an IPv4 network with wildcards, `192.168.1.*`, `192.168.*.*`, `192.168.*`;
/// * `*`: everybody.
///
/// The **last** entry that matches decides. Where none does, a host is kept out if the list lets
/// anybody in by name (it has a `+` entry) or keeps out all of IPv4 (`-0.0.0.0/0`), and let in
/// otherwise. An empty list lets everybody in.
///
/// IPv4 addresses in IPv6 clothes (`::ffff:10.1.2.3`) are IPv4 addresses. An entry that lies in
/// `127.0.0.0/8` or holds `127.0.0.1` also stands for `::1`: a client cannot choose by which of
/// the two `localhost` reaches it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remotes {
    entries: Vec<Entry>,
    /// What is decided where no entry matches is "keep out".
    closed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    allow: bool,
    net: Net,
    /// Matches `::1` as well.
    loopback: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Net {
    Everybody,
    Ip(IpNet),
}

/// An entry that is no network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "entry {position}, {text:?}, is not + or - and an address, a network (10.0.0.0/8, fe80::/64) \
     or a wildcard (192.168.1.*)"
)]
pub struct RemotesError {
    /// Which entry of the list it is, from 1; empty ones count too.
    pub position: usize,
    /// What was found, shortened.
    pub text: String,
}

impl Remotes {
    /// Reads a list; each entry may itself be a list with commas. Empty entries are passed over.
    ///
    /// # Errors
    /// [`RemotesError`] for the first entry that cannot be read. There is no list then: half of
    /// one would let in whom it should not, or keep out whom it should.
    pub fn parse<'a>(entries: impl IntoIterator<Item = &'a str>) -> Result<Self, RemotesError> {
        let mut list = Self::default();
        let texts = entries.into_iter().flat_map(|entry| entry.split(','));
        for (at, text) in texts.map(str::trim).enumerate() {
            if text.is_empty() {
                continue;
            }
            let entry = Entry::parse(text).ok_or_else(|| RemotesError {
                position: at + 1,
                text: clip(text),
            })?;
            list.closed |= entry.allow || entry.net == Net::Ip(ALL_IPV4);
            list.entries.push(entry);
        }
        Ok(list)
    }

    /// True where a host with this address may connect.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.entries
            .iter()
            .rev()
            .find(|entry| entry.matches(address))
            .map_or(!self.closed, |entry| entry.allow)
    }

    /// True for the list without entries, which lets everybody in.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

const ALL_IPV4: IpNet = IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 0));
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        let (allow, text) = match text.as_bytes() {
            [b'+', ..] => (true, text[1..].trim_start()),
            [b'-', ..] => (false, text[1..].trim_start()),
            _ => (true, text),
        };
        let net = if text == "*" {
            Net::Everybody
        } else if text.contains(':') {
            Net::Ip(ipv6(text)?)
        } else {
            Net::Ip(IpNet::V4(ipv4(text)?))
        };
        let loopback = match net {
            Net::Ip(IpNet::V4(net)) => {
                LOOPBACK.contains(&net) || net.contains(&Ipv4Addr::LOCALHOST)
            }
            _ => false,
        };
        Some(Self {
            allow,
            net,
            loopback,
        })
    }

    fn matches(&self, address: IpAddr) -> bool {
        match self.net {
            Net::Everybody => true,
            Net::Ip(net) => {
                net.contains(&address) || (self.loopback && address == Ipv6Addr::LOCALHOST)
            }
        }
    }
}

/// `a.b.c.d`, `a.b.c.d/n`, `a.b/n`, `a.b.*`, `a.b.*.*`.
fn ipv4(text: &str) -> Option<Ipv4Net> {
    let (text, prefix) = match text.split_once('/') {
        Some((text, digits)) => (text, Some(prefix(digits, 32)?)),
        None => (text, None),
    };
    let mut octets = [0_u8; 4];
    let mut known = 0;
    let mut wild = false;
    for (at, part) in text.split('.').enumerate() {
        let octet = octets.get_mut(at)?;
        match part {
            "*" => wild = true,
            // 192.*.1.5 is no network.
            _ if wild => return None,
            _ => {
                *octet = decimal(part)?.try_into().ok()?;
                known = at + 1;
            }
        }
    }
    let prefix = match (prefix, wild) {
        (Some(_), true) => return None,
        (Some(prefix), false) => prefix,
        (None, true) => 8 * u8::try_from(known).ok()?,
        (None, false) if known == 4 => 32,
        (None, false) => return None,
    };
    Some(Ipv4Net::new(octets.into(), prefix).ok()?.trunc())
}

/// `a::b`, `a::b/n`. A network of mapped addresses is the IPv4 network that it maps.
fn ipv6(text: &str) -> Option<IpNet> {
    let (text, prefix) = match text.split_once('/') {
        Some((text, digits)) => (text, prefix(digits, 128)?),
        None => (text, 128),
    };
    let address: Ipv6Addr = text.parse().ok()?;
    let net = match (address.to_ipv4_mapped(), prefix.checked_sub(96)) {
        (Some(mapped), Some(prefix)) => IpNet::new(mapped.into(), prefix),
        _ => IpNet::new(address.into(), prefix),
    };
    Some(net.ok()?.trunc())
}

fn prefix(digits: &str, most: u16) -> Option<u8> {
    let bits = decimal(digits)?;
    (bits <= most).then_some(bits as u8)
}

/// Without a leading zero: to some programs it means octal, and the list must mean one thing.
fn decimal(digits: &str) -> Option<u16> {
    let plain = digits == "0" || !digits.starts_with('0');
    (plain && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Which of `inside` are not let in, and which of `outside` are.
    #[track_caller]
    fn check(list: &str, inside: &[&str], outside: &[&str]) {
        let remotes = Remotes::parse([list]).unwrap();
        for (hosts, want) in [(inside, true), (outside, false)] {
            for host in hosts {
                assert_eq!(
                    remotes.allows(host.parse().unwrap()),
                    want,
                    "{list}: {host}"
                );
            }
        }
    }

    #[test]
    fn an_empty_list_lets_everybody_in() {
        for list in ["", " ", ",", " , ,"] {
            check(
                list,
                &["10.1.2.3", "::1", "2001:db8::1", "::ffff:1.2.3.4"],
                &[],
            );
            assert!(Remotes::parse([list]).unwrap().is_empty());
        }
        assert!(Remotes::default().allows(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn a_list_of_plus_entries_is_all_there_is() {
        check(
            "+10.1.2.3",
            &["10.1.2.3"],
            &["10.1.2.4", "127.0.0.1", "::1"],
        );
        check("10.1.2.3", &["10.1.2.3"], &["10.1.2.4"]);
    }

    #[test]
    fn a_list_of_minus_entries_lets_the_others_in() {
        check(
            "-10.0.0.0/8",
            &["11.0.0.1", "::1", "2001:db8::1"],
            &["10.1.2.3"],
        );
        check("-fe80::/10", &["10.1.2.3", "2001:db8::1"], &["fe80::1"]);
    }

    #[test]
    fn the_last_match_wins() {
        check(
            "-0.0.0.0/0,+192.168.0.0/16",
            &["192.168.1.1"],
            &["10.0.0.1", "::1", "2001:db8::1"],
        );
        check(
            "+10/8,-10.1/16,+10.1.1.1",
            &["10.2.0.0", "10.1.1.1"],
            &["10.1.1.2"],
        );
        check("+10.1.1.1,-*", &[], &["10.1.1.1"]);
    }

    #[test]
    fn keeping_out_all_of_ipv4_opens_nothing_else() {
        check("-0.0.0.0/0", &[], &["10.0.0.1", "::1", "2001:db8::1"]);
        check("-*", &[], &["10.0.0.1", "::1", "2001:db8::1"]);
    }

    #[test]
    fn networks_are_masked() {
        check(
            "+192.168.1.5/24",
            &["192.168.1.1", "192.168.1.255"],
            &["192.168.2.5"],
        );
        check("+2001:db8::5/32", &["2001:db8:1::1"], &["2001:db9::1"]);
    }

    #[test]
    fn short_forms_and_wildcards() {
        check(
            "+192.168/16",
            &["192.168.0.1", "192.168.255.255"],
            &["192.169.0.1"],
        );
        check("10/8", &["10.255.0.1"], &["11.0.0.1"]);
        check("192.168.1.*", &["192.168.1.77"], &["192.168.2.1"]);
        check("192.168.*.*", &["192.168.2.1"], &["192.169.1.1"]);
        check("192.168.*", &["192.168.2.1"], &["192.169.1.1"]);
        check("*", &["1.2.3.4", "2001:db8::1"], &[]);
        check("+*.*.*.*", &["1.2.3.4", "::1"], &["2001:db8::1"]);
    }

    #[test]
    fn mapped_addresses_are_ipv4() {
        check("-10.0.0.0/8", &["::ffff:11.0.0.1"], &["::ffff:10.0.0.1"]);
        check(
            "+::ffff:10.0.0.0/104",
            &["10.1.1.1", "::ffff:10.2.2.2"],
            &["11.1.1.1"],
        );
        check(
            "+::/0",
            &["::1", "2001:db8::1"],
            &["10.0.0.1", "::ffff:10.0.0.1"],
        );
    }

    #[test]
    fn loopback_is_one_host() {
        check(
            "+127.0.0.0/24,+192.168.0.0/16",
            &["127.0.0.1", "::1"],
            &["::2", "10.0.0.1"],
        );
        check("+127.0.0.0/8", &["::1"], &[]);
        check(
            "+127.0.0.1",
            &["127.0.0.1", "::1", "::ffff:127.0.0.1"],
            &["127.0.0.2"],
        );
        check("-127.0.0.1", &["10.0.0.1"], &["127.0.0.1", "::1"]);
        check("+127.0.0.1,-::1", &["127.0.0.1"], &["::1"]);
    }

    #[test]
    fn the_shipped_sample_lists() {
        check(
            "+127.0.0.1,+fe80::/64",
            &["127.0.0.1", "fe80::1"],
            &["fe80:0:0:1::1", "10.0.0.1"],
        );
        let list = Remotes::parse(["+127.0.0.0/24", "+192.168.0.0/16"]).unwrap();
        assert!(list.allows("192.168.44.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_network_is_named() {
        for bad in [
            "+",
            "-",
            "+example.org",
            "10.1.2",
            "10.1.2.3.4",
            "10.1.2.256",
            "10.1.2.3/33",
            "10.1.2.3/",
            "10.1.2.3/x",
            "10.1.2.3/+8",
            "010.1.2.3",
            "1.2.3.4/08",
            "192.*.1.5",
            "10.*/8",
            "*/0",
            "**",
            "10..1.*",
            "fe80::1%eth0",
            "fe80::/129",
            "::ffff:1.2.3.4/129",
            "10.1.2.3 garbage",
            "/8",
            "+-10.0.0.1",
            "1.2.3.4:9598",
        ] {
            let error = Remotes::parse(["+10.0.0.0/8,", bad]).unwrap_err();
            assert_eq!(error.position, 3, "{bad}");
            assert_eq!(error.text, bad);
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9a-f.:*/, ]{0,60}", address: u32) {
            if let Ok(remotes) = Remotes::parse([text.as_str()]) {
                let _ = remotes.allows(Ipv4Addr::from(address).into());
            }
        }

        #[test]
        fn a_network_holds_what_shares_its_prefix(net: u32, bits in 0_u8..=32, host: u32) {
            let text = format!("+{}/{bits}", Ipv4Addr::from(net));
            let remotes = Remotes::parse([text.as_str()]).unwrap();
            let same = (net ^ host).checked_shr(32 - u32::from(bits)).unwrap_or(0) == 0;
            prop_assert_eq!(remotes.allows(Ipv4Addr::from(host).into()), same);
            prop_assert_eq!(remotes.allows(Ipv4Addr::from(host).to_ipv6_mapped().into()), same);
        }

        #[test]
        fn plus_and_minus_are_opposites(net: u128, bits in 0_u8..=128, host: u128) {
            let net = Ipv6Addr::from(net);
            let host = IpAddr::from(Ipv6Addr::from(host));
            let [plus, minus] = ["+", "-"].map(|sign| {
                Remotes::parse([format!("{sign}{net}/{bits}").as_str()]).unwrap()
            });
            prop_assert_ne!(plus.allows(host), minus.allows(host));
        }
    }
}
