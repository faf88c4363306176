//! How long failed logins wait for their answer.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Counts failed logins and says how long the next refusal has to wait.
///
/// From the third failure within a minute, of an address or of a user, the answer waits 0.5 s,
/// then 1 s, then 2 s. Nobody is ever locked out. IPv6 addresses count by /64, what one host
/// commonly has to choose from.
///
/// Its size is bounded: it knows [`ADDRESSES`](Self::ADDRESSES) addresses and
/// [`USERS`](Self::USERS) users, and forgets whoever has failed least recently first. Names are
/// kept as keyed hashes: they come from people who are not logged in, and are as long as they like.
#[derive(Debug, Default)]
pub struct Throttle {
    addresses: Failures<Network>,
    users: Failures<u64>,
    hasher: RandomState,
}

/// Whom an address is counted as: an IPv4 address in its mapped form, or the upper half of an IPv6
/// address.
pub type Network = u128;

impl Throttle {
    /// The most addresses that are remembered.
    pub const ADDRESSES: usize = 4096;
    /// The most users that are remembered.
    pub const USERS: usize = 1024;

    /// Nobody has failed yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A login as `user` from `address` has failed.
    pub fn failure(&mut self, address: IpAddr, user: &str, now: Instant) {
        let (network, user) = (network(address), self.hash(user));
        let from = self.hash(network);
        self.addresses.note(network, user, now, Self::ADDRESSES);
        self.users.note(user, from, now, Self::USERS);
    }

    /// A login as `user` from `address` has succeeded: forgets what failed before as this user
    /// from this address, and nothing else. Somebody with a password of their own cannot use it
    /// to go on guessing another's.
    pub fn success(&mut self, address: IpAddr, user: &str) {
        let (network, user) = (network(address), self.hash(user));
        let from = self.hash(network);
        self.addresses.forgive(&network, user);
        self.users.forgive(&user, from);
    }

    /// How long the answer to a login that has just failed, and was
    /// [counted](Self::failure), has to wait.
    #[must_use]
    pub fn delay(&self, address: IpAddr, user: &str, now: Instant) -> Duration {
        let network = network(address);
        let count = self
            .addresses
            .recent(&network, now)
            .max(self.users.recent(&self.hash(user), now));
        match count {
            0..=2 => Duration::ZERO,
            3 => Duration::from_millis(500),
            4 => Duration::from_secs(1),
            _ => Duration::from_secs(2),
        }
    }

    /// True where somebody of the address's network has failed within the last minute.
    #[must_use]
    pub fn has_failed(&self, address: IpAddr, now: Instant) -> bool {
        self.addresses.recent(&network(address), now) > 0
    }

    fn hash(&self, value: impl Hash) -> u64 {
        self.hasher.hash_one(value)
    }
}

/// The network of an address.
#[must_use]
pub fn network(address: IpAddr) -> Network {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits() >> 64 << 64,
    }
}

/// Failures count for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// More of them change nothing.
const MOST: usize = 5;

/// The failures of each key, at most [`MOST`], oldest first.
#[derive(Debug)]
struct Failures<K>(HashMap<K, Vec<Failure>>);

#[derive(Clone, Copy, Debug)]
struct Failure {
    at: Instant,
    /// The other half of who failed: the user for an address, the address for a user.
    other: u64,
}

impl<K> Default for Failures<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Copy + Eq + Hash> Failures<K> {
    fn note(&mut self, key: K, other: u64, now: Instant, bound: usize) {
        if self.0.len() >= bound && !self.0.contains_key(&key) {
            self.make_room(now, bound);
        }
        let failures = self.0.entry(key).or_default();
        if failures.len() == MOST {
            failures.remove(0);
        }
        failures.push(Failure { at: now, other });
    }

    /// A walk over all, where the failure that brought us here has just cost a thousand times
    /// as much in hashing.
    fn make_room(&mut self, now: Instant, bound: usize) {
        let last = |failures: &[Failure]| failures.last().map(|failure| failure.at);
        self.0
            .retain(|_, failures| failures.iter().any(|f| f.is_recent(now)));
        while self.0.len() >= bound {
            let oldest = self.0.iter().min_by_key(|(_, failures)| last(failures));
            let Some(key) = oldest.map(|(&key, _)| key) else {
                return;
            };
            self.0.remove(&key);
        }
    }

    fn forgive(&mut self, key: &K, other: u64) {
        if let Some(failures) = self.0.get_mut(key) {
            failures.retain(|failure| failure.other != other);
            if failures.is_empty() {
                self.0.remove(key);
            }
        }
    }

    fn recent(&self, key: &K, now: Instant) -> usize {
        let failures = self.0.get(key).map_or(&[][..], Vec::as_slice);
        failures.iter().filter(|f| f.is_recent(now)).count()
    }
}

impl Failure {
    fn is_recent(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.at) < WINDOW
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZERO: Duration = Duration::ZERO;

    fn host(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Fails once and says how long the answer waits, in milliseconds.
    fn fail(throttle: &mut Throttle, address: &str, user: &str, now: Instant) -> u128 {
        throttle.failure(host(address), user, now);
        throttle.delay(host(address), user, now).as_millis()
    }

    #[test]
    fn the_third_failure_of_an_address_waits() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let mut waits = Vec::new();
        for user in ["a", "b", "c", "d", "e", "f", "g"] {
            waits.push(fail(&mut throttle, "10.0.0.1", user, now));
        }
        assert_eq!(waits, [0, 0, 500, 1000, 2000, 2000, 2000]);
        assert_eq!(throttle.delay(host("10.0.0.2"), "a", now), ZERO);
    }

    #[test]
    fn the_third_failure_of_a_user_waits() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let mut waits = Vec::new();
        for address in [
            "10.0.0.1",
            "10.0.0.2",
            "2001:db8::1",
            "10.0.0.4",
            "10.0.0.5",
        ] {
            waits.push(fail(&mut throttle, address, "admin", now));
        }
        assert_eq!(waits, [0, 0, 500, 1000, 2000]);
        assert_eq!(throttle.delay(host("10.0.0.1"), "user", now), ZERO);
    }

    #[test]
    fn failures_count_for_a_minute() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for second in [0, 25, 50] {
            fail(
                &mut throttle,
                "10.0.0.1",
                "admin",
                start + Duration::from_secs(second),
            );
        }
        let wait = |s| throttle.delay(host("10.0.0.1"), "admin", start + Duration::from_secs(s));
        assert_eq!(wait(59), Duration::from_millis(500));
        assert_eq!(wait(60), ZERO);
        let failed = |s| throttle.has_failed(host("10.0.0.1"), start + Duration::from_secs(s));
        assert!(failed(109) && !failed(110));
        assert!(!throttle.has_failed(host("10.0.0.2"), start));
        // One every half minute is never slowed down.
        let mut throttle = Throttle::new();
        for second in (0..600).step_by(30) {
            let now = start + Duration::from_secs(second);
            assert_eq!(fail(&mut throttle, "10.0.0.1", "admin", now), 0);
        }
    }

    #[test]
    fn ipv6_counts_by_64_bits_and_mapped_as_ipv4() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        fail(&mut throttle, "2001:db8::1", "a", now);
        fail(&mut throttle, "2001:db8::2", "b", now);
        assert_eq!(fail(&mut throttle, "2001:db8::ffff:3", "c", now), 500);
        assert_eq!(fail(&mut throttle, "2001:db8:0:1::1", "d", now), 0);
        fail(&mut throttle, "10.0.0.1", "e", now);
        fail(&mut throttle, "::ffff:10.0.0.1", "f", now);
        assert_eq!(fail(&mut throttle, "10.0.0.1", "g", now), 500);
        assert_eq!(throttle.delay(host("::ffff:10.0.0.2"), "h", now), ZERO);
    }

    #[test]
    fn success_forgives_what_the_same_user_did_from_the_same_address() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        for _ in 0..2 {
            fail(&mut throttle, "10.0.0.1", "me", now);
            fail(&mut throttle, "10.0.0.1", "admin", now);
            fail(&mut throttle, "10.0.0.2", "me", now);
        }
        throttle.success(host("10.0.0.1"), "me");
        // The address has two failures left, as admin; me has two, from elsewhere.
        assert_eq!(throttle.delay(host("10.0.0.1"), "x", now), ZERO);
        assert_eq!(throttle.delay(host("10.0.0.3"), "me", now), ZERO);
        assert_eq!(fail(&mut throttle, "10.0.0.1", "admin", now), 500);
        assert_eq!(fail(&mut throttle, "10.0.0.3", "me", now), 500);
    }

    #[test]
    fn one_who_knows_a_password_cannot_go_on_guessing_another() {
        let (mut throttle, now) = (Throttle::new(), Instant::now());
        let mut wait = 0;
        for _ in 0..5 {
            wait = fail(&mut throttle, "10.0.0.1", "admin", now);
            throttle.success(host("10.0.0.1"), "me");
        }
        assert_eq!(wait, 2000);
    }

    #[test]
    fn it_stays_small_and_drops_the_oldest() {
        let (mut throttle, start) = (Throttle::new(), Instant::now());
        for _ in 0..3 {
            fail(&mut throttle, "10.255.0.1", "old", start);
        }
        let later = start + Duration::from_millis(1);
        for _ in 0..3 {
            fail(
                &mut throttle,
                "10.255.0.2",
                "young",
                later + Duration::from_secs(1),
            );
        }
        for n in 0..u32::try_from(Throttle::ADDRESSES).unwrap() {
            let address = IpAddr::from((0x0A00_0000 + n).to_be_bytes());
            throttle.failure(address, &format!("user {n}"), later);
            assert!(throttle.addresses.0.len() <= Throttle::ADDRESSES);
            assert!(throttle.users.0.len() <= Throttle::USERS);
        }
        assert_eq!(throttle.delay(host("10.255.0.1"), "old", later), ZERO);
        assert!(throttle.delay(host("10.255.0.2"), "x", later) > ZERO);
        assert!(throttle.delay(host("10.255.0.3"), "young", later) > ZERO);
    }

    #[test]
    fn names_of_users_are_not_kept() {
        let mut throttle = Throttle::new();
        fail(
            &mut throttle,
            "10.0.0.1",
            "my password by mistake",
            Instant::now(),
        );
        assert!(!format!("{throttle:?}").contains("mistake"));
    }

    proptest! {
        #[test]
        fn a_wait_never_exceeds_two_seconds(
            tries in proptest::collection::vec((0_u8..4, 0_u8..4, 0_u64..30, any::<bool>()), 0..60),
        ) {
            let (mut throttle, mut now) = (Throttle::new(), Instant::now());
            for (address, user, pause, good) in tries {
                let (address, user) = (IpAddr::from([10, 0, 0, address]), user.to_string());
                now += Duration::from_secs(pause);
                if good {
                    throttle.success(address, &user);
                } else {
                    throttle.failure(address, &user, now);
                }
                prop_assert!(throttle.delay(address, &user, now) <= Duration::from_secs(2));
            }
            now += WINDOW;
            prop_assert_eq!(throttle.delay(host("10.0.0.0"), "0", now), ZERO);
        }
    }
}
