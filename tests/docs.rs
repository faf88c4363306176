//! The documentation tells of every message that the log has at warning or above, and its links
//! lead somewhere.

#![allow(clippy::unwrap_used)] // in tests a panic is the way to fail

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

mod support;

use support::tools::root;

/// What a source consists of, as far as it matters here.
#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Other(char),
}

/// A message in the sources.
#[derive(Debug)]
struct Message {
    place: String,
    level: &'static str,
    text: String,
}

fn files(place: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(place)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|found| found == ending) {
            found.push(path);
        }
    }
    found
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// Words, texts and signs of a source, each with its line; comments are left out.
fn tokens(source: &str) -> Vec<(usize, Token)> {
    let chars: Vec<char> = source.chars().collect();
    let at = |n: usize| chars.get(n).copied().unwrap_or(' ');
    let (mut found, mut n, mut line) = (Vec::new(), 0, 1);
    while n < chars.len() {
        let (c, start) = (chars[n], line);
        if c == '/' && at(n + 1) == '/' {
            while n < chars.len() && chars[n] != '\n' {
                n += 1;
            }
        } else if c == '"' {
            let mut text = String::new();
            n += 1;
            while at(n) != '"' {
                line += usize::from(at(n) == '\n');
                if at(n) != '\\' {
                    text.push(at(n));
                } else if at(n + 1) == '\n' {
                    // The text goes on at the next line's first letter.
                    n += 2;
                    line += 1;
                    while at(n) == ' ' {
                        n += 1;
                    }
                    continue;
                } else {
                    n += 1;
                    text.push(if at(n) == 'n' { '\n' } else { at(n) });
                }
                n += 1;
            }
            n += 1;
            found.push((start, Token::Text(text)));
        } else if c == '\'' && (at(n + 2) == '\'' || at(n + 1) == '\\') {
            n += 2 + usize::from(at(n + 1) == '\\');
            while at(n) != '\'' {
                n += 1;
            }
            n += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let end = (n..).find(|&n| !(at(n).is_alphanumeric() || at(n) == '_'));
            let word: String = chars[n..end.unwrap()].iter().collect();
            n += word.chars().count();
            found.push((start, Token::Word(word)));
        } else {
            line += usize::from(c == '\n');
            n += 1;
            if !c.is_whitespace() {
                found.push((start, Token::Other(c)));
            }
        }
    }
    found
}

/// Without what is there for tests alone.
fn without_tests(all: &[(usize, Token)]) -> Vec<(usize, Token)> {
    let sign = |n: usize, c: char| {
        all.get(n)
            .is_some_and(|(_, found)| *found == Token::Other(c))
    };
    let word =
        |n: usize, text: &str| matches!(all.get(n), Some((_, Token::Word(word))) if word == text);
    let (mut left, mut n) = (Vec::new(), 0);
    while n < all.len() {
        if sign(n, '#') && word(n + 2, "cfg") && word(n + 4, "test") {
            while !sign(n, ';') && !sign(n, '{') {
                n += 1;
            }
            n = if sign(n, '{') {
                end_of(all, n, '{', '}')
            } else {
                n + 1
            };
        } else {
            left.push(all[n].clone());
            n += 1;
        }
    }
    left
}

/// Behind the sign that closes the one at `n`.
fn end_of(all: &[(usize, Token)], mut n: usize, open: char, close: char) -> usize {
    let mut depth = 0;
    loop {
        depth += i32::from(all[n].1 == Token::Other(open));
        depth -= i32::from(all[n].1 == Token::Other(close));
        n += 1;
        if depth == 0 {
            return n;
        }
    }
}

/// A text with `…` for what is put into it.
fn shown(format: &str) -> String {
    let (mut out, mut chars) = (String::new(), format.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            '{' | '}' if chars.peek() == Some(&c) => out.extend(chars.next()),
            '{' => {
                chars.by_ref().find(|c| *c == '}');
                out.push('…');
            }
            c => out.push(c),
        }
    }
    out
}

/// Not all of it comes from elsewhere.
fn has_words(shown: &str) -> bool {
    shown.chars().any(char::is_alphabetic)
}

/// Every source but those of tests.
fn sources() -> Vec<(String, Vec<(usize, Token)>)> {
    let all = files(&root().join("src"), "rs").into_iter().filter(|path| {
        let of_tests = |part: &Path| part.file_stem().is_some_and(|stem| stem == "tests");
        !path.ancestors().any(of_tests)
    });
    all.map(|path| {
        let text = fs::read_to_string(&path).unwrap();
        (name(&path), without_tests(&tokens(&text)))
    })
    .collect()
}

/// The messages of a source for the driver's log, and for the system's.
fn messages(file: &str, source: &[(usize, Token)]) -> Vec<Message> {
    let mut found = Vec::new();
    for n in 0..source.len() {
        let words = source[n..].iter().take(6).map(|(_, token)| match token {
            Token::Word(word) => word.as_str(),
            Token::Other(':') => ":",
            Token::Other('!') => "!",
            Token::Other('(') => "(",
            Token::Other('&') => "&",
            _ => "…",
        });
        let words = words.collect::<Vec<_>>().join("");
        let level = match words.as_str() {
            words if words.starts_with("tracing::warn!") => "warning",
            words if words.starts_with("tracing::error!") => "error",
            words if words.starts_with("report(…") => "system",
            words if words.starts_with("report(&format!(") => "system",
            _ => continue,
        };
        let open = (n..).find(|&n| source[n].1 == Token::Other('(')).unwrap();
        let call = &source[open..end_of(source, open, '(', ')')];
        // What stands behind a sign of equality is a field.
        let text = call.windows(2).find_map(|pair| match pair {
            [(_, Token::Other('(' | ',')), (_, Token::Text(text))] => Some(shown(text)),
            _ => None,
        });
        let place = format!("{file}:{}", source[n].0);
        match text {
            Some(text) => found.push(Message { place, level, text }),
            None => assert_eq!(level, "system", "{place}: a message without a text"),
        }
    }
    found
}

/// Cells of the tables of the page: what stands in the first, as code, and the second.
fn rows(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let code = cells.next().unwrap().trim_matches('`').to_owned();
        (code, cells.next().unwrap_or_default().to_owned())
    })
    .collect()
}

#[test]
fn every_message_at_warning_or_above_is_explained() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let rows = rows(&page);
    let (mut seen, mut missing) = (0, Vec::new());
    for (file, source) in sources() {
        for Message { place, level, text } in messages(&file, &source) {
            if has_words(&text) {
                seen += 1;
                if !rows.iter().any(|row| row.0 == text && row.1 == level) {
                    missing.push(format!("{place}: {level}: {text}"));
                }
            }
        }
    }
    assert!(seen > 60, "the test sees what it looks for: {seen}");
    assert!(
        missing.is_empty(),
        "docs/operations.md lacks\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_warning_of_the_configuration_is_explained() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let rows: BTreeSet<String> = rows(&page).into_iter().map(|row| row.0).collect();
    let (mut seen, mut missing) = (0, Vec::new());
    for (file, source) in sources() {
        for n in 0..source.len() {
            let call = [
                Token::Other('.'),
                Token::Word("warn".to_owned()),
                Token::Other('('),
            ];
            if !source[n..].iter().map(|(_, token)| token).take(3).eq(&call) {
                continue;
            }
            for (line, token) in &source[n..end_of(&source, n + 2, '(', ')')] {
                let Token::Text(text) = token else { continue };
                let text = shown(text);
                seen += 1;
                if has_words(&text) && !rows.contains(&text) {
                    missing.push(format!("{file}:{line}: {text}"));
                }
            }
        }
    }
    assert!(seen > 20, "the test sees what it looks for: {seen}");
    assert!(
        missing.is_empty(),
        "docs/operations.md lacks\n{}",
        missing.join("\n")
    );
}

#[test]
fn no_message_is_explained_that_there_is_not() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut texts = BTreeSet::new();
    for (_, source) in sources() {
        texts.extend(source.into_iter().filter_map(|(_, token)| match token {
            Token::Text(text) => Some(shown(&text)),
            _ => None,
        }));
    }
    let rows = rows(&page);
    let stale: Vec<_> = rows.iter().filter(|row| !texts.contains(&row.0)).collect();
    assert!(stale.is_empty(), "{stale:#?}");
}

/// The headings of a page, as links name them.
fn anchors(page: &str) -> BTreeSet<String> {
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    let mut found = BTreeSet::new();
    for line in prose(page).lines().filter(|line| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim();
        let keep = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
        let slug: String = title
            .chars()
            .filter(keep)
            .collect::<String>()
            .to_lowercase();
        let slug = slug.replace(' ', "-");
        let times = used.entry(slug.clone()).or_default();
        found.insert(match *times {
            0 => slug,
            n => format!("{slug}-{n}"),
        });
        *times += 1;
    }
    found
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let blocks = page.split("\n```").step_by(2);
    blocks.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = files(&root().join("docs"), "md");
    pages.extend(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|page| root().join(page)));
    let (mut seen, mut broken, mut reached) = (0, Vec::new(), BTreeSet::new());
    for page in &pages {
        let text = fs::read_to_string(page).unwrap();
        let text = prose(&text);
        for link in text.split("](").skip(1) {
            let link = link.split(')').next().unwrap();
            if link.contains("://") {
                continue;
            }
            seen += 1;
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = match path {
                "" => page.clone(),
                path => page.parent().unwrap().join(path),
            };
            let Ok(target) = fs::canonicalize(&target) else {
                broken.push(format!("{}: {link}", name(page)));
                continue;
            };
            if page.ends_with("README.md") {
                reached.insert(target.clone());
            }
            let there = || anchors(&fs::read_to_string(&target).unwrap()).contains(anchor);
            if !anchor.is_empty() && !there() {
                broken.push(format!("{}: {link}: there is no such heading", name(page)));
            }
        }
    }
    assert!(seen > 50, "the test sees what it looks for: {seen}");
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let root = fs::canonicalize(root()).unwrap();
    for page in pages.iter().filter(|page| !page.ends_with("README.md")) {
        let page = fs::canonicalize(page).unwrap();
        let known = reached.contains(&page);
        assert!(
            known,
            "README.md does not name {:?}",
            page.strip_prefix(&root)
        );
    }
}
