//! One service as the swarm keeps it, and as the engine reports it.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use skep_core::spec::{ServiceMode, Spec};

use super::tasks::TaskRecord;

/// A service with its tasks.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) id: String,
    pub(super) version: u64,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) spec: Value,
    pub(super) previous: Option<Value>,
    pub(super) update: Option<Update>,
    /// What a job has done.
    pub(super) job: Option<Job>,
    /// The ports and networks that were given out last.
    pub(super) allocated: Value,
    /// Grows with every change of the spec; what was scheduled for an older one is void.
    pub(super) generation: u64,
    pub(super) tasks: Vec<TaskRecord>,
}

/// `UpdateStatus`.
#[derive(Debug, Clone)]
pub(super) struct Update {
    pub(super) state: String,
    pub(super) message: String,
    pub(super) started_at: Timestamp,
    pub(super) completed_at: Option<Timestamp>,
}

/// `JobStatus`.
#[derive(Debug, Clone)]
pub(super) struct Job {
    pub(super) iteration: u64,
    pub(super) last_execution: Timestamp,
}

impl Service {
    pub(super) fn name(&self) -> &str {
        text(&self.spec, "/Name")
    }

    pub(super) fn image(&self) -> &str {
        text(&self.spec, "/TaskTemplate/ContainerSpec/Image")
    }

    pub(super) fn mode(&self) -> Mode {
        Mode::of(&self.spec)
    }

    /// As the API shows it.
    pub(super) fn reported(&self) -> Value {
        let mut shown = Map::new();
        let mut show = |key: &str, value: Value| shown.insert(key.to_owned(), value);
        show("ID", json!(self.id));
        show("Version", json!({"Index": self.version}));
        show("CreatedAt", json!(self.created_at));
        show("UpdatedAt", json!(self.updated_at));
        show("Spec", self.spec.clone());
        if let Some(previous) = &self.previous {
            show("PreviousSpec", previous.clone());
        }
        show("Endpoint", self.endpoint());
        if let Some(update) = &self.update {
            let mut status = json!({
                "State": update.state,
                "StartedAt": update.started_at,
                "Message": update.message,
            });
            if let (Some(at), Some(status)) = (update.completed_at, status.as_object_mut()) {
                status.insert("CompletedAt".to_owned(), json!(at));
            }
            show("UpdateStatus", status);
        }
        if let Some(job) = &self.job {
            // The first iteration is the zero that Go leaves out.
            let iteration = match job.iteration {
                0 => json!({}),
                index => json!({"Index": index}),
            };
            let status = json!({"JobIteration": iteration, "LastExecution": job.last_execution});
            show("JobStatus", status);
        }
        Value::Object(shown)
    }

    fn endpoint(&self) -> Value {
        let spec = self.allocated.get("EndpointSpec").cloned().unwrap_or_else(|| json!({}));
        let ports = spec.get("Ports").cloned();
        let mut endpoint = json!({"Spec": spec});
        if let (Some(ports), Some(shown)) = (ports, endpoint.as_object_mut()) {
            shown.insert("Ports".to_owned(), ports);
        }
        endpoint
    }

    /// What needs ports or addresses from the swarm.
    pub(super) fn to_allocate(&self) -> Value {
        let mut wanted = Map::new();
        let has_some = |pointer: &str| {
            let list = self.spec.pointer(pointer).and_then(Value::as_array);
            list.is_some_and(|list| !list.is_empty())
        };
        for (key, pointer, list) in [
            ("EndpointSpec", "/EndpointSpec", "/EndpointSpec/Ports"),
            ("Networks", "/TaskTemplate/Networks", "/TaskTemplate/Networks"),
        ] {
            if let Some(value) = self.spec.pointer(pointer).filter(|_| has_some(list)) {
                wanted.insert(key.to_owned(), value.clone());
            }
        }
        Value::Object(wanted)
    }
}

/// How many tasks there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// So many replicas.
    Replicated(u64),
    /// One on each node.
    Global,
    /// Until so many have completed.
    Job(u64),
}

impl Mode {
    pub(super) fn of(spec: &Value) -> Self {
        match Spec::from(spec.clone()).mode() {
            ServiceMode::Global => Self::Global,
            ServiceMode::Replicated { replicas } => Self::Replicated(replicas.unwrap_or(1)),
            ServiceMode::ReplicatedJob => {
                let total = spec.pointer("/Mode/ReplicatedJob/TotalCompletions");
                Self::Job(total.and_then(Value::as_u64).unwrap_or(1))
            }
            ServiceMode::GlobalJob => Self::Job(1),
        }
    }

    pub(super) fn is_job(self) -> bool {
        matches!(self, Self::Job(_))
    }

    /// The numbers of the slots; a service of each node has the slot 0 on it.
    pub(super) fn slots(self) -> std::ops::Range<u64> {
        match self {
            Self::Replicated(count) | Self::Job(count) => 1..count.saturating_add(1),
            Self::Global => 0..1,
        }
    }
}

/// The text at a pointer, or nothing.
pub(super) fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a pointer.
pub(super) fn number(value: &Value, pointer: &str) -> Option<u64> {
    value.pointer(pointer).and_then(Value::as_u64)
}
