//! The checks of the fuzzing, on every file of its corpora and on a fixed number of mutations.

// In tests a panic is the way to fail, and what is printed is shown when it does.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;

#[allow(unreachable_pub)] // the fuzz targets reach them
#[path = "../fuzz/src/checks/mod.rs"]
mod checks;
mod support;

use support::tools::root;

/// Bytes of a file, files of a corpus: what is committed stays small.
const MOST_BYTES: u64 = 4096;
const MOST_FILES: usize = 150;

/// How often a file of each corpus is changed and checked: some seconds for all of them.
const MUTATIONS: usize = 20_000;

/// Words that a random byte is unlikely to make.
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"+OK",
    b"-OK",
    b"++",
    b"{{",
    b"}}",
    b"{{#",
    b"::",
    b"0x",
    b"0b",
    b"\"",
    b"\\u0000",
    b"[",
    b"{",
    b"null",
    b"-1",
    b"18446744073709551616",
    b"+23:59",
    b"9999-12-31",
    b"\xff\xfa",
    b"pass ",
    b"retr ",
    b"&amp;",
    b"<event ",
    b"\"mqtt\":",
    b"C;",
    b"E;",
    b"\"event\":",
    b"\xe2\x80\xa6",
];

fn corpora() -> PathBuf {
    root().join("fuzz/corpus")
}

fn corpus(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let place = corpora().join(name);
    let entries = fs::read_dir(&place).unwrap_or_else(|error| panic!("{place:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{place:?} is empty");
    assert!(paths.len() <= MOST_FILES, "{place:?}: {}", paths.len());
    paths
        .into_iter()
        .map(|path| {
            assert!(fs::metadata(&path).unwrap().len() <= MOST_BYTES, "{path:?}");
            let bytes = fs::read(&path).unwrap();
            (path, bytes)
        })
        .collect()
}

/// Runs a check; when it fails, says on which bytes.
fn run(check: checks::Check, bytes: &[u8], from: &str) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(bytes))) {
        eprintln!("{from}: b\"{}\"", bytes.escape_ascii());
        resume_unwind(panic);
    }
}

fn replay(name: &str) {
    let (_, check) = checks::ALL
        .iter()
        .find(|(known, _)| *known == name)
        .unwrap();
    let corpus = corpus(name);
    for (path, bytes) in &corpus {
        run(*check, bytes, &path.display().to_string());
    }
    let mut dice = Dice::new(name);
    for round in 0..MUTATIONS {
        let (path, bytes) = &corpus[dice.below(corpus.len())];
        let mut bytes = bytes.clone();
        for _ in 0..=dice.below(4) {
            let other = &corpus[dice.below(corpus.len())].1;
            mutate(&mut bytes, other, &mut dice);
        }
        bytes.truncate(2 * MOST_BYTES as usize);
        run(
            *check,
            &bytes,
            &format!("{}, change {round}", path.display()),
        );
    }
}

/// One change: of a byte or a bit, a piece that is taken out, doubled, or comes from elsewhere.
fn mutate(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.below(16)).min(bytes.len());
    match dice.below(7) {
        0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        1 if at < bytes.len() => bytes[at] = dice.below(256) as u8,
        2 => drop(bytes.drain(at..end)),
        3 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        4 => {
            let from = dice.below(other.len() + 1);
            let to = (from + dice.below(64)).min(other.len());
            bytes.splice(at..end, other[from..to].iter().copied());
        }
        5 => bytes.insert(at, dice.below(256) as u8),
        _ => {
            let word = WORDS[dice.below(WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
    }
}

/// Numbers that are the same in each run (xorshift64*).
struct Dice(u64);

impl Dice {
    fn new(name: &str) -> Self {
        let seed = name.bytes().fold(0xCBF2_9CE4_8422_2325, |seed: u64, byte| {
            (seed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
        });
        Self(seed | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32;
        number as usize % bound
    }
}

/// One test for each check, so that they run beside each other.
macro_rules! targets {
    ($($name:ident)*) => {
        const TARGETS: &[&str] = &[$(stringify!($name)),*];
        $(
            #[test]
            fn $name() {
                replay(stringify!($name));
            }
        )*
    };
}

targets! {
    binary_frame binary_session date discovery driver_file event_text far_end filter frame guid json line numbered payload session topic users_file ws1 ws2 xml
}

#[test]
fn every_check_has_its_target_its_corpus_and_its_test() {
    let known: Vec<&str> = checks::ALL.iter().map(|(name, _)| *name).collect();
    assert_eq!(known, TARGETS);
    let names = |place: PathBuf| {
        let entries = fs::read_dir(&place).unwrap_or_else(|error| panic!("{place:?}: {error}"));
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().path())
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(corpora()), TARGETS);
    assert_eq!(names(root().join("fuzz/fuzz_targets")), TARGETS);
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for name in TARGETS {
        let path = format!("path = \"fuzz_targets/{name}.rs\"");
        assert!(manifest.contains(&path), "{name} is not in fuzz/Cargo.toml");
        let target = format!("fuzz/fuzz_targets/{name}.rs");
        let target = fs::read_to_string(root().join(target)).unwrap();
        assert!(target.contains(&format!("checks::{name}(bytes)")), "{name}");
    }
}

/// Real messages are what mutations should begin with.
#[test]
fn what_the_dialogues_of_websockets_say_is_in_the_corpora() {
    for entry in fs::read_dir(root().join("tests/dialogues-ws")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let target = name.split('-').next().unwrap();
        let seeds = corpus(target);
        let text = fs::read_to_string(&path).unwrap();
        let messages = text.lines().filter_map(|line| line.strip_prefix("> "));
        // Logins are known to the checks by the name of the user.
        for message in messages.filter(|message| !message.contains("{crypto")) {
            let mut said = seeds
                .iter()
                .flat_map(|(_, bytes)| bytes.split(|&byte| byte == 0));
            assert!(
                said.any(|one| one == message.as_bytes()),
                "{message} of {name} is in no seed of {target}"
            );
        }
    }
}

#[test]
fn a_check_that_fails_fails_the_test() {
    fn never_x(bytes: &[u8]) {
        assert!(!bytes.contains(&b'x'));
    }
    run(never_x, b"abc", "nothing");
    assert!(catch_unwind(|| run(never_x, b"axc", "something wrong, on purpose")).is_err());
}
