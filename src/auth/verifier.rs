//! The decision over a login.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use super::{Credential, RandomError, Remotes, Service, User, UserTable, random};

/// Decides over logins.
///
/// A check is slow by design, so the last right one of each user is remembered, as a tag that
/// only this verifier can make: clients that reconnect all at once cost microseconds each. The
/// tag covers name, password and credential, so a changed credential makes it worthless.
pub struct Verifier {
    key: Zeroizing<[u8; 64]>,
    verified: Mutex<HashMap<String, Tag>>,
}

type Tag = [u8; 32];

/// Where somebody wants to come in.
#[derive(Clone, Copy, Debug)]
pub struct Door<'a> {
    /// To what.
    pub service: Service,
    /// From where.
    pub peer: IpAddr,
    /// From where anybody may connect; the user's own list counts after it.
    pub remotes: &'a Remotes,
}

/// A login that was refused.
///
/// The reason is for the log of the operator. The other side is told one and the same thing,
/// whatever it was.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("login refused: {reason}")]
pub struct Refused {
    /// Why.
    pub reason: Reason,
}

/// Why a login was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// There is no such user.
    UnknownUser,
    /// There is, with another password.
    WrongPassword,
    /// The user, or anybody, may not connect from there. The password was not looked at.
    Host,
    /// Name and password are right, but the user is there for other interfaces.
    NoRight,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownUser => "unknown user",
            Self::WrongPassword => "wrong password",
            Self::Host => "not from this host",
            Self::NoRight => "no right to use this interface",
        })
    }
}

impl From<Reason> for Refused {
    fn from(reason: Reason) -> Self {
        Self { reason }
    }
}

impl Verifier {
    /// A verifier that has seen nobody yet.
    ///
    /// # Errors
    /// [`RandomError`] where the system gives no random numbers.
    pub fn new() -> Result<Self, RandomError> {
        Ok(Self {
            key: Zeroizing::new(random()?),
            verified: Mutex::default(),
        })
    }

    /// The user who logs in with this name and password.
    ///
    /// Takes some ten milliseconds of work, so it belongs off the threads that serve the network,
    /// and the same work for every refusal. Only a login that succeeds may be quicker.
    ///
    /// # Errors
    /// [`Refused`] with the reason for the log.
    pub fn authenticate(
        &self,
        table: &UserTable,
        name: &str,
        password: &str,
        door: Door<'_>,
    ) -> Result<Arc<User>, Refused> {
        let user = table.get(name);
        let tag = self.tag(name, password, user.map(|user| &user.credential));
        let refuse = |reason| Err(Refused { reason });
        // Both lists are looked at in any case, and neither a refused host nor an unknown user
        // comes near a password: how long they take says nothing about it.
        let host =
            door.remotes.allows(door.peer) & user.is_none_or(|user| user.remotes.allows(door.peer));
        let user = match user {
            Some(user) if host => user,
            _ => {
                Credential::waste(name, password);
                return refuse(if host {
                    Reason::UnknownUser
                } else {
                    Reason::Host
                });
            }
        };
        if !user.rights.admit(door.service) {
            // Never quicker by a remembered tag, which would tell that the password is right.
            return refuse(if user.credential.verify(name, password) {
                Reason::NoRight
            } else {
                Reason::WrongPassword
            });
        }
        if !self.remembers(name, &tag) {
            if !user.credential.verify(name, password) {
                return refuse(Reason::WrongPassword);
            }
            self.remember(table, name, tag);
        }
        Ok(Arc::clone(user))
    }

    /// The user of this name, whom something else than a password has proved to be there: a
    /// certificate. Where the user may connect from counts all the same.
    ///
    /// # Errors
    /// [`Refused`] with the reason for the log.
    pub fn vouched(
        &self,
        table: &UserTable,
        name: &str,
        door: Door<'_>,
    ) -> Result<Arc<User>, Refused> {
        let user = table.get(name).ok_or(Reason::UnknownUser)?;
        if !door.remotes.allows(door.peer) || !user.remotes.allows(door.peer) {
            return Err(Reason::Host.into());
        }
        if !user.rights.admit(door.service) {
            return Err(Reason::NoRight.into());
        }
        Ok(Arc::clone(user))
    }

    /// The user, where this very login was right before and still is: a matter of microseconds.
    ///
    /// What is not recognised may be right all the same, and is for
    /// [`authenticate`](Self::authenticate) to say.
    #[must_use]
    pub fn recognise(
        &self,
        table: &UserTable,
        name: &str,
        password: &str,
        door: Door<'_>,
    ) -> Option<Arc<User>> {
        let user = table.get(name);
        let tag = self.tag(name, password, user.map(|user| &user.credential));
        let user =
            user.filter(|user| self.remembers(name, &tag) && user.rights.admit(door.service))?;
        let host = door.remotes.allows(door.peer) && user.remotes.allows(door.peer);
        host.then(|| Arc::clone(user))
    }

    fn tag(&self, name: &str, password: &str, credential: Option<&Credential>) -> Tag {
        let credential = Zeroizing::new(credential.map(ToString::to_string).unwrap_or_default());
        let mut mac = Hmac::<Sha256>::new((&*self.key).into());
        for part in [name, credential.as_str(), password] {
            mac.update(part.as_bytes());
            mac.update(b"\0");
        }
        mac.finalize().into_bytes().into()
    }

    fn remembers(&self, name: &str, tag: &Tag) -> bool {
        self.verified()
            .get(name)
            .is_some_and(|known| known.ct_eq(tag).into())
    }

    fn remember(&self, table: &UserTable, name: &str, tag: Tag) {
        let mut verified = self.verified();
        verified.insert(name.to_owned(), tag);
        if verified.len() > table.len() {
            // Users of an earlier table.
            verified.retain(|name, _| table.get(name).is_some());
        }
    }

    /// How many users are remembered.
    #[cfg(test)]
    pub(super) fn remembered(&self) -> usize {
        self.verified().len()
    }

    fn verified(&self) -> MutexGuard<'_, HashMap<String, Tag>> {
        // A panic elsewhere cannot leave a map of finished tags half done.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").finish_non_exhaustive()
    }
}
