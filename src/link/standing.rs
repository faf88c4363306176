//! What waits for links of other drivers of this kind, whether or not they are here.
//!
//! A link is known by its user and its name. It has a channel of its own at the hub, which outlives
//! its sessions, and a [`Backlog`] that numbers what it is sent and remembers what it has sent.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use sha2::{Digest, Sha256};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::auth::{RandomError, User, UserTable, random};
use crate::backlog::spool::{LAST_WRITE, Spool, SpoolError};
use crate::backlog::{Backlog, Left};
use crate::error::with_causes;
use crate::hub::{AttachError, Channel, Client, Hub, Kind};
use crate::os::now;

/// Links that are remembered.
const MOST: usize = 64;
/// Those of one user; with one more, the one of them that has been away longest is forgotten.
const MOST_OF_A_USER: usize = 8;
/// Why what waits is dropped.
const GONE: &str = "its user is gone";

/// All of them.
#[derive(Debug)]
pub struct Standings {
    hub: Arc<Hub>,
    place: RwLock<Place>,
    entries: Mutex<Vec<Arc<Standing>>>,
    stop: CancellationToken,
}

/// Where what waits is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The folder; in memory alone without one.
    pub folder: Option<PathBuf>,
    /// What is written is on the disk, not only with the system.
    pub sync: bool,
}

/// What waited for a link.
#[derive(Clone, Debug)]
pub struct Waited {
    user: String,
    name: String,
    /// In memory.
    left: Option<Left>,
    /// On the disk.
    folder: Option<PathBuf>,
}

/// What waits for one link.
#[derive(Debug)]
pub struct Standing {
    user: String,
    name: String,
    channel: Arc<Channel>,
    backlog: Backlog,
    /// Of the session that it is served by; a new one ends the one before.
    session: Mutex<CancellationToken>,
    /// Of the session that sends; held while an event of it is taken.
    sender: Mutex<CancellationToken>,
    /// Since when it is away.
    away: Mutex<Option<Instant>>,
}

/// What waits for one link in another folder than its own.
#[derive(Debug)]
pub struct Elsewhere {
    standing: Arc<Standing>,
    folder: PathBuf,
}

impl Elsewhere {
    /// It goes along.
    pub async fn fetch(self) {
        let Self { standing, folder } = self;
        match standing.backlog.take_over(&folder).await {
            Ok(events) => standing.say_moved(events, &folder),
            Err(error) => standing.say_left(&folder, &error),
        }
        standing.listen_if_wanted();
    }
}

/// Why a link cannot be remembered.
#[derive(Debug, Error)]
pub enum StandingError {
    /// There is no channel for it.
    #[error(transparent)]
    Attach(#[from] AttachError),
    /// Its folder cannot be used.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// No number for its queue.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// All that are remembered are here.
    #[error("the user has {MOST_OF_A_USER} links here, or all users have {MOST}")]
    Full,
}

impl Standings {
    /// None yet. What works for them ends with `stop`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, place: Place, stop: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            hub,
            place: RwLock::new(place),
            entries: Mutex::default(),
            stop,
        })
    }

    /// Those that waited, and those that are on the disk, whose users there are still. Gives those
    /// of which something waits in another folder.
    #[must_use]
    pub fn restore(self: &Arc<Self>, users: &UserTable, waited: Vec<Waited>) -> Vec<Elsewhere> {
        let mut elsewhere = Vec::new();
        for Waited {
            user,
            name,
            left,
            folder,
        } in waited
        {
            let here = self.folder_of(&user, &name);
            let folder = folder.filter(|folder| here.as_ref() != Some(folder));
            if left.is_none() && folder.is_none() {
                // It is found below.
                continue;
            }
            let opened = users.get(&user).map(|user| self.open(user, &name));
            match opened {
                Some(Ok(standing)) => {
                    if let Some(left) = left {
                        standing.put_back(left);
                    }
                    elsewhere.extend(folder.map(|folder| Elsewhere { standing, folder }));
                }
                Some(Err(error)) => cannot_be_had(&name, &error),
                None => {
                    let events = left.map_or(0, |left| left.len());
                    is_dropped(&user, &name, events, GONE);
                    folder.iter().for_each(|folder| remove(folder));
                }
            }
        }
        self.find(users);
        elsewhere
    }

    /// Those that are on the disk and not here.
    fn find(self: &Arc<Self>, users: &UserTable) {
        let Some(folder) = self.place().folder else {
            return;
        };
        let here: Vec<PathBuf> = self
            .entries()
            .iter()
            .filter_map(|one| one.folder())
            .collect();
        let folders = fs::read_dir(folder).into_iter().flatten().flatten();
        for path in folders
            .map(|entry| entry.path())
            .filter(|path| path.is_dir() && !here.contains(path))
        {
            let (who, events) = match Backlog::whose(&path) {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!(
                        "what waits for a link cannot be read: {}",
                        with_causes(&error)
                    );
                    continue;
                }
            };
            let Some((user, name)) = who.split_once('\0') else {
                continue;
            };
            let Some(user) = users.get(user) else {
                is_dropped(user, name, events, GONE);
                remove(&path);
                continue;
            };
            match self.open(user, name) {
                Ok(standing) => tracing::info!(
                    user = %user.name,
                    link = name,
                    events = standing.backlog.len(),
                    "what waits for a link is there again"
                ),
                Err(error) => cannot_be_had(name, &error),
            }
        }
    }

    /// Whether what waits can be kept there, as far as that can be seen.
    ///
    /// # Errors
    /// [`StandingError`].
    pub fn check(&self, place: &Place) -> Result<(), StandingError> {
        for standing in self.entries().iter().filter(|one| !one.is_at(place)) {
            if let Some(folder) = &place.folder {
                Spool::check(&folder_of(folder, &standing.user, &standing.name))?;
            }
        }
        Ok(())
    }

    /// True where all is kept there.
    pub fn are_at(&self, place: &Place) -> bool {
        self.entries().iter().all(|one| one.is_at(place))
    }

    /// From now on what waits is kept there; it goes along, and links do not notice. Until `abort`.
    ///
    /// # Errors
    /// [`StandingError`] where one stays where it is.
    pub async fn change(
        self: &Arc<Self>,
        place: Place,
        users: &UserTable,
        abort: &CancellationToken,
    ) -> Result<(), StandingError> {
        let before = std::mem::replace(
            &mut *self.place.write().unwrap_or_else(PoisonError::into_inner),
            place.clone(),
        );
        let all = self.entries().clone();
        let mut failed = Ok(());
        for standing in all.iter().filter(|one| !one.is_at(&place)) {
            let moved = tokio::select! {
                moved = standing.move_to(&place) => moved,
                // A disk that takes its time does not hold up the end.
                () = abort.cancelled() => return Ok(()),
            };
            if !self.entries().iter().any(|one| Arc::ptr_eq(one, standing)) {
                // It has been forgotten meanwhile.
                standing.remove();
            }
            failed = failed.and(moved);
        }
        if before.folder != place.folder {
            self.find(users);
        }
        failed
    }

    /// What waits for the link of this name, of this user.
    ///
    /// # Errors
    /// [`StandingError`].
    pub fn open(
        self: &Arc<Self>,
        user: &Arc<User>,
        name: &str,
    ) -> Result<Arc<Standing>, StandingError> {
        let mut entries = self.entries();
        let same = |one: &&Arc<Standing>| one.user == user.name && one.name == name;
        if let Some(known) = entries.iter().find(same) {
            return Ok(Arc::clone(known));
        }
        let own = |one: &Standing| one.user == user.name;
        let of_the_user = entries.iter().filter(|one| own(one)).count();
        if of_the_user >= MOST_OF_A_USER || entries.len() >= MOST {
            // Nobody loses anything by what somebody else does.
            let away = |one: &Standing| one.away().map(|since| since.elapsed());
            let longest = (0..entries.len())
                .filter(|&at| own(&entries[at]) && away(&entries[at]).is_some())
                .max_by_key(|&at| away(&entries[at]))
                .ok_or(StandingError::Full)?;
            let gone = entries.remove(longest);
            self.forget(&gone, "the user has too many");
        }
        let queue = u64::from_ne_bytes(random()?);
        let backlog = match self.folder_of(&user.name, name) {
            Some(folder) => {
                let who = who(&user.name, name);
                Backlog::on_disk(&folder, self.place().sync, &who, queue)?
            }
            None => Backlog::in_memory(queue),
        };
        let client = Client {
            user: Arc::clone(user),
            kind: Kind::Standing,
            peer: format!("link {name} of {}", user.name),
            now: now(),
        };
        let channel = self.hub.attach(client)?;
        if !backlog.is_wanted() {
            // It only sends: nobody would ever fetch what waits.
            channel.stop_listening();
        }
        let who = who(&user.name, name);
        channel.join(&who);
        let standing = Arc::new(Standing {
            user: user.name.clone(),
            name: name.to_owned(),
            channel,
            backlog,
            session: Mutex::new(ended()),
            sender: Mutex::new(ended()),
            away: Mutex::new(Some(Instant::now())),
        });
        entries.push(Arc::clone(&standing));
        tokio::spawn(Arc::clone(self).keep(Arc::clone(&standing)));
        Ok(standing)
    }

    /// Moves what comes for a link to where it is numbered, until its user is gone.
    async fn keep(self: Arc<Self>, standing: Arc<Standing>) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = standing.channel.ended().cancelled() => {
                let known = {
                    let mut entries = self.entries();
                    let before = entries.len();
                    entries.retain(|one| !Arc::ptr_eq(one, &standing));
                    entries.len() < before
                };
                // Else it has been forgotten already, and somebody else may have its channel's id.
                if known {
                    self.forget(&standing, GONE);
                }
            }
            never = standing.backlog.follow(standing.channel.queue()) => match never {},
        }
    }

    fn forget(&self, gone: &Standing, why: &str) {
        is_dropped(&gone.user, &gone.name, gone.backlog.len(), why);
        self.hub.detach(gone.channel.id());
        gone.session().cancel();
        // Nothing is taken any more that nobody would remember.
        gone.taking().cancel();
        gone.channel.ended().cancel();
        gone.remove();
    }

    /// Writes what waits, and gives what waits in memory. Nothing comes any more.
    pub fn close(&self) -> Vec<Waited> {
        let entries = std::mem::take(&mut *self.entries());
        // All disks at the same time.
        for standing in &entries {
            self.hub.detach(standing.channel.id());
            standing.backlog.take_rest(standing.channel.queue());
            standing.backlog.begin_close();
        }
        let deadline = Instant::now() + LAST_WRITE;
        let mut waited = Vec::new();
        for standing in entries {
            let (left, on_disk) = (standing.backlog.len(), standing.backlog.is_on_disk());
            if left > 0 {
                tracing::info!(
                    user = standing.user,
                    link = standing.name,
                    events = left,
                    "events {} a link",
                    if on_disk {
                        "wait on disk for"
                    } else {
                        "had not reached"
                    }
                );
            }
            waited.push(Waited {
                user: standing.user.clone(),
                name: standing.name.clone(),
                left: (!on_disk).then(|| standing.backlog.take_all()),
                folder: standing.folder(),
            });
            standing.backlog.close_until(deadline);
        }
        waited
    }

    fn folder_of(&self, user: &str, name: &str) -> Option<PathBuf> {
        let folder = self.place().folder?;
        Some(folder_of(&folder, user, name))
    }

    fn place(&self) -> Place {
        let place = self.place.read();
        place.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn entries(&self) -> MutexGuard<'_, Vec<Arc<Standing>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a link is called, beside all others.
fn who(user: &str, name: &str) -> String {
    format!("{user}\0{name}")
}

/// A folder for each link. Names that look alike there differ by their hash.
fn folder_of(folder: &Path, user: &str, name: &str) -> PathBuf {
    let plain = |text: &str| {
        let keep = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        text.replace(|c| !keep(c), "_")
            .chars()
            .take(40)
            .collect::<String>()
    };
    let digest = Sha256::digest(who(user, name));
    let hash: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    folder.join(format!("{}-{}-{hash}", plain(user), plain(name)))
}

impl Standing {
    /// What waits, and how far the link was heard.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Its channel.
    #[must_use]
    pub fn channel(&self) -> &Arc<Channel> {
        &self.channel
    }

    /// Another session belongs to the link.
    pub fn join(&self, channel: &Channel) {
        channel.join(&who(&self.user, &self.name));
    }

    fn folder(&self) -> Option<PathBuf> {
        self.backlog.place().map(|(folder, _)| folder)
    }

    fn is_at(&self, place: &Place) -> bool {
        let folder = place.folder.as_deref();
        let folder = folder.map(|folder| folder_of(folder, &self.user, &self.name));
        self.backlog.place() == folder.map(|folder| (folder, place.sync))
    }

    async fn move_to(&self, place: &Place) -> Result<(), StandingError> {
        let before = self.folder();
        let folder = place.folder.as_deref();
        let folder = folder.map(|folder| folder_of(folder, &self.user, &self.name));
        let new = folder.as_deref().map(|folder| (folder, place.sync));
        let moved = self
            .backlog
            .move_to(new, &who(&self.user, &self.name))
            .await;
        match (moved, before) {
            (Ok(events), Some(before)) if folder.as_ref() != Some(&before) => {
                self.say_moved(events, &before);
            }
            (Ok(_), _) => {}
            (Err(error), Some(before)) if self.is_at(place) => self.say_left(&before, &error),
            (Err(error), _) => return Err(error.into()),
        }
        Ok(())
    }

    fn say_moved(&self, events: usize, from: &Path) {
        let (user, link, from) = (&self.user, &self.name, from.display());
        tracing::info!(user, link, events, "what waited in {from} goes along");
    }

    fn say_left(&self, folder: &Path, error: &SpoolError) {
        let (user, link, folder) = (&self.user, &self.name, folder.display());
        tracing::warn!(
            user,
            link,
            "events stay in {folder}: {}",
            with_causes(error)
        );
    }

    /// Nothing of it is left.
    fn remove(&self) {
        self.backlog.close();
        if let Some(folder) = self.folder() {
            remove(&folder);
        }
    }

    fn put_back(&self, left: Left) {
        self.backlog.put_back(left);
        self.listen_if_wanted();
    }

    fn listen_if_wanted(&self) {
        if self.backlog.is_wanted() {
            self.channel.listen();
        }
    }

    /// The link receives from now on, and what comes while it is away waits for it.
    pub fn want(&self) {
        self.backlog.want();
        self.channel.listen();
    }

    /// The link is here: the session that it was served by before ends. Gives what ends this one.
    #[must_use]
    pub fn arrive(&self) -> CancellationToken {
        let token = CancellationToken::new();
        let before = std::mem::replace(&mut *self.session(), token.clone());
        before.cancel();
        *self.away() = None;
        token
    }

    /// The link sends from here on: what a session before this one has sent and was not taken yet
    /// never is. Gives what says so to this one.
    #[must_use]
    pub fn send(&self) -> CancellationToken {
        let token = CancellationToken::new();
        std::mem::replace(&mut *self.taking(), token.clone()).cancel();
        *self.away() = None;
        token
    }

    /// Held while an event of the link's is taken.
    pub fn taking(&self) -> MutexGuard<'_, CancellationToken> {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session that has this token has ended.
    pub fn leave(&self, token: &CancellationToken) {
        token.cancel();
        // Unless another one is here, or has come.
        let gone = self.session().is_cancelled() && self.taking().is_cancelled();
        let mut away = self.away();
        if gone && away.is_none() {
            *away = Some(Instant::now());
        }
    }

    fn session(&self) -> MutexGuard<'_, CancellationToken> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of a session that there is not.
fn ended() -> CancellationToken {
    let token = CancellationToken::new();
    token.cancel();
    token
}

fn is_dropped(user: &str, link: &str, events: usize, why: &str) {
    tracing::warn!(
        user,
        link,
        events,
        "what waits for a link is dropped: {why}"
    );
}

fn cannot_be_had(link: &str, error: &StandingError) {
    tracing::error!(
        link,
        "what waits for a link cannot be had: {}",
        with_causes(error)
    );
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!("{} cannot be removed: {error}", folder.display());
    }
}
