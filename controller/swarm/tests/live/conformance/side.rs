//! One of the two sides, and what is noted of it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use skep_core::identity::SwarmId;
use skep_core::ports::Clock;
use skep_swarm::engine::{Event, EventObject, EventStream};
use skep_swarm::fake::{FakeSwarm, Pace};
use skep_swarm::{Engine, Error, observe};

use super::super::support::{Fleet, bytes};

/// What was seen after one step.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) step: String,
    pub(super) seen: Value,
}

/// A clock that moves when it is told to.
#[derive(Default)]
pub(super) struct Stepped(AtomicI64);

impl Clock for Stepped {
    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + self.0.load(Ordering::SeqCst)).unwrap()
    }
}

enum Rig {
    Live(Mutex<Fleet>),
    Fake(Arc<FakeSwarm>, Arc<Stepped>),
}

pub(super) struct Side {
    pub(super) engine: Arc<dyn Engine>,
    prefix: String,
    rig: Rig,
    events: EventStream,
    notes: Vec<Note>,
    /// Ids as they are called in the notes.
    called: BTreeMap<String, String>,
    versions: BTreeMap<String, u64>,
}

impl Side {
    pub(super) async fn live(prefix: &str) -> Self {
        let (fleet, engine) = Fleet::named(prefix.to_owned()).await;
        Self::new(engine, prefix.to_owned(), Rig::Live(Mutex::new(fleet))).await
    }

    pub(super) async fn fake(prefix: String) -> Self {
        let clock = Arc::new(Stepped::default());
        let swarm = Arc::new(FakeSwarm::new(clock.clone(), Pace::REAL, 7));
        swarm.break_image(super::rollouts::MISSING, super::rollouts::NO_SUCH_IMAGE);
        Self::new(swarm.clone(), prefix, Rig::Fake(swarm, clock)).await
    }

    async fn new(engine: Arc<dyn Engine>, prefix: String, rig: Rig) -> Self {
        let events = engine.events().await.unwrap();
        let (notes, called, versions) = Default::default();
        Self { engine, prefix, rig, events, notes, called, versions }
    }

    pub(super) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Notes what was seen, with names for ids.
    pub(super) fn note(&mut self, step: &str, seen: &Value) {
        let mut text = seen.to_string();
        for (id, called) in &self.called {
            text = text.replace(id, &format!("<{called}>"));
        }
        let seen = serde_json::from_str(&without_task(&text)).unwrap();
        let times = self.notes.iter().filter(|note| note.step.starts_with(step)).count();
        self.notes.push(Note { step: format!("{step} (after {times} like it)"), seen });
    }

    /// Gives an id the name that it has in the notes.
    pub(super) fn call(&mut self, id: &str, called: &str) {
        self.called.insert(id.to_owned(), called.to_owned());
    }

    pub(super) fn note_result<T>(&mut self, step: &str, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(value) => {
                self.note(step, &json!("ok"));
                Some(value)
            }
            Err(error) => {
                let effect = error.may_have_had_effect();
                self.note(step, &json!([error.kind(), effect, error.to_string()]));
                None
            }
        }
    }

    /// Creates a service and waits until the swarm leaves it alone.
    pub(super) async fn create(&mut self, step: &str, spec: &Value) -> Option<SwarmId> {
        let created = self.engine.create_service(bytes(spec), None).await;
        let id = self.note_result(step, created)?.id;
        let name = spec["Name"].as_str().unwrap_or_default().trim_start_matches(&self.prefix);
        self.call(id.as_str(), &format!("{name} after {step}"));
        self.settle(id.as_str()).await;
        Some(id)
    }

    /// Writes a changed spec of a service as it is now; `behind` makes its Version another one.
    pub(super) async fn update(
        &mut self,
        step: &str,
        id: &SwarmId,
        behind: i64,
        change: impl FnOnce(&mut Value),
    ) {
        let live = self.settle(id.as_str()).await;
        let mut spec = live["Spec"].clone();
        change(&mut spec);
        let version = live["Version"]["Index"].as_u64().unwrap().checked_add_signed(behind);
        let updated = self.engine.update_service(id, version.unwrap(), bytes(&spec), None).await;
        if self.note_result(step, updated).is_some() {
            self.settle(id.as_str()).await;
        }
    }

    /// Notes everything that the engine says about a service, and whether its Version moved.
    pub(super) async fn look(&mut self, step: &str, id: &SwarmId) -> Value {
        let live = self.settle(id.as_str()).await;
        let version = live["Version"]["Index"].as_u64().unwrap();
        let before = self.versions.insert(id.as_str().to_owned(), version);
        let seen = json!({
            "spec": live["Spec"],
            "previous": live["PreviousSpec"],
            "state": live["UpdateStatus"]["State"],
            "message": live["UpdateStatus"]["Message"],
            "is over": live["UpdateStatus"]["CompletedAt"].is_string(),
            "iteration": live["JobStatus"]["JobIteration"],
            "asked ports": live["Endpoint"]["Spec"],
            "ports": live["Endpoint"]["Ports"],
            "moved": before.is_none_or(|before| before < version),
        });
        self.note(step, &seen);
        live
    }

    /// Notes what its tasks come to.
    pub(super) async fn count_tasks(&mut self, step: &str, id: &SwarmId) {
        let read = observe::read_services(&*self.engine, std::slice::from_ref(id)).await.unwrap();
        let tasks = &read[0].tasks;
        let seen = json!({
            "running": tasks.running,
            "starting": tasks.starting,
            "completed": tasks.completed,
            "error": tasks.last_error(),
        });
        self.note(step, &seen);
    }

    /// Waits until the service is as the closure wants it.
    pub(super) async fn until(&mut self, id: &SwarmId, wanted: impl Fn(&Value) -> bool) {
        for _attempt in 0..2_000 {
            if wanted(&self.engine.inspect_service(id.as_str()).await.unwrap()) {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!("{}: waited in vain after {:?}", self.called[id.as_str()], self.notes.last());
    }

    pub(super) async fn until_running(&mut self, id: &SwarmId, count: u32) {
        for _attempt in 0..2_000 {
            let ids = std::slice::from_ref(id);
            let read = observe::read_services(&*self.engine, ids).await.unwrap();
            if read[0].tasks.running == count && read[0].tasks.starting == 0 {
                return;
            }
            self.pass(Duration::from_millis(50)).await;
        }
        panic!("waited in vain for {count} tasks");
    }

    /// Lets time go by.
    pub(super) async fn pass(&self, time: Duration) {
        match &self.rig {
            Rig::Live(_) => tokio::time::sleep(time).await,
            Rig::Fake(_, clock) => {
                let millis = SignedDuration::try_from(time).unwrap().as_millis();
                clock.0.fetch_add(i64::try_from(millis).unwrap(), Ordering::SeqCst);
            }
        }
    }

    /// Waits until the Version stands for a moment, and gives what the engine says.
    pub(super) async fn settle(&mut self, id: &str) -> Value {
        let mut before = Value::Null;
        loop {
            let live = self.engine.inspect_service(id).await.unwrap();
            if live["Version"] == before {
                return live;
            }
            before = live["Version"].clone();
            self.pass(Duration::from_millis(120)).await;
        }
    }

    /// Makes a network, secret or config; `kind` is as in the paths of the API.
    pub(super) fn make(&mut self, step: &str, kind: &'static str, name: &str) -> Option<String> {
        let mut spec = match kind {
            "networks" => json!({"Driver": "overlay"}),
            _ => json!({"Data": "c2tlcA==", "Labels": {}}),
        };
        spec["Name"] = json!(self.name(name));
        let made = match &self.rig {
            Rig::Live(fleet) => fleet.lock().unwrap().try_make(kind, &spec),
            Rig::Fake(swarm, _) => swarm.make(kind, &spec),
        };
        match made {
            Ok(id) => {
                self.call(&id, &format!("{kind} {name}"));
                self.note(step, &json!("made"));
                Some(id)
            }
            Err(refusal) => {
                self.note(step, &json!(refusal));
                None
            }
        }
    }

    /// Replaces labels, and perhaps data, of a config.
    pub(super) fn relabel(&mut self, step: &str, id: &str, behind: i64, more: &Value) {
        let mut spec = json!({"Name": self.name("config"), "Data": "c2tlcA=="});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let result = match &self.rig {
            Rig::Live(fleet) => fleet.lock().unwrap().try_relabel(id, behind, &spec),
            Rig::Fake(swarm, _) => {
                let version = swarm.version_of("configs", id).unwrap();
                let version = version.checked_add_signed(behind).unwrap();
                swarm.relabel("configs", id, version, &spec)
            }
        };
        self.note(step, &json!(result.map_or_else(|refusal| json!(refusal), |()| json!("ok"))));
    }

    pub(super) fn unmake(&mut self, step: &str, kind: &'static str, id: &str) {
        let result = match &self.rig {
            Rig::Live(fleet) => fleet.lock().unwrap().try_unmake(kind, id),
            Rig::Fake(swarm, _) => swarm.unmake(kind, id),
        };
        self.note(step, &json!(result.map_or_else(|refusal| json!(refusal), |()| json!("ok"))));
    }

    /// Removes a job with what its tasks leave behind.
    pub(super) async fn remove_job(&mut self, step: &str, id: &SwarmId, name: &str) {
        let removed = self.engine.remove_service(id).await;
        self.note_result(step, removed);
        if let Rig::Live(fleet) = &self.rig {
            fleet.lock().unwrap().remove_containers(&self.name(name));
        }
    }

    /// The notes, with the events of each object at the end.
    pub(super) async fn finish(mut self) -> Vec<Note> {
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        self.pass(Duration::from_millis(500)).await;
        self.engine.info().await.unwrap();
        let quiet = Duration::from_millis(500);
        while let Ok(Some(event)) = tokio::time::timeout(quiet, self.events.next()).await {
            let event = event.unwrap();
            if let Some(name) = self.named(&event) {
                heard.entry(name).or_default().push(event.action);
            }
        }
        for (name, actions) in heard {
            self.note(&format!("events of {name}"), &json!(actions));
        }
        self.notes
    }

    /// Networks change by themselves as services come and go.
    fn named(&self, event: &Event) -> Option<String> {
        let is_meant = matches!(
            event.object,
            EventObject::Service | EventObject::Secret | EventObject::Config
        );
        let name = event.name.as_deref().filter(|_| is_meant)?;
        name.strip_prefix(&self.prefix).map(|name| format!("{:?} {name}", event.object))
    }
}

/// The engine names the task that failed.
fn without_task(text: &str) -> String {
    const BEFORE: &str = "termination of task ";
    let mut parts = text.split(BEFORE);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        shown.push_str(BEFORE);
        shown.push_str(part.trim_start_matches(|c: char| c.is_ascii_alphanumeric()));
    }
    shown
}
