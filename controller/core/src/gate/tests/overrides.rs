//! Stored overrides: which of several counts, and until when.

use jiff::SignedDuration;
use skep_crds::policy::Tier;

use super::super::fixtures::{file, noon, stored};
use super::{answer, asked_at};
use crate::gate::{Decision, Lifted, Override, Policy, Settings};

const OPEN: &str = "rules: [{tier: auto}]";

/// Of this tier, for everything.
fn an_override(tier: Tier) -> Override {
    let mut rule = file(OPEN).rules.remove(0);
    rule.location = None;
    rule.tier = tier;
    stored(rule)
}

fn decision(overrides: &[Override], after: SignedDuration) -> Decision {
    let policy = Policy::compile(&file(OPEN), Ok(overrides), Settings::default());
    answer(&policy, &asked_at("restart_service", "a", "manual", noon() + after)).0
}

#[test]
fn of_two_with_one_priority_the_stricter_one_counts_whichever_is_older() {
    for tiers in [[Tier::Auto, Tier::Forbidden], [Tier::Forbidden, Tier::Auto]] {
        let mut both = tiers.map(an_override);
        both[1].created_at += SignedDuration::from_hours(1);
        assert_eq!(decision(&both, SignedDuration::from_hours(2)), Decision::Deny, "{tiers:?}");
    }
}

#[test]
fn the_higher_priority_counts_although_it_allows_more() {
    let mut both = [Tier::Auto, Tier::Forbidden].map(an_override);
    both[0].rule.priority = 1;
    assert_eq!(decision(&both, SignedDuration::ZERO), Decision::Allow);
}

#[test]
fn an_override_holds_until_its_end_and_not_at_it() {
    let mut freeze = an_override(Tier::Forbidden);
    freeze.expires_at = Some(noon() + SignedDuration::from_secs(60));
    let freezes = [freeze];
    assert_eq!(decision(&freezes, SignedDuration::from_secs(59)), Decision::Deny);
    assert_eq!(decision(&freezes, SignedDuration::from_secs(60)), Decision::Allow);
}

#[test]
fn what_was_lifted_holds_no_more() {
    let mut freeze = an_override(Tier::Forbidden);
    assert_eq!(decision(std::slice::from_ref(&freeze), SignedDuration::ZERO), Decision::Deny);
    freeze.lifted = Some(Lifted { at: noon(), by: "bob".to_owned() });
    assert_eq!(decision(&[freeze], SignedDuration::ZERO), Decision::Allow);
}
