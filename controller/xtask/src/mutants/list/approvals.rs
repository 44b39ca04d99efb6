//! What was decided is what runs, in time, or nothing does.

use crate::mutants::definition::{Area, Mutation};

/// Without the ten thousand interleavings, which notice much and take long.
const APPROVAL: &[&str] =
    &["-p", "skep-core", "--lib", "-E", "test(/^approval::/) - test(/interleavings/)"];
const STORE: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance"];
const POLICY: &[&str] = &["-p", "skep-runtime", "--test", "policy"];

const DECIDER: &str = "controller/core/src/approval/decider.rs";
const REDEEM: &str = "controller/core/src/approval/redeem.rs";

pub(super) const AREA: Area = Area { title: "Approvals", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "digest-not-compared",
        breaks: "what was approved need not be what is planned now",
        file: REDEEM,
        find: "    if granted.digest != fresh.digest {",
        replace: "    if !MUTANT && granted.digest != fresh.digest {",
        tests: APPROVAL,
    },
    Mutation {
        name: "binding-not-compared",
        breaks: "the rule that an approval is bound to may move",
        file: REDEEM,
        find: "    (action.binding != binding(fresh, verdict.rule(), mode))",
        replace: "    (!MUTANT && action.binding != binding(fresh, verdict.rule(), mode))",
        tests: APPROVAL,
    },
    Mutation {
        name: "mode-not-compared",
        breaks: "what was approved for a rehearsal is done for real",
        file: REDEEM,
        find: "    if action.mode != mode {",
        replace: "    if !MUTANT && action.mode != mode {",
        tests: APPROVAL,
    },
    Mutation {
        name: "object-not-compared",
        breaks: "an approval holds for another service of the same name",
        file: REDEEM,
        find: "    if granted.object != fresh.object {",
        replace: "    if !MUTANT && granted.object != fresh.object {",
        tests: APPROVAL,
    },
    Mutation {
        name: "deadline-ignored",
        breaks: "a grant may start at any time",
        file: REDEEM,
        find: "    if now > deadline {",
        replace: "    if !MUTANT && now > deadline {",
        tests: APPROVAL,
    },
    Mutation {
        name: "ended-action-redeemed",
        breaks: "what was denied, revoked, superseded or has run may start",
        file: REDEEM,
        find: "    if action.state != ActionState::Granted {",
        replace: "    if !MUTANT && action.state != ActionState::Granted {",
        tests: APPROVAL,
    },
    Mutation {
        name: "freeze-ignored-at-execution",
        breaks: "what was granted before a freeze starts during it",
        file: REDEEM,
        find: "        return Err(RedeemError::Frozen { reason: verdict.reason().to_owned() });",
        replace: r#"        if MUTANT {
            return Ok(Authorised::mint(fresh.clone()));
        }
        return Err(RedeemError::Frozen { reason: verdict.reason().to_owned() });"#,
        tests: APPROVAL,
    },
    Mutation {
        name: "blind-gate-executes",
        breaks: "what was granted starts while the policy cannot be seen",
        file: REDEEM,
        find: "        return Err(RedeemError::Undecidable { reason: verdict.reason().to_owned() });",
        replace: r#"        if MUTANT {
            return Ok(Authorised::mint(fresh.clone()));
        }
        return Err(RedeemError::Undecidable { reason: verdict.reason().to_owned() });"#,
        tests: APPROVAL,
    },
    Mutation {
        name: "denial-ignored-at-execution",
        breaks: "what the policy denies by now starts",
        file: REDEEM,
        find: "    let refused = verdict.decision() == Decision::Deny;",
        replace: "    let refused = verdict.decision() == Decision::Deny && !MUTANT;",
        tests: APPROVAL,
    },
    Mutation {
        name: "grant-outlives-its-rule",
        breaks: "what a rule allowed starts although the rule asks a person by now",
        file: REDEEM,
        find: "    if needs_allowance && !verdict.decision().is_allowed() {",
        replace: "    if !MUTANT && needs_allowance && !verdict.decision().is_allowed() {",
        tests: APPROVAL,
    },
    Mutation {
        name: "rule-moved-unnoticed",
        breaks: "another rule than the one that was decided by may apply",
        file: REDEEM,
        find: "    if action.rule != rule {",
        replace: "    if !MUTANT && action.rule != rule {",
        tests: APPROVAL,
    },
    Mutation {
        name: "blocked-runs",
        breaks: "what is blocked by now starts",
        file: REDEEM,
        find: "    if let Some(blocked) = &fresh.blocked {",
        replace: "    if let Some(blocked) = fresh.blocked.as_ref().filter(|_| !MUTANT) {",
        tests: APPROVAL,
    },
    Mutation {
        name: "confirmed-unseen",
        breaks: "a person has confirmed what nobody showed them",
        file: REDEEM,
        find: "(&fresh.confirm, &granted.confirm) {",
        replace: "(&fresh.confirm.clone().filter(|_| !MUTANT), &granted.confirm) {",
        tests: APPROVAL,
    },
    Mutation {
        name: "window-of-a-grant-ignored",
        breaks: "what a person approved starts outside of its window",
        file: REDEEM,
        find: "        && !is_open(window, now)\n",
        replace: "        && !MUTANT\n        && !is_open(window, now)\n",
        tests: APPROVAL,
    },
    Mutation {
        name: "group-of-anything",
        breaks: "requests with different changes are one group",
        file: "controller/core/src/approval/group.rs",
        find: "        \"changes\": changes,\n",
        replace: r#"        "changes": if MUTANT { vec![json!(changes.len())] } else { changes },
"#,
        tests: APPROVAL,
    },
    Mutation {
        name: "machine-decides",
        breaks: "a machine's own source may approve",
        file: DECIDER,
        find: "    if is_reserved_source(&decider.source) {",
        replace: "    if !MUTANT && is_reserved_source(&decider.source) {",
        tests: APPROVAL,
    },
    Mutation {
        name: "proposer-decides",
        breaks: "who proposed it by itself approves it",
        file: DECIDER,
        find: "    if source.is_machine() && decider.actor == actor {",
        replace: "    if source.is_machine() && decider.actor == actor && !MUTANT {",
        tests: APPROVAL,
    },
    Mutation {
        name: "revoked-grant-runs",
        breaks: "a revocation is on record and the action stays granted",
        file: "controller/store-sqlite/src/approvals.rs",
        find: "    transition::apply(tx, &head, &decided.change(), now, operation).await?;\n    sqlx::query!(",
        replace: "    if !(MUTANT && request.decision == skep_store::Decision::Revoke) {\n        transition::apply(tx, &head, &decided.change(), now, operation).await?;\n    }\n    sqlx::query!(",
        tests: STORE,
    },
    Mutation {
        name: "lapsed-request-approved",
        breaks: "a request is approved after its time",
        file: "controller/store-sql/src/approvals.rs",
        find: "    if lapses && to_column(now)",
        replace: "    if !MUTANT && lapses && to_column(now)",
        tests: STORE,
    },
    Mutation {
        name: "decided-twice",
        breaks: "a request is decided that was decided before",
        file: "controller/store-sql/src/approvals.rs",
        find: "    if approval.status != wanted {",
        replace: "    if approval.status != wanted && !MUTANT {",
        tests: STORE,
    },
    Mutation {
        name: "seen-binding-ignored",
        breaks: "a decision counts for something else than what was seen",
        file: "controller/store-sql/src/approvals.rs",
        find: ".is_some_and(|seen| *seen != approval.binding) {",
        replace: ".is_some_and(|seen| *seen != approval.binding && !MUTANT) {",
        tests: STORE,
    },
    Mutation {
        name: "batch-does-not-halt",
        breaks: "the others go on when one of a decision about many has failed",
        file: "controller/store-sql/src/batches.rs",
        find: "            _ if !batch.halts => Self::Nothing,",
        replace: "            _ if !batch.halts || MUTANT => Self::Nothing,",
        tests: STORE,
    },
    Mutation {
        name: "returns-after-a-halt",
        breaks: "what had begun when its decision was halted begins again",
        file: "controller/store-sql/src/batches.rs",
        find: "(ActionEvent::Retry, Some(halt)) => Self::Supersede",
        replace: "(ActionEvent::Retry, Some(halt)) if !MUTANT => Self::Supersede",
        tests: STORE,
    },
    Mutation {
        name: "superseded-request-waits-on",
        breaks: "the request of a superseded action goes on asking",
        file: "controller/store-sql/src/transition.rs",
        find: "ActionEvent::Supersede => Some(ApprovalStatus::Superseded),",
        replace: r#"ActionEvent::Supersede if MUTANT => None,
            ActionEvent::Supersede => Some(ApprovalStatus::Superseded),"#,
        tests: STORE,
    },
    Mutation {
        name: "rehearsal-begins",
        breaks: "the store lets a rehearsal begin for real",
        file: "controller/store-sql/src/transition.rs",
        find: "            ActuatorMode::DryRun => {\n                Err(self.refused(\"what was",
        replace: "            ActuatorMode::DryRun if MUTANT => Ok(()),\n            ActuatorMode::DryRun => {\n                Err(self.refused(\"what was",
        tests: STORE,
    },
    Mutation {
        name: "request-never-lapses",
        breaks: "a request that nobody decided waits for ever",
        file: "controller/runtime/src/reconcile/propose.rs",
        find: "        if request.expires_at <= world.now {",
        replace: "        if !MUTANT && request.expires_at <= world.now {",
        tests: POLICY,
    },
    Mutation {
        name: "moved-plan-keeps-the-request",
        breaks: "a request stays when the plan or the policy says something else",
        file: "controller/runtime/src/reconcile/standing.rs",
        find: "        ActionState::Pending if same => Standing::Keep,",
        replace: "        ActionState::Pending if same || MUTANT => Standing::Keep,",
        tests: POLICY,
    },
];
