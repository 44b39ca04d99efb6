//! A private Postgres cluster, for the tests of everything that several
//! controllers share.
//!
//! It listens on a Unix socket in a folder of its own and nowhere else, runs as
//! a user without rights (the server refuses root), and does without the writes
//! that only matter when the machine fails.

mod pooler;
mod shared;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub use self::pooler::Pooler;
use crate::Error;
use crate::command::{self, find_program, is_root, isolated};
use crate::engine::fleet_name;
use crate::process::{RecordedProcess, wait_until};
use crate::state::{Manifest, StateFolder};

/// A cold start on a busy machine took three seconds.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The superuser of the cluster; trusted, because only this machine's users can
/// reach the socket's folder and nothing of value is inside.
const USER: &str = "skep";

/// Where Debian and its descendants put one folder per major version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A running cluster; ends when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    state: PathBuf,
    binaries: PathBuf,
    /// None: others use it too, and it ends with the run ([`Postgres::shared`]).
    server: Option<Child>,
}

impl Postgres {
    /// Creates and starts a cluster in the system's folder for temporary files.
    ///
    /// # Errors
    /// [`Error::Missing`] when the server is not installed (see
    /// [`crate::install::postgres`]), [`Error::NotReady`] with its log.
    pub fn start() -> Result<Self, Error> {
        crate::sweep();
        let state = crate::temporary_folder().join(fleet_name("postgres"));
        Self::start_in(state, RecordedProcess::current())
    }

    fn start_in(state: PathBuf, owner: Option<RecordedProcess>) -> Result<Self, Error> {
        let binaries = installed()?;
        let manifest = Manifest { owner, quit_first: true, ..Manifest::default() };
        let mut folder = StateFolder::create(&state, manifest)?;
        let user = Unprivileged::find()?;
        for path in [data(&state), sockets(&state)] {
            fs::create_dir(&path).map_err(Error::file("create", &path))?;
            if let Some(user) = &user {
                chown(&path, Some(user.uid), Some(user.gid))
                    .map_err(Error::file("give away", &path))?;
            }
        }
        let mut initdb = run_as(user.as_ref(), &binaries.join("initdb"), &state);
        initdb.args(["--username", USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]);
        command::output(initdb.args(["--no-sync", "--pgdata"]).arg(data(&state)))?;
        let server = start_server(&mut folder, user.as_ref(), &binaries, &state)?;
        let cluster = Self { state, binaries, server: Some(server) };
        cluster.wait_until_ready()?;
        Ok(cluster)
    }

    /// The URL of the cluster's first database.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres")
    }

    /// Creates a database and returns its URL: tests of one cluster keep apart
    /// by database.
    ///
    /// # Errors
    /// When it exists or the name is not an identifier.
    pub fn create_database(&self, name: &str) -> Result<String, Error> {
        self.client("createdb", &[name])?;
        Ok(self.url_of(name))
    }

    /// Runs SQL and returns the result, unaligned and without headings.
    ///
    /// # Errors
    /// With the server's message.
    pub fn query(&self, url: &str, sql: &str) -> Result<String, Error> {
        let arguments = [
            "--no-psqlrc",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
            "--command",
            sql,
            url,
        ];
        command::output(isolated_from(&self.binaries.join("psql")).args(arguments))
            .map(|output| output.trim().to_owned())
    }

    /// Ends the server as a machine that fails does: no transaction is finished, and nothing is
    /// written any more. What the system has of its files stays.
    ///
    /// # Errors
    /// When it is not ours to end, or does not end.
    pub fn crash(&mut self) -> Result<(), Error> {
        let (Some(server), Some(folder)) = (&mut self.server, StateFolder::read(&self.state)?)
        else {
            return Ok(());
        };
        for process in &folder.manifest.processes {
            // What `pg_ctl stop --mode immediate` sends.
            process.signal(rustix::process::Signal::QUIT)?;
        }
        let _status = server.wait();
        Ok(())
    }

    /// Starts the server again after [`Self::crash`]; it recovers first.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_again(&mut self) -> Result<(), Error> {
        let Some(mut folder) = StateFolder::read(&self.state)? else { return Ok(()) };
        let user = Unprivileged::find()?;
        let server = start_server(&mut folder, user.as_ref(), &self.binaries, &self.state)?;
        self.server = Some(server);
        self.wait_until_ready()
    }

    fn url_of(&self, database: &str) -> String {
        let folder = sockets(&self.state).display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@localhost/{database}?host={folder}")
    }

    fn client(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let mut client = isolated_from(&self.binaries.join(program));
        client.arg("--host").arg(sockets(&self.state)).args(["--username", USER]);
        command::output(client.args(arguments))
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let ready = wait_until(READY_LIMIT, || self.client("pg_isready", &["--quiet"]).is_ok());
        if ready {
            return Ok(());
        }
        let log = fs::read_to_string(log(&self.state)).unwrap_or_default();
        Err(Error::NotReady { what: "the database", waited: READY_LIMIT, log })
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(server) = &mut self.server else { return };
        if let Ok(Some(folder)) = StateFolder::read(&self.state) {
            // Whatever resists is on record for the next run.
            let _next_run = folder.end_and_remove();
        }
        let _status = server.wait();
    }
}

fn installed() -> Result<PathBuf, Error> {
    find_binaries().ok_or_else(|| Error::Missing {
        programs: vec!["postgres".to_owned()],
        command: "apt-get install --yes --no-install-recommends postgresql".to_owned(),
    })
}

/// The folder with the server's programs, the newest version's if there are
/// several.
pub(crate) fn find_binaries() -> Option<PathBuf> {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse::<u32>().ok()?;
            let folder = entry.path().join("bin");
            (folder.join("initdb").is_file() && folder.join("postgres").is_file())
                .then_some((number, folder))
        })
        .max();
    match newest {
        Some((_, folder)) => Some(folder),
        None => find_program("initdb")?.parent().map(Path::to_owned),
    }
}

fn start_server(
    folder: &mut StateFolder,
    user: Option<&Unprivileged>,
    binaries: &Path,
    state: &Path,
) -> Result<Child, Error> {
    let mut server = run_as(user, &binaries.join("postgres"), state);
    server
        .arg("-D")
        .arg(data(state))
        .arg("-k")
        .arg(sockets(state))
        .args(["-c", "listen_addresses=", "-c", "fsync=off", "-c", "full_page_writes=off"])
        .args(["-c", "max_connections=400"]);
    spawn_recorded(folder, &server, state)
}

/// Starts a program once it is on record: a starter that dies first closes the
/// pipe, and nothing is left behind.
fn spawn_recorded(
    folder: &mut StateFolder,
    program: &Command,
    state: &Path,
) -> Result<Child, Error> {
    let log = fs::File::create(log(state)).map_err(Error::file("create", log(state)))?;
    let errors = log.try_clone().map_err(Error::file("open", self::log(state)))?;
    let mut waiting = isolated("setsid");
    waiting
        .args(["sh", "-c", r#"read -r recorded && exec "$@" </dev/null"#, "sh"])
        .arg(program.get_program())
        .args(program.get_args())
        .current_dir(state)
        .stdin(Stdio::piped())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(errors));
    let mut child = waiting
        .spawn()
        .map_err(|source| Error::Spawn { program: command::program(&waiting), source })?;
    folder.manifest.processes = RecordedProcess::of(child.id()).into_iter().collect();
    folder.save()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A server that has died already shows when it is waited for.
        let _broken = pipe.write_all(b"recorded\n");
    }
    Ok(child)
}

fn isolated_from(program: &Path) -> Command {
    let mut command = isolated(&program.display().to_string());
    // The caller's settings name another cluster.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("PG") {
            command.env_remove(name);
        }
    }
    command
}

/// `program` as the user without rights, or as it is when we have none.
fn run_as(user: Option<&Unprivileged>, program: &Path, state: &Path) -> Command {
    let Some(user) = user else { return isolated_from(program) };
    let mut command = isolated_from(Path::new("setpriv"));
    command
        .args([format!("--reuid={}", user.uid), format!("--regid={}", user.gid)])
        .arg("--clear-groups")
        .arg(program)
        // The caller's folder may be closed to that user.
        .current_dir(state);
    command
}

/// Whom the server runs as when we are root.
#[derive(Debug, PartialEq, Eq)]
struct Unprivileged {
    uid: u32,
    gid: u32,
}

impl Unprivileged {
    fn find() -> Result<Option<Self>, Error> {
        if !is_root() {
            return Ok(None);
        }
        let path = "/etc/passwd";
        let users = fs::read_to_string(path).map_err(Error::file("read", path))?;
        match ["postgres", "nobody"].iter().find_map(|name| Self::named(&users, name)) {
            Some(user) => Ok(Some(user)),
            None => Err(Error::file("find the user `nobody` in", path)(
                std::io::ErrorKind::NotFound.into(),
            )),
        }
    }

    fn named(users: &str, name: &str) -> Option<Self> {
        let mut fields = users
            .lines()
            .map(|line| line.split(':'))
            .find_map(|mut fields| (fields.next() == Some(name)).then_some(fields))?;
        let _password = fields.next();
        Some(Self { uid: fields.next()?.parse().ok()?, gid: fields.next()?.parse().ok()? })
    }
}

fn data(state: &Path) -> PathBuf {
    state.join("data")
}

fn sockets(state: &Path) -> PathBuf {
    state.join("sockets")
}

fn log(state: &Path) -> PathBuf {
    state.join("postgres.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_answers_and_leaves_nothing() {
        let cluster = Postgres::start().unwrap();
        let state = cluster.state.clone();
        let process = StateFolder::read(&state).unwrap().unwrap().manifest.processes.remove(0);
        let url = cluster.create_database("one").unwrap();
        assert_eq!(cluster.query(&url, "select current_database()").unwrap(), "one");
        assert_eq!(cluster.query(&cluster.url(), "show listen_addresses").unwrap(), "");
        assert!(process.is_running());
        drop(cluster);
        assert!(!process.is_running());
        assert!(!state.exists());
    }

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let users = "root:x:0:0::/:/bin/sh\nnobody2:x:7:7::/:\nnobody:x:65534:65533::/:\n";
        assert_eq!(
            Unprivileged::named(users, "nobody"),
            Some(Unprivileged { uid: 65534, gid: 65533 })
        );
        assert_eq!(Unprivileged::named(users, "postgres"), None);
    }
}
