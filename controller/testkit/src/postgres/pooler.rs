//! A private PgBouncer before a cluster: each transaction may get another connection to the server.

use std::fs;
use std::os::unix::fs::chown;
use std::path::PathBuf;
use std::process::Child;

use super::{
    Postgres, READY_LIMIT, USER, Unprivileged, isolated_from, log, run_as, sockets, spawn_recorded,
};
use crate::Error;
use crate::command::{self, find_program};
use crate::engine::fleet_name;
use crate::process::{RecordedProcess, wait_until};
use crate::state::{Manifest, StateFolder};

/// A running pooler in transaction mode; ends when it is dropped. It listens on a Unix socket in a
/// folder of its own.
#[derive(Debug)]
pub struct Pooler {
    state: PathBuf,
    process: Child,
}

impl Pooler {
    /// Starts one before a cluster. It has fewer connections to the server than most tests have to
    /// it, so that sessions do share them.
    ///
    /// # Errors
    /// [`Error::Missing`] when PgBouncer is not installed (see [`crate::install::pooler`]),
    /// [`Error::NotReady`] with its log.
    pub fn start(cluster: &Postgres) -> Result<Self, Error> {
        crate::install::pooler(crate::install::Permission::Forbidden, &mut |_| {})?;
        let program = find_program("pgbouncer").unwrap_or_else(|| PathBuf::from("pgbouncer"));
        let state = crate::temporary_folder().join(fleet_name("pooler"));
        let owner = RecordedProcess::current();
        let mut folder = StateFolder::create(&state, Manifest { owner, ..Manifest::default() })?;
        let settings = state.join("pgbouncer.ini");
        let text = format!(
            "[databases]\n* = host={} user={USER}\n[pgbouncer]\npool_mode = transaction\n\
             default_pool_size = 8\nmax_client_conn = 400\nauth_type = any\n\
             unix_socket_dir = {}\nlisten_port = 5432\n",
            sockets(&cluster.state).display(),
            sockets(&state).display()
        );
        fs::write(&settings, text).map_err(Error::file("write", &settings))?;
        fs::create_dir(sockets(&state)).map_err(Error::file("create", sockets(&state)))?;
        let user = Unprivileged::find()?;
        if let Some(user) = &user {
            let folder = sockets(&state);
            chown(&folder, Some(user.uid), Some(user.gid))
                .map_err(Error::file("give away", &folder))?;
        }
        let mut pooler = run_as(user.as_ref(), &program, &state);
        pooler.arg(&settings);
        let process = spawn_recorded(&mut folder, &pooler, &state)?;
        let pooler = Self { state, process };
        pooler.wait_until_ready(cluster)?;
        Ok(pooler)
    }

    /// The same database through the pooler.
    #[must_use]
    pub fn url(&self, direct: &str) -> String {
        let start = direct.split_once("?host=").map_or(direct, |(start, _)| start);
        let folder = sockets(&self.state).display().to_string().replace('/', "%2F");
        format!("{start}?host={folder}")
    }

    fn wait_until_ready(&self, cluster: &Postgres) -> Result<(), Error> {
        let program = cluster.binaries.join("pg_isready");
        let ready = wait_until(READY_LIMIT, || {
            let mut asking = isolated_from(&program);
            asking.arg("--quiet").arg("--host").arg(sockets(&self.state));
            command::output(&mut asking).is_ok()
        });
        if ready {
            return Ok(());
        }
        let log = fs::read_to_string(log(&self.state)).unwrap_or_default();
        Err(Error::NotReady { what: "the pooler", waited: READY_LIMIT, log })
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        if let Ok(Some(folder)) = StateFolder::read(&self.state) {
            // Whatever resists is on record for the next run.
            let _next_run = folder.end_and_remove();
        }
        let _status = self.process.wait();
    }
}
