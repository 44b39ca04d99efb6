//! What a snapshot says, apart from when it was taken: comparing, changing parts, finding what
//! is not at rest. Pure.

use std::collections::{BTreeMap, BTreeSet};

use skep_core::identity::SwarmId;
use skep_core::observed::{ObservedService, Snapshot, TaskSummary};
use skep_core::spec::ServiceMode;

/// The snapshot with these services as they were read; one that was asked for and not found is
/// gone. Also the ids of services whose answer was older than what is known.
///
/// A manager that lags behind can answer with a Version that was already replaced; going back to
/// it would make a change that was just made look undone.
pub(super) fn with_services(
    known: &Snapshot,
    asked: &BTreeSet<SwarmId>,
    read: Vec<ObservedService>,
) -> (Snapshot, BTreeSet<SwarmId>) {
    let mut snapshot = known.clone();
    let mut lagging = BTreeSet::new();
    let found: BTreeSet<&SwarmId> = read.iter().map(|service| &service.id).collect();
    let is_gone =
        |service: &&ObservedService| asked.contains(&service.id) && !found.contains(&service.id);
    for gone in known.services.values().filter(is_gone) {
        snapshot.services.remove(&gone.name);
    }
    for service in read {
        let newer_known = snapshot
            .services
            .get(&service.name)
            .is_some_and(|known| known.id == service.id && known.version > service.version);
        if newer_known {
            lagging.insert(service.id);
        } else {
            snapshot.services.insert(service);
        }
    }
    (snapshot, lagging)
}

/// The snapshot with other task counts.
pub(super) fn with_tasks(
    known: &Snapshot,
    mut summaries: BTreeMap<SwarmId, TaskSummary>,
) -> Snapshot {
    let mut snapshot = known.clone();
    for service in known.services.values() {
        let tasks = summaries.remove(&service.id).unwrap_or_default();
        if tasks != service.tasks {
            snapshot.services.insert(ObservedService { tasks, ..service.clone() });
        }
    }
    snapshot
}

/// True when the task counts of some service differ from these.
pub(super) fn tasks_differ(known: &Snapshot, summaries: &BTreeMap<SwarmId, TaskSummary>) -> bool {
    let none = TaskSummary::default();
    known
        .services
        .values()
        .any(|service| service.tasks != *summaries.get(&service.id).unwrap_or(&none))
}

/// True when two snapshots say the same, whenever they were taken.
pub(super) fn same(a: &Snapshot, b: &Snapshot) -> bool {
    a.cluster == b.cluster
        && a.nodes == b.nodes
        && a.networks == b.networks
        && a.secrets == b.secrets
        && a.configs == b.configs
        && a.objects == b.objects
        && a.services.len() == b.services.len()
        && a.services.values().zip(b.services.values()).all(|(a, b)| same_service(a, b))
}

/// The spec cannot differ when the Version does not.
fn same_service(a: &ObservedService, b: &ObservedService) -> bool {
    a.id == b.id
        && a.name == b.name
        && a.version == b.version
        && a.tasks == b.tasks
        && a.update == b.update
        && a.ports == b.ports
}

/// The services that were created, updated or removed from one snapshot to the next.
pub(super) fn changed(before: &Snapshot, after: &Snapshot) -> BTreeSet<SwarmId> {
    let versions = |snapshot: &Snapshot| -> BTreeSet<(SwarmId, u64)> {
        snapshot.services.values().map(|service| (service.id.clone(), service.version)).collect()
    };
    versions(before)
        .symmetric_difference(&versions(after))
        .map(|(id, _version)| id.clone())
        .collect()
}

/// The services whose tasks will change without an event.
pub(super) fn restless(snapshot: &Snapshot) -> BTreeSet<SwarmId> {
    snapshot
        .services
        .values()
        .filter(|service| is_restless(service, snapshot.nodes.ready))
        .map(|service| service.id.clone())
        .collect()
}

fn is_restless(service: &ObservedService, ready_nodes: u32) -> bool {
    let tasks = &service.tasks;
    if service.update.as_ref().is_some_and(|update| update.is_rolling()) || tasks.starting > 0 {
        return true;
    }
    match service.spec.mode() {
        ServiceMode::ReplicatedJob | ServiceMode::GlobalJob => tasks.running > 0,
        ServiceMode::Global => tasks.running == 0 && ready_nodes > 0,
        // Without a number the engine runs one.
        ServiceMode::Replicated { replicas } => replicas.unwrap_or(1) != u64::from(tasks.running),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;
    use serde_json::{Value, json};
    use skep_core::identity::{ClusterId, ServiceName};
    use skep_core::observed::{ApiVersion, NodeCounts, UpdateStatus};

    use super::*;

    pub(in crate::reflector) fn service(name: &str, version: u64, mode: &Value) -> ObservedService {
        ObservedService {
            id: SwarmId::new(format!("id-{name}")),
            name: ServiceName::new(name),
            version,
            spec: json!({ "Name": name, "Mode": mode }).into(),
            ports: Vec::new(),
            update: None,
            tasks: TaskSummary::default(),
            updated_at: Timestamp::UNIX_EPOCH,
            returns_to: Vec::new(),
        }
    }

    pub(in crate::reflector) fn snapshot(services: Vec<ObservedService>) -> Snapshot {
        Snapshot {
            cluster: ClusterId::new("c"),
            api_version: ApiVersion { major: 1, minor: 41 },
            taken_at: Timestamp::UNIX_EPOCH,
            services: services.into_iter().collect(),
            networks: BTreeMap::new(),
            secrets: BTreeMap::new(),
            configs: BTreeMap::new(),
            objects: Arc::default(),
            nodes: NodeCounts { ready: 1, total: 1 },
        }
    }

    fn ids(names: &[&str]) -> BTreeSet<SwarmId> {
        names.iter().map(|name| SwarmId::new(format!("id-{name}"))).collect()
    }

    #[test]
    fn only_what_was_asked_for_changes() {
        let known = snapshot(vec![
            service("a", 1, &json!({})),
            service("b", 1, &json!({})),
            service("c", 1, &json!({})),
        ]);
        let (after, lagging) = with_services(
            &known,
            &ids(&["a", "b", "new"]),
            vec![service("a", 2, &json!({})), service("new", 1, &json!({}))],
        );
        let versions: Vec<_> =
            after.services.values().map(|one| (one.name.as_str(), one.version)).collect();
        assert_eq!(versions, [("a", 2), ("c", 1), ("new", 1)]);
        assert!(lagging.is_empty());
        assert_eq!(changed(&known, &after), ids(&["a", "b", "new"]));
    }

    #[test]
    fn a_lagging_answer_does_not_undo_what_is_known() {
        let known = snapshot(vec![service("a", 5, &json!({}))]);
        let (after, lagging) =
            with_services(&known, &ids(&["a"]), vec![service("a", 4, &json!({}))]);
        assert_eq!(after.services.values().next().unwrap().version, 5);
        assert_eq!(lagging, ids(&["a"]));
    }

    #[test]
    fn a_service_made_anew_replaces_its_namesake_and_survives_its_removal() {
        let known = snapshot(vec![service("a", 5, &json!({}))]);
        let mut anew = service("a", 2, &json!({}));
        anew.id = SwarmId::new("another");
        let asked = [SwarmId::new("another"), SwarmId::new("id-a")].into();
        let (after, lagging) = with_services(&known, &asked, vec![anew]);
        assert_eq!(after.services.values().next().unwrap().id.as_str(), "another");
        assert!(lagging.is_empty());
        let (later, _) = with_services(&after, &ids(&["a"]), Vec::new());
        assert_eq!(later.services.len(), 1, "the removed one had another id");
    }

    #[test]
    fn rest_depends_on_the_mode() {
        let with = |mode: Value, running, starting| {
            let mut one = service("a", 1, &mode);
            one.tasks = TaskSummary { running, starting, ..TaskSummary::default() };
            !restless(&snapshot(vec![one])).is_empty()
        };
        let two = json!({ "Replicated": { "Replicas": 2 } });
        assert!(!with(two.clone(), 2, 0));
        assert!(with(two.clone(), 1, 0) && with(two.clone(), 3, 0) && with(two, 1, 1));
        assert!(!with(json!({ "Replicated": { "Replicas": 0 } }), 0, 0));
        assert!(!with(json!({}), 1, 0));
        assert!(with(json!({ "Global": {} }), 0, 0) && !with(json!({ "Global": {} }), 1, 0));
        assert!(with(json!({ "ReplicatedJob": {} }), 1, 0));
        assert!(!with(json!({ "ReplicatedJob": {} }), 0, 0), "a finished job");
        let mut rolling = service("a", 1, &json!({}));
        rolling.tasks.running = 1;
        rolling.update = Some(UpdateStatus {
            state: "updating".into(),
            message: String::new(),
            started_at: None,
        });
        assert!(!restless(&snapshot(vec![rolling])).is_empty());
    }

    #[test]
    fn the_time_alone_is_no_change_and_a_version_is() {
        let known = snapshot(vec![service("a", 1, &json!({}))]);
        let mut later = known.clone();
        later.taken_at = Timestamp::from_second(9).unwrap();
        assert!(same(&known, &later));
        assert!(!same(&known, &snapshot(vec![service("a", 2, &json!({}))])));
        assert!(!same(&known, &snapshot(Vec::new())));
    }
}
