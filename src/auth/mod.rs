//! Who may come in, and what they may do there. Pure: no sockets, no clock; time is passed in.
//!
//! | module | what |
//! |---|---|
//! | [`rights`] | [`Rights`] by bit and by name, [`Privilege`] |
//! | [`remotes`] | [`Remotes`], the networks that may connect |

pub mod remotes;
pub mod rights;

pub use remotes::{Remotes, RemotesError};
pub use rights::{Privilege, Rights, RightsError};
