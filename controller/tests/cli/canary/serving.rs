//! What the running loop logs, traces, serves, sends and stores.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::scene::Scene;

/// The loop, with its log in a file.
struct Loop<'a> {
    scene: &'a Scene,
    child: Child,
    address: String,
}

impl<'a> Loop<'a> {
    fn start(scene: &'a Scene, format: &str) -> Self {
        std::fs::create_dir_all(scene.home.path("logs")).unwrap();
        let log = scene.home.path("logs/serve.log");
        let policy = scene.home.path("inputs/policy.yml");
        let child = scene
            .home
            .command(&["serve", "--listen", "127.0.0.1:0", "--log-format", format])
            .envs(scene.variables())
            .env("STATE_DB_URI", scene.store())
            .env("ACTION_POLICY_PATH", policy)
            .env("FLEET_RECONCILER_INTERVAL", "200ms")
            .stdout(Stdio::null())
            .stderr(Stdio::from(File::create(&log).unwrap()))
            .spawn()
            .unwrap();
        let mut serving = Self { scene, child, address: String::new() };
        serving.address = until("it listens", || {
            let log = std::fs::read_to_string(&log).unwrap();
            let line = log.lines().find(|line| line.contains("serve.started"))?;
            let from = line.find("127.0.0.1:")?;
            let is_part = |char: &char| char.is_ascii_digit() || ".:".contains(*char);
            Some(line[from..].chars().take_while(is_part).collect())
        });
        serving
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        self.scene.keep("routes", &format!("at {path}"), reply.as_bytes());
        reply
    }

    fn stop(mut self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Loop<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Creates and updates are sent by the loop and refused with the request in the refusal; people
/// are told, and monitoring asks for everything that there is.
#[test]
fn no_secret_is_in_what_the_loop_logs_traces_serves_sends_or_stores() {
    for format in ["json", "text"] {
        let scene = Scene::new();
        let adopted = scene.run_as("json", &["service", "adopt", "alpha", "--approve"], &[]);
        assert_eq!(adopted.code(), 0, "{adopted}");
        let serving = Loop::start(&scene, format);
        until("something was refused", || (!scene.engine.writes().is_empty()).then_some(()));
        until("somebody was told", || (!scene.hook.requests().is_empty()).then_some(()));
        until("the refusal is on record", || {
            let failed = scene.run_as("json", &["actions", "list", "--state", "failed"], &[]);
            (!failed.json()["items"].as_array().unwrap().is_empty()).then_some(())
        });
        // A registry that cannot be read is told, with its places.
        let broken = scene.registry(2).replace("labels:", "lables:");
        scene.home.file("inputs/fleet.yml", &broken);
        until("the mistake is told", || serving.get("/status").contains("lables").then_some(()));
        for path in ["/healthz", "/readyz", "/metrics", "/status", "/", "/nothing?token=x"] {
            serving.get(path);
        }
        // A signal is heard also while the engine is gone.
        scene.engine.says("info", r#"{"Swarm": {"LocalNodeState": "inactive"}}"#);
        until("it is not ready", || serving.get("/readyz").contains(" 503 ").then_some(()));
        serving.stop();
        let log = std::fs::read(scene.home.path("logs/serve.log")).unwrap();
        scene.keep("log lines of the loop", format, &log);
        scene.assert_clean(&["log lines of the loop", "routes", "traces", "messages", "files"]);
    }
}
