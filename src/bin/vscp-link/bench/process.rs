//! What a process takes: its memory and its part of a core, as the system tells in /proc.

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// What the system counts a process's time in, for everybody who looks at /proc: 100 a second on
/// every machine that this is built for.
const TICK: Duration = Duration::from_millis(10);

/// What a process has at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    /// Bytes of memory that are resident.
    pub(super) resident: u64,
    /// The time that it has had of all cores.
    pub(super) cpu: Duration,
    at: Instant,
}

impl Usage {
    /// Of a process, now.
    ///
    /// # Errors
    /// Where there is none, or the system does not tell.
    pub(super) fn of(pid: u32) -> Result<Self, Failure> {
        let read = |name: &str| {
            fs::read_to_string(format!("/proc/{pid}/{name}")).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => Failure::problem(format!("there is no process {pid}")),
                _ => Failure::Io(format!("what process {pid} takes cannot be read"), error),
            })
        };
        let strange = |name| Failure::problem(format!("/proc/{pid}/{name} is not understood"));
        Ok(Self {
            resident: resident(&read("status")?).ok_or_else(|| strange("status"))?,
            cpu: cpu(&read("stat")?).ok_or_else(|| strange("stat"))?,
            at: Instant::now(),
        })
    }

    /// Of a process, if there is one, and it is still there.
    pub(super) fn look(pid: Option<u32>) -> Option<Self> {
        pid.and_then(|pid| Self::of(pid).ok())
    }

    /// Its part of a core in these times together, in percent.
    pub(super) fn share(times: &[(Self, Self)]) -> f64 {
        let sum = |of: fn(&(Self, Self)) -> Duration| times.iter().map(of).sum::<Duration>();
        let time = sum(|(before, after)| after.at.saturating_duration_since(before.at));
        let cpu = sum(|(before, after)| after.cpu.saturating_sub(before.cpu));
        100.0 * cpu.as_secs_f64() / time.as_secs_f64().max(0.001)
    }
}

/// From the file `status`.
fn resident(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// From the file `stat`: the 14th and 15th field. The second is a name in brackets, in which
/// everything may be.
fn cpu(text: &str) -> Option<Duration> {
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let mut next = || fields.next()?.parse::<u32>().ok();
    let (user, system) = (next()?, next()?);
    TICK.checked_mul(user.checked_add(system)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells() {
        let status = "Name:\tx\nVmPeak:\t  9000 kB\nVmRSS:\t    1234 kB\nThreads:\t1\n";
        assert_eq!(resident(status), Some(1234 * 1024));
        assert_eq!(resident("Name:\tkthreadd\n"), None);
        let stat = "7 (a) b ( 1 2) S 1 7 7 0 -1 4194560 1 2 3 4 150 27 5 6 20 0 1 0 8";
        assert_eq!(cpu(stat), Some(Duration::from_millis(1770)));
        assert_eq!(cpu("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_takes_something() {
        let before = Usage::of(std::process::id()).unwrap();
        assert!(before.resident > 100_000);
        let after = Usage::of(std::process::id()).unwrap();
        assert!(Usage::share(&[(before, after)]) >= 0.0);
        assert!(Usage::of(u32::MAX).is_err());
        assert!(Usage::look(Some(u32::MAX)).is_none() && Usage::look(None).is_none());
    }

    #[test]
    fn what_is_between_two_runs_does_not_count() {
        let start = Instant::now();
        let at = |seconds, cpu| Usage {
            resident: 0,
            cpu: Duration::from_secs(cpu),
            at: start + Duration::from_secs(seconds),
        };
        // One of two seconds, none of six, and seven of eight between them.
        let times = [(at(0, 10), at(2, 11)), (at(10, 18), at(16, 18))];
        assert_eq!(Usage::share(&times), 12.5);
        assert_eq!(Usage::share(&[]), 0.0);
    }
}
