//! Budgets of the fleet as a whole.

use jiff::SignedDuration;

use super::super::fixtures::{noon, policy};
use super::with;
use crate::gate::{
    Cause, Decision, Evidence, FleetView, LedgerView, Policy, Request, Unreadable, decide,
};

const OPEN: &str = "rules: [{tier: auto, rate_limit: {max: 99}, blast_radius: {max_targets: 99}}]";

fn budgets(text: &str) -> Policy {
    policy(&format!("budgets: {text}\n{OPEN}"))
}

fn ledger(rows: &[(&str, &str)]) -> LedgerView {
    let mut view = LedgerView::default();
    for (kind, target) in rows {
        view.record(kind, target, noon() - SignedDuration::from_secs(60), None);
    }
    view
}

fn machine<'a>(kind: &'static str, target: &'a str) -> Request<'a> {
    Request { source: "registry", target, ..with(kind, &[]) }
}

fn outcome(
    policy: &Policy,
    request: &Request<'_>,
    ledger: &LedgerView,
    fleet: Result<&FleetView, Unreadable>,
) -> (Decision, Cause) {
    let verdict = decide(policy, request, Evidence { ledger: Ok(ledger), fleet });
    (verdict.decision(), verdict.cause())
}

const FINE: (Decision, Cause) = (Decision::Allow, Cause::Allowed);

#[test]
fn nothing_is_counted_unless_it_is_set() {
    let many: Vec<String> = (0..90).map(|number| format!("s{number}")).collect();
    let rows: Vec<_> = many.iter().map(|name| ("deploy_service", name.as_str())).collect();
    let down = FleetView::new(90, many.clone());
    let request = machine("deploy_service", "a");
    assert_eq!(outcome(&policy(OPEN), &request, &ledger(&rows), Ok(&down)), FINE);
    assert_eq!(outcome(&policy(OPEN), &request, &ledger(&rows), Err(Unreadable)), FINE);
}

#[test]
fn changes_are_a_share_of_the_fleet_and_queue() {
    let policy = budgets("{changed: {percent: 10}}");
    let fleet = FleetView::new(25, []);
    let ask = |target, rows: &[(&str, &str)]| {
        outcome(&policy, &machine("deploy_service", target), &ledger(rows), Ok(&fleet))
    };
    let full = (Decision::QueueApproval, Cause::ChangeBudget);
    assert_eq!(ask("c", &[("deploy_service", "a")]), FINE);
    assert_eq!(ask("c", &[("deploy_service", "a"), ("stop_service", "b")]), full, "of any kind");
    assert_eq!(
        ask("a", &[("deploy_service", "a"), ("deploy_service", "b")]),
        FINE,
        "no further one"
    );
    let looks = [("observe", "a"), ("adopt_service", "b"), ("observe", "d")];
    assert_eq!(ask("c", &looks), FINE, "only what changes a service counts");
    let observe = Request { kind: "observe", ..machine("deploy_service", "c") };
    let rows = ledger(&[("deploy_service", "a"), ("deploy_service", "b")]);
    assert_eq!(outcome(&policy, &observe, &rows, Ok(&fleet)), FINE, "looking needs no budget");
    // Ten percent of nine are none.
    let small = FleetView::new(9, []);
    let none = outcome(&policy, &machine("deploy_service", "a"), &ledger(&[]), Ok(&small));
    assert_eq!(none, full);
    let unseen = outcome(&policy, &machine("deploy_service", "a"), &ledger(&[]), Err(Unreadable));
    assert_eq!(unseen, (Decision::Deny, Cause::FleetUnreadable));
}

#[test]
fn removals_are_counted_apart_when_they_have_a_budget_of_their_own() {
    let fleet = FleetView::new(100, []);
    let removal = Request { source: "registry", ..machine("remove_service", "x") };
    let rows = ledger(&[("deploy_service", "a"), ("remove_service", "b")]);
    let ask =
        |text: &str, request: &Request<'_>| outcome(&budgets(text), request, &rows, Ok(&fleet));
    let apart = "{changed: {max: 2}, removed: {max: 1}}";
    assert_eq!(ask(apart, &removal), (Decision::QueueApproval, Cause::RemovalBudget));
    assert_eq!(ask(apart, &machine("deploy_service", "c")), FINE, "the removal does not count");
    let roomy = "{changed: {max: 1}, removed: {max: 2}}";
    assert_eq!(ask(roomy, &removal), FINE);
    // Without one they are changes like any other.
    let together = "{changed: {max: 2}}";
    assert_eq!(ask(together, &removal), (Decision::QueueApproval, Cause::ChangeBudget));
    assert_eq!(
        ask(together, &machine("deploy_service", "c")),
        (Decision::QueueApproval, Cause::ChangeBudget)
    );
}

#[test]
fn what_is_down_now_counts_and_repairing_it_is_free() {
    let policy = budgets("{unavailable: {percent: 10}}");
    let nothing = LedgerView::default();
    let fleet = |down: &[&str]| FleetView::new(20, down.iter().map(|name| (*name).to_owned()));
    let full = Cause::UnavailabilityBudget;
    let one = fleet(&["a"]);
    assert_eq!(outcome(&policy, &machine("deploy_service", "c"), &nothing, Ok(&one)), FINE);
    let two = fleet(&["a", "b"]);
    let update = Request { disrupts: true, ..machine("deploy_service", "c") };
    assert_eq!(outcome(&policy, &update, &nothing, Ok(&two)), (Decision::Deny, full));
    let person = Request { source: "manual", ..update.clone() };
    assert_eq!(outcome(&policy, &person, &nothing, Ok(&two)), (Decision::QueueApproval, full));
    let repair = Request { target: "b", ..update.clone() };
    assert_eq!(outcome(&policy, &repair, &nothing, Ok(&two)), FINE);
    let create = Request { disrupts: false, ..update.clone() };
    assert_eq!(outcome(&policy, &create, &nothing, Ok(&two)), FINE, "nothing stops");
    let unseen = outcome(&policy, &update, &nothing, Err(Unreadable));
    assert_eq!(unseen, (Decision::Deny, Cause::FleetUnreadable));
}

#[test]
fn what_a_person_approves_is_held_back_while_too_much_is_down() {
    let text = "budgets: {unavailable: {max: 1}}\nrules: [{tier: approval_required}]";
    let policy = policy(text);
    let update = Request { disrupts: true, ..machine("deploy_service", "c") };
    let held = |down: &[&str]| {
        let fleet = FleetView::new(20, down.iter().map(|name| (*name).to_owned()));
        let ledger = LedgerView::default();
        let evidence = Evidence { ledger: Ok(&ledger), fleet: Ok(&fleet) };
        let verdict = decide(&policy, &update, evidence);
        assert_eq!(verdict.cause(), Cause::ApprovalRequired);
        verdict.held_back().is_some()
    };
    assert!(!held(&[]) && held(&["a"]) && !held(&["c"]));
}
