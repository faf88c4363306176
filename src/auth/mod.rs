//! Who may come in, and what they may do there. Pure: no sockets, no clock; time is passed in.
//!
//! | module | what |
//! |---|---|
//! | [`rights`] | [`Rights`] by bit and by name, [`Privilege`] |
//! | [`remotes`] | [`Remotes`], the networks that may connect |
//! | [`allowed`] | [`AllowedEvents`], the events that a user may send and receive |
//! | [`credential`] | [`Credential`], a password as it is stored |
//! | [`user`] | [`User`] and [`UserTable`] |
//! | `name` | a name as the log shows it |
//! | [`verifier`] | [`Verifier`], the decision over a login |
//! | [`throttle`] | [`Throttle`], how long failed logins wait for their answer |

pub mod allowed;
pub mod credential;
mod name;
pub mod remotes;
pub mod rights;
pub mod throttle;
pub mod user;
pub mod verifier;

pub use allowed::{AllowedError, AllowedEvent, AllowedEvents, Direction, Fault};
pub use credential::{Credential, CredentialError};
pub(crate) use name::Name;
pub use remotes::{Remotes, RemotesError};
pub use rights::{Privilege, Rights, RightsError, Service};
pub use throttle::{Network, Throttle, network};
pub use user::{Refusal, User, UserTable, UserTableError};
pub use verifier::{Door, Reason, Refused, Verifier};

/// The system gave no random numbers.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the system gave no random numbers")]
pub struct RandomError(#[source] getrandom::Error);

pub(crate) fn random<const N: usize>() -> Result<[u8; N], RandomError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(RandomError)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;
