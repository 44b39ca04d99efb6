//! The gate's contract: documented verdicts, every check, and the order of the checks.

mod budgets;
mod limits;
mod modes;
mod overrides;
mod postures;
mod properties;
mod rules;

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_crds::policy::shipped_default;

use super::fixtures::{compiled, create, noon, policy, restart, update, verdict};
use super::*;
use crate::action::{ActionKind, ActuatorMode};

const AUTO: &str = "defaults: {tier: auto}\nrules: []";

fn ask<'a>(kind: &'a str, target: &'a str, source: &'a str) -> Request<'a> {
    asked_at(kind, target, source, noon())
}

fn asked_at<'a>(kind: &'a str, target: &'a str, source: &'a str, now: Timestamp) -> Request<'a> {
    let parameters = Parameters::partial([]);
    Request::without_step(kind, target, source, ActuatorMode::DryRun, parameters, now)
}

fn answer(policy: &Policy, request: &Request<'_>) -> (Decision, Cause) {
    let verdict = decide(policy, request, Ok(&LedgerView::default()));
    (verdict.decision(), verdict.cause())
}

fn with(kind: &'static str, values: &[(&str, Value)]) -> Request<'static> {
    let mut request = ask(kind, "a", "manual");
    request.parameters =
        Parameters::complete(values.iter().map(|(k, v)| ((*k).to_owned(), v.clone())));
    request
}

#[test]
fn an_unknown_source_is_denied_whatever_the_rules_say() {
    for source in ["", "root", "Manual", "approved:manual"] {
        let verdict =
            decide(&policy(AUTO), &ask("observe", "a", source), Ok(&LedgerView::default()));
        assert_eq!(verdict.decision(), Decision::Deny, "{source:?}");
        assert_eq!(verdict.invariant(), Some(Cause::Role));
        assert_eq!(verdict.rule().origin(), RuleOrigin::Assurance);
        assert!(verdict.reason().starts_with("assurance gate (role): "), "{}", verdict.reason());
    }
}

#[test]
fn machines_are_held_to_their_roles_and_people_are_not() {
    let policy = policy(AUTO);
    let role = |kind, source| answer(&policy, &ask(kind, "a", source)).1 != Cause::Role;
    assert!(role("scale_service", "autoscaler"));
    assert!(!role("deploy_service", "autoscaler"));
    assert!(role("restart_service", "playbook"));
    assert!(role("investigate_resource_pressure", "playbook"));
    assert!(!role("investigate_resource_pressure", "reconciler"));
    assert!(role("redeploy_stack", "gitops"));
    assert!(!role("redeploy_stack", "registry"));
    assert!(!role("run_playbook", "registry"));
    assert!(role("deploy_service", "registry"));
    assert!(!role("deploy_service", "reconciler"));
    assert!(role("rollback_service", "deploy_watch"));
    assert!(!role("restart_service", "deploy_watch"));
    for kind in ["remove_service", "secret.delete", "brand_new_kind"] {
        assert!(role(kind, "manual"), "{kind}");
        assert!(!role(kind, "reconciler"), "{kind}");
    }
    for source in crate::action::Source::ALL {
        assert!(role("observe", source.as_str()), "{source}");
    }
}

#[test]
fn malformed_parameters_are_denied_and_never_repeated() {
    let policy = policy(AUTO);
    for (kind, values) in [
        ("scale_service", vec![]),
        ("scale_service", vec![("replicas", json!(true))]),
        ("scale_service", vec![("replicas", json!("3"))]),
        ("scale_service", vec![("replicas", json!(-1))]),
        ("scale_service", vec![("replicas", json!(2.0))]),
        ("deploy_service", vec![("image", json!(7))]),
        ("secret.set", vec![("path", json!("a"))]),
        ("secret.set", vec![("path", json!("a")), ("value", json!(["hunter2"]))]),
        ("secret.delete", vec![]),
    ] {
        let verdict = decide(&policy, &with(kind, &values), Ok(&LedgerView::default()));
        assert_eq!(verdict.invariant(), Some(Cause::Schema), "{kind} {values:?}");
        assert_eq!(verdict.decision(), Decision::Deny);
        assert!(!verdict.reason().contains("hunter2"));
    }
    for (kind, values) in [
        ("scale_service", vec![("replicas", json!(0))]),
        ("deploy_service", vec![]),
        ("deploy_service", vec![("image", json!("a:1"))]),
        ("secret.set", vec![("path", json!("a")), ("value", json!("b"))]),
    ] {
        assert_eq!(answer(&policy, &with(kind, &values)).0, Decision::Allow, "{kind} {values:?}");
    }
    let request = with("secret.set", &[("value", json!("hunter2"))]);
    assert!(!format!("{request:?}").contains("hunter2"));
}

#[test]
fn parameters_that_are_not_given_are_not_checked_in_a_question_about_the_rules() {
    let policy = policy(AUTO);
    assert_eq!(answer(&policy, &ask("scale_service", "a", "manual")).0, Decision::Allow);
    let mut wrong = ask("scale_service", "a", "manual");
    wrong.parameters = Parameters::partial([("replicas".to_owned(), json!(true))]);
    assert_eq!(answer(&policy, &wrong), (Decision::Deny, Cause::Schema));
}

#[test]
fn what_the_policy_does_not_know_is_denied() {
    let policy = policy(
        "defaults: {tier: auto}\noptions: {known_targets: [a], known_tools: [hammer]}\nrules: []",
    );
    assert_eq!(answer(&policy, &ask("observe", "a", "manual")).0, Decision::Allow);
    assert_eq!(answer(&policy, &ask("observe", "b", "manual")).1, Cause::Reference);
    let tool = |name: Value| with("observe", &[("tool", name)]);
    assert_eq!(answer(&policy, &tool(json!("hammer"))).0, Decision::Allow);
    assert_eq!(answer(&policy, &tool(json!("saw"))).1, Cause::Reference);
    assert_eq!(answer(&policy, &tool(json!(["hammer"]))).1, Cause::Reference);
}

#[test]
fn a_claimed_state_has_to_make_sense() {
    let policy = policy(AUTO);
    let selected = |state: Value| answer(&policy, &with("run.select", &[("state", state)]));
    assert_eq!(selected(json!("held")), (Decision::Allow, Cause::Allowed));
    assert_eq!(selected(json!("done")), (Decision::Deny, Cause::Precondition));
    assert_eq!(selected(json!(1)), (Decision::Deny, Cause::Precondition));
    assert_eq!(answer(&policy, &with("run.select", &[])).0, Decision::Allow, "not claimed");
    let promotion = with("merge_promotion", &[("state", json!("merged"))]);
    assert_eq!(answer(&policy, &promotion), (Decision::Deny, Cause::Precondition));
    let other = with("restart_service", &[("state", json!("anything"))]);
    assert_eq!(answer(&policy, &other).0, Decision::Allow);
    // Before the reference, and before the rules.
    let known = super::fixtures::policy("options: {known_targets: []}\nrules: []");
    assert_eq!(answer(&known, &promotion).1, Cause::Precondition);
}

#[test]
fn role_comes_before_schema_before_reference_before_the_rules() {
    let policy = policy("defaults: {tier: forbidden}\noptions: {known_targets: []}\nrules: []");
    let mut request = with("scale_service", &[]);
    request.source = "deploy_watch";
    assert_eq!(answer(&policy, &request).1, Cause::Role);
    request.source = "autoscaler";
    assert_eq!(answer(&policy, &request).1, Cause::Schema);
    request.parameters = Parameters::complete([("replicas".to_owned(), json!(1))]);
    assert_eq!(answer(&policy, &request).1, Cause::Reference);
    request.target = "*";
    assert_eq!(answer(&policy, &request).1, Cause::Forbidden);
}

#[test]
fn a_step_that_needs_a_confirmation_never_runs_by_itself() {
    let auto = policy(AUTO);
    let mut step = restart("a");
    step.confirm = Some("12 services vanished at once".to_owned());
    let asked = verdict(&auto, &step, ActuatorMode::Swarm, noon());
    assert_eq!((asked.decision(), asked.cause()), (Decision::QueueApproval, Cause::Confirm));
    assert!(asked.reason().contains("12 services vanished"));
    let forbidding = policy("defaults: {tier: forbidden}\nrules: []");
    let refused = verdict(&forbidding, &step, ActuatorMode::Swarm, noon());
    assert_eq!(refused.decision(), Decision::Deny);
}

#[test]
fn sensitive_fields_need_a_rule_that_names_them_on_create_and_update_alike() {
    let bind = json!({"Type": "bind", "Source": "/", "Target": "/host"});
    let mounts = "/TaskTemplate/ContainerSpec/Mounts";
    let spec = json!({"TaskTemplate": {"ContainerSpec": {"Mounts": [bind]}}});
    let at = format!("{mounts}/~1host");
    for step in [create("a", spec), update("a", &[(at.as_str(), Some(bind))])] {
        let decide = |rule: &str| {
            let policy = policy(&format!("rules: [{{kind: deploy_service, tier: auto{rule}}}]"));
            let verdict = verdict(&policy, &step, ActuatorMode::Swarm, noon());
            (verdict.decision(), verdict.cause())
        };
        let queued = (Decision::QueueApproval, Cause::SensitiveField);
        assert_eq!(decide(""), queued);
        assert_eq!(decide(", fields: [secrets, sysctls]"), queued);
        assert_eq!(decide(", fields: [/TaskTemplate/ContainerSpec/Mount]"), queued);
        assert_eq!(decide(", fields: [mounts]"), (Decision::Allow, Cause::Allowed));
        let pointer = format!(", fields: [{mounts}]");
        assert_eq!(decide(&pointer), (Decision::Allow, Cause::Allowed));
    }
}

#[test]
fn every_sensitive_field_has_to_be_named() {
    let step = update(
        "a",
        &[
            ("/TaskTemplate/ContainerSpec/CapabilityAdd", Some(json!(["CAP_SYS_ADMIN"]))),
            ("/TaskTemplate/ContainerSpec/Sysctls/net.x", Some(json!("1"))),
        ],
    );
    for (fields, decision) in [
        ("capabilities", Decision::QueueApproval),
        ("sysctls", Decision::QueueApproval),
        ("sysctls, capabilities", Decision::Allow),
    ] {
        let policy = policy(&format!("rules: [{{tier: auto, fields: [{fields}]}}]"));
        let verdict = verdict(&policy, &step, ActuatorMode::Swarm, noon());
        assert_eq!(verdict.decision(), decision, "{fields}");
    }
}

#[test]
fn the_shipped_default_lets_nothing_change_by_itself() {
    let policy = compiled(&shipped_default());
    assert_eq!(policy.problems().count(), 0);
    for kind in ActionKind::ALL {
        let decision = answer(&policy, &ask(kind.as_str(), "a", "manual"));
        assert_eq!(decision, (Decision::QueueApproval, Cause::ApprovalRequired), "{kind}");
    }
}

#[test]
fn a_step_is_asked_about_with_its_own_parameters() {
    let step = super::fixtures::step(
        ActionKind::ScaleService,
        "a",
        crate::plan::Operation::Update {
            edits: vec![crate::plan::Edit {
                pointer: "/Mode/Replicated/Replicas".to_owned(),
                value: Some(json!(2)),
            }],
        },
    );
    let allowed = verdict(&policy(AUTO), &step, ActuatorMode::Swarm, noon());
    assert_eq!(allowed.decision(), Decision::Allow);
    let empty = super::fixtures::step(
        ActionKind::ScaleService,
        "a",
        crate::plan::Operation::Update { edits: Vec::new() },
    );
    let refused = verdict(&policy(AUTO), &empty, ActuatorMode::Swarm, noon());
    assert_eq!(refused.invariant(), Some(Cause::Schema));
}
