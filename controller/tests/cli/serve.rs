//! The running loop: what monitoring sees, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, ChildStderr, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Home;
use crate::engine::FakeEngine;
use crate::fleet::REGISTRY;

pub(crate) struct Serving {
    child: Child,
    pub(crate) log: BufReader<ChildStderr>,
    pub(crate) address: String,
    store: String,
}

impl Serving {
    pub(crate) fn start(home: &Home, engine: &FakeEngine, variables: &[(&str, &str)]) -> Self {
        let registry = home.file("fleet.yml", REGISTRY);
        let store = format!("sqlite:{}", home.path("skep.db").display());
        let mut child = home
            .command(&[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--registry",
                &registry,
                "--store",
                &store,
            ])
            .env("DOCKER_HOST", &engine.host)
            .env("FLEET_RECONCILER_INTERVAL", "200ms")
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "serve ended");
            let line: Value = serde_json::from_str(&line).expect("no terminal: JSON lines");
            if line["message"] == "serve.started" {
                break line["http.address"].as_str().unwrap().to_owned();
            }
        };
        Self { child, log, address, store }
    }

    pub(crate) fn get(&self, path: &str) -> (String, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        (head.lines().next().unwrap().to_owned(), body.to_owned())
    }

    /// Asks until the answer is as wanted.
    pub(crate) fn get_until(&self, path: &str, ready: impl Fn(&str, &str) -> bool) -> String {
        wait(path, || {
            let (status, body) = self.get(path);
            if ready(&status, &body) { Ok(body) } else { Err(format!("{status} {body}")) }
        })
    }

    /// Ends it as a supervisor does.
    pub(crate) fn stop(mut self) {
        self.signal("-TERM");
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

/// Longer than anything takes on a busy machine; a wait that ends here is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// Tries until it works.
pub(crate) fn wait<T>(what: &str, mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(last) if Instant::now() >= deadline => panic!("{what}: waited in vain: {last}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn monitoring_sees_it_become_ready_and_lose_the_engine() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let serving = Serving::start(&home, &engine, &[]);
    assert_eq!(serving.get("/healthz").1, "ok");
    let ready = serving.get_until("/readyz", |status, _| status.contains(" 200 "));
    let ready: Value = serde_json::from_str(&ready).unwrap();
    for check in ["store", "engine", "sources", "leader"] {
        assert_eq!(ready["checks"][check]["ok"], true, "{ready}");
    }
    let metrics = serving.get("/metrics").1;
    assert!(metrics.contains("# TYPE ") && metrics.trim_end().ends_with("# EOF"), "{metrics}");
    let status = serving.get_until("/status", |_, body| body.contains("\"create\":2"));
    let status: Value = serde_json::from_str(&status).unwrap();
    assert_eq!((&status["leader"], &status["actuator"]), (&true.into(), &"dryrun".into()));
    assert_eq!(status["sources"][0]["state"], "ready");
    assert_eq!(status["pid"], serving.child.id());

    engine.says(
        "info",
        r#"{"Swarm": {"LocalNodeState": "inactive", "ControlAvailable": false, "Error": ""}}"#,
    );
    let (status, body) = serving.get("/readyz");
    assert!(status.contains(" 503 "), "{status} {body}");
    let lost: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(lost["checks"]["engine"]["ok"], false, "{body}");
    assert_eq!(lost["checks"]["store"]["ok"], true, "{body}");
    assert!(engine.writes().is_empty());
}

#[test]
fn a_signal_ends_it_and_hands_the_lease_over() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let mut serving = Serving::start(&home, &engine, &[]);
    serving.get_until("/readyz", |status, _| status.contains(" 200 "));

    let arguments = ["reconcile", "--once", "--store", &serving.store, "-o", "json"];
    let variables = [("DOCKER_HOST", engine.host.as_str())];
    let error = home.run_with(&arguments, &variables).error(1);
    assert_eq!(error["code"], "LEASE_HELD");
    let pid = format!("pid {}", serving.child.id());
    assert!(error["message"].as_str().unwrap().contains(&pid), "{error}");

    serving.signal("-TERM");
    let status = serving.child.wait().unwrap();
    assert!(status.success(), "{status}");
    let mut rest = String::new();
    serving.log.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("serve.stopped"), "{rest}");
    home.run_with(&arguments, &variables).json();
}

#[test]
fn decisions_work_beside_it_and_take_effect() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let serving = Serving::start(&home, &engine, &[]);
    let list = |verb: &[&str]| {
        let run = home.run(&[verb, &["--store", &serving.store, "-o", "json"]].concat());
        run.json()["items"].as_array().unwrap().len()
    };
    let wait_for = |count: usize, verb: &[&str]| {
        wait("a list", || match list(verb) {
            found if found == count => Ok(()),
            found => Err(format!("{verb:?}: {found} of {count}")),
        });
    };
    wait_for(2, &["approvals", "list"]);
    let run = home.run(&["approvals", "approve", "--all", "--store", &serving.store]);
    assert_eq!(run.code(), 0, "{run}");
    assert!(run.stderr().contains("picks it up"), "{run}");
    wait_for(2, &["actions", "list", "--state", "rehearsed"]);
    assert!(engine.writes().is_empty());
}

#[test]
fn it_stays_on_loopback() {
    let home = Home::new();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let error = home.run(&["serve", "--listen", address, "-o", "json"]).error(1);
        assert_eq!(error["code"], "BIND_REFUSED");
        assert!(error["next"].as_str().unwrap().contains("127.0.0.1"), "{error}");
    }
    let run = home.run_with(&["serve"], &[("FLEET_CONTROL_PLANE_BIND", "192.0.2.1")]);
    assert!(run.stderr().contains("BIND_REFUSED"), "{run}");
}
