//! Logins: the check of a password, or of a certificate that the TLS below has seen, and how long
//! the answer to a wrong one waits.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::{Gate, Rules, Seat, audit};
use crate::auth::{Credential, Door, Refused, Service, User};
use crate::config::edit::{EditError, UsersFile};
use crate::error::with_causes;
use crate::hub::{AttachError, Channel, Client, Kind};
use crate::os::now;

/// Somebody who has connected: at first a stranger, later one with a channel.
#[derive(Debug)]
pub struct Visitor {
    gate: Arc<Gate>,
    service: Service,
    peer: SocketAddr,
    /// The place among `max-clients`.
    seat: Option<Seat>,
    channel: Option<Arc<Channel>>,
}

impl Visitor {
    /// A stranger at one of the servers, and the place that it has there.
    #[must_use]
    pub fn new(gate: Arc<Gate>, service: Service, peer: SocketAddr, seat: Option<Seat>) -> Self {
        Self {
            gate,
            service,
            peer,
            seat,
            channel: None,
        }
    }

    /// Where the client is.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The channel, after a login.
    #[must_use]
    pub fn channel(&self) -> Option<&Arc<Channel>> {
        self.channel.as_ref()
    }

    /// The name of who is logged in, or nothing.
    #[must_use]
    pub fn user(&self) -> String {
        let user = self.channel.as_ref().map(|channel| channel.user());
        user.map(|user| user.name.clone()).unwrap_or_default()
    }

    /// Logs in with a password, and whoever else was logged in out; who was it before keeps the
    /// channel, and what waits there. Several names and passwords are several ways to read what
    /// the client has sent. It takes its time where they are wrong.
    ///
    /// # Errors
    /// [`LoginError`]; it is in the log already.
    pub async fn log_in(
        &mut self,
        mut names: Vec<String>,
        passwords: Vec<Zeroizing<String>>,
    ) -> Result<Arc<Channel>, LoginError> {
        let users = Arc::clone(&self.gate.rules().users);
        if names.iter().any(|name| users.get(name).is_some()) {
            names.retain(|name| users.get(name).is_some());
        } else {
            names.truncate(1);
        }
        let name = names.first().cloned().unwrap_or_default();
        let verdict = self.verify(names, passwords).await;
        let entered = verdict.and_then(|user| self.enter(&user, "password"));
        if entered.is_err() {
            self.log_out();
        }
        match &entered {
            Ok(channel) => {
                let user = channel.user();
                self.gate.throttle().success(self.peer.ip(), &user.name);
            }
            Err(error) => {
                // A wrong password is in the log already.
                if !matches!(error, LoginError::Refused(_) | LoginError::Displaced) {
                    self.gate.refused(self.service, self.peer, &name, &error);
                }
                if error.is_guess() {
                    tokio::time::sleep(self.delay(&name)).await;
                }
            }
        }
        entered
    }

    /// Refuses a login unseen, because there is nothing in it that could be right: nobody is logged
    /// in any more, and it counts and takes its time as any wrong one does.
    pub async fn refuse(&mut self, reason: &str) {
        // Nobody can tell whose name is in it.
        const NOBODY: &str = "";
        let user = self.user();
        self.gate.refused(self.service, self.peer, &user, &reason);
        self.log_out();
        (self.gate.throttle()).failure(self.peer.ip(), NOBODY, Instant::now());
        tokio::time::sleep(self.delay(NOBODY)).await;
    }

    /// Logs in whoever the client's certificate names. Where that is nobody, the session begins
    /// as any other.
    pub fn log_in_as(&mut self, name: &str) -> Option<Arc<Channel>> {
        let rules = self.gate.rules();
        let user = self
            .gate
            .verifier
            .vouched(&rules.users, name, self.door(&rules));
        let entered = user
            .map_err(LoginError::from)
            .and_then(|user| self.enter(&user, "certificate"));
        if let Err(error) = &entered {
            audit::not_by_certificate(self.peer, name, error);
        }
        entered.ok()
    }

    /// Gives the channel back: a stranger again, with the same place.
    pub fn log_out(&mut self) {
        let Some(channel) = self.channel.take() else {
            return;
        };
        self.gate.hub.detach(channel.id());
        if let Some(seat) = &mut self.seat {
            seat.unsettle();
        }
        let counters = channel.counters();
        tracing::info!(
            client = %self.peer,
            user = %audit::Name(&channel.user().name),
            channel = channel.id(),
            received = counters.received.load(Ordering::Relaxed),
            transmitted = counters.transmitted.load(Ordering::Relaxed),
            overruns = counters.overruns.load(Ordering::Relaxed),
            "logged out"
        );
    }

    fn enter(&mut self, user: &Arc<User>, by: &str) -> Result<Arc<Channel>, LoginError> {
        if let Some(channel) = self.channel.clone() {
            if channel.user().name == user.name {
                self.settle(&channel, &user.name)?;
                // As at every login.
                channel.set_filter(channel.user().filter);
                return Ok(channel);
            }
            self.log_out();
        }
        let client = Client {
            user: Arc::clone(user),
            kind: Kind::Client(self.service),
            peer: self.peer.to_string(),
            now: now(),
        };
        let channel = self.gate.hub.attach(client)?;
        if let Err(error) = self.settle(&channel, &user.name) {
            self.gate.hub.detach(channel.id());
            return Err(error);
        }
        let logins = self.gate.logins(self.service);
        logins.good.fetch_add(1, Ordering::Relaxed);
        audit::logged_in(self.peer, &user.name, by, channel.id());
        self.channel = Some(Arc::clone(&channel));
        Ok(channel)
    }

    /// Users may have changed since the password was looked at. From its attachment on the channel
    /// is found by whoever changes them; what was decided just before by the old rules is decided
    /// again.
    fn settle(&mut self, channel: &Channel, name: &str) -> Result<(), LoginError> {
        loop {
            let version = self.gate.version();
            let rules = self.gate.rules();
            let vouched = self
                .gate
                .verifier
                .vouched(&rules.users, name, self.door(&rules));
            let user = vouched.inspect_err(|refused| {
                let reason = &refused.reason;
                self.gate.refused(self.service, self.peer, name, reason);
            })?;
            channel.set_user(user);
            if self.gate.version() == version {
                break;
            }
        }
        // Last of all: who does not get in keeps no place.
        match self.seat.as_mut().is_none_or(Seat::settle) {
            true => Ok(()),
            false => Err(LoginError::Displaced),
        }
    }

    fn door<'a>(&self, rules: &'a Rules) -> Door<'a> {
        Door {
            service: self.service,
            peer: self.peer.ip(),
            remotes: &rules.remotes,
        }
    }

    /// Checks passwords off the network threads: whichever pair is right. Where none is, that is
    /// one failure.
    async fn verify(
        &self,
        names: Vec<String>,
        passwords: Vec<Zeroizing<String>>,
    ) -> Result<Arc<User>, LoginError> {
        let gate = Arc::clone(&self.gate);
        let (peer, service) = (self.peer, self.service);
        let rules = gate.rules();
        let pairs = move || {
            let names = names.clone().into_iter();
            names.flat_map({
                let passwords = passwords.clone();
                move |name| {
                    passwords
                        .clone()
                        .into_iter()
                        .map(move |password| (name.clone(), password))
                }
            })
        };
        // Those who were here before do not wait behind somebody's guesses.
        let known = pairs().find_map(|(name, password)| {
            gate.verifier
                .recognise(&rules.users, &name, &password, self.door(&rules))
        });
        if let Some(user) = known {
            return Ok(user);
        }
        let failed = gate.throttle().has_failed(peer.ip(), Instant::now());
        let mut turn = gate.checks.ask(peer.ip(), failed);
        turn.come().await;
        let check = move || {
            // The turn lasts as long as the work, and a failure counts, whether or not somebody
            // waits for the verdict.
            let _turn = turn;
            let rules = gate.rules();
            let door = Door {
                service,
                peer: peer.ip(),
                remotes: &rules.remotes,
            };
            let mut first = None;
            for (name, password) in pairs() {
                match gate
                    .verifier
                    .authenticate(&rules.users, &name, &password, door)
                {
                    Ok(user) => {
                        store_anew(&user, &password, &gate);
                        return Ok(user);
                    }
                    Err(refused) => drop(first.get_or_insert((name, refused))),
                }
            }
            let (name, refused) = first.ok_or(LoginError::Broken)?;
            gate.refused(service, peer, &name, &refused.reason);
            gate.throttle().failure(peer.ip(), &name, Instant::now());
            gate.checks.failed(peer.ip());
            Err(refused.into())
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(verdict) => verdict,
            Err(_) => Err(LoginError::Broken),
        }
    }

    /// How long the answer to a failed login waits. Right logins never wait: somebody else's
    /// guessing must not keep them out.
    fn delay(&self, name: &str) -> Duration {
        let address = self.peer.ip();
        self.gate.throttle().delay(address, name, Instant::now())
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.log_out();
    }
}

/// A password that is stored as MD5 is stored as PBKDF2 from now on, where the configuration lets
/// the driver write.
fn store_anew(user: &User, password: &str, gate: &Gate) {
    let Some(file) = gate.rules().upgrade.clone() else {
        return;
    };
    if !user.credential.is_outdated() {
        return;
    }
    let _one_at_a_time = gate.editing.lock().unwrap_or_else(PoisonError::into_inner);
    let stored = Credential::derive(&user.name, password)
        .map_err(EditError::from)
        .and_then(|credential| {
            let mut users = UsersFile::open(&file)?;
            // Somebody may have given the user another one meanwhile.
            users.replace_password(&user.name, &user.credential, &credential)?;
            // A login does not wait for others: the next one tries again.
            users.save(Duration::ZERO)
        });
    let name = audit::Name(&user.name);
    match stored {
        Ok(()) => tracing::info!(user = %name, "the password is stored as PBKDF2 from now on"),
        Err(error) => tracing::warn!(
            user = %name,
            "the password stays stored as MD5: {}",
            with_causes(&error)
        ),
    }
}

/// Why a login failed; for the log alone.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// Not with this name and password, not from there, or not to this service.
    #[error("{}", .0.reason)]
    Refused(#[from] Refused),
    /// There is no channel left for the user.
    #[error(transparent)]
    Full(#[from] AttachError),
    /// The check did not come to an end.
    #[error("the check broke off")]
    Broken,
    /// Somebody else has the place by now, and the connection ends.
    #[error("the place was needed")]
    Displaced,
}

impl LoginError {
    /// True where the other side may be guessing.
    fn is_guess(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;
    use crate::hub::{Hub, Routing};

    fn gate() -> Arc<Gate> {
        let users = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dialogues/users.json");
        let (config, _) = config::load_driver("{}").unwrap();
        let (users, _) = config::load_users(users.as_ref()).unwrap();
        let routing = Routing {
            max_out_queue: 1,
            max_websocket_queue: 1,
            receive_sent_events: true,
            interconnect: false,
            filter_in: config.filter_in,
            filter_out: config.filter_out,
        };
        let rules = Rules {
            limits: config.limits,
            users: Arc::new(users),
            remotes: config.remotes,
            upgrade: None,
        };
        Gate::new(Hub::new("::1".parse().unwrap(), routing), rules).unwrap()
    }

    async fn log_in(gate: &Arc<Gate>, host: u8, user: &str) -> Result<(), LoginError> {
        let peer = ([127, 0, 0, host], 4711).into();
        let mut visitor = Visitor::new(Arc::clone(gate), Service::Link, peer, None);
        let password = Zeroizing::new("secret".to_owned());
        let login = visitor.log_in(vec![user.to_owned()], vec![password]);
        login.await.map(drop)
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_right_before_does_not_stand_in_line() {
        let gate = gate();
        log_in(&gate, 1, "admin").await.unwrap();
        // Somebody has all the turns, and hundreds wait for the next.
        let turns: Vec<_> = (0..1000)
            .map(|n: u32| gate.checks.ask(n.to_be_bytes().into(), false))
            .collect();
        let patience = Duration::from_secs(60);
        for host in [1, 2] {
            let login = tokio::time::timeout(patience, log_in(&gate, host, "admin"));
            assert!(matches!(login.await, Ok(Ok(()))), "{host}");
        }
        let mut new = Box::pin(log_in(&gate, 3, "user"));
        assert!(tokio::time::timeout(patience, &mut new).await.is_err());
        drop(turns);
        assert!(new.await.is_ok());
    }
}
