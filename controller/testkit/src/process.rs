//! Processes named so that a reused process id is never mistaken for ours.
//!
//! A process id alone may belong to somebody else by the time it is used. Field
//! 22 of `/proc/PID/stat` (start time in clock ticks since boot) and the boot's
//! own id together make it unique on one machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use crate::Error;

/// The position of the start time among the fields that follow the program's
/// name: field 22 of proc(5), where the name is field 2.
const START_TIME_AFTER_NAME: usize = 19;
/// The state (field 3) among the same fields.
const STATE_AFTER_NAME: usize = 0;
/// The parent (field 4) among the same fields.
const PARENT_AFTER_NAME: usize = 1;

/// A process that was running when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedProcess {
    /// The process id in the caller's pid namespace.
    pub pid: u32,
    /// Clock ticks since boot at which it started.
    pub start_time: u64,
    /// `/proc/sys/kernel/random/boot_id` at the time.
    pub boot_id: String,
}

impl RecordedProcess {
    /// Records a running process; `None` when there is none with this id.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self { pid, start_time: start_time(pid)?, boot_id: boot_id()? })
    }

    /// Records the calling process.
    #[must_use]
    pub fn current() -> Option<Self> {
        Self::of(std::process::id())
    }

    /// Whether the very process that was recorded still runs.
    #[must_use]
    pub fn is_running(&self) -> bool {
        boot_id().as_deref() == Some(self.boot_id.as_str())
            && start_time(self.pid) == Some(self.start_time)
    }

    /// Kills the process if it is still the one that was recorded. Returns
    /// whether it was.
    ///
    /// # Errors
    /// When the system refuses (for example another user's process).
    pub fn kill(&self) -> Result<bool, Error> {
        self.signal(Signal::KILL)
    }

    /// As [`Self::kill`], but the process may clean up first.
    ///
    /// # Errors
    /// As [`Self::kill`].
    pub fn terminate(&self) -> Result<bool, Error> {
        self.signal(Signal::TERM)
    }

    /// As [`Self::kill`] with another signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<bool, Error> {
        let failed = |action, source: rustix::io::Errno| Error::Process {
            action,
            pid: self.pid,
            source: source.into(),
        };
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else {
            return Ok(false);
        };
        // The descriptor pins the process before the comparison, so the id
        // cannot be reused between the comparison and the signal.
        let descriptor = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(descriptor) => descriptor,
            Err(rustix::io::Errno::SRCH) => return Ok(false),
            Err(error) => return Err(failed("look up", error)),
        };
        if !self.is_running() {
            return Ok(false);
        }
        match pidfd_send_signal(&descriptor, signal) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::SRCH) => Ok(false),
            Err(error) => Err(failed("end", error)),
        }
    }

    /// Waits until the process has ended; `false` when `limit` passed first.
    #[must_use]
    pub fn wait_until_ended(&self, limit: Duration) -> bool {
        wait_until(limit, || !self.is_running())
    }
}

/// The first child of `parent`, if it has one by now.
pub(crate) fn child_of(parent: u32) -> Option<u32> {
    fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
        let pid = entry.file_name().to_str()?.parse::<u32>().ok()?;
        (stat_field(pid, PARENT_AFTER_NAME)?.parse::<u32>().ok()? == parent).then_some(pid)
    })
}

/// Polls `condition` every few milliseconds; `false` when `limit` passed first.
pub(crate) fn wait_until(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let started = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if started.elapsed() >= limit {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A process that has ended but was not collected by its parent counts as gone.
fn start_time(pid: u32) -> Option<u64> {
    if stat_field(pid, STATE_AFTER_NAME)? == "Z" {
        return None;
    }
    stat_field(pid, START_TIME_AFTER_NAME)?.parse().ok()
}

/// A program's name may contain spaces and parentheses; the last one closes it.
fn stat_field(pid: u32, after_name: usize) -> Option<String> {
    let stat = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(after_name).map(str::to_owned)
}

fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process that ends with the test even when an assertion fails.
    struct Sleeper(std::process::Child);

    impl Sleeper {
        fn start() -> Self {
            Self(std::process::Command::new("sleep").arg("60").spawn().unwrap())
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _already_gone = self.0.kill();
            let _status = self.0.wait();
        }
    }

    #[test]
    fn a_recorded_process_with_another_start_time_is_not_killed() {
        let mut sleeper = Sleeper::start();
        let recorded = RecordedProcess::of(sleeper.0.id()).unwrap();
        let reused = RecordedProcess { start_time: recorded.start_time + 1, ..recorded.clone() };
        assert!(!reused.is_running());
        assert!(!reused.kill().unwrap());
        assert_eq!(sleeper.0.try_wait().unwrap(), None, "somebody else's process was killed");
        let before_reboot = RecordedProcess { boot_id: "another".to_owned(), ..recorded };
        assert!(!before_reboot.kill().unwrap());
        assert_eq!(sleeper.0.try_wait().unwrap(), None, "somebody else's process was killed");
    }

    #[test]
    fn a_recorded_process_is_killed_and_then_gone() {
        let sleeper = Sleeper::start();
        let recorded = RecordedProcess::of(sleeper.0.id()).unwrap();
        assert!(recorded.is_running());
        assert!(recorded.kill().unwrap());
        assert!(recorded.wait_until_ended(Duration::from_secs(10)));
        assert!(!recorded.kill().unwrap());
    }

    #[test]
    fn the_start_time_is_field_22() {
        let stat = fs::read_to_string("/proc/self/stat").unwrap();
        // The name of a test program has no spaces, so plain fields are right.
        let expected: u64 = stat.split(' ').nth(21).unwrap().parse().unwrap();
        assert_eq!(RecordedProcess::current().unwrap().start_time, expected);
    }
}
