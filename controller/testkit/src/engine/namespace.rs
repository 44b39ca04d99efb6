//! One engine's own network, mount, process and host-name namespaces.
//!
//! - **network**: without a route outside. A second engine on a machine would
//!   otherwise collide with the first on swarm's ports, bridges and iptables
//!   rules, and would really pull images.
//! - **mount**: everything that the engine mounts disappears with it. `/run`
//!   and `/etc/docker` are private, so it finds neither another containerd, nor
//!   the machine's engine configuration, nor leaves anything there.
//! - **process**: the kernel ends everything inside (engine, containerd, shims,
//!   containers) when the first process ends. One recorded process is enough
//!   to clean up after any crash.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::Error;
use crate::command::{self, isolated};
use crate::process::{RecordedProcess, child_of, wait_until};

/// The first process of the namespaces. It waits for a line that says that it
/// is on record; a starter that dies first closes the pipe, and nothing is left
/// behind. Afterwards it starts the engine, and collects whatever is orphaned.
const FIRST_PROCESS: &str = r#"
set -eu
name=$1; log=$2; shift 2
read -r recorded
exec </dev/null >>"$log" 2>&1
hostname "$name"
ip link set lo up
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t tmpfs -o mode=0700 tmpfs /etc/docker
"$@" &
sleep infinity &
wait
"#;

/// Only `unshare` and `sh` stand between the start and the first process.
const FORK_LIMIT: Duration = Duration::from_secs(10);

/// The running namespaces.
pub(crate) struct Namespaces {
    /// Stays outside and waits for the first process.
    pub(crate) launcher: Child,
    /// The first process, as seen from outside.
    pub(crate) first: RecordedProcess,
}

/// Creates the namespaces and starts `daemon` inside once `record` has returned.
pub(crate) fn create(
    name: &str,
    log: &Path,
    daemon: &[String],
    record: impl FnOnce(&RecordedProcess, &RecordedProcess) -> Result<(), Error>,
) -> Result<Namespaces, Error> {
    let errors = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .map_err(Error::file("create", log))?;
    // A session of its own: neither Ctrl-C in the terminal nor closing it
    // reaches the engine; its owner decides when it ends.
    let mut unshare = isolated("setsid");
    unshare
        .args(["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child"])
        .args(["--mount-proc", "--", "sh", "-c", FIRST_PROCESS, "sh", name])
        .arg(log)
        .args(daemon)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(errors);
    let mut launcher = unshare
        .spawn()
        .map_err(|source| Error::Spawn { program: command::program(&unshare), source })?;
    let pid = launcher.id();
    let mut found = None;
    wait_until(FORK_LIMIT, || {
        found = child_of(pid)
            .and_then(RecordedProcess::of)
            .zip(RecordedProcess::of(pid))
            .or(found.take());
        found.is_some() || launcher.try_wait().is_ok_and(|ended| ended.is_some())
    });
    let Some((first, outside)) = found else {
        let _already_gone = launcher.kill();
        let _status = launcher.wait();
        return Err(Error::NotReady {
            what: "the engine's namespace",
            waited: FORK_LIMIT,
            log: super::log_tail(log),
        });
    };
    record(&first, &outside)?;
    if let Some(mut pipe) = launcher.stdin.take() {
        // A first process that has died already shows below, with its log.
        let _broken = pipe.write_all(b"recorded\n");
    }
    Ok(Namespaces { launcher, first })
}

/// A command that runs in the engine's network namespace only: it sees this
/// machine's files, but can reach nothing but the engine and its containers.
pub(crate) fn enter_network(first: &RecordedProcess, program: &str) -> Command {
    let mut command = isolated("nsenter");
    command.arg(format!("--net=/proc/{}/ns/net", first.pid)).arg("--").arg(program);
    command
}

/// A command that runs beside the engine, in all of its namespaces.
pub(crate) fn enter_all(first: &RecordedProcess) -> Command {
    let mut command = isolated("nsenter");
    command.args(["--target", &first.pid.to_string()]);
    command.args(["--net", "--mount", "--pid", "--uts", "--"]).process_group(0);
    command
}
