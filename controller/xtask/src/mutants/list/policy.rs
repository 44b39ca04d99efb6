//! The policy as rules: what may run by itself, what asks a person, what does not run.

use crate::mutants::definition::{Area, Mutation};

/// Without what is tried on many generated policies: what notices is to be named.
const GATE: &[&str] =
    &["-p", "skep-core", "--lib", "-E", "test(/^gate::/) - test(/properties|no_rule_set|longer/)"];
const ASSURANCE: &str = "controller/core/src/gate/assurance.rs";
const BUDGET: &str = "controller/core/src/gate/budget.rs";
const JUDGE: &str = "controller/core/src/gate/judge.rs";
const POLICY: &str = "controller/core/src/gate/policy.rs";

pub(super) const AREA: Area = Area { title: "The policy: rules", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "unknown-source-allowed",
        breaks: "a source that nobody knows counts as a person",
        file: ASSURANCE,
        find: "Source::from_word(request.source) else {",
        replace: "Source::from_word(request.source).or(MUTANT.then_some(Source::Manual)) else {",
        tests: GATE,
    },
    Mutation {
        name: "roles-ignored",
        breaks: "every machine may propose everything",
        file: ASSURANCE,
        find: "    if may {\n",
        replace: "    if may || MUTANT {\n",
        tests: GATE,
    },
    Mutation {
        name: "schema-ignored",
        breaks: "a parameter may be missing or malformed",
        file: ASSURANCE,
        find: "        if !is_right {",
        replace: "        if !is_right && !MUTANT {",
        tests: GATE,
    },
    Mutation {
        name: "lax-override-first",
        breaks: "of two overrides with one priority the one that allows more comes first",
        file: POLICY,
        find: "Reverse(stored.rule.tier), stored.created_at)",
        replace: r#"if MUTANT {
                Reverse(Tier::Forbidden)
            } else {
                Reverse(stored.rule.tier)
            }, stored.created_at)"#,
        tests: GATE,
    },
    Mutation {
        name: "priority-ignored",
        breaks: "the priority of overrides does not count",
        file: POLICY,
        find: "(Reverse(stored.rule.priority), ",
        replace: "(Reverse(if MUTANT { 0 } else { stored.rule.priority }), ",
        tests: GATE,
    },
    Mutation {
        name: "override-never-expires",
        breaks: "an override holds after its time",
        file: POLICY,
        find: "is_none_or(|expires_at| request.now < expires_at);",
        replace: "is_none_or(|expires_at| request.now < expires_at || MUTANT);",
        tests: GATE,
    },
    Mutation {
        name: "lifted-freeze-holds",
        breaks: "an override that was lifted holds on",
        file: POLICY,
        find: "stored.filter(|stored| stored.lifted.is_none()).collect()",
        replace: "stored.filter(|stored| stored.lifted.is_none() || MUTANT).collect()",
        tests: GATE,
    },
    Mutation {
        name: "audit-mode-decides",
        breaks: "a rule that is only watched decides",
        file: POLICY,
        find: "            if rule.mode != Mode::Enforce {\n",
        replace: "            if rule.mode != Mode::Enforce && !MUTANT {\n",
        tests: GATE,
    },
    Mutation {
        name: "later-rule-wins",
        breaks: "not the first rule that matches decides but the last",
        file: POLICY,
        find: "for rule in self.rules.iter().filter(in_force) {",
        replace: r#"let mut rules: Vec<_> = self.rules.iter().filter(in_force).collect();
        if MUTANT {
            rules.reverse();
        }
        for rule in rules {"#,
        tests: GATE,
    },
    Mutation {
        name: "unreadable-overrides-judge-on",
        breaks: "the gate decides although it cannot see whether there is a freeze",
        file: "controller/core/src/gate/mod.rs",
        find: "    if policy.overrides_are_unreadable() {",
        replace: "    if !MUTANT && policy.overrides_are_unreadable() {",
        tests: GATE,
    },
    Mutation {
        name: "unreadable-ledger-is-empty",
        breaks: "a ledger that cannot be read counts as one without rows",
        file: JUDGE,
        find: "    let Ok(ledger) = evidence.ledger else {",
        replace: r#"    let empty = super::LedgerView::default();
    let ledger = if MUTANT { evidence.ledger.or(Ok(&empty)) } else { evidence.ledger };
    let Ok(ledger) = ledger else {"#,
        tests: GATE,
    },
    Mutation {
        name: "rate-limit-ignored",
        breaks: "the same may be done to the same service any number of times",
        file: JUDGE,
        find: "    if ledger.count(request, rate.window_s) >= u64::from(rate.max) {",
        replace: "    if !MUTANT && ledger.count(request, rate.window_s) >= u64::from(rate.max) {",
        tests: GATE,
    },
    Mutation {
        name: "machines-queue-over-the-limit",
        breaks: "a machine that loops fills the queue instead of being denied",
        file: JUDGE,
        find: "if source.is_machine() { D::Deny } else { D::QueueApproval };",
        replace: "if source.is_machine() && !MUTANT { D::Deny } else { D::QueueApproval };",
        tests: GATE,
    },
    Mutation {
        name: "blast-radius-ignored",
        breaks: "one rule may change the whole fleet at once",
        file: JUDGE,
        find: "    if ledger.targets_with(request, blast.window_s) > u64::from(blast.max_targets) {",
        replace: "    if !MUTANT\n        \
            && ledger.targets_with(request, blast.window_s) > u64::from(blast.max_targets)\n    {",
        tests: GATE,
    },
    Mutation {
        name: "sensitive-fields-ignored",
        breaks: "a field that reaches for the host needs no rule that names it",
        file: JUDGE,
        find: ".find(|field| !matched.names(field))",
        replace: ".find(|field| !matched.names(field) && !MUTANT)",
        tests: GATE,
    },
    Mutation {
        name: "confirmation-not-asked",
        breaks: "what the plan wants confirmed runs by itself",
        file: JUDGE,
        find: "    if let Some(confirm) = request.confirm {",
        replace: "    if let Some(confirm) = request.confirm.filter(|_| !MUTANT) {",
        tests: GATE,
    },
    Mutation {
        name: "budget-of-changes-ignored",
        breaks: "the budgets of changes and removals do not count",
        file: BUDGET,
        find: "        if others >= room {",
        replace: "        if others >= room && !MUTANT {",
        tests: GATE,
    },
    Mutation {
        name: "unavailable-not-counted",
        breaks: "any part of the fleet may be down at once",
        file: BUDGET,
        find: "fleet.unavailable() < share.of(fleet.services()) {",
        replace: "fleet.unavailable() < share.of(fleet.services()) || MUTANT {",
        tests: GATE,
    },
    Mutation {
        name: "unknown-fleet-has-room",
        breaks: "a share of a fleet that cannot be counted is without limit",
        file: BUDGET,
        find: "(Some(_), Err(Unreadable)) => Err(blind()),",
        replace: r#"(Some(_), Err(Unreadable)) if MUTANT => Ok(u64::MAX),
        (Some(_), Err(Unreadable)) => Err(blind()),"#,
        tests: GATE,
    },
    Mutation {
        name: "window-always-open",
        breaks: "maintenance windows are always open",
        file: "controller/core/src/gate/window.rs",
        find: "    window.spans().iter().any(|span| span_is_open(span, now))",
        replace: "    window.spans().iter().any(|span| span_is_open(span, now)) || MUTANT",
        tests: GATE,
    },
];
