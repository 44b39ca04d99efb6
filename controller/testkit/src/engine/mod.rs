//! A private Docker engine in swarm mode.
//!
//! # Guarantees
//! - It cannot reach, or be reached from, anything outside: see [`namespace`].
//! - It is none of the machine's engines: own data, own socket, own control
//!   groups; `DOCKER_HOST`, contexts and credentials of the caller are ignored.
//! - [`Engine::stop`], dropping the owner, or the next run after a crash ends
//!   exactly the recorded processes and removes everything.
//!
//! # Caveats
//! One manager without a network has a swarm, but no quorum to lose. A kernel
//! without IPVS does not carry traffic to virtual addresses and ingress ports.

mod api;
mod images;
mod machine;
mod namespace;
mod services;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::Error;
use crate::command::{self, is_root};
use crate::process::{RecordedProcess, wait_until};
use crate::state::{Manifest, StateFolder};

pub use images::{Variant, build_program};
pub use machine::{MachineEngine, machine};
pub use services::fleet_name;
pub use shared::{STATE_VARIABLE, shared};

/// A cold first start on a busy two-core machine took five seconds.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A path of a Unix socket has 108 bytes, with its final zero (unix(7)).
const LONGEST_SOCKET_PATH: usize = 107;

/// Where the machine's own engine keeps its configuration; hidden from ours.
const ENGINE_CONFIGURATION: &str = "/etc/docker";

/// The Version moves a few times within milliseconds, then it rests.
const ATTEMPTS_AT_A_MOVING_VERSION: u32 = 10;

/// containerd is the daemon's child and dies after it: a daemon that starts in
/// between takes it for a living one and waits for it in vain.
const KILL_DAEMON: &str = r#"
set -eu
daemon=$(cat /run/docker.pid)
containerd=$(cat /run/docker/containerd/containerd.pid)
kill -9 "$daemon"
for pid in "$daemon" "$containerd"; do
    while [ -e "/proc/$pid" ]; do sleep 0.02; done
done
rm -f /run/docker.pid /run/docker/containerd/containerd.pid
"#;

/// Whose life an engine's life is tied to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// Ends with the calling process; after a crash, with the next run.
    Owned,
    /// Stays until [`Engine::stop`], whoever calls it.
    Detached,
}

/// A running engine, or a handle to one that somebody else owns.
#[derive(Debug)]
pub struct Engine {
    state: PathBuf,
    socket: PathBuf,
    first: RecordedProcess,
    ownership: Ownership,
}

#[derive(Debug)]
enum Ownership {
    /// Dropping the handle ends the engine.
    Owner(Child),
    /// Dropping the handle does nothing.
    Guest,
}

impl Engine {
    /// Starts an engine that keeps everything in the folder `state`, which must
    /// not exist or hold the remains of a run that has ended.
    ///
    /// # Errors
    /// [`Error::NotRoot`], [`Error::Missing`], [`Error::InUse`], or
    /// [`Error::NotReady`] with the end of the engine's log.
    pub fn start(state: &Path, lifetime: Lifetime) -> Result<Self, Error> {
        if !is_root() {
            return Err(Error::NotRoot { hint: None });
        }
        crate::install::engine(crate::install::Permission::Forbidden, &mut |_| {})?;
        let state = std::path::absolute(state).map_err(Error::file("find", state))?;
        let socket = socket_of(&state)?;
        let name = unique_name(&state);
        let owner = match lifetime {
            Lifetime::Owned => RecordedProcess::current(),
            Lifetime::Detached => None,
        };
        let mut folder = StateFolder::create(
            &state,
            Manifest { owner, cgroup: Some(name.clone()), ..Manifest::default() },
        )?;
        let configuration = Path::new(ENGINE_CONFIGURATION);
        if !configuration.exists() {
            folder.manifest.folders.push(configuration.to_owned());
            folder.save()?;
            fs::create_dir_all(configuration).map_err(Error::file("create", configuration))?;
        }
        fs::write(state.join("daemon.json"), "{}\n")
            .map_err(Error::file("write", state.join("daemon.json")))?;
        fs::create_dir_all(cli_folder(&state))
            .map_err(Error::file("create", cli_folder(&state)))?;

        let started = namespace::create(
            &name,
            &log_path(&state),
            &daemon(&state, &socket, &name),
            |first, launcher| {
                folder.manifest.processes = vec![first.clone(), launcher.clone()];
                folder.save()
            },
        )?;
        let mut engine = Self {
            state,
            socket,
            first: started.first,
            ownership: Ownership::Owner(started.launcher),
        };
        engine.wait_until_ready()?;
        engine.docker(&["swarm", "init", "--advertise-addr", "127.0.0.1"])?;
        if lifetime == Lifetime::Detached {
            engine.ownership = Ownership::Guest;
        }
        Ok(engine)
    }

    /// Starts an engine of the calling test's own in the system's folder for
    /// temporary files. For tests that disturb the engine; all others share one
    /// (see [`shared`]).
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_private(label: &str) -> Result<Self, Error> {
        crate::sweep();
        Self::start(&crate::temporary_folder().join(fleet_name(label)), Lifetime::Owned)
    }

    /// A handle to the engine that runs in `state`; dropping it does nothing.
    ///
    /// # Errors
    /// [`Error::NotRunning`] when there is none.
    pub fn open(state: &Path) -> Result<Self, Error> {
        let state = std::path::absolute(state).map_err(Error::file("find", state))?;
        let running = StateFolder::read(&state)?
            .and_then(|folder| folder.manifest.processes.into_iter().next())
            .filter(RecordedProcess::is_running);
        match running {
            Some(first) => {
                Ok(Self { socket: socket_of(&state)?, state, first, ownership: Ownership::Guest })
            }
            None => Err(Error::NotRunning { path: state }),
        }
    }

    /// Ends the engine with everything in it and removes its folder, also when
    /// this handle did not start it.
    ///
    /// # Errors
    /// When a process or a file resists.
    pub fn stop(mut self) -> Result<(), Error> {
        self.end()
    }

    /// Removes the engine of `state` in whatever condition it is. Returns
    /// whether there was one.
    ///
    /// # Errors
    /// As [`Engine::stop`].
    pub fn remove(state: &Path) -> Result<bool, Error> {
        match StateFolder::read(state)? {
            Some(folder) => folder.end_and_remove().map(|()| true),
            None => Ok(false),
        }
    }

    fn end(&mut self) -> Result<(), Error> {
        let result = match StateFolder::read(&self.state)? {
            Some(folder) => folder.end_and_remove(),
            None => Ok(()),
        };
        if let Ownership::Owner(mut launcher) =
            std::mem::replace(&mut self.ownership, Ownership::Guest)
        {
            // Ends by itself once the first process has; here it is collected.
            let _status = launcher.wait();
        }
        result
    }

    /// The engine's socket; usable from anywhere on this machine.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The socket as a value for `DOCKER_HOST`.
    #[must_use]
    pub fn host(&self) -> String {
        host_of(&self.socket)
    }

    /// The folder with the engine's manifest, log and data.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        &self.state
    }

    /// The end of the engine's log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        log_tail(&log_path(&self.state))
    }

    /// Runs the docker command line against this engine, inside its network
    /// namespace (the client itself dials registries), and returns its output.
    ///
    /// Swarm changes the Version of a fresh service by itself, and the client does not read it
    /// again: a command that met such a change had no effect and is given once more.
    ///
    /// # Errors
    /// [`Error::Failed`] with standard error.
    pub fn docker<A: AsRef<std::ffi::OsStr>>(&self, arguments: &[A]) -> Result<String, Error> {
        let mut attempts = 0;
        loop {
            let result = command::output(self.docker_command().args(arguments));
            let has_moved = matches!(&result, Err(Error::Failed { output, .. })
                if output.contains("update out of sequence"));
            attempts += 1;
            if !has_moved || attempts == ATTEMPTS_AT_A_MOVING_VERSION {
                return result;
            }
        }
    }

    /// The docker command line as a command to be extended and run.
    #[must_use]
    pub fn docker_command(&self) -> Command {
        let mut command = self.command("docker");
        command.env("DOCKER_CONFIG", cli_folder(&self.state)).args(["--host", &self.host()]);
        command
    }

    /// Any program inside the engine's network namespace, where published ports
    /// and container addresses can be reached; files are this machine's.
    #[must_use]
    pub fn command(&self, program: &str) -> Command {
        namespace::enter_network(&self.first, program)
    }

    /// Calls the engine's API; a reply without a body is `null`.
    ///
    /// # Errors
    /// [`Error::Refused`] for a status from 400 on.
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Error> {
        let text = api::expect_success(&self.socket, method, path, body)?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// Kills the daemon the hard way and waits until it is gone; containers keep
    /// running.
    ///
    /// # Errors
    /// When there is none.
    pub fn kill_daemon(&self) -> Result<(), Error> {
        let mut kill = namespace::enter_all(&self.first);
        command::output(kill.args(["sh", "-c", KILL_DAEMON])).map(|_| ())
    }

    /// Starts the daemon again after [`Engine::kill_daemon`].
    ///
    /// # Errors
    /// As [`Engine::start`].
    pub fn start_daemon(&self) -> Result<(), Error> {
        let name = unique_name(&self.state);
        let log = fs::OpenOptions::new()
            .append(true)
            .open(log_path(&self.state))
            .map_err(Error::file("open", log_path(&self.state)))?;
        let errors = log.try_clone().map_err(Error::file("open", log_path(&self.state)))?;
        let mut command = namespace::enter_all(&self.first);
        command
            .args(daemon(&self.state, &self.socket, &name))
            .stdout(Stdio::from(log))
            .stderr(Stdio::from(errors));
        let mut child = command
            .spawn()
            .map_err(|source| Error::Spawn { program: command::program(&command), source })?;
        std::thread::spawn(move || child.wait());
        self.wait_until_ready()
    }

    fn wait_until_ready(&self) -> Result<(), Error> {
        let mut answered = false;
        wait_until(READY_LIMIT, || {
            answered =
                api::call(&self.socket, "GET", "/_ping", None).is_ok_and(|ping| ping.status == 200);
            answered || !self.first.is_running()
        });
        if answered {
            return Ok(());
        }
        Err(Error::NotReady { what: "the engine", waited: READY_LIMIT, log: self.log_tail() })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if matches!(self.ownership, Ownership::Owner(_)) {
            // Whatever resists is on record for the next run.
            let _next_run = self.end();
        }
    }
}

/// The engine's command line.
fn daemon(state: &Path, socket: &Path, name: &str) -> Vec<String> {
    let program = command::find_program("dockerd").unwrap_or_else(|| PathBuf::from("dockerd"));
    [
        program.display().to_string(),
        format!("--config-file={}", state.join("daemon.json").display()),
        format!("--data-root={}", state.join("data").display()),
        format!("--host={}", host_of(socket)),
        format!("--cgroup-parent=/{name}"),
        // Private to the namespace, and short: containerd puts sockets there.
        "--exec-root=/run/docker".to_owned(),
        "--pidfile=/run/docker.pid".to_owned(),
        // The other driver would ask the machine's systemd for the groups.
        "--exec-opt=native.cgroupdriver=cgroupfs".to_owned(),
        "--group=root".to_owned(),
        // A process per published port, for nothing: the kernel forwards.
        "--userland-proxy=false".to_owned(),
    ]
    .into()
}

fn socket_of(state: &Path) -> Result<PathBuf, Error> {
    let socket = state.join("docker.sock");
    let problem = if socket.as_os_str().len() > LONGEST_SOCKET_PATH {
        "the path is too long for a socket; check out or run in a shorter one"
    } else if socket.starts_with("/run") || socket.starts_with("/var/run") {
        "the engine has a private /run; use another folder"
    } else {
        return Ok(socket);
    };
    Err(Error::file("use", socket)(std::io::Error::other(problem)))
}

fn host_of(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

fn log_path(state: &Path) -> PathBuf {
    state.join("dockerd.log")
}

/// An empty configuration for the command line: no contexts, no credentials.
fn cli_folder(state: &Path) -> PathBuf {
    state.join("cli")
}

/// Names the control group and the host. Two state folders never share one,
/// because it carries a hash (FNV-1a) of the path.
fn unique_name(state: &Path) -> String {
    let hash =
        state.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("skep-test-{hash:016x}")
}

fn log_tail(path: &Path) -> String {
    let log = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(20).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
