//! Changes to a users file that leave everything else in it as it is.
//!
//! The text is not written anew: the value that changes is replaced where it stands, so that the
//! order of keys, their spelling, blanks and unknown members stay. The file is replaced in one
//! step, by one with the same mode and owner.

use std::fs;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::node::Node;
use super::report::Report;
use super::{ConfigError, parse_users, read_file};
use crate::auth::{Credential, RandomError, random};
use crate::event::number::clip;
use crate::os::{self, Lock, Opening, Readers};

/// A file that has no users yet.
const EMPTY: &str = "{\n  \"users\": []\n}\n";

/// Why a users file is not changed.
#[derive(Debug, Error)]
pub enum EditError {
    /// It has errors as it is.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no such user.
    #[error("there is no user {0:?}")]
    Unknown(String),
    /// There is such a user already.
    #[error("there is a user {0:?} already")]
    Known(String),
    /// Somebody else holds its folder's lock.
    #[error(
        "somebody else is changing the file, or holds the lock of its folder: nothing was written"
    )]
    Busy,
    /// Somebody else has changed it since it was read.
    #[error("the file has changed meanwhile: nothing was written")]
    Changed,
    /// It cannot be written.
    #[error("{0} cannot be written")]
    Write(PathBuf, #[source] io::Error),
    /// No name for the new file can be made.
    #[error(transparent)]
    Random(#[from] RandomError),
}

/// A users file that is being changed; nothing is written before [`save`](Self::save).
#[derive(Debug)]
pub struct UsersFile {
    /// Where it really is.
    path: PathBuf,
    /// As it was read; `None` where there is none yet.
    before: Option<String>,
    text: String,
    /// Who may read a new file beside its owner.
    group: Option<u32>,
}

/// Where a user stands in the text.
struct Found {
    whole: Range<usize>,
    password: Option<Range<usize>>,
    rights: Option<Range<usize>>,
}

impl UsersFile {
    /// Reads a users file, which must be without errors.
    ///
    /// # Errors
    /// [`EditError::Config`].
    pub fn open(path: &Path) -> Result<Self, EditError> {
        // A link stays one.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let mut report = Report::new(&path);
        let text = read_file(&path, &mut report).ok_or_else(|| ConfigError::new(report))?;
        parse_users(&text)?;
        Ok(Self {
            path,
            before: Some(text.clone()),
            text,
            group: None,
        })
    }

    /// The same, or a new one without users where there is none.
    ///
    /// # Errors
    /// [`EditError::Config`].
    pub fn open_or_new(path: &Path) -> Result<Self, EditError> {
        if path.exists() {
            return Self::open(path);
        }
        Ok(Self {
            path: target(path),
            before: None,
            text: EMPTY.to_owned(),
            group: None,
        })
    }

    /// Lets a group read the file, if it is a new one; the owner stays the only one who writes it.
    #[must_use]
    pub fn readable_for(mut self, group: Option<u32>) -> Self {
        self.group = group.filter(|_| self.before.is_none());
        self
    }

    /// Another password.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn set_password(&mut self, name: &str, credential: &Credential) -> Result<(), EditError> {
        let found = self.find(name)?;
        let password = found.password.ok_or_else(|| unknown(name))?;
        self.text
            .replace_range(password, &quoted(&credential.to_string()));
        Ok(())
    }

    /// Another password, where the user's is still the one that is known.
    ///
    /// # Errors
    /// [`EditError::Unknown`], and [`EditError::Changed`] where it is another by now.
    pub fn replace_password(
        &mut self,
        name: &str,
        known: &Credential,
        credential: &Credential,
    ) -> Result<(), EditError> {
        let (users, _) = parse_users(&self.text)?;
        let user = users.get(name).ok_or_else(|| unknown(name))?;
        if user.credential != *known {
            return Err(EditError::Changed);
        }
        self.set_password(name, credential)
    }

    /// Other rights: names, with commas between them.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn set_rights(&mut self, name: &str, rights: &str) -> Result<(), EditError> {
        let found = self.find(name)?;
        match (found.rights, found.password) {
            (Some(rights_are), _) => self.text.replace_range(rights_are, &quoted(rights)),
            (None, Some(password)) => {
                let member = format!(", \"rights\": {}", quoted(rights));
                self.text.insert_str(password.end, &member);
            }
            (None, None) => return Err(unknown(name)),
        }
        Ok(())
    }

    /// A further user, the last one of the list.
    ///
    /// # Errors
    /// [`EditError::Known`].
    pub fn add(
        &mut self,
        name: &str,
        credential: &Credential,
        rights: &str,
    ) -> Result<(), EditError> {
        if self.find(name).is_ok() {
            return Err(EditError::Known(clip(name)));
        }
        let user = format!(
            "{{\n      \"name\": {},\n      \"password\": {},\n      \"rights\": {}\n    }}",
            quoted(name),
            quoted(&credential.to_string()),
            quoted(rights)
        );
        let (list, users) = self.list();
        match users.last() {
            Some(last) => self.text.insert_str(last.end, &format!(",\n    {user}")),
            None => self
                .text
                .replace_range(list, &format!("[\n    {user}\n  ]")),
        }
        Ok(())
    }

    /// One user less.
    ///
    /// # Errors
    /// [`EditError::Unknown`].
    pub fn remove(&mut self, name: &str) -> Result<(), EditError> {
        let whole = self.find(name)?.whole;
        let (_, users) = self.list();
        let at = users.iter().position(|user| *user == whole);
        let gone = match at {
            // With the comma before it, or, for the first one, the one behind it.
            Some(at) if at > 0 => users[at - 1].end..whole.end,
            _ => whole.start..users.get(1).map_or(whole.end, |next| next.start),
        };
        self.text.replace_range(gone, "");
        Ok(())
    }

    /// Puts the file in place, with the mode and the owner that it had. Waits so long for others
    /// who do the same.
    ///
    /// # Errors
    /// [`EditError::Changed`] and [`EditError::Busy`], or where it cannot be written; then the old
    /// one is there, whole.
    pub fn save(self, patience: Duration) -> Result<(), EditError> {
        // What is wrong here would keep the driver from starting.
        parse_users(&self.text)?;
        let failed = |error| EditError::Write(self.path.clone(), error);
        let suffix: [u8; 8] = random()?;
        let suffix: String = suffix.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{suffix}"));
        let new = self.path.with_file_name(name);
        let written = self.write(&new);
        if let Err(error) = written {
            let _ = fs::remove_file(&new);
            return Err(failed(error));
        }
        // Others who do the same wait, or are waited for.
        let Some(lock) = locked(&self.path, patience) else {
            let _ = fs::remove_file(&new);
            return Err(EditError::Busy);
        };
        if fs::read_to_string(&self.path).ok() != self.before {
            let _ = fs::remove_file(&new);
            return Err(EditError::Changed);
        }
        os::replace(&new, &self.path).map_err(|error| {
            let _ = fs::remove_file(&new);
            failed(error)
        })?;
        lock.sync();
        Ok(())
    }

    fn write(&self, new: &Path) -> io::Result<()> {
        let mut file = os::open_own(new, Opening::New, Readers::Owner)?;
        if let Ok(old) = fs::metadata(&self.path) {
            os::keep_access(&file, &old)?;
        } else if let Some(group) = self.group {
            os::let_group_read(&file, group)?;
        }
        file.write_all(self.text.as_bytes())?;
        file.sync_all()
    }

    fn find(&self, name: &str) -> Result<Found, EditError> {
        let quiet = &mut Report::default();
        for user in self.users(quiet) {
            let members = user.members(quiet).unwrap_or_default();
            // As the reader of the file chooses: of the names for a key the first that has a
            // value, and of a key that stands there twice the last one.
            let member = |names: [&str; 2]| {
                let of = |name: &str| members.iter().rev().find(|(key, _)| key == name);
                let known = names.into_iter().filter_map(of);
                let mut known = known.filter(|(_, node)| !node.is_null());
                known.next().map(|(_, node)| node.clone())
            };
            let is_named = member(["name", "user"])
                .and_then(|node| node.text(quiet))
                .is_some_and(|found| found.trim() == name);
            if is_named {
                return Ok(Found {
                    whole: user.span(),
                    password: member(["password", "credentials"]).map(|node| node.span()),
                    rights: member(["rights", "rights"]).map(|node| node.span()),
                });
            }
        }
        Err(unknown(name))
    }

    /// Where the list stands, and each user in it.
    fn list(&self) -> (Range<usize>, Vec<Range<usize>>) {
        let quiet = &mut Report::default();
        let list = self.list_node(quiet).map(|node| node.span());
        let users = self.users(quiet).iter().map(Node::span).collect();
        (list.unwrap_or(0..0), users)
    }

    fn list_node(&self, quiet: &mut Report) -> Option<Node<'_>> {
        let members = Node::root(&self.text, quiet)?.members(quiet)?;
        let mut lists = members.into_iter().rev().filter(|(key, _)| key == "users");
        lists.next().map(|(_, node)| node)
    }

    fn users(&self, quiet: &mut Report) -> Vec<Node<'_>> {
        self.list_node(quiet)
            .and_then(|node| node.list(quiet))
            .unwrap_or_default()
    }
}

/// The lock of a file's folder; `None` where somebody else has it all the time.
fn locked(file: &Path, patience: Duration) -> Option<Lock> {
    const PAUSE: Duration = Duration::from_millis(50);
    let end = Instant::now() + patience;
    loop {
        let lock = os::try_lock(file);
        if lock.is_some() || Instant::now() >= end {
            return lock;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Where a new file belongs: a link to what is not there yet stays one.
fn target(path: &Path) -> PathBuf {
    match fs::read_link(path) {
        Ok(target) => path.with_file_name("").join(target),
        Err(_) => path.to_owned(),
    }
}

fn unknown(name: &str) -> EditError {
    EditError::Unknown(clip(name))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    const MD5: &str = "2d1e4f91dae49cd08eaba2293e422273";

    fn credential() -> Credential {
        MD5.parse().unwrap()
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("users.json");
        fs::write(&path, text).unwrap();
        (place, path)
    }

    const TWO: &str = "{ \"users\" : [\n\t{\"user\":\"a\", \"credentials\": \
                       \"5ebe2294ecd0e0f08eab7690d2a6ee69\", \"note\" : \"\\u00e5\"} ,\n\
                       \t{\"name\":\"b\",\"password\":\"5ebe2294ecd0e0f08eab7690d2a6ee69\",\
                       \"rights\": [\"user\"]}\n] }\n";

    fn edited(text: &str, edit: impl FnOnce(&mut UsersFile)) -> String {
        let (_place, path) = file(text);
        let mut users = UsersFile::open(&path).unwrap();
        edit(&mut users);
        users.save(Duration::ZERO).unwrap();
        fs::read_to_string(path).unwrap()
    }

    #[test]
    fn a_password_that_is_another_by_now_is_not_replaced() {
        let other = "5ebe2294ecd0e0f08eab7690d2a6ee69".parse().unwrap();
        let (_place, path) = file(TWO);
        let mut users = UsersFile::open(&path).unwrap();
        let refused = users.replace_password("a", &credential(), &credential());
        assert!(matches!(refused, Err(EditError::Changed)));
        assert!(matches!(
            users.replace_password("c", &other, &credential()),
            Err(EditError::Unknown(_))
        ));
        assert_eq!(users.text, TWO);
        users.replace_password("a", &other, &credential()).unwrap();
        assert_ne!(users.text, TWO);
    }

    #[test]
    fn the_value_that_counts_is_the_one_that_changes() {
        let text = "{\"users\": [{\"user\": null, \"name\": \"a\", \"password\": null, \
                    \"credentials\": \"5ebe2294ecd0e0f08eab7690d2a6ee69\"}, {\"user\": \"x\", \
                    \"name\": \"b\", \"credentials\": \"5ebe2294ecd0e0f08eab7690d2a6ee69\", \
                    \"password\": \"5ebe2294ecd0e0f08eab7690d2a6ee69\"}]}";
        for name in ["a", "b"] {
            let text = edited(text, |users| {
                users.set_password(name, &credential()).unwrap();
            });
            let (users, _) = parse_users(&text).unwrap();
            assert_eq!(users.get(name).unwrap().credential, credential(), "{text}");
        }
        assert!(parse_users(&edited(text, |users| users.remove("b").unwrap())).is_ok());
    }

    #[test]
    fn a_folder_that_nobody_may_read_is_no_hindrance() {
        let (place, path) = file(TWO);
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o300)).unwrap();
        let mut users = UsersFile::open(&path).unwrap();
        users.set_rights("a", "admin").unwrap();
        users.save(Duration::ZERO).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn who_holds_the_lock_holds_nobody_up() {
        let (place, path) = file(TWO);
        let folder = File::open(place.path()).unwrap();
        folder.lock_shared().unwrap();
        let mut users = UsersFile::open(&path).unwrap();
        users.set_rights("a", "admin").unwrap();
        let refused = users.save(Duration::from_millis(120));
        assert!(matches!(refused, Err(EditError::Busy)), "{refused:?}");
        assert_eq!(fs::read_to_string(&path).unwrap(), TWO);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_link_to_nothing_yet_stays_a_link() {
        let place = tempfile::tempdir().unwrap();
        let link = place.path().join("link");
        std::os::unix::fs::symlink("users.json", &link).unwrap();
        let mut users = UsersFile::open_or_new(&link).unwrap();
        users.add("a", &credential(), "user").unwrap();
        users.save(Duration::ZERO).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(UsersFile::open(&link).unwrap().find("a").is_ok());
    }

    #[test]
    fn only_what_changes_changes() {
        let passed = edited(TWO, |users| users.set_password("a", &credential()).unwrap());
        let old = "5ebe2294ecd0e0f08eab7690d2a6ee69";
        assert_eq!(passed, TWO.replacen(old, MD5, 1));
        let rights = edited(TWO, |users| users.set_rights("b", "admin").unwrap());
        assert_eq!(rights, TWO.replace("[\"user\"]", "\"admin\""));
        let rights = edited(TWO, |users| users.set_rights("a", "admin").unwrap());
        let new = format!("{old}\", \"rights\": \"admin\", \"note\"");
        assert_eq!(rights, TWO.replace(&format!("{old}\", \"note\""), &new));
    }

    #[test]
    fn users_come_and_go() {
        let none = edited(TWO, |users| {
            users.remove("a").unwrap();
            users.remove("b").unwrap();
            assert!(matches!(users.remove("b"), Err(EditError::Unknown(_))));
        });
        assert_eq!(parse_users(&none).unwrap().0.len(), 0);
        for name in ["a", "b"] {
            let one = edited(TWO, |users| users.remove(name).unwrap());
            let (users, _) = parse_users(&one).unwrap();
            assert!(users.get(name).is_none() && users.len() == 1, "{one}");
        }
        for before in [TWO, EMPTY, "{\"users\":[]}"] {
            let more = edited(before, |users| {
                users.add("c \"d\"", &credential(), "user").unwrap();
                users.add("e", &credential(), "admin").unwrap();
                let again = users.add("e", &credential(), "admin");
                assert!(matches!(again, Err(EditError::Known(_))));
            });
            let (users, _) = parse_users(&more).unwrap();
            assert!(users.get("c \"d\"").is_some() && users.get("e").is_some());
        }
    }

    #[test]
    fn mode_and_links_stay_and_nobody_elses_change_is_lost() {
        let (place, path) = file(TWO);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let link = place.path().join("link.json");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut users = UsersFile::open(&link).unwrap();
        users.remove("a").unwrap();
        users.save(Duration::ZERO).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        let mut users = UsersFile::open(&path).unwrap();
        users.remove("b").unwrap();
        fs::write(&path, TWO).unwrap();
        assert!(matches!(
            users.save(Duration::ZERO),
            Err(EditError::Changed)
        ));
        assert_eq!(fs::read_to_string(&path).unwrap(), TWO);
        assert_eq!(
            fs::read_dir(place.path()).unwrap().count(),
            2,
            "nothing is left behind"
        );
        let new = place.path().join("new.json");
        let mut users = UsersFile::open_or_new(&new).unwrap();
        users.add("a", &credential(), "user").unwrap();
        users.save(Duration::ZERO).unwrap();
        assert_eq!(fs::metadata(&new).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_group_may_read_a_new_file_and_no_old_one() {
        let (place, path) = file(TWO);
        let group = fs::metadata(&path).unwrap().gid();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let new = place.path().join("new.json");
        for path in [&path, &new] {
            let users = UsersFile::open_or_new(path).unwrap();
            let mut users = users.readable_for(Some(group));
            users.add("c", &credential(), "user").unwrap();
            users.save(Duration::ZERO).unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(&path), mode(&new)), (0o600, 0o640));
    }
}
