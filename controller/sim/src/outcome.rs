//! How a world ended, without what differs between two equal lives: ids and times.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::identity::{ClusterId, ObjectKind, ServiceName};
use skep_core::labels;
use skep_core::revision::Revision;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Containments as _,
    DeadLetters as _, Holds as _, Intents as _, Ledger as _, LedgerFilter, LetterFilter,
    Outbox as _, Ownership as _, RequestFilter, Requests as _, Retries as _, Revisions as _,
};
use skep_swarm::fake::{Effect, EffectKind};

use crate::world::{CLUSTER, World, key};

/// What counts of an end.
#[derive(Debug, Clone)]
pub struct Outcome {
    seen: BTreeMap<String, Value>,
    /// What the actions say of themselves, for whoever looks for the reason.
    told: Vec<String>,
}

impl Outcome {
    /// The end of this world.
    ///
    /// # Panics
    /// When the store cannot be read.
    pub async fn of(world: &World) -> Self {
        let mut seen = BTreeMap::new();
        let cluster = ClusterId::new(CLUSTER);
        let store = world.store();
        let mut ids = BTreeMap::new();
        let has_networks = !objects(world).is_empty();
        for service in world.swarm.services() {
            let name = service["Spec"]["Name"].as_str().unwrap_or_default().to_owned();
            ids.insert(name.clone(), service["ID"].clone());
            seen.insert(format!("service {name}"), without_ids(&service));
            let revisions = store.revisions(&key(&name), 0).await.unwrap();
            let same = |one: &Revision| {
                revisions.iter().position(|other| other.fingerprint == one.fingerprint)
            };
            let revision = |one: &Revision| {
                let current = json!(one.object) == service["ID"];
                // What names networks has their ids in it; then it counts which are the same.
                let spec = if has_networks { json!(same(one)) } else { json!(one.fingerprint) };
                json!([one.number, one.origin, one.actor, spec, current])
            };
            let history: Vec<_> = revisions.iter().map(revision).collect();
            seen.insert(format!("history of {name}"), json!(history));
        }
        for (kind, object) in objects(world) {
            let target = ServiceName::object(kind, name_of(kind, &object));
            ids.insert(target.to_string(), id_of(kind, &object).clone());
            seen.insert(format!("object {target}"), object_without_ids(kind, &object));
        }
        for owned in store.owned(&cluster).await.unwrap() {
            let is_there = ids.get(owned.key.target().as_str()) == Some(&json!(owned.id));
            seen.insert(format!("owned {}", owned.key.name), json!([is_there, owned.source]));
        }
        let actions = store.actions(&ActionFilter::default()).await.unwrap();
        let told = actions
            .iter()
            .rev()
            .map(|one| format!("{} {} {}: {}", one.key.name, one.kind, one.state, one.detail));
        let told = told.collect();
        let actions = actions.iter().map(|one| json!([one.key.name, one.kind, one.state]));
        seen.insert("actions".to_owned(), sorted(actions));
        let approvals = store.approvals(&ApprovalFilter::default()).await.unwrap();
        seen.insert("approvals".to_owned(), sorted(approvals.iter().map(|one| json!(one.status))));
        let requests = store.requests(&RequestFilter::default()).await.unwrap();
        let requests = requests.iter().map(|one| json!([one.key.name, one.verb, one.state]));
        seen.insert("requests".to_owned(), sorted(requests));
        let holds = store.holds(&cluster).await.unwrap();
        seen.insert(
            "holds".to_owned(),
            sorted(holds.iter().map(|one| json!([one.key.name, one.kind]))),
        );
        let open = store.open_intents().await.unwrap();
        seen.insert("open intents".to_owned(), json!(open.len()));
        for (name, value) in failures_and_containments(world).await {
            seen.insert(name.to_owned(), value);
        }
        let effects = world.swarm.journal();
        let of = |effect: &Effect| json!([effect.name, format!("{:?}", effect.kind)]);
        seen.insert("effects".to_owned(), sorted(effects.iter().map(of)));
        Self { seen, told }
    }

    /// True when nothing differs.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.seen == other.seen
    }

    /// What differs, for a person; nothing when they are equal.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Option<String> {
        let names =
            self.seen.keys().chain(other.seen.keys().filter(|name| !self.seen.contains_key(*name)));
        let differing = names.filter(|name| self.seen.get(*name) != other.seen.get(*name));
        let told = differing.map(|name| {
            let show = |outcome: &Self| outcome.seen.get(name).map(ToString::to_string);
            format!("{name}\n    is        {:?}\n    should be {:?}", show(self), show(other))
        });
        let told: Vec<_> = told.collect();
        (!told.is_empty())
            .then(|| format!("{}\n  its actions: {:#?}", told.join("\n  "), self.told))
    }
}

/// Writes that had their effect more than once for one action.
#[must_use]
pub fn doubled(journal: &[Effect]) -> Vec<String> {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for effect in journal {
        let (what, kind) = match effect.kind {
            EffectKind::Create => (effect.action.clone(), "create"),
            EffectKind::Update => (effect.action.clone(), "update"),
            EffectKind::Remove => (Some(effect.id.clone()), "remove"),
        };
        *counts.entry((what.unwrap_or_default(), kind)).or_default() += 1;
    }
    let doubled = counts.into_iter().filter(|(_, count)| *count > 1);
    doubled.map(|((what, kind), count)| format!("{count} {kind}s by {what}")).collect()
}

/// What failed, what was tried, what was halted, what is contained, and what people were told.
async fn failures_and_containments(world: &World) -> Vec<(&'static str, Value)> {
    let store = world.store();
    let letters = store.letters(&LetterFilter::default()).await.unwrap();
    let letters = letters.iter().map(|one| {
        let name = one.key.as_ref().map(|key| &key.name);
        json!([name, one.event, one.reason, one.attempts, one.state])
    });
    let attempts = store.open_attempts().await.unwrap();
    let attempts = attempts.iter().map(|one| json!([one.failed, one.failure]));
    let batches = store.batches(0).await.unwrap();
    let batches =
        batches.iter().map(|one| json!(one.halted.as_ref().map(|halt| halt.target.as_str())));
    let contained = store.contained(&ClusterId::new(CLUSTER)).await.unwrap();
    let containments = contained.containments().map(|one| json!([one.scope, one.state]));
    let recorded = contained.all_recorded().map(|(name, state)| json!([name, state.former]));
    let notices = store.notices(0).await.unwrap();
    let notices = notices.iter().map(|one| json!(one.kind));
    let since = LedgerFilter { since: Timestamp::MIN, allowed_only: false };
    let ledger = store.decisions(&since).await.unwrap();
    let ledger = ledger.iter().map(|one| json!([one.target, one.kind, one.decision, one.rule]));
    vec![
        ("ledger", sorted(ledger)),
        ("letters", sorted(letters)),
        ("attempts", sorted(attempts)),
        ("batches", sorted(batches)),
        ("containments", sorted(containments)),
        ("former states", sorted(recorded)),
        ("notices", sorted(notices)),
    ]
}

/// Networks, configs and secrets that are not the swarm's own.
pub(crate) fn objects(world: &World) -> Vec<(ObjectKind, Value)> {
    let kinds = [
        (ObjectKind::Network, "networks"),
        (ObjectKind::Config, "configs"),
        (ObjectKind::Secret, "secrets"),
    ];
    let of = |(kind, plural)| world.swarm.objects(plural).into_iter().map(move |one| (kind, one));
    let mut all: Vec<_> = kinds.into_iter().flat_map(of).collect();
    all.retain(|(kind, object)| !STANDING.contains(&name_of(*kind, object)));
    all
}

/// The networks that every swarm has.
const STANDING: [&str; 4] = ["ingress", "host", "bridge", "none"];

/// The name of a network, config or secret as the engine reports it.
pub(crate) fn name_of(kind: ObjectKind, object: &Value) -> &str {
    let name = if kind == ObjectKind::Network { "/Name" } else { "/Spec/Name" };
    object.pointer(name).and_then(Value::as_str).unwrap_or_default()
}

/// Its id.
pub(crate) fn id_of(kind: ObjectKind, object: &Value) -> &Value {
    &object[if kind == ObjectKind::Network { "Id" } else { "ID" }]
}

fn object_without_ids(kind: ObjectKind, object: &Value) -> Value {
    if kind != ObjectKind::Network {
        return without_action(&object["Spec"]);
    }
    let mut network = without_action(object);
    for chosen in ["Id", "Created", "Options", "IPAM"] {
        network[chosen].take();
    }
    network
}

/// A spec without what says which action wrote it, and with names for the ids in it.
fn without_action(spec: &Value) -> Value {
    let mut spec = spec.clone();
    if let Some(label) = spec.pointer_mut("/Labels") {
        let action = label.get(labels::ACTION).is_some();
        if let (true, Some(labels)) = (action, label.as_object_mut()) {
            labels.insert(labels::ACTION.to_owned(), json!("an action"));
        }
    }
    for (list, id) in REFERENCES {
        let entries = spec.pointer_mut(list).and_then(Value::as_array_mut);
        entries.into_iter().flatten().for_each(|entry| entry[id] = json!("an id"));
    }
    spec
}

/// Where a spec names what it uses, by id.
pub(crate) const REFERENCES: [(&str, &str); 3] = [
    ("/TaskTemplate/Networks", "Target"),
    ("/TaskTemplate/ContainerSpec/Configs", "ConfigID"),
    ("/TaskTemplate/ContainerSpec/Secrets", "SecretID"),
];

fn without_ids(service: &Value) -> Value {
    let spec = without_action;
    json!({
        "spec": spec(&service["Spec"]),
        "previous": spec(&service["PreviousSpec"]),
        "rollout": service["UpdateStatus"]["State"],
        "iteration": service["JobStatus"]["JobIteration"],
    })
}

/// The specs of all services without what Skep writes for itself.
pub(crate) fn what_runs(world: &World) -> Vec<Value> {
    let specs = world.swarm.services().into_iter().map(|mut service| service["Spec"].take());
    let without_ours = |mut spec: Value| {
        if let Some(Value::Object(labels)) = spec.get_mut("Labels") {
            labels.retain(|name, _| !labels::is_ours(name));
        }
        spec
    };
    specs.map(without_ours).collect()
}

fn sorted(values: impl Iterator<Item = Value>) -> Value {
    let mut values: Vec<_> = values.collect();
    values.sort_by_key(Value::to_string);
    json!(values)
}
