//! The manual pages and the completion in `contrib`, which packages install: made from what can
//! be said on the command line, and checked in, so that no build has to run the program.

use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::Resettable;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Cli;

/// Set, it lets the test write what it would compare.
const WRITE: &str = "VSCP_LINK_WRITE_PAGES";

/// What the codes of a measurement mean.
const BENCH_STATUS: &str = "\
0 nothing was lost or doubled, 1 the run could not be finished, 2 wrong usage, 3 events were lost
or doubled, or idle clients were put out.";

/// A file below `contrib`, and what has to be in it.
type Page = (PathBuf, String);

#[test]
fn the_manual_pages_and_the_completion_tell_what_the_program_takes() {
    let contrib = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib");
    let mut stale = Vec::new();
    let pages = pages();
    for (name, text) in &pages {
        let path = contrib.join(name);
        if fs::read_to_string(&path).is_ok_and(|found| found == *text) {
            continue;
        }
        if std::env::var_os(WRITE).is_some() {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
        } else {
            stale.push(name.display().to_string());
        }
    }
    let known = |name: &Path| pages.iter().any(|(page, _)| page == name);
    for entry in fs::read_dir(contrib.join("man")).unwrap() {
        let name = Path::new("man").join(entry.unwrap().file_name());
        if name.extension().is_some_and(|section| section == "1") && !known(&name) {
            stale.push(format!("{} (of no command)", name.display()));
        }
    }
    assert!(
        stale.is_empty(),
        "not up to date in contrib: {stale:?}; {WRITE}=1 cargo test --bin vscp-link pages writes them"
    );
}

fn pages() -> Vec<Page> {
    let mut root = Cli::command();
    let mut found: Vec<Page> = [
        (Shell::Bash, "bash/vscp-link"),
        (Shell::Zsh, "zsh/_vscp-link"),
    ]
    .map(|(shell, name)| {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut root, "vscp-link", &mut text);
        (Path::new("completion").join(name), string(text))
    })
    .into();
    root.build();
    manual(&root, &mut found);
    found
}

/// The page of a command and those of its subcommands.
fn manual(command: &Command, found: &mut Vec<Page>) {
    let name = command.get_display_name();
    let name = name.unwrap_or_else(|| command.get_name());
    let help = command.get_after_help().map(ToString::to_string);
    let man = Man::new(command.clone().after_help(Resettable::Reset))
        .source(concat!("vscp-link ", env!("CARGO_PKG_VERSION")))
        .manual("VSCP");
    let mut text = Vec::new();
    man.render(&mut text).unwrap();
    let mut text = string(text);
    let help = help.unwrap_or_default();
    let (more, examples) = match help.split_once("Examples:\n") {
        Some(both) => both,
        None => help.split_once("Example:\n").unwrap_or((&help, "")),
    };
    text.push_str(&section("NOTES", more));
    // What follows the examples has no indent.
    let end = examples.find("\n\n").unwrap_or(examples.len());
    text.push_str(&section("EXAMPLES", &examples[..end]));
    let status = match name.starts_with("vscp-link-bench") {
        true => BENCH_STATUS,
        false => "0 all went well, 1 there were problems, 2 wrong usage.",
    };
    text.push_str(&section("EXIT STATUS", status));
    let mut related = vec!["libvscpl2drv-link(7)".to_owned()];
    if let Some((parent, _)) = name.rsplit_once('-').filter(|_| name != "vscp-link") {
        related.insert(0, format!("{parent}(1)"));
    }
    text.push_str(&section("SEE ALSO", &related.join(", ")));
    found.push((Path::new("man").join(format!("{name}.1")), text));
    for below in command.get_subcommands() {
        manual(below, found);
    }
}

/// Paragraphs are filled; those with indented lines stay as they are.
fn section(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    let mut out = format!(".SH {title}\n");
    for (at, paragraph) in text.trim_end().split("\n\n").enumerate() {
        if at > 0 {
            out.push_str(".PP\n");
        }
        let as_it_is = paragraph.lines().any(|line| line.starts_with(' '));
        if as_it_is {
            out.push_str(".nf\n");
        }
        for line in paragraph.lines() {
            let line = line.replace('\\', "\\e").replace('-', "\\-");
            let hidden = line.starts_with(['.', '\'']);
            out.push_str(if hidden { "\\&" } else { "" });
            out.push_str(&line.replace('\'', "\\(aq"));
            out.push('\n');
        }
        if as_it_is {
            out.push_str(".fi\n");
        }
    }
    out
}

fn string(text: Vec<u8>) -> String {
    String::from_utf8(text).unwrap()
}
