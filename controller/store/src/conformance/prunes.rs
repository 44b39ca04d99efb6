//! What removals are measured against.

use skep_core::action::{ActionEvent, ActionKind, ActionState};
use skep_core::identity::{ActionId, ClusterId};
use skep_core::plan::PruneMark;

use super::Harness;
use super::fixtures::*;
use crate::{ActionFilter, OwnershipChange};

pub(super) async fn a_mark_is_kept_for_each_cluster(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let other = harness.connect().await;
    let (here, there) = (cluster(), ClusterId::new("cluster-0"));
    assert_eq!(other.prune_mark(&here).await.unwrap(), None);
    let marks = [
        PruneMark { most: 12, left_at: None },
        PruneMark { most: 12, left_at: Some(at(7)) },
        PruneMark { most: 0, left_at: None },
    ];
    for mark in marks {
        leader.store.put_prune_mark(&leader.fence, &here, &mark).await.unwrap();
        assert_eq!(other.prune_mark(&here).await.unwrap(), Some(mark));
    }
    assert_eq!(other.prune_mark(&there).await.unwrap(), None);
    let counter = other.change_counter().await.unwrap();
    leader.store.put_prune_mark(&leader.fence, &there, &marks[1]).await.unwrap();
    assert_eq!(other.prune_mark(&there).await.unwrap(), Some(marks[1]));
    assert_eq!(other.prune_mark(&here).await.unwrap(), Some(marks[2]));
    assert_eq!(other.change_counter().await.unwrap(), counter, "nobody wakes");
}

pub(super) async fn an_old_leader_moves_no_mark(harness: &dyn Harness) {
    let old = leader(harness).await;
    let mark = PruneMark { most: 5, left_at: None };
    old.store.put_prune_mark(&old.fence, &cluster(), &mark).await.unwrap();
    harness.advance(TTL);
    let successor = harness.connect().await;
    let lease = take_lease(&successor, "second").await;
    let lower = PruneMark { most: 1, left_at: None };
    assert!(is_fenced(&old.store.put_prune_mark(&old.fence, &cluster(), &lower).await));
    assert_eq!(successor.prune_mark(&cluster()).await.unwrap(), Some(mark));
    successor.put_prune_mark(&lease.fence, &cluster(), &lower).await.unwrap();
    assert_eq!(old.store.prune_mark(&cluster()).await.unwrap(), Some(lower));
}

pub(super) async fn removals_are_found_by_kind_and_time(harness: &dyn Harness) {
    let leader = leader(harness).await;
    for (id, name, kind) in [
        ("a", "one", ActionKind::RemoveService),
        ("b", "two", ActionKind::RemoveService),
        ("c", "three", ActionKind::DeployService),
    ] {
        let mut new = pending(id, name);
        new.action.kind = kind;
        leader.propose(new).await;
    }
    let closing = closing("b", 1, ActionEvent::Expire);
    leader.store.close_action(&leader.fence, &closing, at(90)).await.unwrap();
    let removals = vec![ActionKind::RemoveService, ActionKind::RemoveNetwork];
    let filter = ActionFilter { kinds: removals, ..ActionFilter::default() };
    for (filter, expected) in [
        (filter.clone(), "ba"),
        (ActionFilter { changed_since: Some(at(90)), ..filter.clone() }, "b"),
        (ActionFilter { changed_since: Some(at(91)), ..filter.clone() }, ""),
        (ActionFilter { states: vec![ActionState::Pending], ..filter }, "a"),
    ] {
        let listed = leader.store.actions(&filter).await.unwrap();
        let ids: String = listed.iter().map(|action| action.id.as_str()).collect();
        assert_eq!(ids, expected, "{filter:?}");
    }
}

pub(super) async fn a_stack_that_took_an_object_over_is_kept(harness: &dyn Harness) {
    let leader = leader(harness).await;
    let mut object = owned("one", "id");
    for (id, stack) in [("a", Some("shop")), ("b", None)] {
        object.stack = stack.map(str::to_owned);
        leader.propose(adoption(id, "one", ActionKind::AdoptService)).await;
        let outcome = done(Some(OwnershipChange::Record(object.clone())));
        let (fence, action) = (&leader.fence, ActionId::new(id));
        leader.store.settle_without_write(fence, &action, 1, &outcome, at(1)).await.unwrap();
        assert_eq!(leader.store.owned(&cluster()).await.unwrap(), [object.clone()]);
        assert_eq!(leader.store.owned_of(&[key("one")]).await.unwrap(), [object.clone()]);
    }
}
