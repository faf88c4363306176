//! Who may come in, and what they may do there.

/// Placeholder until the list of networks lands.
#[derive(Clone, Debug, Default)]
pub struct Remotes;
