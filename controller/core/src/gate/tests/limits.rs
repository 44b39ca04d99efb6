//! Limits: what they count, for whom, in which order, and what happens when they cannot count.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::fixtures::{file, noon, policy};
use super::{ask, with};
use crate::gate::{
    Cause, Decision, LedgerView, Policy, Request, Settings, Unreadable, Verdict, decide,
};
use crate::identity::ActionId;

fn before(seconds: i64) -> Timestamp {
    noon() - SignedDuration::from_secs(seconds)
}

fn ledger(rows: &[(&str, &str, i64)]) -> LedgerView {
    let mut view = LedgerView::default();
    for (kind, target, age) in rows {
        view.record(kind, target, before(*age), None);
    }
    view
}

fn outcome(policy: &Policy, request: &Request<'_>, ledger: &LedgerView) -> (Decision, Cause) {
    let verdict = decide(policy, request, Ok(ledger));
    (verdict.decision(), verdict.cause())
}

const TWO_AN_HOUR: &str = "
rules:
  - {kind: restart_service, tier: auto, rate_limit: {max: 2, window_s: 3600},
     blast_radius: {max_targets: 2, window_s: 60}}
";

const RESTART: &str = "restart_service";

#[test]
fn a_machine_that_loops_is_denied_and_a_person_is_queued() {
    let policy = policy(TWO_AN_HOUR);
    let view = ledger(&[(RESTART, "a", 100), (RESTART, "a", 3600)]);
    let machine = decide(&policy, &ask(RESTART, "a", "reconciler"), Ok(&view));
    assert_eq!((machine.decision(), machine.cause()), (Decision::Deny, Cause::RateLimit));
    assert_eq!(machine.reason(), "rate limit exceeded (2/3600s for this action+target)");
    let person = outcome(&policy, &ask(RESTART, "a", "manual"), &view);
    assert_eq!(person, (Decision::QueueApproval, Cause::RateLimit));
}

#[test]
fn the_rate_limit_counts_one_kind_on_one_target_in_its_window() {
    let policy = policy(TWO_AN_HOUR);
    for rows in [
        vec![(RESTART, "a", 100), (RESTART, "a", 3601)],
        vec![(RESTART, "a", 100), (RESTART, "b", 3000)],
        vec![(RESTART, "a", 100), ("scale_service", "a", 100)],
    ] {
        let got = outcome(&policy, &ask(RESTART, "a", "reconciler"), &ledger(&rows));
        assert_eq!(got, (Decision::Allow, Cause::Allowed), "{rows:?}");
    }
    // A clock that was set back must not open the gate.
    let future = ledger(&[(RESTART, "a", -500), (RESTART, "a", -90_000)]);
    assert_eq!(outcome(&policy, &ask(RESTART, "a", "reconciler"), &future).1, Cause::RateLimit);
}

#[test]
fn the_blast_radius_counts_targets_of_one_kind_and_queues() {
    let policy = policy(TWO_AN_HOUR);
    let request = ask(RESTART, "c", "reconciler");
    let wide = ledger(&[(RESTART, "a", 1), (RESTART, "b", 60)]);
    let got = decide(&policy, &request, Ok(&wide));
    assert_eq!((got.decision(), got.cause()), (Decision::QueueApproval, Cause::BlastRadius));
    assert!(got.reason().contains("blast-radius"));
    for rows in [
        vec![(RESTART, "a", 1), (RESTART, "a", 2)],
        vec![(RESTART, "a", 1), (RESTART, "b", 61)],
        vec![(RESTART, "a", 1), (RESTART, "c", 1)],
        vec![(RESTART, "a", 1), ("scale_service", "b", 1)],
    ] {
        assert_eq!(outcome(&policy, &request, &ledger(&rows)).0, Decision::Allow, "{rows:?}");
    }
}

#[test]
fn what_a_pass_allows_counts_at_once() {
    let policy =
        policy("rules: [{tier: auto, rate_limit: {max: 9}, blast_radius: {max_targets: 2}}]");
    let mut view = LedgerView::default();
    let decisions: Vec<_> = ["a", "b", "c"]
        .into_iter()
        .map(|target| {
            let got = outcome(&policy, &ask(RESTART, target, "reconciler"), &view).0;
            if got.is_allowed() {
                view.record(RESTART, target, noon(), None);
            }
            got
        })
        .collect();
    assert_eq!(decisions, [Decision::Allow, Decision::Allow, Decision::QueueApproval]);
}

#[test]
fn an_action_does_not_stand_in_its_own_way() {
    let policy =
        policy("rules: [{tier: auto, rate_limit: {max: 1}, blast_radius: {max_targets: 1}}]");
    let (own, other) = (ActionId::new("own"), ActionId::new("other"));
    let mut view = LedgerView::default();
    view.record(RESTART, "a", noon(), Some(own.clone()));
    let request = ask(RESTART, "a", "reconciler");
    assert_eq!(outcome(&policy, &request, &view).1, Cause::RateLimit);
    assert_eq!(outcome(&policy, &request.clone().again_for(&own), &view).0, Decision::Allow);
    assert_eq!(outcome(&policy, &request.again_for(&other), &view).1, Cause::RateLimit);
}

#[test]
fn a_limit_of_nothing_allows_nothing_by_itself() {
    let mut none = file("rules: [{tier: auto}]");
    none.defaults.rate_limit.max = 0;
    let policy = Policy::compile(&none, Ok(&[]), Settings::default());
    let view = LedgerView::default();
    assert_eq!(
        outcome(&policy, &ask(RESTART, "a", "reconciler"), &view),
        (Decision::Deny, Cause::RateLimit)
    );
    let mut none = file("rules: [{tier: auto}]");
    none.defaults.blast_radius.max_targets = 0;
    let policy = Policy::compile(&none, Ok(&[]), Settings::default());
    assert_eq!(
        outcome(&policy, &ask(RESTART, "a", "reconciler"), &view),
        (Decision::QueueApproval, Cause::BlastRadius)
    );
}

#[test]
fn a_ledger_that_cannot_be_read_stops_everything_automatic_and_nothing_else() {
    let auto = policy("rules: [{tier: auto_notify}]");
    let blind = |policy: &Policy, source| -> Verdict {
        decide(policy, &ask(RESTART, "a", source), Err(Unreadable))
    };
    let machine = blind(&auto, "reconciler");
    assert_eq!((machine.decision(), machine.cause()), (Decision::Deny, Cause::LedgerUnreadable));
    assert!(machine.cause().is_blindness());
    assert_eq!(blind(&auto, "manual").decision(), Decision::QueueApproval);
    let queued = blind(&policy("rules: []"), "reconciler");
    assert_eq!(queued.cause(), Cause::ApprovalRequired);
}

#[test]
fn overrides_that_cannot_be_read_may_hold_a_freeze() {
    let open = file("defaults: {tier: auto}\nrules: []");
    let policy = Policy::compile(&open, Err(Unreadable), Settings::default());
    for kind in [RESTART, "observe", "brand_new_kind"] {
        let verdict = decide(&policy, &ask(kind, "a", "manual"), Ok(&LedgerView::default()));
        assert_eq!(verdict.decision(), Decision::Deny, "{kind}");
        assert!(verdict.cause().is_blindness());
        assert!(verdict.reason().contains("fail closed"));
    }
}

#[test]
fn checks_come_in_the_documented_order() {
    let text = "rules: [{tier: auto, rate_limit: {max: 1}, blast_radius: {max_targets: 1}, \
                maintenance_window: '01:00-02:00', fields: [mounts]}]";
    let averse = Settings { irreversibility_aversion: true };
    let policy = Policy::compile(&file(text), Ok(&[]), averse);
    let mut request = with("deploy_service", &[]);
    let everything = ledger(&[("deploy_service", "a", 1), ("deploy_service", "b", 1)]);
    request.confirm = Some("look");
    request.sensitive = vec![crate::gate::SensitiveField {
        class: crate::gate::SensitiveClass::Secrets,
        pointer: "/TaskTemplate/ContainerSpec/Secrets".to_owned(),
    }];
    assert_eq!(outcome(&policy, &request, &everything).1, Cause::Confirm);
    request.confirm = None;
    assert_eq!(outcome(&policy, &request, &everything).1, Cause::SensitiveField);
    request.sensitive.clear();
    assert_eq!(outcome(&policy, &request, &everything).1, Cause::RateLimit);
    let elsewhere = ledger(&[("deploy_service", "b", 1)]);
    assert_eq!(outcome(&policy, &request, &elsewhere).1, Cause::BlastRadius);
    let nothing = LedgerView::default();
    assert_eq!(outcome(&policy, &request, &nothing).1, Cause::Irreversible);
    request.kind = RESTART;
    assert_eq!(outcome(&policy, &request, &nothing).1, Cause::OutsideWindow);
    request.now = "2026-11-20T01:30:00Z".parse().unwrap();
    assert_eq!(outcome(&policy, &request, &nothing), (Decision::Allow, Cause::Allowed));
}

#[test]
fn closed_tiers_skip_the_counting() {
    let view = ledger(&[(RESTART, "a", 1); 9]);
    for (tier, cause) in
        [("forbidden", Cause::Forbidden), ("approval_required", Cause::ApprovalRequired)]
    {
        let text = format!(
            "rules: [{{tier: {tier}, rate_limit: {{max: 1}}, maintenance_window: '01:00-02:00'}}]"
        );
        let got = outcome(&policy(&text), &ask(RESTART, "a", "reconciler"), &view);
        assert_eq!(got.1, cause);
    }
}

#[test]
fn irreversible_kinds_are_asked_about_only_on_request() {
    let open = file("defaults: {tier: auto}\nrules: []");
    let view = LedgerView::default();
    for (averse, kind, cause) in [
        (true, "deploy_service", Cause::Irreversible),
        (true, "rollback_service", Cause::Irreversible),
        (true, "secret.DELETE", Cause::Irreversible),
        (true, RESTART, Cause::Allowed),
        (true, "scale_service", Cause::Allowed),
        (true, "stop_service", Cause::Allowed),
        (false, "deploy_service", Cause::Allowed),
    ] {
        let settings = Settings { irreversibility_aversion: averse };
        let policy = Policy::compile(&open, Ok(&[]), settings);
        assert_eq!(outcome(&policy, &ask(kind, "a", "manual"), &view).1, cause, "{kind}");
    }
}

#[test]
fn the_ledger_is_read_as_far_back_as_the_longest_window() {
    let text = "rules: [{tier: auto, rate_limit: {max: 1, window_s: 7200}}]";
    assert_eq!(policy(text).ledger_since(noon()), before(7200));
    assert_eq!(policy("rules: []").ledger_since(noon()), before(3600));
    let mut endless = file(text);
    endless.defaults.rate_limit.window_s = u64::MAX;
    let endless = Policy::compile(&endless, Ok(&[]), Settings::default());
    assert_eq!(endless.ledger_since(noon()), Timestamp::MIN);
    let old = ledger(&[(RESTART, "a", 60_000_000_000); 3]);
    let mut forever = file("rules: [{tier: auto}]");
    forever.defaults.rate_limit.window_s = u64::MAX;
    let forever = Policy::compile(&forever, Ok(&[]), Settings::default());
    assert_eq!(outcome(&forever, &ask(RESTART, "a", "playbook"), &old).1, Cause::RateLimit);
}

proptest! {
    /// More history never allows more.
    #[test]
    fn a_longer_ledger_never_opens_the_gate(
        rows in prop::collection::vec((0..2_usize, 0..3_usize, -100_i64..8000), 0..12),
        cut in 0_usize..12,
        kind in 0..2_usize,
        target in 0..3_usize,
    ) {
        let kinds = [RESTART, "scale_service"];
        let targets = ["a", "b", "c"];
        let policy = policy(
            "defaults: {tier: auto}\nrules: [{kind: restart_service, tier: auto_notify, \
             rate_limit: {max: 2}, blast_radius: {max_targets: 2, window_s: 600}}]",
        );
        let rows: Vec<_> =
            rows.into_iter().map(|(kind, target, age)| (kinds[kind], targets[target], age)).collect();
        let (fewer, all) = (ledger(&rows[..cut.min(rows.len())]), ledger(&rows));
        let request = ask(kinds[kind], targets[target], "reconciler");
        let allowed = |view| outcome(&policy, &request, view).0.is_allowed();
        prop_assert!(allowed(&fewer) || !allowed(&all));
        prop_assert!(!decide(&policy, &request, Err(Unreadable)).decision().is_allowed());
    }
}
