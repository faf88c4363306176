//! The daemon's configuration: where it is, and the entry that is this driver's.

use std::env::consts::EXE_SUFFIX;
use std::path::{Path, PathBuf};

use super::model::DaemonEntry;
use super::mqtt;
use super::node::Node;
use super::report::Report;
use crate::event::Guid;
use crate::os::{daemon_files, file_name};

/// Where the daemon's file may be, best first: what its command line says, else its usual places.
pub(super) fn locate(words: &[String], directory: &Path) -> Vec<PathBuf> {
    let program = words.first().map(|word| file_name(Path::new(word)));
    let program = program.unwrap_or_default();
    let program = program.strip_suffix(EXE_SUFFIX).unwrap_or(&program);
    match program {
        "vscpd" | "mqttvscpd" => match option_c(&words[1..]) {
            Some(file) => vec![directory.join(file)],
            None => daemon_files(program),
        },
        "vscp-link" => {
            // `vscp-link run [--library PATH] FILE`
            let mut after = words.iter().skip_while(|word| *word != "run").skip(1);
            let mut file = None;
            while let Some(word) = after.next() {
                match word.as_str() {
                    "--library" | "--port" => drop(after.next()),
                    option if option.starts_with('-') => {}
                    found => file = Some(directory.join(found)),
                }
            }
            file.into_iter().collect()
        }
        // Somebody else's program: its words mean something else.
        _ => Vec::new(),
    }
}

/// The value of -c among options as getopt reads them with `d:c:r:k:hgsv`.
fn option_c(words: &[String]) -> Option<&str> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let Some(flags) = word
            .strip_prefix('-')
            .filter(|flags| !flags.starts_with('-'))
        else {
            continue;
        };
        for (at, flag) in flags.char_indices() {
            if !"dcrk".contains(flag) {
                continue;
            }
            let value = match &flags[at + flag.len_utf8()..] {
                "" => words.next().map(String::as_str),
                attached => Some(attached),
            };
            if flag == 'c' {
                return value;
            }
            break;
        }
    }
    None
}

/// The level II entry with this path and GUID; `None` where there is none.
pub(super) fn entry(
    root: &Node<'_>,
    path_config: &str,
    guid: &Guid,
    report: &mut Report,
) -> Option<DaemonEntry> {
    let file = report.file_name();
    let top = members(root)?;
    let server_guid = get(&top, "guid")
        .and_then(text)
        .and_then(|text| text.parse().ok());
    let drivers = get(&top, "drivers").and_then(members)?;
    let entries = quiet(|report| get(&drivers, "level2")?.list(report))?;
    let ours: Vec<_> = entries
        .iter()
        .filter_map(members)
        .filter(|entry| get(entry, "path-config").and_then(text).as_deref() == Some(path_config))
        .collect();
    let same_guid = |entry: &&Vec<(String, Node<'_>)>| {
        let parsed = get(entry, "guid")
            .and_then(text)
            .and_then(|text| text.parse::<Guid>().ok());
        parsed.as_ref() == Some(guid)
    };
    let entry = ours.iter().find(same_guid)?;
    let mqtt = get(entry, "mqtt").filter(|node| !node.is_null());
    Some(DaemonEntry {
        file: PathBuf::from(&file),
        server_guid: server_guid.filter(|guid: &Guid| !guid.is_zero()),
        name: get(entry, "name").and_then(text).unwrap_or_default(),
        mqtt: mqtt.and_then(|node| {
            let main = get(&top, "mqtt").and_then(members).unwrap_or_default();
            mqtt::read_entry(node, main, &file, report)
        }),
    })
}

/// The `path-config` of every enabled entry, for a check. One for this driver without it is an error.
pub(super) fn path_configs(root: &Node<'_>, report: &mut Report) -> Vec<(String, Option<Guid>)> {
    let entries = || {
        let top = members(root)?;
        let drivers = get(&top, "drivers").and_then(members)?;
        quiet(|report| get(&drivers, "level2")?.list(report))
    };
    let mut found = Vec::new();
    for node in entries().unwrap_or_default() {
        let Some(entry) = members(&node) else {
            continue;
        };
        let enabled = quiet(|report| get(&entry, "enable")?.truth(report)) == Some(true);
        if !enabled {
            continue;
        }
        let ours = get(&entry, "path-driver")
            .and_then(text)
            .is_some_and(|path| is_driver(Path::new(&path)));
        let config = get(&entry, "path-config");
        let Some((config, path)) = config.and_then(|node| Some((node, text(node)?))) else {
            // Other drivers may do without.
            if ours {
                report.error(
                    &node,
                    "path-config is missing: the path of this driver's file",
                );
            }
            continue;
        };
        if ours && !Path::new(&path).exists() {
            report.warn(config, &format!("there is no file {path}"));
        }
        let guid = get(&entry, "guid")
            .and_then(text)
            .and_then(|text| text.parse().ok());
        found.push((path, guid));
    }
    found
}

/// True where this is the path of the driver's library: by its name, or as a link to it, which the
/// names of the drivers may be that this one stands in for.
#[must_use]
pub fn is_driver(path: &Path) -> bool {
    let named = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.replace('_', "-").contains("vscpl2drv-link")
    };
    named(path) || path.canonicalize().is_ok_and(|target| named(&target))
}

/// What is wrong with other parts of the daemon's file is the daemon's to say.
fn quiet<T>(read: impl FnOnce(&mut Report) -> Option<T>) -> Option<T> {
    read(&mut Report::default())
}

fn members<'a>(node: &Node<'a>) -> Option<Vec<(String, Node<'a>)>> {
    quiet(|report| node.members(report))
}

fn get<'n, 'a>(members: &'n [(String, Node<'a>)], key: &str) -> Option<&'n Node<'a>> {
    members
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, node)| node)
}

fn text(node: &Node<'_>) -> Option<String> {
    quiet(|report| node.text(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(words: &[&str]) -> Vec<String> {
        let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
        let found = locate(&words, Path::new("/var/lib/vscp"));
        found
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    }

    #[test]
    fn command_lines() {
        let named = ["/etc/vscp/own.json"];
        for words in [
            &["/usr/sbin/vscpd", "-s", "-c", "/etc/vscp/own.json"][..],
            &["vscpd", "-sc", "/etc/vscp/own.json"],
            &["vscpd", "-c/etc/vscp/own.json", "-s"],
            &["vscpd", "-r", "-c", "-sgc", "/etc/vscp/own.json"],
            &["vscpd", "-d7", "-kABC", "-c", "/etc/vscp/own.json"],
        ] {
            assert_eq!(located(words), named, "{words:?}");
        }
        assert_eq!(
            located(&["vscpd", "-c", "own.json"]),
            ["/var/lib/vscp/own.json"]
        );
        assert_eq!(
            located(&["vscpd"]),
            ["/etc/vscp/vscpd.json", "/etc/vscp/vscpd.conf"]
        );
        assert_eq!(located(&["mqttvscpd", "-s"]), ["/etc/vscp/mqttvscpd.json"]);
        assert_eq!(
            located(&["target/vscp-link", "run", "x.json"]),
            ["/var/lib/vscp/x.json"]
        );
        assert_eq!(
            located(&["vscp-link", "run", "--library", "/x.so", "/y.json"]),
            ["/y.json"]
        );
        assert!(located(&["vscp-link", "run"]).is_empty());
        assert!(located(&["cc", "-c", "main.c"]).is_empty());
        assert!(located(&[]).is_empty());
    }
}
