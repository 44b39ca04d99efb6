//! What holds for every policy, every ledger and every fleet.

use jiff::SignedDuration;
use proptest::prelude::*;
use skep_crds::policy::{
    BlastRadius, Budgets, FleetBudget, Mode, PolicyFile, PolicyRule, RateLimit, Share, Tier,
};

use super::super::fixtures::{file, noon, stored};
use super::with;
use crate::gate::{
    Decision, Evidence, FleetView, LedgerView, Override, Policy, Request, Settings, Unreadable,
    decide,
};

const KINDS: [&str; 4] = ["restart_service", "deploy_service", "remove_service", "observe"];
const TARGETS: [&str; 3] = ["a", "b", "c"];
// Mostly those that match, or most cases would say nothing.
const GLOBS: [&str; 9] = ["*", "*", "*", "*", "?", "a", "[!a]", "restart_*", "["];

fn glob() -> impl Strategy<Value = String> {
    prop::sample::select(GLOBS.to_vec()).prop_map(str::to_owned)
}

fn tier() -> impl Strategy<Value = Tier> {
    prop::sample::select(Tier::ALL.to_vec())
}

fn limit() -> impl Strategy<Value = Option<(u32, u64)>> {
    prop::option::of((0..3_u32, 0..4000_u64))
}

prop_compose! {
    fn rule()(
        kind in glob(),
        target in glob(),
        domain in prop::sample::select(vec!["*", "*", "edge", "["]),
        mode in prop_oneof![4 => Just(Mode::Enforce), 3 => prop::sample::select(Mode::ALL.to_vec())],
        tier in tier(),
        rate in limit(),
        blast in limit(),
        priority in -3..3_i64,
    ) -> PolicyRule {
        PolicyRule {
            name: None,
            kind,
            target,
            domain: domain.to_owned(),
            mode,
            tier,
            rate_limit: rate.map(|(max, window_s)| RateLimit { max, window_s }),
            blast_radius: blast.map(|(max_targets, window_s)| BlastRadius { max_targets, window_s }),
            maintenance_window: None,
            priority,
            fields: Vec::new(),
            location: None,
        }
    }
}

fn share() -> impl Strategy<Value = Option<Share>> {
    let number = |most| prop::option::of(0..most);
    prop::option::of(
        (number(4_u32), number(101_u32)).prop_map(|(max, percent)| Share { max, percent }),
    )
}

prop_compose! {
    fn policy_file()(
        rules in prop::collection::vec(rule(), 0..5),
        default in tier(),
        changed in share(),
        removed in share(),
        unavailable in share(),
    ) -> PolicyFile {
        let mut made = file("rules: []");
        made.rules = rules;
        made.defaults.tier = default;
        let budget = |share: Option<Share>| share.map(|share| FleetBudget { share, window_s: 3600 });
        made.budgets = Budgets { changed: budget(changed), removed: budget(removed), unavailable };
        made
    }
}

fn overrides() -> impl Strategy<Value = Vec<Override>> {
    prop::collection::vec(rule().prop_map(stored), 0..4)
}

type Rows = Vec<(usize, usize, i64)>;

fn rows() -> impl Strategy<Value = Rows> {
    prop::collection::vec((0..2_usize, 0..2_usize, 0..5000_i64), 0..8)
}

fn ledger(rows: &[(usize, usize, i64)]) -> LedgerView {
    let mut view = LedgerView::default();
    for (kind, target, age) in rows {
        view.record(KINDS[*kind], TARGETS[*target], noon() - SignedDuration::from_secs(*age), None);
    }
    view
}

fn fleet(services: u64, unavailable: &[usize]) -> FleetView {
    FleetView::new(services, unavailable.iter().map(|target| TARGETS[*target].to_owned()))
}

prop_compose! {
    fn request()(
        kind in prop::sample::select(KINDS.to_vec()),
        target in prop::sample::select(TARGETS.to_vec()),
        domain in prop::sample::select(vec![None, Some("edge"), Some("core")]),
        source in prop::sample::select(vec!["manual", "registry", "reconciler"]),
    ) -> Request<'static> {
        Request { target, source, domain, ..with(kind, &[]) }
    }
}

fn compile(made: &PolicyFile, overrides: &[Override]) -> Policy {
    Policy::compile(made, Ok(overrides), Settings::default())
}

proptest! {
    /// Whatever stands around it, what the deciding rule forbids does not run; and a rule that is
    /// not enforced opens no more than deleting it.
    #[test]
    fn nothing_forbidden_runs_whatever_the_modes_overrides_and_limits(
        made in policy_file(), overrides in overrides(), rows in rows(), request in request(),
        down in prop::collection::vec(0..TARGETS.len(), 0..3), services in 0..30_u64,
    ) {
        let (ledger, fleet) = (ledger(&rows), fleet(services, &down));
        let evidence = Evidence { ledger: Ok(&ledger), fleet: Ok(&fleet) };
        let verdict = decide(&compile(&made, &overrides), &request, evidence);
        if verdict.tier() == Tier::Forbidden {
            prop_assert_eq!(verdict.decision(), Decision::Deny);
        }
        if verdict.tier() == Tier::ApprovalRequired {
            prop_assert!(!verdict.decision().is_allowed());
        }
        let mut enforced = made.clone();
        enforced.rules.retain(|rule| rule.mode == Mode::Enforce);
        let without = decide(&compile(&enforced, &overrides), &request, evidence);
        prop_assert_eq!(verdict.decision(), without.decision());
        prop_assert_eq!(verdict.rule(), without.rule());
        // A forbidding rule in front of all others holds in every company.
        let mut first = made.clone();
        let all = file("rules: [{tier: forbidden}]").rules.remove(0);
        first.rules.insert(0, all);
        let closed = decide(&compile(&first, &[]), &request, evidence);
        prop_assert_eq!(closed.decision(), Decision::Deny);
    }

    #[test]
    fn a_freeze_never_allows_more(
        made in policy_file(), overrides in overrides(), rows in rows(), request in request(),
        mut frozen in rule(),
    ) {
        frozen.tier = Tier::Forbidden;
        frozen.priority = crate::gate::FREEZE_PRIORITY;
        let ledger = ledger(&rows);
        let before = decide(&compile(&made, &overrides), &request, Ok(&ledger));
        let freeze = stored(frozen);
        let covers = freeze.covers(request.kind, request.target, request.domain.unwrap_or("edge"));
        let with = [overrides.as_slice(), &[freeze]].concat();
        let after = decide(&compile(&made, &with), &request, Ok(&ledger));
        prop_assert!(after.decision() >= before.decision());
        if covers && before.invariant().is_none() {
            prop_assert_eq!(after.decision(), Decision::Deny);
        }
    }

    /// More of the past, more of the fleet down: never more allowed.
    #[test]
    fn a_smaller_ledger_never_denies_more(
        made in policy_file(), rows in rows(), cut in 0..8_usize, request in request(),
        down in prop::collection::vec(0..TARGETS.len(), 0..3), services in 0..30_u64,
    ) {
        let policy = compile(&made, &[]);
        let (fewer, all) = (ledger(&rows[..cut.min(rows.len())]), ledger(&rows));
        let others: Vec<usize> =
            down.iter().copied().filter(|target| TARGETS[*target] != request.target).collect();
        let (up, down) = (fleet(services, &[]), fleet(services, &others));
        let few = Evidence { ledger: Ok(&fewer), fleet: Ok(&up) };
        let more = Evidence { ledger: Ok(&all), fleet: Ok(&down) };
        let (few, more) = (decide(&policy, &request, few), decide(&policy, &request, more));
        prop_assert!(few.decision().is_allowed() || !more.decision().is_allowed());
        if few.decision() == Decision::Deny {
            prop_assert!(!more.decision().is_allowed());
        }
    }

    /// What cannot be read never opens what could be read and was empty.
    #[test]
    fn the_unreadable_never_allows_more(
        made in policy_file(), request in request(), services in 0..30_u64,
    ) {
        let policy = compile(&made, &[]);
        let (ledger, fleet) = (LedgerView::default(), FleetView::new(services, []));
        let seen = decide(&policy, &request, Evidence { ledger: Ok(&ledger), fleet: Ok(&fleet) });
        for evidence in [
            Evidence { ledger: Err(Unreadable), fleet: Ok(&fleet) },
            Evidence { ledger: Ok(&ledger), fleet: Err(Unreadable) },
            Evidence { ledger: Err(Unreadable), fleet: Err(Unreadable) },
        ] {
            let blind = decide(&policy, &request, evidence);
            prop_assert!(seen.decision().is_allowed() || !blind.decision().is_allowed());
            if evidence.ledger.is_err() {
                prop_assert!(!blind.decision().is_allowed());
            }
        }
        let blind = Policy::compile(&made, Err(Unreadable), Settings::default());
        prop_assert_eq!(decide(&blind, &request, Ok(&ledger)).decision(), Decision::Deny);
    }

    /// `ramp_eligible` changes nothing anywhere.
    #[test]
    fn nothing_outgrows_an_approval(made in policy_file(), rows in rows(), request in request()) {
        let mut ramped = made.clone();
        ramped.ramp_eligible = vec!["*".to_owned(), "promote_*".to_owned()];
        let ledger = ledger(&rows);
        let plain = decide(&compile(&made, &[]), &request, Ok(&ledger));
        let with = decide(&compile(&ramped, &[]), &request, Ok(&ledger));
        prop_assert_eq!(plain, with);
    }
}
