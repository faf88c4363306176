//! Logins: the check of a password, or of a certificate that the TLS below has seen, and how long
//! the answer to a wrong one waits.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::perform::{Next, Performer};
use super::{Context, audit};
use crate::auth::{Credential, Refused, User};
use crate::config::edit::{EditError, UsersFile};
use crate::error::with_causes;
use crate::hub::{AttachError, Client};
use crate::os::now;
use crate::wire::link::reply::Status;
use crate::wire::link::{Identity, Session, reply};

impl Performer {
    /// Checks a password and answers; closes where it is wrong. Several names and passwords are
    /// several ways to read one frame.
    pub(super) async fn log_in(
        &mut self,
        mut names: Vec<String>,
        passwords: Vec<Zeroizing<String>>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        let users = Arc::clone(&self.context.settings().users);
        let known = names.iter().position(|name| users.get(name).is_some());
        let name = names.swap_remove(known.unwrap_or(0));
        let mut verdict = Err(LoginError::Broken);
        for password in passwords {
            verdict = self.verify(name.clone(), password).await;
            if verdict.is_ok() {
                break;
            }
        }
        match verdict.and_then(|user| self.enter(&user, "password", session)) {
            Ok(()) => {
                self.context.throttle().success(self.peer.ip(), &name);
                session.say(reply::SUCCESS, out);
                Next::GoOn
            }
            Err(LoginError::Displaced) => Next::Close,
            Err(error) => {
                // A wrong password is in the log already.
                if !matches!(error, LoginError::Refused(_)) {
                    audit::refused(self.peer, &name, &error);
                }
                if error.is_guess() {
                    tokio::time::sleep(self.delay(&name)).await;
                }
                session.say(error.answer(), out);
                Next::Close
            }
        }
    }

    /// Logs in whoever the client's certificate names. Where that is nobody, the session begins
    /// as any other.
    pub(super) fn log_in_as(&mut self, name: &str, session: &mut Session) {
        let settings = self.context.settings();
        let user =
            self.context
                .verifier
                .vouched(&settings.users, name, self.peer.ip(), &settings.remotes);
        let entered = user
            .map_err(LoginError::from)
            .and_then(|user| self.enter(&user, "certificate", session));
        if let Err(error) = entered {
            audit::not_by_certificate(self.peer, name, &error);
        }
    }

    fn enter(
        &mut self,
        user: &Arc<User>,
        by: &str,
        session: &mut Session,
    ) -> Result<(), LoginError> {
        if self.seat.as_mut().is_some_and(|seat| !seat.settle()) {
            return Err(LoginError::Displaced);
        }
        let client = Client {
            user: Arc::clone(user),
            peer: self.peer.to_string(),
            now: now(),
        };
        let channel = self.context.hub.attach(client)?;
        // Users may have changed since the password was looked at; from now on the channel is
        // found by whoever changes them.
        let settings = self.context.settings();
        let (users, remotes) = (&settings.users, &settings.remotes);
        let still = self
            .context
            .verifier
            .vouched(users, &user.name, self.peer.ip(), remotes);
        let user = match still {
            Ok(user) => user,
            Err(refused) => {
                self.context.hub.detach(channel.id());
                audit::refused(self.peer, &user.name, &refused.reason);
                return Err(refused.into());
            }
        };
        channel.set_user(Arc::clone(&user));
        audit::logged_in(self.peer, &user.name, by, channel.id());
        session.log_in(Identity {
            user,
            channel: channel.id(),
            guid: channel.guid(),
        });
        self.channel = Some(channel);
        Ok(())
    }

    /// Checks a password off the network threads.
    async fn verify(
        &self,
        name: String,
        password: Zeroizing<String>,
    ) -> Result<Arc<User>, LoginError> {
        let context = Arc::clone(&self.context);
        let peer = self.peer;
        let settings = context.settings();
        let (users, remotes) = (&settings.users, &settings.remotes);
        // Those who were here before do not wait behind somebody's guesses.
        let known = context
            .verifier
            .recognise(users, &name, &password, peer.ip(), remotes);
        if let Some(user) = known {
            return Ok(user);
        }
        let mut turn = context.checks.ask(peer.ip());
        turn.come().await;
        let check = move || {
            // The turn lasts as long as the work, and a failure counts, whether or not somebody
            // waits for the verdict.
            let _turn = turn;
            let settings = context.settings();
            let verdict = context.verifier.authenticate(
                &settings.users,
                &name,
                &password,
                peer.ip(),
                &settings.remotes,
            );
            match &verdict {
                Ok(user) => store_anew(user, &password, &context),
                Err(refused) => {
                    audit::refused(peer, &name, &refused.reason);
                    let mut throttle = context.throttle();
                    throttle.failure(peer.ip(), &name, Instant::now());
                }
            }
            verdict
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(verdict) => Ok(verdict?),
            Err(_) => Err(LoginError::Broken),
        }
    }

    /// How long the answer to a failed login waits. Right logins never wait: somebody else's
    /// guessing must not keep them out.
    fn delay(&self, name: &str) -> Duration {
        let address = self.peer.ip();
        self.context.throttle().delay(address, name, Instant::now())
    }
}

/// A password that is stored as MD5 is stored as PBKDF2 from now on, where the configuration lets
/// the driver write.
fn store_anew(user: &User, password: &str, context: &Context) {
    let Some(file) = context.settings().upgrade.clone() else {
        return;
    };
    if !user.credential.is_outdated() {
        return;
    }
    let _one_at_a_time = context
        .editing
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let stored = Credential::derive(&user.name, password)
        .map_err(EditError::from)
        .and_then(|credential| {
            let mut users = UsersFile::open(&file)?;
            users.set_password(&user.name, &credential)?;
            users.save()
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
enum LoginError {
    #[error("{}", .0.reason)]
    Refused(#[from] Refused),
    #[error(transparent)]
    Full(#[from] AttachError),
    #[error("the check broke off")]
    Broken,
    #[error("the place was needed")]
    Displaced,
}

impl LoginError {
    /// True where the other side may be guessing.
    fn is_guess(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Broken)
    }

    fn answer(&self) -> Status {
        match self {
            Self::Full(_) => reply::TOO_MANY,
            _ => reply::BAD_LOGIN,
        }
    }
}
