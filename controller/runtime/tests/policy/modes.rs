//! Rules that are not enforced: on record, shown, and without an effect.

use skep_core::gate::Decision;
use skep_crds::policy::Mode;
use skep_store::Actions as _;

use crate::world::World;

#[tokio::test]
async fn a_rule_in_audit_is_recorded_and_changes_nothing() {
    let world =
        World::new("rules: [{name: strict, tier: forbidden, mode: audit}, {tier: auto}]", &["a"]);
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
    let row = world.decisions().await.remove(0);
    assert_eq!(row.decision, "allow");
    let remarks = row.facts.unwrap().remarks;
    assert_eq!(remarks.len(), 1);
    assert_eq!((remarks[0].mode, remarks[0].decision), (Mode::Audit, Decision::Deny));
    assert!(remarks[0].rule.starts_with("strict"), "{remarks:?}");
    let actions = world.store().await.actions(&Default::default()).await.unwrap();
    assert!(!actions[0].reason.contains("strict"), "nobody is bothered: {}", actions[0].reason);
}

#[tokio::test]
async fn a_rule_in_warn_is_shown_to_whoever_decides() {
    let world = World::new(
        "rules: [{name: strict, tier: forbidden, mode: warn}, {tier: approval_required}]",
        &["a"],
    );
    world.pass().await;
    let actions = world.store().await.actions(&Default::default()).await.unwrap();
    let reason = &actions[0].reason;
    assert!(reason.contains("warning: rule strict"), "{reason}");
    assert!(reason.contains("would say deny: forbidden by policy"), "{reason}");
    // What would have been decided alike is no warning.
    let world = World::new(
        "rules: [{tier: approval_required, mode: warn}, {tier: approval_required}]",
        &["a"],
    );
    world.pass().await;
    let actions = world.store().await.actions(&Default::default()).await.unwrap();
    assert!(!actions[0].reason.contains("warning"), "{}", actions[0].reason);
}

/// An allowing rule that is not enforced allows nothing.
#[tokio::test]
async fn a_rule_that_would_allow_lets_nothing_run() {
    for mode in ["off", "audit", "warn"] {
        let world = World::new(&format!("rules: [{{tier: auto, mode: {mode}}}]"), &["a"]);
        world.pass().await;
        assert_eq!((world.swarm.effects(), world.pending().await.len()), (0, 1), "{mode}");
    }
}
