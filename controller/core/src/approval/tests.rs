//! What a permission is worth when the world has moved since it was given.

mod interleavings;
mod moves;
mod overdue;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::*;
use crate::action::{Action, ActionEvent, ActionState, ActuatorMode, Source};
use crate::gate::fixtures::{at, file, noon, policy, restart, stored, update, verdict};
use crate::gate::{
    Authorised, Decision, LedgerView, Override, Policy, Request, Settings, Unreadable, Verdict,
    decide,
};
use crate::identity::{ActionId, ApprovalId, ClusterId, ObjectKey, PlanId, SwarmId};
use crate::plan::{Blocked, Step};

const ASKS: &str = "rules: [{tier: approval_required}]";
const ALLOWS: &str = "rules: [{tier: auto}]";
const ASKS_AT_NIGHT: &str = "rules: [{tier: approval_required, maintenance_window: '02:00-05:00'}]";
const ALLOWS_AT_NIGHT: &str = "rules: [{tier: auto, maintenance_window: '02:00-05:00'}]";
const LIVE: ActuatorMode = ActuatorMode::Swarm;

fn image(target: &str, image: &str) -> Step {
    update(target, &[("/TaskTemplate/ContainerSpec/Image", Some(json!(image)))])
}

/// One image for another, as the planner shows it.
pub(super) fn image_change(target: &str, before: &str, after: &str) -> Step {
    let mut step = image(target, after);
    step.changes = vec![crate::plan::Change {
        path: "/TaskTemplate/ContainerSpec/Image".to_owned(),
        before: json!(before),
        after: json!(after),
    }];
    step
}

/// An action about this step that a person has approved.
pub(super) fn approved_step(step: &Step, mode: ActuatorMode) -> Action {
    approved(&policy(ASKS), step, mode, noon())
}

fn with_proposal<T>(
    step: &Step,
    verdict: &Verdict,
    mode: ActuatorMode,
    now: Timestamp,
    then: impl FnOnce(&Proposal<'_>) -> T,
) -> T {
    then(&Proposal {
        id: &ActionId::new("action1"),
        key: &ObjectKey::service(&ClusterId::new("cluster1"), &step.target),
        plan: &PlanId::new("plan1"),
        step,
        verdict,
        mode,
        actor: "reconciler@host",
        now,
    })
}

/// An action that a person has approved, as the store would hold it.
fn approved(policy: &Policy, step: &Step, mode: ActuatorMode, now: Timestamp) -> Action {
    let verdict = verdict(policy, step, mode, now);
    let clocks = Clocks::default();
    let id = ApprovalId::new("action_approval:1");
    let (mut action, _) =
        with_proposal(step, &verdict, mode, now, |p| request(p, id, &clocks)).unwrap();
    action.state = action.state.after(ActionEvent::Grant).unwrap();
    action.granted_at = Some(now);
    action.start_by = Some(clocks.start_by(now, false));
    action
}

/// An action that a rule has allowed.
fn allowed(policy: &Policy, step: &Step, mode: ActuatorMode, now: Timestamp) -> Action {
    let verdict = verdict(policy, step, mode, now);
    with_proposal(step, &verdict, mode, now, |p| granted(p, &Clocks::default())).unwrap()
}

fn try_at(
    action: &Action,
    fresh: &Step,
    policy: &Policy,
    mode: ActuatorMode,
    now: Timestamp,
) -> Result<Authorised<Step>, RedeemError> {
    redeem(action, fresh, &verdict(policy, fresh, mode, now), mode, now)
}

fn code(result: &Result<Authorised<Step>, RedeemError>) -> &'static str {
    result.as_ref().map_or_else(RedeemError::code, |_| "OK")
}

fn minutes(minutes: i64) -> SignedDuration {
    SignedDuration::from_mins(minutes)
}

#[test]
fn a_request_waits_a_day_and_holds_what_it_is_about() {
    let (policy, step) = (policy(ASKS), image("a", "a:2"));
    let verdict = verdict(&policy, &step, LIVE, noon());
    let id = ApprovalId::new("action_approval:1");
    let (action, approval) =
        with_proposal(&step, &verdict, LIVE, noon(), |p| request(p, id, &Clocks::default()))
            .unwrap();
    assert_eq!(action.state, ActionState::Pending);
    assert_eq!((action.granted_at, action.start_by), (None, None));
    assert_eq!(action.approval.as_ref(), Some(&approval.id));
    assert_eq!(approval.status, ApprovalStatus::Pending);
    assert_eq!(approval.expires_at, at("2026-11-21T12:00:00Z"));
    assert_eq!(approval.binding, action.binding);
    assert_eq!(action.binding, binding(&step, verdict.rule(), LIVE));
    assert_eq!(action.rule, verdict.rule().to_string());
}

#[test]
fn only_the_right_verdict_about_the_right_step_becomes_an_action() {
    let step = image("a", "a:2");
    let clocks = Clocks::default();
    let id = || ApprovalId::new("action_approval:1");
    let try_both = |step: &Step, verdict: &Verdict, mode| {
        with_proposal(step, verdict, mode, noon(), |p| {
            (granted(p, &clocks).is_ok(), request(p, id(), &clocks).is_ok())
        })
    };
    let verdict_of = |text| verdict(&policy(text), &step, LIVE, noon());
    assert_eq!(try_both(&step, &verdict_of(ALLOWS), LIVE), (true, false));
    assert_eq!(try_both(&step, &verdict_of(ASKS), LIVE), (false, true));
    let forbids = verdict_of("rules: [{tier: forbidden}]");
    assert_eq!(try_both(&step, &forbids, LIVE), (false, false));
    // A verdict about something else.
    assert_eq!(try_both(&image("a", "a:3"), &verdict_of(ALLOWS), LIVE), (false, false));
    assert_eq!(try_both(&image("b", "a:2"), &verdict_of(ASKS), LIVE), (false, false));
    assert_eq!(try_both(&step, &verdict_of(ALLOWS), ActuatorMode::DryRun), (false, false));
    let mut blocked = step.clone();
    blocked.blocked = Some(Blocked {
        code: "PORT_TAKEN".to_owned(),
        message: "port 80 is taken".to_owned(),
        hint: String::new(),
    });
    assert_eq!(try_both(&blocked, &verdict_of(ALLOWS), LIVE), (false, false));
    // The key of another object.
    let verdict = verdict_of(ALLOWS);
    let strange = with_proposal(&step, &verdict, LIVE, noon(), |p| {
        let key = ObjectKey { name: "b".to_owned(), ..p.key.clone() };
        granted(&Proposal { key: &key, ..*p }, &clocks)
    });
    assert!(matches!(strange, Err(NotProposable::Mismatch { .. })), "{strange:?}");
    // A question about the rules is about no step.
    let question = Request::without_step(
        "deploy_service",
        "a",
        "manual",
        LIVE,
        crate::gate::Parameters::partial([]),
        noon(),
    );
    let answer = decide(&policy(ALLOWS), &question, Ok(&LedgerView::default()));
    assert!(answer.decision().is_allowed());
    assert_eq!(try_both(&step, &answer, LIVE), (false, false));
    let action = allowed(&policy(ALLOWS), &step, LIVE, noon());
    assert_eq!(code(&redeem(&action, &step, &answer, LIVE, noon())), "SUPERSEDED");
}

#[test]
fn what_was_approved_runs_when_nothing_moved() {
    let step = image("a", "a:2");
    for (text, make) in
        [(ASKS, approved as fn(&_, &_, _, _) -> Action), (ALLOWS, allowed as fn(&_, &_, _, _) -> _)]
    {
        let policy = policy(text);
        for mode in ActuatorMode::ALL.iter().copied() {
            let action = make(&policy, &step, mode, noon());
            let right = try_at(&action, &step, &policy, mode, noon() + minutes(10)).unwrap();
            assert_eq!(right.into_inner(), step);
        }
    }
}

#[test]
fn only_a_granted_action_can_be_redeemed() {
    let (policy, step) = (policy(ASKS), image("a", "a:2"));
    for state in ActionState::ALL.iter().copied().filter(|s| *s != ActionState::Granted) {
        let mut action = approved(&policy, &step, LIVE, noon());
        action.state = state;
        let refused = try_at(&action, &step, &policy, LIVE, noon());
        assert_eq!(code(&refused), "NOT_GRANTED", "{state}");
        assert_eq!(refused.unwrap_err().event(), None);
    }
}

#[test]
fn a_rehearsal_never_becomes_an_execution() {
    let step = image("a", "a:2");
    for (text, make) in
        [(ASKS, approved as fn(&_, &_, _, _) -> Action), (ALLOWS, allowed as fn(&_, &_, _, _) -> _)]
    {
        let policy = policy(text);
        let action = make(&policy, &step, ActuatorMode::DryRun, noon());
        let refused = try_at(&action, &step, &policy, LIVE, noon()).unwrap_err();
        assert_eq!(refused.code(), "SUPERSEDED");
        assert_eq!(refused.event(), Some(ActionEvent::Supersede));
        assert!(refused.to_string().contains("`dryrun`"), "{refused}");
        let back = make(&policy, &step, LIVE, noon());
        assert_eq!(
            code(&try_at(&back, &step, &policy, ActuatorMode::DryRun, noon())),
            "SUPERSEDED"
        );
    }
}

#[test]
fn a_grant_that_was_not_started_in_time_is_over() {
    let (policy, step) = (policy(ASKS), image("a", "a:2"));
    let action = approved(&policy, &step, LIVE, noon());
    assert!(try_at(&action, &step, &policy, LIVE, noon() + minutes(10)).is_ok());
    let late = noon() + minutes(10) + SignedDuration::from_nanos(1);
    let refused = try_at(&action, &step, &policy, LIVE, late).unwrap_err();
    assert_eq!(refused, RedeemError::Expired { deadline: noon() + minutes(10) });
    assert_eq!(refused.event(), Some(ActionEvent::Expire));
    let bulk = Clocks::default().start_by(noon(), true);
    assert_eq!(bulk, noon() + minutes(60));
    for damage in [|a: &mut Action| a.start_by = None, |a: &mut Action| a.granted_at = None] {
        let mut action = approved(&policy, &step, LIVE, noon());
        damage(&mut action);
        assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon() + minutes(1))), "EXPIRED");
    }
}

#[test]
fn whatever_moved_is_named() {
    let (policy, step) = (policy(ASKS), image("a", "a:2"));
    let action = approved(&policy, &step, LIVE, noon());
    let superseded = |fresh: &Step, action: &Action, word: &str| {
        let refused = try_at(action, fresh, &policy, LIVE, noon()).unwrap_err();
        assert_eq!(refused.code(), "SUPERSEDED", "{word}");
        let text = refused.to_string();
        assert!(text.contains(word), "{text:?} should say {word:?}");
        assert!(text.contains("skep plan"), "{text:?} should say what to do");
    };
    superseded(&image("a", "a:3"), &action, "has changed since");
    superseded(&image("b", "a:2"), &action, "deploy_service b now");
    superseded(&restart("a"), &action, "restart_service a now");
    let mut fresh = step.clone();
    fresh.object = Some(SwarmId::new("object2"));
    superseded(&fresh, &action, "another service object");
    let mut fresh = step.clone();
    fresh.blocked = Some(Blocked {
        code: "PORT_TAKEN".to_owned(),
        message: "port 80 is taken".to_owned(),
        hint: String::new(),
    });
    superseded(&fresh, &action, "PORT_TAKEN");
    let mut fresh = step.clone();
    fresh.confirm = Some("12 services vanished".to_owned());
    superseded(&fresh, &action, "12 services vanished");
    let mut altered = action.clone();
    altered.binding = Digest::of_bytes(b"something else");
    superseded(&step, &altered, "bound to");
}

#[test]
fn a_confirmation_that_was_seen_counts_although_its_wording_moves() {
    let policy = policy(ALLOWS);
    let mut step = image("a", "a:2");
    step.confirm = Some("12 services vanished".to_owned());
    let action = approved(&policy, &step, LIVE, noon());
    let mut fresh = step.clone();
    fresh.confirm = Some("11 services vanished".to_owned());
    assert!(try_at(&action, &fresh, &policy, LIVE, noon()).is_ok());
    fresh.confirm = None;
    assert!(try_at(&action, &fresh, &policy, LIVE, noon()).is_ok());
}

#[test]
fn an_edited_policy_supersedes_or_denies_and_a_freeze_keeps_waiting() {
    let step = image("a", "a:2");
    let before = policy(ASKS);
    let action = approved(&before, &step, LIVE, noon());
    for text in [
        ALLOWS,
        "rules: [{tier: approval_required, rate_limit: {max: 1}}]",
        "rules: [{target: a, tier: approval_required}]",
        "rules: []",
    ] {
        let refused = try_at(&action, &step, &policy(text), LIVE, noon()).unwrap_err();
        assert_eq!(refused.code(), "SUPERSEDED", "{text}");
        assert!(refused.to_string().contains("the policy moved"), "{refused}");
    }
    let unrelated = policy("rules: [{kind: x, tier: forbidden}, {tier: approval_required}]");
    assert!(try_at(&action, &step, &unrelated, LIVE, noon()).is_ok());
    let freeze = stored(file("rules: [{tier: forbidden}]").rules.remove(0));
    let frozen =
        Policy::compile(&file(ASKS), Ok(std::slice::from_ref(&freeze)), Settings::default());
    let waits = try_at(&action, &step, &frozen, LIVE, noon()).unwrap_err();
    assert_eq!((waits.code(), waits.event()), ("FROZEN", None));
    assert!(waits.to_string().contains("frozen by alice until it is lifted: release week"));
    // Its own time runs on, and what expired or was lifted no longer holds.
    let late = noon() + SignedDuration::from_mins(11);
    assert_eq!(code(&try_at(&action, &step, &frozen, LIVE, late)), "EXPIRED");
    let over = Override { expires_at: Some(noon()), ..freeze };
    let thawed = Policy::compile(&file(ASKS), Ok(&[over]), Settings::default());
    assert!(try_at(&action, &step, &thawed, LIVE, noon()).is_ok());
    let forbidding = policy("rules: [{tier: forbidden}]");
    let refused = try_at(&action, &step, &forbidding, LIVE, noon()).unwrap_err();
    assert_eq!(refused, RedeemError::Refused { reason: "forbidden by policy".to_owned() });
    assert_eq!((refused.code(), refused.event()), ("DENIED_BY_POLICY", Some(ActionEvent::Deny)));
}

#[test]
fn a_permission_waits_while_the_policy_cannot_be_seen() {
    let step = image("a", "a:2");
    let person = approved(&policy(ASKS), &step, LIVE, noon());
    let blind = Policy::compile(&file(ASKS), Err(Unreadable), Settings::default());
    let refused = try_at(&person, &step, &blind, LIVE, noon()).unwrap_err();
    assert_eq!((refused.code(), refused.event()), ("POLICY_UNDECIDABLE", None));
    let open = policy(ALLOWS);
    let rule = allowed(&open, &step, LIVE, noon());
    let unseen = decide(&open, &Request::for_step(&step, LIVE, noon()), Err(Unreadable));
    let refused = redeem(&rule, &step, &unseen, LIVE, noon()).unwrap_err();
    assert_eq!((refused.code(), refused.event()), ("POLICY_UNDECIDABLE", None));
}

#[test]
fn what_a_person_asked_for_waits_alike_and_what_a_person_approved_does_not() {
    let open = policy(ALLOWS);
    let mut step = image("a", "a:2");
    step.source = Source::Manual;
    let unseen = decide(&open, &Request::for_step(&step, LIVE, noon()), Err(Unreadable));
    assert_eq!(unseen.decision(), Decision::QueueApproval);
    let by_rule = allowed(&open, &step, LIVE, noon());
    assert_eq!(code(&redeem(&by_rule, &step, &unseen, LIVE, noon())), "POLICY_UNDECIDABLE");
    step.confirm = Some("look".to_owned());
    let by_person = approved(&open, &step, LIVE, noon());
    step.confirm = None;
    assert_eq!(code(&redeem(&by_person, &step, &unseen, LIVE, noon())), "OK");
}

#[test]
fn a_rules_permission_needs_the_rule_to_allow_it_still() {
    let policy =
        policy("rules: [{tier: auto, rate_limit: {max: 1}, blast_radius: {max_targets: 1}}]");
    let step = image("a", "a:2");
    let action = allowed(&policy, &step, LIVE, noon());
    let mut ledger = LedgerView::default();
    ledger.record("deploy_service", "a", noon(), Some(action.id.clone()));
    let ask = || Request::for_step(&step, LIVE, noon()).again_for(&action.id);
    let own = decide(&policy, &ask(), Ok(&ledger));
    assert!(redeem(&action, &step, &own, LIVE, noon()).is_ok());
    // Another target took the blast radius: a person decides now.
    ledger.record("deploy_service", "b", noon(), None);
    let queued = decide(&policy, &ask(), Ok(&ledger));
    let refused = redeem(&action, &step, &queued, LIVE, noon()).unwrap_err();
    assert_eq!(refused.code(), "SUPERSEDED");
    assert!(refused.to_string().contains("blast-radius"), "{refused}");
    // A loop: refused.
    ledger.record("deploy_service", "a", noon(), None);
    let denied = decide(&policy, &ask(), Ok(&ledger));
    assert_eq!(code(&redeem(&action, &step, &denied, LIVE, noon())), "DENIED_BY_POLICY");
    let mut confirm = step.clone();
    confirm.confirm = Some("look".to_owned());
    assert_eq!(code(&try_at(&action, &confirm, &policy, LIVE, noon())), "SUPERSEDED");
}

#[test]
fn a_rules_permission_waits_when_its_window_has_closed() {
    let (policy, step) = (policy(ALLOWS_AT_NIGHT), image("a", "a:2"));
    let granted_at = at("2026-11-20T04:55:00Z");
    let action = allowed(&policy, &step, LIVE, granted_at);
    assert!(try_at(&action, &step, &policy, LIVE, granted_at + minutes(4)).is_ok());
    let refused = try_at(&action, &step, &policy, LIVE, granted_at + minutes(5)).unwrap_err();
    assert_eq!((refused.code(), refused.event()), ("OUTSIDE_WINDOW", None));
    assert!(refused.to_string().contains("02:00-05:00 UTC"), "{refused}");
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, granted_at + minutes(11))), "EXPIRED");
}

#[test]
fn a_persons_yes_replaces_the_window_of_an_automatic_rule() {
    let (policy, step) = (policy(ALLOWS_AT_NIGHT), image("a", "a:2"));
    let action = approved(&policy, &step, LIVE, noon());
    assert!(try_at(&action, &step, &policy, LIVE, noon()).is_ok());
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon() + minutes(11))), "EXPIRED");
}

#[test]
fn a_persons_yes_waits_for_the_window_of_a_rule_that_asks_anyway() {
    let (policy, step) = (policy(ASKS_AT_NIGHT), image("a", "a:2"));
    let action = approved(&policy, &step, LIVE, noon());
    for (time, expected) in [
        ("2026-11-20T12:00:00Z", "OUTSIDE_WINDOW"),
        ("2026-11-20T23:00:00Z", "OUTSIDE_WINDOW"),
        ("2026-11-21T02:00:00Z", "OK"),
        ("2026-11-21T02:10:00Z", "OK"),
        ("2026-11-21T02:10:01Z", "EXPIRED"),
        ("2026-11-22T02:05:00Z", "EXPIRED"),
    ] {
        let result = try_at(&action, &step, &policy, LIVE, at(time));
        assert_eq!(code(&result), expected, "{time}");
    }
    let inside = at("2026-11-20T04:58:00Z");
    let action = approved(&policy, &step, LIVE, inside);
    assert!(try_at(&action, &step, &policy, LIVE, inside + minutes(1)).is_ok());
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, inside + minutes(3))), "OUTSIDE_WINDOW");
}

#[test]
fn a_window_that_never_opens_lets_a_grant_lapse() {
    let mut broken = file(ASKS_AT_NIGHT);
    broken.rules[0].maintenance_window = Some(skep_crds::policy::MaintenanceWindow::NEVER);
    let policy = Policy::compile(&broken, Ok(&[]), Settings::default());
    let step = image("a", "a:2");
    let action = approved(&policy, &step, LIVE, noon());
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon())), "OUTSIDE_WINDOW");
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon() + minutes(11))), "EXPIRED");
}

fn waits(mut action: Action, code: &str, since: Timestamp) -> Action {
    action.wait = Some(Wait { code: code.to_owned(), reason: "waits".to_owned(), since });
    action
}

#[test]
fn the_time_to_start_runs_only_while_nothing_is_waited_for() {
    let (policy, step) = (policy(ASKS), image("a", "a:2"));
    let action = waits(approved(&policy, &step, LIVE, noon()), "DEPENDENCY", noon());
    // Three hours for a dependency eat nothing.
    let ready = noon() + minutes(180);
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, ready)), "OK");
    let mut runnable = action.clone();
    runnable.wait = None;
    runnable.runnable_since = Some(ready);
    assert_eq!(code(&try_at(&runnable, &step, &policy, LIVE, ready + minutes(10))), "OK");
    assert_eq!(code(&try_at(&runnable, &step, &policy, LIVE, ready + minutes(11))), "EXPIRED");
    // Without a record of the wait it is over.
    runnable.runnable_since = None;
    assert_eq!(code(&try_at(&runnable, &step, &policy, LIVE, ready)), "EXPIRED");
    // A clock that was set back makes no time.
    runnable.runnable_since = Some(noon() - minutes(60));
    assert_eq!(code(&try_at(&runnable, &step, &policy, LIVE, noon() + minutes(10))), "OK");
}

#[test]
fn a_wait_inside_of_a_window_goes_on_with_the_next_one() {
    let (policy, step) = (policy(ASKS_AT_NIGHT), image("a", "a:2"));
    let night = at("2026-11-20T02:30:00Z");
    let mut action = approved(&policy, &step, LIVE, night);
    action.runnable_since = Some(at("2026-11-20T05:30:00Z"));
    for (time, expected) in [
        ("2026-11-20T05:30:00Z", "OUTSIDE_WINDOW"),
        ("2026-11-21T02:10:00Z", "OK"),
        ("2026-11-21T02:10:01Z", "EXPIRED"),
    ] {
        assert_eq!(code(&try_at(&action, &step, &policy, LIVE, at(time))), expected, "{time}");
    }
}

#[test]
fn who_waits_for_a_window_that_never_opens_lapses_all_the_same() {
    let mut broken = file(ASKS_AT_NIGHT);
    broken.rules[0].maintenance_window = Some(skep_crds::policy::MaintenanceWindow::NEVER);
    let policy = Policy::compile(&broken, Ok(&[]), Settings::default());
    let step = image("a", "a:2");
    let action = waits(approved(&policy, &step, LIVE, noon()), "OUTSIDE_WINDOW", noon());
    assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon() + minutes(11))), "EXPIRED");
}

/// Approved before digests had a key: nothing else has moved, and it is not carried out.
#[test]
fn a_permission_from_before_digests_had_a_key_is_never_used() {
    let step = image("a", "a:2");
    for (text, make) in [
        (ASKS, approved as fn(&Policy, &Step, ActuatorMode, Timestamp) -> Action),
        (ALLOWS, allowed),
    ] {
        let policy = policy(text);
        let mut action = make(&policy, &step, LIVE, noon());
        assert_eq!(code(&try_at(&action, &step, &policy, LIVE, noon())), "OK");
        action.binding = keyless();
        let refused = try_at(&action, &step, &policy, LIVE, noon()).unwrap_err();
        assert_eq!(refused.code(), "SUPERSEDED");
        assert!(refused.to_string().contains(FROM_BEFORE_KEYS), "{refused}");
        // Also when more has moved, this is what is said.
        let other = image("a", "a:3");
        let refused = try_at(&action, &other, &policy, LIVE, noon()).unwrap_err();
        assert!(refused.to_string().contains(FROM_BEFORE_KEYS), "{refused}");
    }
    assert!(is_keyless(&keyless()) && !is_keyless(&Digest::of_bytes(b"")));
}
