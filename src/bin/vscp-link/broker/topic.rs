//! Names of topics and filters for them (MQTT 3.1.1, section 4.7).

/// True for a topic that can be published to.
pub(super) fn is_name(topic: &str) -> bool {
    !topic.is_empty() && !topic.contains(['+', '#', '\0'])
}

/// True for a filter that can be subscribed to: `+` and `#` stand alone in their levels, `#` in
/// the last one.
pub(super) fn is_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').rev();
    let last = levels.next().unwrap_or_default();
    let plain = |level: &str| level == "+" || !level.contains(['+', '#']);
    !filter.is_empty()
        && !filter.contains('\0')
        && (last == "#" || plain(last))
        && levels.all(plain)
}

/// True where the filter takes the topic. Wildcards in the first level do not take topics that
/// begin with `$`.
pub(super) fn matches(filter: &str, topic: &str) -> bool {
    if topic.starts_with('$') && filter.starts_with(['+', '#']) {
        return false;
    }
    let mut filter = filter.split('/');
    let mut topic = topic.split('/');
    loop {
        match (filter.next(), topic.next()) {
            // `a/#` takes `a` too.
            (Some("#"), _) => return true,
            (Some("+"), Some(_)) => {}
            (Some(wanted), Some(level)) if wanted == level => {}
            (None, None) => return true,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_take_topics() {
        for (filter, topic, taken) in [
            ("a/b", "a/b", true),
            ("a/b", "a/b/c", false),
            ("a/b/c", "a/b", false),
            ("a/+/c", "a/b/c", true),
            ("a/+", "a", false),
            ("a/+", "a/", true),
            ("+", "/a", false),
            ("+/+", "/a", true),
            ("a/#", "a", true),
            ("a/#", "a/b/c", true),
            ("#", "a/b", true),
            ("#", "$SYS/a", false),
            ("+/a", "$SYS/a", false),
            ("$SYS/#", "$SYS/a", true),
        ] {
            assert_eq!(matches(filter, topic), taken, "{filter} {topic}");
        }
    }

    #[test]
    fn names_and_filters() {
        for good in ["a", "/", "a/+/b", "+", "#", "a/#", "/+/#"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "a#", "#/a", "a+/b", "a/b+", "a\0"] {
            assert!(!is_filter(bad), "{bad}");
        }
        assert!(is_name("a/b") && is_name("/"));
        assert!(!is_name("") && !is_name("a/+") && !is_name("#") && !is_name("\0"));
    }
}
