//! A fleet of one test: a registry, a store, a recording proxy, bystanders, and the program.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use skep_testkit::{Engine, RecordingProxy, engine, fleet_name};
use tempfile::TempDir;

/// Longer than anything takes on a busy machine; a wait that ends here is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Fleet {
    pub(crate) engine: Engine,
    pub(crate) proxy: RecordingProxy,
    pub(crate) name: String,
    folder: TempDir,
    bystanders: Vec<(String, Value)>,
}

impl Fleet {
    pub(crate) fn new(test: &str) -> Self {
        Self::on(engine::shared(), test)
    }

    /// A fleet on an engine of the test's own.
    pub(crate) fn on(engine: Engine, test: &str) -> Self {
        let proxy = RecordingProxy::start(engine.socket()).unwrap();
        let name = fleet_name(test);
        let folder = TempDir::new().unwrap();
        let mut fleet = Self { engine, proxy, name, folder, bystanders: Vec::new() };
        fleet.add_bystander("other");
        fleet
    }

    /// A service that somebody made by hand.
    pub(crate) fn add_bystander(&mut self, suffix: &str) -> String {
        let name = format!("{}-{suffix}", self.name);
        let run = ["service", "create", "--detach", "--name", &name, "--env", "BY=hand"];
        self.engine.docker(&[&run[..], &["skep-test/mcp:1"]].concat()).unwrap();
        self.watch_bystander(&name);
        name
    }

    /// From now on this service must not change.
    pub(crate) fn watch_bystander(&mut self, name: &str) {
        // Swarm itself still changes a fresh service a few times: it gives it addresses.
        let mut before = untouched(&self.inspect(name));
        loop {
            std::thread::sleep(Duration::from_millis(300));
            let after = untouched(&self.inspect(name));
            if after == before {
                break;
            }
            before = after;
        }
        self.bystanders.push((name.to_owned(), before));
    }

    /// It was changed on purpose; from here on it must not change again.
    pub(crate) fn watch_again(&mut self, name: &str) {
        self.bystanders.retain(|(other, _)| other != name);
        self.watch_bystander(name);
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn service(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.name)
    }

    /// Writes a registry with these services; each line is one service's extra fields.
    pub(crate) fn registry(&self, services: &[(&str, &str)]) -> PathBuf {
        let path = self.path("registry.yml");
        std::fs::write(&path, self.registry_text(services)).unwrap();
        path
    }

    pub(crate) fn registry_text(&self, services: &[(&str, &str)]) -> String {
        let mut text = String::from("version: 1\nservices:\n");
        for (suffix, fields) in services {
            let name = self.service(suffix);
            let fields: Vec<_> =
                fields.split(';').map(str::trim).filter(|field| !field.is_empty()).collect();
            writeln!(text, "  - name: {name}").unwrap();
            if !fields.iter().any(|field| field.starts_with("image:")) {
                writeln!(text, "    image: skep-test/mcp:1").unwrap();
            }
            for field in fields {
                writeln!(text, "    {field}").unwrap();
            }
        }
        text
    }

    pub(crate) fn store(&self) -> String {
        format!("sqlite:{}", self.path("skep.db").display())
    }

    /// The program, with nothing of this machine's environment but a path.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.prepared(Command::new(env!("CARGO_BIN_EXE_skep")), arguments)
    }

    /// The program on the engine's own network, where published ports are.
    pub(crate) fn command_inside(&self, arguments: &[&str]) -> Command {
        self.prepared(self.engine.command(env!("CARGO_BIN_EXE_skep")), arguments)
    }

    fn prepared(&self, mut command: Command, arguments: &[&str]) -> Command {
        command
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path())
            .env("USER", "tester")
            .env("DOCKER_HOST", self.proxy.host())
            .env("FLEET_NAME", &self.name)
            .env("STATE_DB_URI", self.store())
            .current_dir(self.folder.path());
        command
    }

    /// As [`Self::json`], on the engine's own network.
    pub(crate) fn json_inside(&self, arguments: &[&str]) -> Value {
        let output = self.command_inside(&[arguments, &["-o", "json"]].concat()).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
        self.command(arguments).envs(environment.iter().copied()).output().unwrap()
    }

    /// Runs it, expects success, and reads its JSON.
    pub(crate) fn json(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
        let output = self.run(&[arguments, &["-o", "json"]].concat(), environment);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {}", text(&output)))
    }

    pub(crate) fn plan(&self, registry: &Path) -> Value {
        self.json(&["plan", "--registry", registry.to_str().unwrap()], &[])
    }

    /// The plan from what was last valid: printed, and an error all the same.
    pub(crate) fn plan_of_broken(&self, registry: &Path) -> Value {
        let output =
            self.run(&["plan", "--registry", registry.to_str().unwrap(), "-o", "json"], &[]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("SOURCE_INVALID"), "{said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn serve(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Serve {
        self.serve_by(Self::command, arguments, environment)
    }

    /// The loop on the engine's own network.
    pub(crate) fn serve_inside(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Serve {
        self.serve_by(Self::command_inside, arguments, environment)
    }

    fn serve_by(
        &self,
        command: impl Fn(&Self, &[&str]) -> Command,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Serve {
        let log = self.path(&format!("serve-{}.log", rand_suffix()));
        let file = std::fs::File::create(&log).unwrap();
        let child = command(self, &[&["serve", "--listen", "127.0.0.1:0"], arguments].concat())
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::from(file))
            .spawn()
            .unwrap();
        Serve { child, log }
    }

    pub(crate) fn inspect(&self, name: &str) -> Value {
        self.engine.call("GET", &format!("/services/{name}"), None).unwrap()
    }

    pub(crate) fn exists(&self, name: &str) -> bool {
        self.engine.call("GET", &format!("/services/{name}"), None).is_ok()
    }

    pub(crate) fn approvals(&self, status: &str) -> Vec<Value> {
        items(&self.json(&["approvals", "list", "--status", status], &[]))
    }

    pub(crate) fn actions(&self) -> Vec<Value> {
        items(&self.json(&["actions", "list"], &[]))
    }

    pub(crate) fn approve_all(&self) -> Output {
        let output = self.run(&["approvals", "approve", "--all"], &[]);
        assert!(output.status.success(), "{}", text(&output));
        output
    }

    pub(crate) fn wait_for_approvals(&self, serve: &Serve, count: usize) -> Vec<Value> {
        wait(serve, &format!("{count} pending approvals"), || {
            let pending = self.approvals("pending");
            (pending.len() == count).then_some(pending)
        })
    }

    pub(crate) fn wait_for_states(&self, serve: &Serve, state: &str, count: usize) {
        wait(serve, &format!("{count} actions {state}"), || {
            let found = self.actions().iter().filter(|action| action["state"] == state).count();
            (found == count).then_some(())
        });
    }

    /// The mutating requests that Skep sent.
    pub(crate) fn mutations(&self) -> Vec<String> {
        self.proxy.mutations().iter().map(|request| format!("{request:?}")).collect()
    }

    /// What nobody may touch is as it was. Every test ends with this.
    pub(crate) fn finish(self) {
        for (name, before) in &self.bystanders {
            assert_eq!(&untouched(&self.inspect(name)), before, "{name} was touched");
        }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        let _ = self.engine.remove_services_with_prefix(&self.name);
        // Services of the shipped registry have names of their own.
        let filter = format!("label=dev.skep.fleet={}", self.name);
        let list = ["service", "ls", "--quiet", "--filter", &filter];
        if let Ok(ids) = self.engine.docker(&list) {
            for id in ids.split_whitespace() {
                let _ = self.engine.call("DELETE", &format!("/services/{id}"), None);
            }
        }
    }
}

/// A running `skep serve`; ended hard when dropped.
pub(crate) struct Serve {
    child: Child,
    log: PathBuf,
}

impl Serve {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and checks that it does so within seconds and without an error.
    pub(crate) fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "serve ended with {status}: {}", self.log());
                return;
            }
            assert!(Instant::now() < deadline, "serve does not end: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until the closure gives a value.
pub(crate) fn wait<T>(serve: &Serve, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}; log:\n{}", serve.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

pub(crate) fn items(list: &Value) -> Vec<Value> {
    list["items"].as_array().unwrap_or_else(|| panic!("no items in {list}")).clone()
}

pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// What a write would change: spec, Version, the way back.
pub(crate) fn untouched(inspected: &Value) -> Value {
    json!({
        "Spec": inspected["Spec"],
        "Version": inspected["Version"],
        "PreviousSpec": inspected["PreviousSpec"],
        "UpdatedAt": inspected["UpdatedAt"],
    })
}

pub(crate) fn steps(plan: &Value) -> Vec<(String, String, String)> {
    let word = |step: &Value, key: &str| step[key].as_str().unwrap().to_owned();
    plan["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| (word(step, "target"), word(step, "action"), word(step, "class")))
        .collect()
}

fn rand_suffix() -> u32 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos())
}
