//! A source at work: what is written is prepared in batches, and what is answered is counted, many
//! at a time.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::flow::Flow;
use super::input::{Input, TooLong};
use super::mqtt::{BrokerError, PUBACK};
use super::pace::Pacer;
use super::replies::Counted;
use super::source::{Answers, Counts, Limits, Source};
use super::stamps::Stamps;
use super::template::Template;
use super::wire::{BenchError, Wire};
use crate::client::ClientError;
use crate::failure::printable;

/// Events that are written at once.
const BATCH: u64 = 512;
/// Bytes of answers that are read at once.
const ANSWERS: usize = 64 * 1024;
/// How long a server that has no room is left alone.
const PAUSE: Duration = Duration::from_millis(10);
/// For the last word.
const GOODBYE: Duration = Duration::from_millis(200);
/// Packets under way have 65535 names.
const NAMES: u64 = 60_000;
/// What a refusal says that is worth another try.
const FULL: &str = "Buffer Full";

impl Source {
    /// Sends until the limits are reached and all is answered, or it is told to stop.
    ///
    /// # Errors
    /// Where the connection ends, nothing is answered for too long, or nothing is taken at all.
    pub(super) async fn run(
        self,
        limits: Limits,
        counts: &Counts,
        stamps: &RefCell<Stamps>,
        flows: &[Rc<Flow>],
        stop: &CancellationToken,
    ) -> Result<(), BenchError> {
        let (reader, writer) = split(self.wire);
        let mut pump = Pump {
            reader,
            writer,
            template: self.template,
            answers: self.answers,
            limits,
            counts,
            stamps,
            flows,
            out: Vec::new(),
            at: 0,
            batch: 0,
            dirty: false,
            held: None,
            heard: Instant::now(),
            until: Instant::now() + limits.duration,
            pacer: limits.rate.map(Pacer::start),
        };
        let end = pump.run(stop).await;
        if end.is_ok() && matches!(pump.answers, Answers::Lines(_)) {
            let goodbye = async {
                pump.writer.write_all(b"QUIT\r\n").await?;
                pump.writer.flush().await
            };
            // Whether it hears that is its own affair.
            let _ = timeout(GOODBYE, goodbye).await;
        }
        end
    }
}

/// A source at work.
struct Pump<'a> {
    reader: ReadHalf<Wire>,
    writer: WriteHalf<Wire>,
    template: Template,
    answers: Answers,
    limits: Limits,
    counts: &'a Counts,
    stamps: &'a RefCell<Stamps>,
    /// Who has to know what is refused.
    flows: &'a [Rc<Flow>],
    /// What is being written, how much of it has been, and how many events it is.
    out: Vec<u8>,
    at: usize,
    batch: u64,
    /// TLS may still have some of it.
    dirty: bool,
    /// Until then nothing is sent: the server has no room.
    held: Option<Instant>,
    /// The last answer.
    heard: Instant,
    until: Instant,
    pacer: Option<Pacer>,
}

impl Pump<'_> {
    async fn run(&mut self, stop: &CancellationToken) -> Result<(), BenchError> {
        let mut chunk = vec![0; ANSWERS];
        loop {
            let now = Instant::now();
            self.look_at_the_clock(now);
            if stop.is_cancelled() {
                return Ok(());
            }
            if self.at == self.out.len() && !self.dirty {
                self.fill(now);
            }
            let writing = self.at < self.out.len();
            let waiting = self.counts.under_way() > 0;
            if !writing && !self.dirty && !waiting && self.is_over(now) {
                return Ok(());
            }
            if waiting && now.duration_since(self.heard) > self.limits.patience {
                return Err(self.silent());
            }
            let wake = self.wake(now, waiting);
            let push = push(&mut self.writer, &self.out[self.at..], self.dirty);
            tokio::select! {
                pushed = push => match pushed.map_err(|error| self.failed(error))? {
                    0 if writing => return Err(self.closed()),
                    0 => {
                        self.flushed();
                        // Whoever counts, in this thread too, has a turn.
                        if self.pacer.is_none() {
                            tokio::task::yield_now().await;
                        }
                    }
                    written => {
                        self.at += written;
                        self.dirty = true;
                    }
                },
                read = self.reader.read(&mut chunk) => {
                    match read.map_err(|error| self.failed(error))? {
                        0 => return Err(self.closed()),
                        count => self.answered(&chunk[..count])?,
                    }
                }
                () = tick(self.pacer.as_ref()), if !writing => {}
                () = sleep_until(wake) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// True where nothing more is sent.
    fn is_over(&self, now: Instant) -> bool {
        let counts = self.counts;
        let enough = |count| counts.accepted.get() >= u64::from(count);
        now >= self.until
            || self.limits.count.is_some_and(enough)
            || counts.sent.get() > u64::from(u32::MAX)
    }

    /// Events that are still wanted, besides those under way.
    fn missing(&self) -> u64 {
        let counts = self.counts;
        let taken = counts.accepted.get() + counts.under_way();
        let missing = |count| u64::from(count).saturating_sub(taken);
        self.limits.count.map_or(u64::MAX, missing)
    }

    /// How late the next event is, whether it can be sent or never will.
    fn look_at_the_clock(&self, now: Instant) {
        let (counts, now) = (self.counts, now.min(self.until));
        let sent = counts.sent.get();
        if let Some(pacer) = &self.pacer
            && self.missing() > 0
            && pacer.schedule.due(now) > sent
        {
            let lag = pacer.schedule.lag(sent, now);
            counts.behind.set(counts.behind.get().max(lag));
        }
    }

    /// When there is something to do even though nothing comes.
    fn wake(&self, now: Instant, waiting: bool) -> Instant {
        let silent = self.heard + self.limits.patience + Duration::from_millis(1);
        let mut wake = now + Duration::from_secs(1);
        if waiting {
            wake = wake.min(silent);
        }
        let ends = [Some(self.until), self.held];
        let ends = ends.into_iter().flatten().filter(|&end| end > now);
        ends.fold(wake, Instant::min)
    }

    /// Prepares as many events as may be sent now.
    fn fill(&mut self, now: Instant) {
        self.out.clear();
        self.at = 0;
        self.batch = 0;
        if now >= self.until || self.held.is_some_and(|held| now < held) {
            return;
        }
        self.held = None;
        let counts = self.counts;
        let (sent, under_way) = (counts.sent.get(), counts.under_way());
        let window = match self.answers {
            Answers::None(_) => u64::MAX,
            Answers::Packets(..) => u64::from(self.limits.window).min(NAMES),
            Answers::Lines(_) => u64::from(self.limits.window),
        };
        let mut number = BATCH
            .min(window.saturating_sub(under_way))
            .min((u64::from(u32::MAX) + 1).saturating_sub(sent))
            .min(self.missing());
        match &self.pacer {
            Some(pacer) => number = number.min(pacer.schedule.due(now).saturating_sub(sent)),
            // Few at a time would cost more than they bring.
            None if number < window / 4 && number < BATCH && under_way > window / 4 => return,
            None => {}
        }
        if number == 0 {
            return;
        }
        for sequence in sent..sent + number {
            self.template.put(sequence as u32, &mut self.out);
        }
        // As late as can be: what is prepared is not under way.
        let now = Instant::now();
        self.stamps.borrow_mut().sent(number as u32, now);
        if under_way == 0 {
            self.heard = now;
        }
        self.batch = number;
        counts.first.set(counts.first.get().or(Some(now)));
        counts.sent.set(sent + number);
    }

    /// All that was prepared has been written.
    fn flushed(&mut self) {
        self.dirty = false;
        if let Answers::None(_) = self.answers {
            let counts = self.counts;
            counts.accepted.set(counts.accepted.get() + self.batch);
            self.heard = Instant::now();
            counts.last.set(Some(self.heard));
        }
        self.batch = 0;
    }

    /// Counts what has come.
    fn answered(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        let now = Instant::now();
        let counted = match &mut self.answers {
            Answers::Lines(replies) => replies.take(bytes),
            Answers::Packets(input, broker) => {
                acknowledged(input, bytes).map_err(|_| broker.error(BrokerError::Strange))?
            }
            Answers::None(_) => Counted::default(),
        };
        if counted == Counted::default() {
            return Ok(());
        }
        let counts = self.counts;
        if u64::from(counted.taken + counted.refused) > counts.under_way() {
            return Err(match &self.answers {
                Answers::Lines(_) => ClientError::TooMany.into(),
                Answers::Packets(_, broker) | Answers::None(broker) => {
                    broker.error(BrokerError::TooMany)
                }
            });
        }
        let (stamps, mut latency) = (self.stamps.borrow(), counts.answers.borrow_mut());
        let before = counts.answered();
        for number in before..before + u64::from(counted.taken + counted.refused) {
            if let Some(age) = stamps.age(number, now) {
                latency.record(age);
            }
        }
        self.heard = now;
        counts.last.set(Some(now));
        counts
            .accepted
            .set(counts.accepted.get() + u64::from(counted.taken));
        counts
            .refused
            .set(counts.refused.get() + u64::from(counted.refused));
        if counted.refused == 0 {
            return Ok(());
        }
        self.held = Some(now + PAUSE);
        let Answers::Lines(replies) = &mut self.answers else {
            return Ok(());
        };
        for numbers in replies.refused() {
            self.flows.iter().for_each(|flow| flow.disown(&numbers));
        }
        if let Some(why) = replies.refusal()
            && !why.contains(FULL)
        {
            return Err(ClientError::Refused("SEND", printable(&why)).into());
        }
        Ok(())
    }

    fn closed(&self) -> BenchError {
        match &self.answers {
            Answers::Lines(_) => ClientError::Closed.into(),
            Answers::Packets(_, broker) | Answers::None(broker) => {
                broker.error(BrokerError::Closed)
            }
        }
    }

    fn silent(&self) -> BenchError {
        let patience = self.limits.patience;
        match &self.answers {
            Answers::Lines(_) => ClientError::Silent(patience).into(),
            Answers::Packets(_, broker) | Answers::None(broker) => {
                broker.error(BrokerError::Silent(patience))
            }
        }
    }

    fn failed(&self, error: std::io::Error) -> BenchError {
        match &self.answers {
            Answers::Lines(_) => ClientError::of(error, self.limits.patience).into(),
            Answers::Packets(_, broker) | Answers::None(broker) => {
                broker.error(BrokerError::Io(error))
            }
        }
    }
}

/// Writes some bytes, or sees to it that those before are on their way: then it is 0.
async fn push(writer: &mut WriteHalf<Wire>, bytes: &[u8], dirty: bool) -> std::io::Result<usize> {
    if !bytes.is_empty() {
        return writer.write(bytes).await;
    }
    if !dirty {
        return std::future::pending().await;
    }
    writer.flush().await.map(|()| 0)
}

async fn tick(pacer: Option<&Pacer>) {
    match pacer {
        Some(pacer) => pacer.tick().await,
        None => std::future::pending().await,
    }
}

/// Acknowledgements in some bytes.
fn acknowledged(input: &mut Input, mut bytes: &[u8]) -> Result<Counted, TooLong> {
    let mut counted = Counted::default();
    while !bytes.is_empty() {
        let room = input.room()?;
        let count = room.len().min(bytes.len());
        room[..count].copy_from_slice(&bytes[..count]);
        input.filled(count);
        bytes = &bytes[count..];
        while let Some((first, _)) = input.packet()? {
            counted.taken += u32::from(first & 0xF0 == PUBACK);
        }
    }
    Ok(counted)
}
