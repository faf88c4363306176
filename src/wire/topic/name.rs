//! The rules of MQTT topic names and filters (MQTT 3.1.1, section 4.7).

use thiserror::Error;

/// Why a text is not a topic or a filter.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// Nothing.
    #[error("it is empty")]
    Empty,
    /// More than a packet can say.
    #[error("it has more than 65535 bytes")]
    Long,
    /// A NUL.
    #[error("it holds a NUL")]
    Nul,
    /// A wildcard in a topic.
    #[error("+ and # have no place in a topic that is published to")]
    Wildcard,
    /// A wildcard that is not a whole level, or `#` not at the end.
    #[error("+ must be a whole level, and # the whole last one")]
    Shape,
}

/// A topic to publish to.
///
/// # Errors
/// [`NameError`].
pub fn check_topic(topic: &str) -> Result<(), NameError> {
    check(topic)?;
    if topic.contains(['+', '#']) {
        return Err(NameError::Wildcard);
    }
    Ok(())
}

/// A filter to subscribe to.
///
/// # Errors
/// [`NameError`].
pub fn check_filter(filter: &str) -> Result<(), NameError> {
    check(filter)?;
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let wild = level.contains(['+', '#']);
        let last = levels.peek().is_none();
        if wild && level != "+" && !(level == "#" && last) {
            return Err(NameError::Shape);
        }
    }
    Ok(())
}

fn check(name: &str) -> Result<(), NameError> {
    match name {
        "" => Err(NameError::Empty),
        _ if name.len() > usize::from(u16::MAX) => Err(NameError::Long),
        _ if name.contains('\0') => Err(NameError::Nul),
        _ => Ok(()),
    }
}

/// True where a filter covers a topic.
#[must_use]
pub fn matches(filter: &str, topic: &str) -> bool {
    // Topics of the broker's own are covered by their names only.
    if topic.starts_with('$') && !filter.starts_with('$') {
        return false;
    }
    let mut levels = topic.split('/');
    for level in filter.split('/') {
        match (level, levels.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(found)) if level == found => {}
            _ => return false,
        }
    }
    levels.next().is_none()
}
