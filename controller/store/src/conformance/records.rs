//! Everything else that is remembered, and that all processes see the same.

use serde_json::json;
use skep_core::action::{ActionKind, Source};
use skep_core::audit::AuditKind;
use skep_core::identity::{ActionId, ClusterId};

use super::Harness;
use super::fixtures::*;
use crate::{AuditFilter, Decision, LedgerFilter, OwnershipChange};

pub(super) async fn what_one_process_writes_the_others_see(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let other = harness.connect().await;
    assert_eq!(everything(&other).await, everything(&leader.store).await);
    leader.propose(pending("a", "one")).await;
    assert_eq!(everything(&other).await, everything(&leader.store).await);
    other.decide(&decision("a", Decision::Approve), at(1)).await.unwrap();
    assert_eq!(everything(&other).await, everything(&leader.store).await);
    leader.store.begin(&leader.fence, 2, &intent("i", "a", "one"), at(2)).await.unwrap();
    assert_eq!(everything(&other).await, everything(&leader.store).await);
}

pub(super) async fn the_change_counter_moves_with_what_is_recorded(harness: &dyn Harness) {
    let store = harness.connect().await;
    let watcher = harness.connect().await;
    let lease = take_lease(&store, "leader@host").await;
    let leader = Leader { store: store.clone(), fence: lease.fence.clone() };
    let mut last = watcher.change_counter().await.unwrap();
    leader.propose(pending("a", "one")).await;
    for step in 0..3 {
        let now = watcher.change_counter().await.unwrap();
        assert!(now > last, "step {step}");
        assert_eq!(store.change_counter().await.unwrap(), now, "own writes count too");
        last = now;
        match step {
            0 => drop(store.decide(&decision("a", Decision::Approve), at(1)).await.unwrap()),
            1 => store.begin(&lease.fence, 2, &intent("i", "a", "one"), at(2)).await.unwrap(),
            _ => {}
        }
    }
    store.renew_lease(&lease).await.unwrap();
    everything(&store).await;
    let refused = store.decide(&decision("a", Decision::Deny), at(3)).await;
    assert!(is_conflict(&refused));
    assert_eq!(watcher.change_counter().await.unwrap(), last, "nothing was recorded");
    store.release_lease(&lease).await.unwrap();
    assert!(watcher.change_counter().await.unwrap() > last);
}

pub(super) async fn last_good_content_comes_back_byte_for_byte(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let reader = harness.connect().await;
    assert_eq!(reader.last_good("registry").await.unwrap(), None);
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for good in [
        content("registry", &bytes),
        content("stack:a/b.yml", b""),
        content("registry", "connectors: {}\r\n# \u{1f41d}".as_bytes()),
    ] {
        leader.store.put_last_good(&leader.fence, &good).await.unwrap();
        assert_eq!(reader.last_good(&good.source).await.unwrap(), Some(good));
    }
    assert_eq!(reader.last_good("stack:a/b.yml").await.unwrap().unwrap().content, b"");
    assert_eq!(reader.last_good("regis").await.unwrap(), None);
    let shown = format!("{:?}", content("registry", b"hunter2"));
    assert!(!shown.contains("hunter2") && !shown.contains("104, 117"), "{shown}");
}

pub(super) async fn the_ledger_is_read_from_a_moment_on(harness: &dyn Harness) {
    let leader = leader(harness).await;
    // Filed out of order: the ledger goes by the time of the decision.
    for (id, second, word) in [
        ("c", 30, "deny"),
        ("a", 10, "allow"),
        ("d", 40, "allow_notify"),
        ("b", 20, "queue_approval"),
    ] {
        let mut new = granted(id, id);
        new.decision.decision = word.to_owned();
        new.decision.decided_at = at(second);
        new.decision.source = Source::Playbook;
        new.decision.kind = ActionKind::RestartService;
        leader.propose(new).await;
    }
    for (since, allowed_only, expected) in [
        (0, false, "abcd"),
        (20, false, "bcd"),
        (21, false, "cd"),
        (41, false, ""),
        (0, true, "ad"),
        (11, true, "d"),
    ] {
        let filter = LedgerFilter { since: at(since), allowed_only };
        let rows = leader.store.decisions(&filter).await.unwrap();
        let ids: String = rows.iter().map(|row| row.action.as_ref().unwrap().as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
        assert!(rows.iter().all(|row| row.source == Source::Playbook));
    }
}

pub(super) async fn a_refusal_is_in_the_ledger_and_in_the_trail(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let refusals = [refusal("one"), refusal("two")];
    leader.store.record_refusals(&leader.fence, &refusals, at(7)).await.unwrap();
    let all = LedgerFilter { since: at(0), allowed_only: false };
    let rows = leader.store.decisions(&all).await.unwrap();
    assert_eq!(rows, refusals.map(|refusal| refusal.decision));
    let event = leader.last_event().await;
    assert_eq!((event.kind, event.at, event.key), (AuditKind::Refused, at(7), Some(key("two"))));
    assert!(event.detail.contains("frozen by alice"), "{}", event.detail);
    let only = LedgerFilter { since: at(0), allowed_only: true };
    assert_eq!(leader.store.decisions(&only).await.unwrap(), [], "it counts for no limit");
    // All or nothing, and nothing but refusals.
    let (mut allowing, mut with_action) = (refusal("three"), refusal("three"));
    allowing.decision.decision = "allow".to_owned();
    with_action.decision.action = Some(ActionId::new("x"));
    for wrong in [allowing, with_action] {
        let before = everything(&leader.store).await;
        let refusals = [refusal("four"), wrong];
        let result = leader.store.record_refusals(&leader.fence, &refusals, at(8)).await;
        assert!(is_refused(&result), "{result:?}");
        assert_eq!(everything(&leader.store).await, before);
    }
}

pub(super) async fn a_decision_comes_back_with_all_its_parts(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let mut new = granted("a", "one");
    let facts = json!({
        "mode": "swarm", "domain": "finance", "parameters": {"image": "a:1\"2", "replicas": 3},
        "sensitive": [{"class": "mounts", "pointer": "/TaskTemplate/x"}], "confirm": "look",
        "disrupts": true,
        "fleet": {"services": 68, "unavailable": 2, "target_unavailable": true},
        "remarks": [{"mode": "warn", "rule": "x (p.yml:3:5)", "decision": "deny", "reason": "y"}],
    });
    new.decision.facts = Some(serde_json::from_value(facts).unwrap());
    leader.propose(new.clone()).await;
    leader.propose(granted("b", "two")).await;
    let all = LedgerFilter { since: at(0), allowed_only: false };
    let rows = leader.store.decisions(&all).await.unwrap();
    assert_eq!(rows, [new.decision, granted("b", "two").decision]);
}

pub(super) async fn the_audit_trail_is_filtered_newest_first(harness: &dyn Harness) {
    let leader = leader(harness).await;
    leader.propose(pending("a", "one")).await;
    leader.propose(granted("b", "two")).await;
    leader.store.decide(&decision("a", Decision::Deny), at(1)).await.unwrap();
    leader.propose(pending("c", "one")).await;
    use AuditKind as K;
    let none = AuditFilter::default();
    for (filter, expected) in [
        (
            none.clone(),
            &[K::Proposed, K::Denied, K::Allowed, K::Proposed, K::Proposed, K::LeaderStarted][..],
        ),
        (AuditFilter { limit: 2, ..none.clone() }, &[K::Proposed, K::Denied]),
        (
            AuditFilter { action: Some(ActionId::new("a")), ..none.clone() },
            &[K::Denied, K::Proposed],
        ),
        (
            AuditFilter { key: Some(key("one")), ..none.clone() },
            &[K::Proposed, K::Denied, K::Proposed],
        ),
        (AuditFilter { key: Some(key("nine")), ..none.clone() }, &[]),
    ] {
        let rows = leader.store.audit(&filter).await.unwrap();
        assert_eq!(rows.iter().map(|(_, e)| e.kind).collect::<Vec<_>>(), expected, "{filter:?}");
        assert!(rows.is_sorted_by(|a, b| a.0 > b.0), "{rows:?}");
    }
}

pub(super) async fn ownership_is_listed_by_cluster(harness: &dyn Harness) {
    let leader = leader(harness).await;
    assert_eq!(leader.store.owned_clusters().await.unwrap(), []);
    let (here, there) = (cluster(), ClusterId::new("cluster-0"));
    for (id, name, cluster) in [("1", "b", &here), ("2", "a", &here), ("3", "a", &there)] {
        let mut new = adoption(id, name, ActionKind::AdoptService);
        new.action.key.cluster = cluster.clone();
        let mut object = owned(name, &format!("id-{id}"));
        object.key = new.action.key.clone();
        leader.propose(new).await;
        let outcome = done(Some(OwnershipChange::Record(object)));
        let action = ActionId::new(id);
        leader
            .store
            .settle_without_write(&leader.fence, &action, 1, &outcome, at(1))
            .await
            .unwrap();
    }
    let ids = |objects: Vec<crate::OwnedObject>| -> Vec<String> {
        objects.into_iter().map(|object| object.id.to_string()).collect()
    };
    assert_eq!(ids(leader.store.owned(&here).await.unwrap()), ["id-2", "id-1"]);
    assert_eq!(ids(leader.store.owned(&there).await.unwrap()), ["id-3"]);
    assert_eq!(leader.store.owned_clusters().await.unwrap(), [there, here]);
}

pub(super) async fn ownership_is_read_for_given_objects(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for name in ["a", "b", "c"] {
        leader.propose(adoption(name, name, ActionKind::AdoptService)).await;
        let outcome = done(Some(OwnershipChange::Record(owned(name, name))));
        let (fence, action) = (&leader.fence, ActionId::new(name));
        leader.store.settle_without_write(fence, &action, 1, &outcome, at(1)).await.unwrap();
    }
    let mut elsewhere = key("b");
    elsewhere.cluster = ClusterId::new("cluster-0");
    for (keys, expected) in [
        (vec![], vec![]),
        (vec![key("c"), key("a"), key("x")], vec![owned("a", "a"), owned("c", "c")]),
        (vec![elsewhere], vec![]),
    ] {
        assert_eq!(leader.store.owned_of(&keys).await.unwrap(), expected, "{keys:?}");
    }
}

pub(super) async fn every_process_sees_the_same_installation(harness: &dyn Harness) {
    let (first, second) = (harness.connect().await, harness.connect().await);
    first.ping().await.unwrap();
    second.ping().await.unwrap();
    assert_eq!(first.installation_id(), second.installation_id());
    assert_eq!(first.installation_id().len(), 32);
}
