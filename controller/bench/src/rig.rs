//! A private engine with a recording proxy, a store, a registry, and the program against them.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep_testkit::process::RecordedProcess;
use skep_testkit::{Engine, RecordedRequest, RecordingProxy};
use tempfile::TempDir;

use crate::Result;

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);

/// Everything runs by itself: what is measured is not how fast a person is.
const POLICY: &str = "version: 1\ndefaults:\n  tier: auto\n  \
    rate_limit: {max: 1000000, window_s: 1}\n  blast_radius: {max_targets: 1000000, window_s: 1}\n\
    rules:\n  - {kind: \"*\", target: \"*\", tier: auto}\n";

pub(crate) struct Rig {
    pub(crate) proxy: RecordingProxy,
    pub(crate) engine: Engine,
    folder: TempDir,
    skep: PathBuf,
}

/// A running `skep serve`; ended when dropped.
pub(crate) struct Serve {
    pub(crate) child: Child,
    pub(crate) port: u16,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // Asked to end, it gives its lease back; killed, the next one would wait for it.
        let asked =
            RecordedProcess::of(self.child.id()).is_some_and(|process| process.terminate().is_ok());
        if !asked {
            let _ended_already = self.child.kill();
        }
        let _status = self.child.wait();
    }
}

impl Rig {
    pub(crate) fn start(skep: &Path) -> Result<Self> {
        let engine = Engine::start_private("bench")?;
        let proxy = RecordingProxy::start(engine.socket())?;
        let skep = std::path::absolute(skep)?;
        let rig = Self { engine, proxy, folder: TempDir::new()?, skep };
        std::fs::write(rig.path("policy.yml"), POLICY)?;
        Ok(rig)
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Writes a registry of services named `s0`, `s1`, …, without tasks: what is measured is the
    /// control plane, and a thousand containers would measure the machine.
    pub(crate) fn registry(&self, services: usize) -> Result<()> {
        let mut text = String::from("version: 1\nservices:\n");
        for number in 0..services {
            write!(
                text,
                "  - name: s{number}\n    image: example/s{number}:1.2.3\n    replicas: 0\n    \
                 env: {{LOG: info, REGION: eu, NUMBER: \"{number}\"}}\n"
            )?;
        }
        Ok(std::fs::write(self.path("registry.yml"), text)?)
    }

    /// The same services as a Compose file.
    pub(crate) fn compose(&self, services: usize) -> Result<PathBuf> {
        let mut text = String::from("version: \"3.8\"\nservices:\n");
        for number in 0..services {
            write!(
                text,
                "  s{number}:\n    image: example/s{number}:1.2.3\n    deploy: {{replicas: 0}}\n    \
                 environment: {{HOST: 0.0.0.0, PORT: \"8000\", TRANSPORT: streamable-http, LOG: \
                 info, REGION: eu, NUMBER: \"{number}\"}}\n"
            )?;
        }
        let path = self.path("compose.yml");
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Runs `docker stack deploy` of the Compose file and says how long it took.
    pub(crate) fn stack_deploy(&self, services: usize) -> Result<Duration> {
        let file = self.compose(services)?;
        let started = Instant::now();
        let status = self
            .engine
            .docker_command()
            .args(["stack", "deploy", "--detach=true", "--resolve-image", "never", "-c"])
            .arg(file)
            .arg("bench")
            .stdout(Stdio::null())
            .status()?;
        if !status.success() {
            return Err("docker stack deploy failed".into());
        }
        Ok(started.elapsed())
    }

    /// The program with nothing of this machine's environment but a path.
    pub(crate) fn skep(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.skep);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("DOCKER_HOST", self.proxy.host())
            .env("STATE_DB_URI", format!("sqlite:{}", self.path("skep.db").display()))
            .env("CONNECTOR_REGISTRY_PATH", self.path("registry.yml"))
            .env("FLEET_ACTUATOR", "swarm")
            .env("FLEET_RECONCILER_MAX_ACTIONS", "10000")
            .env("RUST_LOG", "warn")
            .current_dir(self.folder.path());
        command
    }

    /// Starts the loop; with the policy that lets everything run by itself, or the shipped one.
    pub(crate) fn serve(&self, auto: bool) -> Result<Serve> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let listen = format!("127.0.0.1:{port}");
        let registry = self.path("registry.yml");
        let registry = registry.display().to_string();
        let mut command = self.skep(&["serve", "--listen", &listen, "--registry", &registry]);
        if auto {
            command.env("ACTION_POLICY_PATH", self.path("policy.yml"));
        }
        let log = std::fs::File::create(self.path("serve.log"))?;
        let child = command.stdout(Stdio::null()).stderr(Stdio::from(log)).spawn()?;
        Ok(Serve { child, port })
    }

    /// Has the program create so many services, and waits until it has nothing left to do.
    pub(crate) fn populate(&self, services: usize) -> Result<()> {
        self.registry(services)?;
        let serve = self.serve(true)?;
        // Counted here: asking the engine for all of them again and again would be in the way.
        let created = || {
            let answered = self.proxy.mutations().into_iter();
            answered.filter(|request| request.status == Some(201)).count()
        };
        wait("all services", || (created() == services).then_some(()))?;
        settle_down(&self.proxy);
        drop(serve);
        Ok(())
    }
}

/// One plain request to the engine.
pub(crate) fn raw(socket: &Path, path: &str) -> Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n")?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

/// Status line of a request to the program.
pub(crate) fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}

/// Waits until the closure gives a value.
pub(crate) fn wait<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now() > deadline {
            return Err(format!("waited in vain for {what}").into());
        }
        // Short beside every figure that ends with such a wait.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits until nothing but the regular polling has gone through the proxy for a while.
pub(crate) fn settle_down(proxy: &RecordingProxy) {
    let quiet = Duration::from_secs(3);
    loop {
        let last = proxy.mutations().iter().map(|request| request.arrived).max();
        if last.is_none_or(|at| at.elapsed() > quiet) {
            return;
        }
        std::thread::sleep(quiet / 4);
    }
}

/// How long at least one of these requests was waiting for the engine, between two moments.
pub(crate) fn engine_time(requests: &[RecordedRequest], from: Instant, to: Instant) -> Duration {
    let mut spans: Vec<(Instant, Instant)> = requests
        .iter()
        // The stream of events is open all the time.
        .filter(|request| !request.endpoint().contains("events"))
        .filter_map(|request| Some((request.arrived.max(from), request.answered?.min(to))))
        .filter(|(start, end)| start < end)
        .collect();
    spans.sort();
    let (mut total, mut until) = (Duration::ZERO, from);
    for (start, end) in spans {
        let start = start.max(until);
        if end > start {
            total += end - start;
            until = end;
        }
    }
    total
}
