//! What digests give away: nothing that can be tested by somebody without the key.
//!
//! Two installations with keys of their own look at the same swarm and the same declaration. Any
//! digest that both of them show or store was made without a key.

use std::collections::BTreeSet;
use std::path::Path;

use skep_core::canonical::Digest;

use crate::Home;
use crate::engine::FakeEngine;

const PIN: &str = "4711";

const REGISTRY: &str = "\
version: 1
services:
  - name: alpha
    image: example/alpha:1
    env:
      PIN: \"4711\"
  - name: beta
    image: example/beta:1
    env:
      PIN: \"4711\"
";

/// What one installation shows and stores in the course of a plan, a request and a decision.
struct Installation {
    home: Home,
    engine: FakeEngine,
    shown: Vec<(String, Vec<u8>)>,
}

impl Installation {
    fn new() -> Self {
        let home = Home::new();
        let engine = FakeEngine::start(&home);
        home.file("fleet.yml", REGISTRY);
        Self { home, engine, shown: Vec::new() }
    }

    fn run(&mut self, arguments: &[&str]) -> String {
        let variables = [
            ("DOCKER_HOST", self.engine.host.as_str()),
            ("FLEET_REGISTRY_PATH", "fleet.yml"),
            ("SKEP_LOG", "trace"),
        ];
        let mut all = arguments.to_vec();
        all.extend(["--store", "sqlite:state/skep.db", "--log-level", "trace"]);
        let run = self.home.run_with(&all, &variables);
        assert_eq!(run.code(), 0, "{run}");
        let stdout = run.stdout();
        self.shown.push((format!("stdout of {arguments:?}"), run.0.stdout));
        self.shown.push((format!("stderr of {arguments:?}"), run.0.stderr));
        stdout
    }

    /// Plans, asks, decides, rehearses, and shows everything that is on record.
    fn live(&mut self) {
        self.run(&["plan", "-o", "json"]);
        self.run(&["plan"]);
        self.run(&["reconcile", "--once", "-o", "json"]);
        let waiting = self.run(&["approvals", "list", "-o", "json"]);
        let waiting: serde_json::Value = serde_json::from_str(&waiting).unwrap();
        let id = waiting["items"][0]["id"].as_str().unwrap().to_owned();
        self.run(&["approvals", "list", "--group", "-o", "json"]);
        self.run(&["approvals", "show", &id, "-o", "json"]);
        self.run(&["approvals", "approve", &id, "-o", "json"]);
        self.run(&["reconcile", "--once", "-o", "json"]);
        for verb in [["actions", "list"], ["audit", "list"], ["audit", "export"]] {
            self.run(&[verb[0], verb[1], "-o", "json"]);
        }
        for entry in std::fs::read_dir(self.home.path("state")).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            self.shown.push((path.file_name().unwrap().display().to_string(), bytes));
        }
    }

    /// Every run of at least so many hexadecimal digits that does not name a rule of the policy:
    /// those are the same everywhere, and hold no value.
    fn digests(&self, least: usize) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (_, bytes) in &self.shown {
            let mut start = 0;
            for at in 0..=bytes.len() {
                let is_digit = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
                if bytes.get(at).is_some_and(is_digit) {
                    continue;
                }
                let is_rule = start > 0 && bytes[start - 1] == b'#';
                if at - start >= least && !is_rule {
                    found.insert(String::from_utf8(bytes[start..at].to_vec()).unwrap());
                }
                start = at + 1;
            }
        }
        found
    }

    fn holding(&self, needle: &[u8]) -> Vec<&str> {
        let is_in = |bytes: &[u8]| bytes.windows(needle.len()).any(|part| part == needle);
        let places = self.shown.iter().filter(|(_, bytes)| is_in(bytes));
        places.map(|(place, _)| place.as_str()).collect()
    }
}

#[test]
fn two_installations_have_no_digest_in_common() {
    let (mut one, mut two) = (Installation::new(), Installation::new());
    one.live();
    two.live();
    let (of_one, of_two) = (one.digests(16), two.digests(16));
    // Of two steps, two requests and their plan at least.
    assert!(of_one.len() > 10, "{of_one:?}");
    // Of no rows from before the audit trail had chains.
    let nothing = Digest::of_bytes(b"").to_string();
    let common: Vec<_> =
        of_one.intersection(&of_two).filter(|digest| **digest != nothing).collect();
    assert!(
        common.is_empty(),
        "{common:?}, for example in {:?}",
        common.first().map(|digest| { one.holding(digest.as_bytes()) })
    );
    let steps = |installation: &Installation| -> BTreeSet<String> {
        let (_, plan) = &installation.shown[0];
        let plan: serde_json::Value = serde_json::from_slice(plan).unwrap();
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().map(|step| step["id"].as_str().unwrap().to_owned()).collect()
    };
    assert!(steps(&one).is_disjoint(&steps(&two)), "the short form of steps");
}

#[test]
fn no_hash_of_a_value_is_shown_or_stored() {
    let mut one = Installation::new();
    one.live();
    let file = REGISTRY.as_bytes();
    let framed = [&b"r"[..], &file.len().to_be_bytes(), file].concat();
    // As the store's content is written.
    let stored = format!(
        r#"{{"version":1,"files":[{{"role":"registry","path":"fleet.yml","content":{}}}]}}"#,
        serde_json::json!(REGISTRY)
    );
    let mut found = Vec::new();
    for guessed in [
        PIN.as_bytes(),
        b"PIN=4711",
        b"\"4711\"",
        br#"["PIN=4711"]"#,
        file,
        &framed,
        stored.as_bytes(),
    ] {
        let digest = Digest::of_bytes(guessed);
        let raw: Vec<u8> = (0..64)
            .step_by(2)
            .map(|at| u8::from_str_radix(&digest.as_str()[at..at + 2], 16).unwrap())
            .collect();
        let upper = digest.short(16).to_uppercase();
        for form in [digest.short(16).as_bytes(), upper.as_bytes(), &raw[..16]] {
            let guessed = String::from_utf8_lossy(guessed);
            found.extend(one.holding(form).iter().map(|place| format!("{guessed} in {place}")));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(Path::new(&one.home.path("state/skep.db")).exists());
}

#[test]
fn a_plan_has_the_same_digest_wherever_the_key_is_the_same() {
    let fleet = Installation::new();
    let host = fleet.engine.host.as_str();
    let variables = [("DOCKER_HOST", host), ("FLEET_REGISTRY_PATH", "fleet.yml")];
    let digest = |arguments: &[&str]| {
        let all = [&["plan", "-o", "json"], arguments].concat();
        fleet.home.run_with(&all, &variables).json()["digest"].as_str().unwrap().to_owned()
    };
    let stored = digest(&["--store", "sqlite:state/skep.db"]);
    assert_eq!(digest(&["--store", "sqlite:state/skep.db"]), stored);
    let key = fleet.home.path("state/skep.db.key").display().to_string();
    let memory = ["--store", "sqlite::memory:"];
    assert_eq!(digest(&[&memory[..], &["--key", &key]].concat()), stored, "no store is needed");
    // A key that ends with the process is like no other.
    assert_ne!(digest(&memory), stored);
    assert_ne!(digest(&memory), digest(&memory));
}
