//! What a session asks for, done: logins, events, queues, and what is known of the driver.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::{Context, Control};
use crate::auth::{Refused, User};
use crate::event::EventTime;
use crate::hub::{Channel, Client, SharedEvent, SubmitError};
use crate::os::now;
use crate::wire::link::reply::{self, InterfaceRow};
use crate::wire::link::{Identity, Request, Session};

/// A reply of RETR that is longer than this is written in parts.
const PART: usize = 256 * 1024;

/// What is to be done after a request.
pub(super) enum Next {
    /// The next line.
    GoOn,
    /// Write, then call [`Performer::more`] until it has no more.
    More,
    /// Write and close.
    Close,
    /// Write, then tell the driver.
    Tell(Control),
}

/// Does what one client's session asks for.
pub(super) struct Performer {
    context: Arc<Context>,
    peer: SocketAddr,
    channel: Option<Arc<Channel>>,
    /// Events of a RETR that are not printed yet, and whether all that were asked for came.
    retrieved: Vec<Arc<SharedEvent>>,
    complete: bool,
    /// Events were taken that may not be safe yet.
    unsecured: bool,
}

impl Performer {
    pub(super) fn new(context: Arc<Context>, peer: SocketAddr) -> Self {
        Self {
            context,
            peer,
            channel: None,
            retrieved: Vec::new(),
            complete: true,
            unsecured: false,
        }
    }

    /// Waits until what was answered with `+OK` is as safe as that says; false where it cannot be.
    pub(super) async fn secured(&mut self) -> bool {
        !std::mem::take(&mut self.unsecured) || self.context.hub.secured().await
    }

    pub(super) fn channel(&self) -> Option<&Arc<Channel>> {
        self.channel.as_ref()
    }

    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Does one thing and appends the answer to `out`.
    pub(super) async fn perform(
        &mut self,
        request: Request,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        let request = match request {
            Request::Close => return Next::Close,
            Request::Login { user, password } => {
                return self.log_in(user, password, session, out).await;
            }
            Request::Challenge => {
                challenge(out);
                return Next::GoOn;
            }
            Request::Capabilities => {
                let capabilities = self.context.capabilities.text();
                say(out, &format!("{capabilities}\r\n{}", reply::SUCCESS));
                return Next::GoOn;
            }
            Request::Restart => return self.restart(out).await,
            Request::Shutdown => {
                tracing::warn!(client = %self.peer, "SHUTDOWN: the driver stops serving");
                say(out, reply::SUCCESS);
                return Next::Tell(Control::Shutdown);
            }
            request => request,
        };
        match &self.channel {
            Some(channel) => {
                let channel = Arc::clone(channel);
                self.with_channel(&channel, request, out)
            }
            // A session makes no such request before its login.
            None => {
                say(out, reply::NEED_LOGIN);
                Next::GoOn
            }
        }
    }

    fn with_channel(
        &mut self,
        channel: &Arc<Channel>,
        request: Request,
        out: &mut Vec<u8>,
    ) -> Next {
        match request {
            Request::Submit(event) => match self.context.hub.submit(channel, event) {
                Ok(()) => {
                    self.unsecured = true;
                    say(out, reply::SUCCESS);
                }
                Err(SubmitError::Full) => say(out, reply::BUFFER_FULL),
                Err(SubmitError::Unbearable) => say(out, reply::PARAMETER),
            },
            Request::Retrieve(count) => return self.retrieve(channel, count, out),
            Request::Count => {
                say(
                    out,
                    &format!("{}\r\n{}", channel.queue().len(), reply::SUCCESS),
                );
            }
            Request::Clear => channel.queue().clear(),
            Request::Stat => {
                let counters = channel.counters();
                let [overruns, in_bytes, in_events, out_bytes, out_events] = [
                    &counters.overruns,
                    &counters.received_bytes,
                    &counters.received,
                    &counters.transmitted_bytes,
                    &counters.transmitted,
                ]
                .map(|counter| counter.load(Ordering::Relaxed));
                let line =
                    format!("0,0,{overruns},{in_bytes},{in_events},{out_bytes},{out_events}");
                say(out, &format!("{line}\r\n{}", reply::SUCCESS));
            }
            Request::Info => {
                let down = self
                    .context
                    .hub
                    .uplinks()
                    .iter()
                    .any(|uplink| !uplink.status().up);
                say(out, &channel.last_error().line(u32::from(down)));
                say(out, reply::SUCCESS);
            }
            Request::SetGuid(guid) => channel.set_guid(guid),
            Request::SetFilter(filter) => channel.set_filter(filter),
            Request::Mistake(text) => channel.mistake(text),
            Request::Interfaces => self.list_interfaces(out),
            Request::CloseInterface(guid) => {
                let channels = self.context.hub.channels();
                match channels
                    .iter()
                    .find(|channel| channel.guid().same_interface(&guid))
                {
                    Some(found) if found.id() == channel.id() => {
                        say(out, reply::SUCCESS);
                        return Next::Close;
                    }
                    Some(found) => {
                        tracing::info!(
                            client = %self.peer, ended = %found.peer(), "INTERFACE CLOSE"
                        );
                        found.ended().cancel();
                        say(out, reply::SUCCESS);
                    }
                    None => say(out, reply::NO_INTERFACE),
                }
            }
            Request::Test => self.test(channel, out),
            // Done before a channel is asked for.
            Request::Close
            | Request::Login { .. }
            | Request::Challenge
            | Request::Capabilities
            | Request::Restart
            | Request::Shutdown => {}
        }
        Next::GoOn
    }

    fn retrieve(&mut self, channel: &Channel, count: Option<usize>, out: &mut Vec<u8>) -> Next {
        channel
            .queue()
            .take(count.unwrap_or(usize::MAX), &mut self.retrieved);
        channel.transmitted(&self.retrieved);
        self.complete = match count {
            Some(count) => self.retrieved.len() == count,
            None => !self.retrieved.is_empty(),
        };
        self.retrieved.reverse();
        if self.more(out) {
            Next::More
        } else {
            Next::GoOn
        }
    }

    /// Prints the next part of a RETR; true where another follows.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> bool {
        while let Some(event) = self.retrieved.pop() {
            out.extend_from_slice(&event.line(self.context.event_format));
            if out.len() >= PART && !self.retrieved.is_empty() {
                return true;
            }
        }
        self.retrieved.shrink_to(64);
        say(
            out,
            if self.complete {
                reply::SUCCESS
            } else {
                reply::NO_EVENT
            },
        );
        false
    }

    async fn log_in(
        &mut self,
        name: String,
        password: Zeroizing<String>,
        session: &mut Session,
        out: &mut Vec<u8>,
    ) -> Next {
        let user = match self.verify(name.clone(), password).await {
            Ok(user) => user,
            Err(refused) => {
                tokio::time::sleep(self.slow_down(&name)).await;
                tracing::warn!(
                    client = %self.peer, user = %name, reason = %refused, "login refused"
                );
                say(out, reply::BAD_LOGIN);
                return Next::Close;
            }
        };
        let client = Client {
            user: Arc::clone(&user),
            peer: self.peer.to_string(),
            now: now(),
        };
        match self.context.hub.attach(client) {
            Ok(channel) => {
                self.throttle().success(self.peer.ip(), &name);
                tracing::info!(
                    client = %self.peer, user = %name, channel = channel.id(), "logged in"
                );
                session.log_in(Identity {
                    user,
                    channel: channel.id(),
                    guid: channel.guid(),
                });
                self.channel = Some(channel);
                say(out, reply::SUCCESS);
                Next::GoOn
            }
            Err(error) => {
                tracing::warn!(client = %self.peer, user = %name, "login refused: {error}");
                say(out, reply::TOO_MANY);
                Next::Close
            }
        }
    }

    /// Checks a password off the network threads.
    async fn verify(
        &self,
        name: String,
        password: Zeroizing<String>,
    ) -> Result<Arc<User>, LoginError> {
        // The semaphore is never closed.
        let _turn = self.context.checks.acquire().await;
        let context = Arc::clone(&self.context);
        let address = self.peer.ip();
        let check = move || {
            context.verifier.authenticate(
                &context.users,
                &name,
                &password,
                address,
                &context.remotes,
            )
        };
        match tokio::task::spawn_blocking(check).await {
            Ok(verdict) => verdict.map_err(LoginError::Refused),
            Err(_) => Err(LoginError::Broken),
        }
    }

    /// Takes note of a failed login; gives how long the answer to it waits. Right logins never
    /// wait: somebody else's guessing must not keep them out.
    fn slow_down(&self, name: &str) -> Duration {
        let (address, now) = (self.peer.ip(), Instant::now());
        let mut throttle = self.throttle();
        throttle.failure(address, name, now);
        throttle.delay(address, name, now)
    }

    fn throttle(&self) -> std::sync::MutexGuard<'_, crate::auth::Throttle> {
        self.context
            .throttle
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn list_interfaces(&self, out: &mut Vec<u8>) {
        for channel in self.context.hub.channels().iter() {
            let mut started = Vec::new();
            EventTime::Unix {
                nanos: channel.started(),
            }
            .write_date(&mut started);
            let row = InterfaceRow {
                id: channel.id(),
                guid: channel.guid(),
                peer: channel.peer().to_owned(),
                // Clients take the last nineteen characters of the row: there is no Z.
                started: String::from_utf8_lossy(&started)
                    .trim_end_matches('Z')
                    .to_owned(),
            };
            say(out, &row.text());
        }
        say(out, reply::SUCCESS);
    }

    /// TEST: is the hub whole, are the uplinks up, does the clock tell a time?
    fn test(&self, channel: &Channel, out: &mut Vec<u8>) {
        let hub = &self.context.hub;
        let mut report = String::new();
        let mut well = true;
        let mut check = |name: &str, good: bool, detail: String| {
            well &= good;
            let verdict = if good { "passed" } else { "failed" };
            let detail: String = detail
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let _ = write!(report, "{name}: {verdict}, {detail}\r\n");
        };
        let channels = hub.channels();
        let known = channels.iter().any(|one| one.id() == channel.id());
        check("hub", known, format!("{} channels", channels.len()));
        for uplink in hub.uplinks().iter() {
            let status = uplink.status();
            let mut detail = format!(
                "{} events wait, {} delivered, {} refused, {} rejected",
                status.waiting, status.delivered, status.refused, status.rejected
            );
            if !status.trouble.is_empty() {
                let _ = write!(detail, ", last trouble: {}", status.trouble);
            }
            check(&format!("uplink {}", uplink.name()), status.up, detail);
        }
        let time = now();
        let mut date = Vec::new();
        EventTime::Unix { nanos: time }.write_date(&mut date);
        // Before 2024 this program did not exist.
        let sane = time > 1_704_067_200_000_000_000;
        check("clock", sane, String::from_utf8_lossy(&date).into_owned());
        say(out, &report.replace("+OK", "OK").replace("-OK", "OK"));
        say(
            out,
            if well {
                reply::SUCCESS
            } else {
                reply::INTERNAL
            },
        );
    }

    async fn restart(&self, out: &mut Vec<u8>) -> Next {
        let (answer, answered) = oneshot::channel();
        let asked = self
            .context
            .control
            .send(Control::CheckRestart(answer))
            .await;
        if asked.is_ok() && answered.await == Ok(true) {
            tracing::warn!(client = %self.peer, "RESTART: the driver starts again");
            say(out, reply::SUCCESS);
            return Next::Tell(Control::Restart);
        }
        tracing::error!(client = %self.peer, "RESTART refused: the configuration has errors");
        say(out, reply::INTERNAL);
        Next::GoOn
    }
}

impl Drop for Performer {
    fn drop(&mut self) {
        if let Some(channel) = &self.channel {
            self.context.hub.detach(channel.id());
            tracing::info!(
                client = %self.peer,
                user = %channel.user().name,
                channel = channel.id(),
                received = channel.counters().received.load(Ordering::Relaxed),
                transmitted = channel.counters().transmitted.load(Ordering::Relaxed),
                overruns = channel.counters().overruns.load(Ordering::Relaxed),
                "logged out"
            );
        }
    }
}

/// Why a login failed; for the log alone.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error(transparent)]
    Refused(Refused),
    #[error("the check broke off")]
    Broken,
}

/// A fresh session id: 128 random bits.
fn challenge(out: &mut Vec<u8>) {
    let mut sid = [0; 16];
    if getrandom::fill(&mut sid).is_err() {
        return say(out, reply::NO_SID);
    }
    let digits: String = sid.iter().map(|byte| format!("{byte:02x}")).collect();
    say(out, &format!("+OK - {digits}\r\n"));
}

fn say(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}
