use vscpl2drv_link::config::{ConfigError, parse_driver, parse_users};

/// The driver's file: it is read to the same without its blanks, and an error says where.
pub fn driver_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (found, dense) = (parse_driver(text), parse_driver(&without_blanks(text)));
    match (found, dense) {
        (Ok((found, warnings)), Ok((dense, again))) => {
            assert_eq!(format!("{found:?}"), format!("{dense:?}"));
            assert_eq!(warnings.len(), again.len());
        }
        (Err(error), Err(_)) => explained(text, &error),
        (found, _) => panic!("blanks make a difference: {found:?}"),
    }
}

/// The users file: it is read to the same without its blanks, and an error says where.
pub fn users_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (found, dense) = (parse_users(text), parse_users(&without_blanks(text)));
    match (found, dense) {
        (Ok((found, warnings)), Ok((dense, again))) => {
            assert_eq!(format!("{found:?}"), format!("{dense:?}"));
            assert_eq!(warnings.len(), again.len());
            for user in found.iter() {
                assert!(!user.name.is_empty());
                let known = found.get(&user.name).expect("a user is found by name");
                assert_eq!(known.name, user.name);
            }
        }
        (Err(error), Err(_)) => explained(text, &error),
        (found, _) => panic!("blanks make a difference: {found:?}"),
    }
}

/// An error has a text, and its places lie within the file.
fn explained(text: &str, error: &ConfigError) {
    let message = error.to_string();
    let first = message.lines().next().unwrap_or_default();
    assert!(first.contains(" error: "), "{message}");
    let place = first.split_once("):").map_or("", |(_, place)| place);
    if let Some(line) = place
        .split(':')
        .next()
        .and_then(|line| line.parse::<usize>().ok())
    {
        assert!(
            line <= text.split('\n').count(),
            "{line} is beyond the end: {first}"
        );
    }
}

/// JSON without the blanks between its tokens. What is not JSON stays so: a blank that parts two
/// numbers is kept.
fn without_blanks(text: &str) -> String {
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\n');
    let mut out = String::with_capacity(text.len());
    let (mut inside, mut escaped) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        if inside {
            (inside, escaped) = (c != '"' || escaped, c == '\\' && !escaped);
        } else if c == '"' {
            inside = true;
        } else if is_blank(c) {
            let part = |c: char| !matches!(c, '{' | '}' | '[' | ']' | ',' | ':' | '"');
            let next = rest.peek().copied().unwrap_or('}');
            // A byte order mark is one at the very beginning only.
            let parts = out.ends_with(part) && part(next) || next == '\u{feff}';
            if is_blank(next) || !parts {
                continue;
            }
        }
        out.push(c);
    }
    out
}
