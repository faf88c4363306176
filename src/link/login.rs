//! Logins: the check of a password, or of a certificate that the TLS below has seen, and how long
//! the answer to a wrong one waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::audit;
use super::perform::{Next, Performer};
use crate::auth::{Reason, Refused, User};
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
            Err(error) => {
                if error.is_guess() {
                    tokio::time::sleep(self.slow_down(&name)).await;
                }
                audit::refused(self.peer, &name, &error);
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
            audit::refused(self.peer, name, &error);
        }
    }

    fn enter(
        &mut self,
        user: &Arc<User>,
        by: &str,
        session: &mut Session,
    ) -> Result<(), LoginError> {
        let client = Client {
            user: Arc::clone(user),
            peer: self.peer.to_string(),
            now: now(),
        };
        let channel = self.context.hub.attach(client)?;
        // Users may have changed since the password was looked at; from now on the channel is
        // found by whoever changes them.
        let Some(user) = self.context.settings().users.get(&user.name).cloned() else {
            self.context.hub.detach(channel.id());
            return Err(Refused::from(Reason::UnknownUser).into());
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
        // The semaphore is never closed.
        let _turn = self.context.checks.acquire().await;
        let context = Arc::clone(&self.context);
        let address = self.peer.ip();
        let check = move || {
            let settings = context.settings();
            context.verifier.authenticate(
                &settings.users,
                &name,
                &password,
                address,
                &settings.remotes,
            )
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(verdict) => Ok(verdict?),
            Err(_) => Err(LoginError::Broken),
        }
    }

    /// Takes note of a failed login; gives how long the answer to it waits. Right logins never
    /// wait: somebody else's guessing must not keep them out.
    fn slow_down(&self, name: &str) -> Duration {
        let (address, now) = (self.peer.ip(), Instant::now());
        let mut throttle = self.context.throttle();
        throttle.failure(address, name, now);
        throttle.delay(address, name, now)
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
