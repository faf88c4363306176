//! What lies below `web-root` everybody can read: none of it may be a secret.

use std::path::{Path, PathBuf};

use super::model::{DaemonEntry, DriverConfig, TlsClient};
use super::report::Report;

/// Refuses a folder that holds the driver's own file, or what that names.
pub(super) fn own(config: &DriverConfig, report: &mut Report) {
    let tls = config.tls.iter();
    let tls = tls.flat_map(|tls| tls.key.iter().chain([&tls.certificate]));
    let log = config.logging.file.iter().map(|file| &file.path);
    let daemon = &config.bridge.vscpd_config;
    let named = config.key_file.iter().chain(&config.path_users).chain(tls);
    let named = named.chain(log).chain(&config.outbox.path).chain(daemon);
    let mut all: Vec<PathBuf> = named.chain(report.secrets()).cloned().collect();
    let brokers = config.mqtt.iter().filter_map(|mqtt| mqtt.tls.as_ref());
    let links = config.links.iter().filter_map(|link| link.tls.as_ref());
    all.extend(brokers.chain(links).flat_map(of_client));
    // Passwords are in it. Where the text itself was given there is no file.
    let own = PathBuf::from(report.file_name());
    all.extend(own.is_file().then_some(own));
    refuse(config, &all, report);
}

/// Refuses a folder that holds the daemon's file, or what its entry names.
pub(super) fn daemons(config: &DriverConfig, entry: &DaemonEntry, report: &mut Report) {
    let mut all = vec![entry.file.clone()];
    let tls = entry.mqtt.iter().filter_map(|mqtt| mqtt.tls.as_ref());
    all.extend(tls.flat_map(of_client));
    refuse(config, &all, report);
}

/// The secret files with which the driver shows somebody else who it is.
fn of_client(tls: &TlsClient) -> Vec<PathBuf> {
    let phrase = tls.pass_phrase.iter().map(|text| PathBuf::from(&**text));
    let phrase = phrase.filter(|path| path.is_absolute());
    tls.key.iter().cloned().chain(phrase).collect()
}

fn refuse(config: &DriverConfig, all: &[PathBuf], report: &mut Report) {
    let Some(web) = &config.websocket else {
        return;
    };
    let Some(root) = &web.web_root else {
        return;
    };
    let whole = real(root);
    for file in all {
        // A link may stand in place of either, or of a folder on the way.
        if file.starts_with(root) || real(file).starts_with(&whole) {
            let (root, file) = (root.display(), file.display());
            report.about_file(format!(
                "web-root {root} holds {file}, which everybody could read: serve another folder"
            ));
        }
    }
}

/// Where a path leads; what is not there yet lies where its folder is.
fn real(path: &Path) -> PathBuf {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let found = whole.ancestors().find_map(|folder| {
        let rest = whole.strip_prefix(folder).ok()?;
        Some(folder.canonicalize().ok()?.join(rest))
    });
    found.unwrap_or(whole)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use tempfile::TempDir;

    use super::super::model::BridgeConfig;
    use super::super::{check_served, find_daemon, load_driver};
    use crate::event::Guid;

    /// `www` is what is served, `etc` is not; `way` leads from one to the other, `back` back.
    fn places() -> (TempDir, String) {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().to_owned();
        for folder in ["www/sub", "etc"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        for key in ["www/key", "etc/key"] {
            fs::write(root.join(key), "0123456789abcdef".repeat(4)).unwrap();
            fs::set_permissions(root.join(key), fs::Permissions::from_mode(0o600)).unwrap();
        }
        symlink("../www/sub", root.join("etc/way")).unwrap();
        symlink("../etc", root.join("www/back")).unwrap();
        symlink("www", root.join("pages")).unwrap();
        symlink("../www/key", root.join("etc/linked")).unwrap();
        let text = root.to_str().unwrap().to_owned();
        (place, text)
    }

    /// A driver file in `etc`, with these members and key file.
    fn file(members: &str, key: &str, root: &str) -> String {
        format!(
            "{{\"key-file\": {key:?}, {members} \"websocket\": {{\"interface\": \"ws://localhost\", \
              \"enable-static\": true, \"web-root\": {root:?}}}}}"
        )
    }

    fn errors(members: &str, key: &str, root: &str) -> Vec<String> {
        let error = match load_driver(&file(members, key, root)) {
            Ok(_) => return Vec::new(),
            Err(error) => error.to_string(),
        };
        error.lines().map(str::to_owned).collect()
    }

    #[test]
    fn what_the_file_names_is_not_served() {
        let (_place, at) = places();
        let good = format!("{at}/etc/key");
        let mqtt = |tls: &str| {
            format!(
                "\"mqtt\": {{\"host\": \"mqtts://x\", \"publish\": [\"a\"], \"tls\": {{\"cafile\": \"/a\", \
                  \"certfile\": \"/c\", {tls}}}}},"
            )
        };
        let link = |more: &str| {
            format!("\"links\": [{{\"host\": \"stcp://x\", \"user\": \"u\", {more}}}],")
        };
        let root = format!("{at}/www");
        for (members, secret) in [
            (format!("\"path-users\": \"{at}/www/u\","), "www/u"),
            (format!("\"path-users\": \"{at}/pages/u\","), "pages/u"),
            (
                format!("\"logging\": {{\"file-path\": \"{at}/etc/way/new/log\"}},"),
                "etc/way/new/log",
            ),
            (
                format!("\"outbox\": {{\"path\": \"{at}/etc/way/box\"}},"),
                "etc/way/box",
            ),
            (mqtt(&format!("\"keyfile\": \"{at}/etc/way/k\"")), "way/k"),
            (
                mqtt(&format!(
                    "\"keyfile\": \"/k\", \"pwkeyfile\": \"{at}/www/phrase\""
                )),
                "www/phrase",
            ),
            (
                format!("\"bridge\": {{\"vscpd-config\": \"{at}/www/vscpd.json\"}},"),
                "www/vscpd.json",
            ),
            (
                link(&format!(
                    "\"tls\": {{\"certfile\": \"/c\", \"keyfile\": \"{at}/www/k\"}}"
                )),
                "www/k",
            ),
            (
                link(&format!("\"password-file\": \"{at}/www/key\"")),
                "www/key",
            ),
            (
                link(&format!(
                    "\"encryption\": \"aes128\", \"key-file\": \"{at}/etc/linked\""
                )),
                "etc/linked",
            ),
        ] {
            let found = errors(&members, &good, &root);
            assert_eq!(found.len(), 1, "{members}: {found:?}");
            let words = format!("{secret}, which everybody could read");
            assert!(found[0].contains(&words), "{found:?}");
            assert_eq!(errors(&members, &good, &format!("{at}/srv")).len(), 0);
        }
        // By whichever way the key and the folder are named.
        for (key, root) in [
            ("www/key", "www"),
            ("etc/linked", "www"),
            ("www/key", "pages"),
            ("pages/key", "www"),
            ("etc/key", "etc/../etc"),
            ("etc/key", "www/back"),
        ] {
            let found = errors("", &format!("{at}/{key}"), &format!("{at}/{root}"));
            assert_eq!(found.len(), 1, "{key}, {root}: {found:?}");
            assert!(found[0].contains("everybody could read"), "{found:?}");
        }
        assert_eq!(errors("", &good, &root).len(), 0);
    }

    #[test]
    fn the_drivers_own_file_is_not_served() {
        let (place, at) = places();
        let text = file("", &format!("{at}/etc/key"), &format!("{at}/pages"));
        for (name, served) in [
            ("etc/link.json", false),
            ("www/link.json", true),
            ("etc/way/.link.json", true),
        ] {
            let path = place.path().join(name);
            fs::write(&path, &text).unwrap();
            let loaded = load_driver(path.to_str().unwrap());
            assert_eq!(loaded.is_err(), served, "{name}: {loaded:?}");
            if let Err(error) = loaded {
                assert!(error.to_string().contains("link.json, which"), "{error}");
            }
        }
    }

    #[test]
    fn the_daemons_file_is_not_served_nor_what_its_entry_names() {
        let (place, at) = places();
        let text = file("", &format!("{at}/etc/key"), &format!("{at}/www"));
        let (config, _) = load_driver(&text).unwrap();
        for (name, key, served) in [
            ("etc/vscpd.json", "etc/k", None),
            ("etc/vscpd.json", "etc/way/k", Some("etc/way/k")),
            ("www/vscpd.json", "etc/k", Some("www/vscpd.json")),
        ] {
            let daemon = format!(
                "{{\"drivers\": {{\"level2\": [{{\"path-config\": \"/d\", \"guid\": \"::1\", \
                  \"mqtt\": {{\"host\": \"mqtts://x\", \"publish\": [\"a\"], \"tls\": \
                  {{\"cafile\": \"/a\", \"certfile\": \"/c\", \"keyfile\": \"{at}/{key}\"}}}}}}]}}}}"
            );
            let path = place.path().join(name);
            fs::write(&path, daemon).unwrap();
            let bridge = BridgeConfig {
                vscpd_config: Some(path),
                ..BridgeConfig::default()
            };
            let guid: Guid = "::1".parse().unwrap();
            let (entry, _) = find_daemon(&bridge, "/d", &guid).unwrap().unwrap();
            match (check_served(&config, &entry), served) {
                (Ok(()), None) => {}
                (Err(error), Some(file)) => {
                    let error = error.to_string();
                    assert!(error.contains(&format!("{file}, which")), "{error}");
                }
                (other, _) => panic!("{name}, {key}: {other:?}"),
            }
        }
    }
}
