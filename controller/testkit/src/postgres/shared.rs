//! One cluster for all test programs of a run: nextest starts a program per test, and a cluster
//! takes longer than most tests.

use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Postgres, data, installed};
use crate::Error;
use crate::command::{self, isolated};
use crate::process::RecordedProcess;
use crate::state::{StateFolder, lock};

/// Waits until the process `$1` is gone, ends the server `$2` if it is still the one that works on
/// `$3`, and removes the folder `$4`.
const WATCH: &str = r#"
while [ -d "/proc/$1" ]; do sleep 1; done
if tr '\0' '\n' <"/proc/$2/cmdline" | grep -qxF -- "$3"; then kill -QUIT "$2"; sleep 1; fi
rm -rf -- "$4""#;

impl Postgres {
    /// The cluster that all tests of a run share: of all programs that the same process (nextest,
    /// cargo) started. The first one starts it; it ends soon after that process. Tests keep apart
    /// by database.
    ///
    /// # Errors
    /// As [`Postgres::start`].
    pub fn shared() -> Result<Self, Error> {
        let parent = rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
        let parent = u32::try_from(parent).ok().and_then(RecordedProcess::of);
        let Some(parent) = parent else { return Self::start() };
        let name = format!("postgres-of-{}-{}", parent.pid, parent.start_time);
        let state = crate::temporary_folder().join(&name);
        std::fs::create_dir_all(crate::temporary_folder())
            .map_err(Error::file("create", crate::temporary_folder()))?;
        let _one_starts_it = lock(&crate::temporary_folder().join(format!("start-of-{name}")))?;
        if let Some(folder) = StateFolder::read(&state)? {
            if folder.manifest.processes.iter().any(RecordedProcess::is_running) {
                let cluster = Self { state, binaries: installed()?, server: None };
                cluster.wait_until_ready()?;
                return Ok(cluster);
            }
            folder.end_and_remove()?;
        }
        crate::sweep();
        let mut started = Self::start_in(state, Some(parent.clone()))?;
        if let Some(server) = started.server.take() {
            started.watch(&parent, server.id())?;
        }
        Ok(started)
    }

    /// A database of its own for one test, under a name that no other test has.
    ///
    /// # Errors
    /// With what `createdb` says.
    pub fn fresh_database(&self) -> Result<String, Error> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let started = RecordedProcess::current().map_or(0, |own| own.start_time);
        self.create_database(&format!("test_{}_{started}_{count}", std::process::id()))
    }

    fn watch(&self, parent: &RecordedProcess, server: u32) -> Result<(), Error> {
        let mut watch = isolated("setsid");
        watch
            .args(["sh", "-c", WATCH, "sh", &parent.pid.to_string(), &server.to_string()])
            .arg(data(&self.state))
            .arg(&self.state)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        match watch.spawn() {
            // It outlives this process, as the server does.
            Ok(_) => Ok(()),
            Err(source) => Err(Error::Spawn { program: command::program(&watch), source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_of_one_run_share_a_cluster_and_have_databases_of_their_own() {
        let (first, second) = (Postgres::shared().unwrap(), Postgres::shared().unwrap());
        assert_eq!(first.url(), second.url());
        let urls = [first.fresh_database().unwrap(), second.fresh_database().unwrap()];
        assert_ne!(urls[0], urls[1]);
        first.query(&urls[0], "create table only_here ()").unwrap();
        assert!(second.query(&urls[1], "select from only_here").is_err());
        drop(first);
        assert_eq!(second.query(&urls[1], "select 1").unwrap(), "1");
    }
}
