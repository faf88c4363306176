//! What is told of folders: nothing.

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

/// There is none: files are looked at instead.
#[derive(Debug)]
pub struct Notices(Infallible);

impl Notices {
    /// Says that there is none.
    ///
    /// # Errors
    /// Always.
    pub fn new(_files: &[PathBuf]) -> io::Result<Self> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Nobody has one to ask.
    ///
    /// # Errors
    /// None.
    #[allow(clippy::needless_pass_by_ref_mut, clippy::unused_async)] // as where there are some
    pub async fn one(&mut self) -> io::Result<()> {
        match self.0 {}
    }
}
