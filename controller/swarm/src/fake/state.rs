//! The state of the swarm and the changes that are possible, whoever makes them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::feed::Feed;
use super::journal::Effect;
use super::objects::Kinds;
use super::requests::Landing;
use super::scheduling::{Due, Schedule};
use super::script::{Faults, Mixer};
use super::service::{Job, Service, text};
use super::tasks::Failure;
use super::{Pace, Quorum, fill};
use crate::engine::EventObject;
use crate::registry::Distribution;

/// Services by id.
pub(super) type Services = BTreeMap<String, Arc<Service>>;

/// Everything that managers list.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists {
    pub(super) services: Services,
    /// Networks, secrets and configs.
    pub(super) objects: Kinds,
}

/// More changes than any manager lags behind.
const KEPT_VIEWS: usize = 64;

/// Everything that a fork copies, and the script and the listeners, which it does not.
pub(super) struct State {
    pub(super) pace: Pace,
    pub(super) now: Timestamp,
    pub(super) services: Services,
    /// How it was before each change, for managers that lag behind.
    views: VecDeque<Lists>,
    pub(super) objects: Kinds,
    pub(super) due: Schedule,
    pub(super) journal: Vec<Effect>,
    pub(super) landings: BTreeMap<u64, Landing>,
    pub(super) calls: usize,
    pub(super) cluster: String,
    pub(super) quorum: Quorum,
    /// What lists show while there is no quorum.
    pub(super) frozen: Option<Lists>,
    pub(super) broken: BTreeMap<String, String>,
    /// Failures that are shown whatever the tasks do.
    pub(super) failures: BTreeMap<String, Failure>,
    pub(super) held_rollout: Option<String>,
    /// What registries have; none when they take questions and never answer.
    pub(super) registries: Option<BTreeMap<String, Distribution>>,
    pub(super) script: Faults,
    pub(super) feed: Feed,
    index: u64,
    random: Mixer,
}

impl State {
    pub(super) fn new(pace: Pace, seed: u64) -> Self {
        let mut state = Self {
            pace,
            now: Timestamp::UNIX_EPOCH,
            services: Services::new(),
            views: VecDeque::new(),
            objects: Kinds::default(),
            due: Schedule::default(),
            journal: Vec::new(),
            landings: BTreeMap::new(),
            calls: 0,
            cluster: "cluster1".to_owned(),
            quorum: Quorum::Kept,
            frozen: None,
            broken: BTreeMap::new(),
            failures: BTreeMap::new(),
            held_rollout: None,
            registries: Some(BTreeMap::new()),
            script: Faults::default(),
            feed: Feed::default(),
            index: 10,
            random: Mixer(seed),
        };
        state.make_standing_networks();
        state
    }

    pub(super) fn forked(&self) -> Self {
        Self {
            services: self.services.clone(),
            views: self.views.clone(),
            objects: self.objects.clone(),
            due: self.due.clone(),
            journal: self.journal.clone(),
            landings: self.landings.clone(),
            cluster: self.cluster.clone(),
            frozen: self.frozen.clone(),
            broken: self.broken.clone(),
            failures: self.failures.clone(),
            held_rollout: self.held_rollout.clone(),
            registries: self.registries.clone(),
            script: Faults::default(),
            feed: Feed::default(),
            random: self.random.clone(),
            ..*self
        }
    }

    /// An id as long as the engine's, and as random at its start.
    pub(super) fn new_id(&mut self) -> String {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut bits = (u128::from(self.random.next()) << 64) | u128::from(self.random.next());
        let mut id = String::with_capacity(25);
        for _ in 0..25 {
            let digit = usize::try_from(bits % 36).ok().and_then(|at| DIGITS.get(at));
            id.push(digit.copied().map_or('0', char::from));
            bits /= 36;
        }
        id
    }

    /// The swarm's log has one more entry.
    pub(super) fn next_index(&mut self) -> u64 {
        self.index += 1;
        self.index
    }

    pub(super) fn last_index(&self) -> u64 {
        self.index
    }

    pub(super) fn id_of(&self, name: &str) -> Option<String> {
        self.services.values().find(|one| one.name() == name).map(|one| one.id.clone())
    }

    /// What a manager lists that lags so many changes behind.
    pub(super) fn view(&self, lag: usize) -> Lists {
        if let Some(frozen) = &self.frozen {
            return frozen.clone();
        }
        let back = lag.checked_sub(1);
        let earlier =
            back.and_then(|back| self.views.iter().rev().nth(back).or(self.views.front()));
        earlier.cloned().unwrap_or_else(|| self.lists())
    }

    fn lists(&self) -> Lists {
        Lists { services: self.services.clone(), objects: self.objects.clone() }
    }

    /// About to change: managers that lag keep what there is now.
    pub(super) fn keep_view(&mut self) {
        self.views.push_back(self.lists());
        if self.views.len() > KEPT_VIEWS {
            self.views.pop_front();
        }
    }

    /// Changes a service object; its Version and time move.
    pub(super) fn touch(&mut self, id: &str, change: impl FnOnce(&mut Service)) {
        self.keep_view();
        let (index, now) = (self.next_index(), self.now);
        if let Some(service) = self.services.get_mut(id).map(Arc::make_mut) {
            change(service);
            service.version = index;
            service.updated_at = now;
        }
    }

    /// Changes the tasks of a service; its Version does not move.
    pub(super) fn with_tasks<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Service) -> T,
    ) -> Option<T> {
        self.next_index();
        self.services.get_mut(id).map(Arc::make_mut).map(change)
    }

    /// A new service; gives its id.
    pub(super) fn create(&mut self, spec: &Value) -> String {
        self.keep_view();
        let mut spec = spec.clone();
        fill::defaults(&mut spec);
        self.name_networks(&mut spec);
        let (id, version, now) = (self.new_id(), self.next_index(), self.now);
        if text(&spec, "/Name").is_empty()
            && let Some(spec) = spec.as_object_mut()
        {
            spec.insert("Name".to_owned(), json!(format!("quirky_{version}")));
        }
        let mut service = Service {
            id: id.clone(),
            version,
            created_at: now,
            updated_at: now,
            spec,
            previous: None,
            update: None,
            job: None,
            allocated: json!({}),
            generation: 0,
            tasks: Vec::new(),
        };
        if service.mode().is_job() {
            service.job = Some(Job { iteration: 0, last_execution: now });
        }
        let name = service.name().to_owned();
        self.services.insert(id.clone(), Arc::new(service));
        self.say("create", &id, &name);
        self.changed_spec(&id);
        id
    }

    /// A new spec for a service that is there. Whatever it says, the way back, the status of the
    /// rollout and the iteration of a job are new.
    pub(super) fn update(&mut self, id: &str, spec: Value) {
        let mut spec = spec;
        fill::defaults(&mut spec);
        self.name_networks(&mut spec);
        let now = self.now;
        self.touch(id, |service| {
            service.previous = Some(std::mem::replace(&mut service.spec, spec));
            service.update = None;
            service.generation += 1;
            if let Some(job) = &mut service.job {
                job.iteration += 1;
                job.last_execution = now;
            }
        });
        self.say_update(id);
        self.changed_spec(id);
    }

    /// What follows from a spec: ports and addresses, tasks, a rollout.
    pub(super) fn changed_spec(&mut self, id: &str) {
        let needs = self.services.get(id).is_some_and(|one| one.to_allocate() != one.allocated);
        if needs {
            self.plan_ahead(self.pace.allocate, Due::Allocate(id.to_owned()));
        }
        self.orchestrate(id);
        self.advance(self.now);
    }

    /// False when it was not there.
    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.keep_view();
        self.next_index();
        let Some(service) = self.services.remove(id) else { return false };
        let name = service.name().to_owned();
        self.say("remove", id, &name);
        true
    }

    pub(super) fn allocate(&mut self, id: &str) {
        let Some(service) = self.services.get(id) else { return };
        let wanted = service.to_allocate();
        if wanted != service.allocated {
            self.touch(id, |service| service.allocated = wanted);
            self.say_update(id);
        }
    }

    /// Services name networks; the engine keeps ids.
    fn name_networks(&self, spec: &mut Value) {
        let networks = self.objects.of("networks");
        let list = spec.pointer_mut("/TaskTemplate/Networks").and_then(Value::as_array_mut);
        for target in list.into_iter().flatten().filter_map(|one| one.get_mut("Target")) {
            let named = networks.iter().find(|(_, object)| Some(object.name()) == target.as_str());
            if let Some((id, _)) = named {
                *target = json!(id);
            }
        }
    }

    pub(super) fn meddle(&mut self, name: &str, pointer: &str, value: Value) {
        let Some(id) = self.id_of(name) else { return };
        let Some(mut spec) = self.services.get(&id).map(|one| one.spec.clone()) else { return };
        let Some((parent, key)) = pointer.rsplit_once('/') else { return };
        if let Some(Value::Object(parent)) = spec.pointer_mut(parent) {
            parent.insert(key.to_owned(), value);
            self.update(&id, spec);
        }
    }

    pub(super) fn change_leader(&mut self) {
        let ids: Vec<String> = self.services.keys().cloned().collect();
        for id in ids {
            self.touch(&id, |_| {});
        }
    }

    pub(super) fn set_quorum(&mut self, quorum: Quorum) {
        self.frozen = (quorum != Quorum::Kept).then(|| self.lists());
        self.quorum = quorum;
    }

    pub(super) fn move_to(&mut self, cluster: &str) {
        cluster.clone_into(&mut self.cluster);
        self.services.clear();
        self.views.clear();
        self.due = Schedule::default();
    }

    pub(super) fn say_update(&mut self, id: &str) {
        let name = self.services.get(id).map(|one| one.name().to_owned()).unwrap_or_default();
        self.say("update", id, &name);
    }

    fn say(&mut self, action: &str, id: &str, name: &str) {
        self.feed.say(EventObject::Service, action, id, name, self.now);
    }
}
