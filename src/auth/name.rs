//! Names in the log.

use std::fmt;

/// A name that came from outside, without anything that could be taken for something else.
pub(crate) struct Name<'a>(pub(crate) &'a str);

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let safe = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | '@' | '+');
        if self.0.is_empty() {
            return f.write_str("-");
        }
        self.0
            .chars()
            .take(64)
            .try_for_each(|c| write!(f, "{}", if safe(c) { c } else { '_' }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_look_like_lines() {
        let name = "x\r\nlogin refused client=192.0.2.1:1 user=y".repeat(9);
        let shown = Name(&name).to_string();
        assert_eq!(shown.chars().count(), 64);
        assert!(!shown.contains([' ', '=', ':', '\n', '\r']), "{shown}");
        assert_eq!(Name("").to_string(), "-");
        assert_eq!(Name("jörg-1@home").to_string(), "jörg-1@home");
    }
}
