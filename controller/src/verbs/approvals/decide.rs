//! Saying yes or no, and what happens next.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use skep_core::action::{Action, ActionState, ActuatorMode};
use skep_core::approval::{Approval, ApprovalStatus, Clocks, Decider, MayNotDecide, may_decide};
use skep_core::identity::{ActionId, ApprovalId, BatchId};
use skep_runtime::SystemRandom;
use skep_store::{
    BatchMember, BatchOutcome, BatchRequest, Decision, DecisionRequest, Error as StoreError, Store,
};

use super::choose::{self, Chosen, decided};
use super::groups::{announced, groups};
use super::table;
use crate::args::{ApproveArgs, DeciderArgs, DenyArgs, RevokeArgs};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::{Format, Items, Style};
use crate::verbs::Session;
use crate::verbs::view::{ApprovalView, short};
use crate::{identity, wiring};

/// `skep approvals approve`.
pub(super) async fn approve(
    session: &Session,
    store: &Arc<dyn Store>,
    args: ApproveArgs,
) -> Result<u8> {
    let chosen = choose::select(store, &args.which).await?;
    let actions = choose::pending_actions(store).await?;
    for approval in &chosen.approvals {
        unblocked(actions.get(&approval.action))?;
    }
    let clocks = wiring::clocks(&session.config);
    let verdict = Verdict::new(session, Decision::Approve, args.decider, Some(clocks))?;
    announce(session, "approving", &chosen, &actions);
    let verdict = Verdict { halts: !args.no_halt, ..verdict };
    let done = decide_all(session, store, chosen, &verdict).await?;
    if let Some(next) = what_happens(store, &done, &verdict).await? {
        session.printer.note(&next);
    }
    done.code(session)
}

/// `skep approvals deny`.
pub(super) async fn deny(session: &Session, store: &Arc<dyn Store>, args: DenyArgs) -> Result<u8> {
    let chosen = choose::select(store, &args.which).await?;
    let verdict = Verdict::new(session, Decision::Deny, args.decider, None)?;
    announce(session, "denying", &chosen, &choose::pending_actions(store).await?);
    decide_all(session, store, chosen, &verdict).await?.code(session)
}

/// `skep approvals revoke`.
pub(super) async fn revoke(
    session: &Session,
    store: &Arc<dyn Store>,
    args: RevokeArgs,
) -> Result<u8> {
    let chosen = match &args.decision {
        None => {
            let approvals = choose::named(store, &args.ids, ApprovalStatus::Approved).await?;
            Chosen { approvals, how: "ids".to_owned() }
        }
        Some(id) => {
            let batch = store.batch(id).await?.id;
            let how = format!("decision {batch}");
            let status = Some(ApprovalStatus::Approved);
            let filter =
                skep_store::ApprovalFilter { status, batch: Some(batch), ..Default::default() };
            let mut approvals = store.approvals(&filter).await?;
            let mut not_started = Vec::new();
            for approval in approvals.drain(..) {
                let action = store.action(approval.action.as_str()).await?;
                if action.state == ActionState::Granted {
                    not_started.push(approval);
                }
            }
            Chosen { approvals: not_started, how }
        }
    };
    let verdict = Verdict::new(session, Decision::Revoke, args.decider, None)?;
    decide_all(session, store, chosen, &verdict).await?.code(session)
}

/// What a person says, and who it is.
struct Verdict {
    decision: Decision,
    actor: String,
    source: String,
    comment: Option<String>,
    expected_revision: Option<i64>,
    clocks: Option<Clocks>,
    halts: bool,
}

impl Verdict {
    fn new(
        session: &Session,
        decision: Decision,
        args: DeciderArgs,
        clocks: Option<Clocks>,
    ) -> Result<Self> {
        let source = identity::source_of(&args.operator);
        let actor = args.actor.unwrap_or_else(|| identity::actor(&session.environment));
        if actor.trim().is_empty() {
            return Err(Failure::usage("--actor must not be empty"));
        }
        let (comment, expected_revision) = (args.comment, args.expected_revision);
        Ok(Self { decision, actor, source, comment, expected_revision, clocks, halts: false })
    }

    fn start_by(&self, now: Timestamp, bulk: bool) -> Option<Timestamp> {
        self.clocks.map(|clocks| clocks.start_by(now, bulk))
    }
}

/// Shows what a decision is about before it is made.
fn announce(session: &Session, verb: &str, chosen: &Chosen, actions: &HashMap<ActionId, Action>) {
    let text = announced(verb, &groups(&chosen.approvals, actions));
    // Programs get the decided requests; beside an error they expect nothing else.
    if !text.is_empty() && session.printer.format() == Format::Table {
        session.printer.note(&text);
    }
}

#[derive(Default)]
struct Done {
    batch: Option<BatchId>,
    actions: Vec<Action>,
    refused: Vec<Failure>,
}

impl Done {
    /// The first refusal is the answer; the others are told beside it.
    fn code(self, session: &Session) -> Result<u8> {
        let mut refused = self.refused.into_iter().rev();
        let Some(last) = refused.next() else { return Ok(exit::OK) };
        for failure in refused {
            session.printer.failure(&failure);
        }
        Err(last)
    }
}

async fn decide_all(
    session: &Session,
    store: &Arc<dyn Store>,
    chosen: Chosen,
    verdict: &Verdict,
) -> Result<Done> {
    if verdict.expected_revision.is_some() && chosen.approvals.len() != 1 {
        return Err(Failure::usage("--expected-revision fits one request only"));
    }
    let now = Timestamp::now();
    let outcome = match chosen.approvals.as_slice() {
        [] => BatchOutcome { batch: None, decided: Vec::new(), refused: Vec::new() },
        [one] => decide_one(store, one, verdict, now).await?,
        many => store.decide_batch(&batch(many, &chosen.how, verdict, now), now).await?,
    };
    let mut done = Done { batch: outcome.batch.map(|batch| batch.id), ..Done::default() };
    let mut items = Vec::new();
    for approval in &outcome.decided {
        let action = store.action(approval.action.as_str()).await?;
        items.push(ApprovalView::new(approval, Some(&action)));
        done.actions.push(action);
    }
    for (id, error) in outcome.refused {
        done.refused.push(refusal(store, &id, error, verdict, now).await?);
    }
    if !items.is_empty() || done.refused.is_empty() {
        let now = Timestamp::now();
        session
            .printer
            .data(&Items { items }, |list, style: Style| table(&list.items, style, now))?;
    }
    Ok(done)
}

async fn decide_one(
    store: &Arc<dyn Store>,
    approval: &Approval,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<BatchOutcome> {
    let request = DecisionRequest {
        approval: approval.id.clone(),
        decision: verdict.decision,
        actor: verdict.actor.clone(),
        source: verdict.source.clone(),
        comment: verdict.comment.clone(),
        expected_revision: verdict.expected_revision,
        expected_binding: Some(approval.binding.clone()),
        start_by: verdict.start_by(now, false),
    };
    let mut outcome = BatchOutcome { batch: None, decided: Vec::new(), refused: Vec::new() };
    match store.decide(&request, now).await {
        Ok(decided) => outcome.decided.push(decided),
        Err(
            error @ (StoreError::Conflict { .. }
            | StoreError::Refused { .. }
            | StoreError::Transition(_)),
        ) => outcome.refused.push((approval.id.clone(), error)),
        Err(error) => return Err(error.into()),
    }
    Ok(outcome)
}

/// Together means one decision over many: those run a few at a time and get longer.
fn batch(many: &[Approval], how: &str, verdict: &Verdict, now: Timestamp) -> BatchRequest {
    let member = |approval: &Approval| BatchMember {
        approval: approval.id.clone(),
        revision: approval.revision,
        binding: approval.binding.clone(),
    };
    BatchRequest {
        id: BatchId::generate(&SystemRandom),
        decision: verdict.decision,
        chosen: how.to_owned(),
        halts: verdict.halts,
        actor: verdict.actor.clone(),
        source: verdict.source.clone(),
        comment: verdict.comment.clone(),
        members: many.iter().map(member).collect(),
        start_by: verdict.start_by(now, true),
    }
}

/// Somebody was faster, the request lapsed, or this person may not decide: say which.
async fn refusal(
    store: &Arc<dyn Store>,
    id: &ApprovalId,
    error: StoreError,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<Failure> {
    let current = store.approval(id.as_str()).await?;
    let action = store.action(current.action.as_str()).await?;
    let short_id = short(id.as_str());
    let decider = Decider { actor: verdict.actor.clone(), source: verdict.source.clone() };
    if let Err(refused @ MayNotDecide::Proposer) =
        may_decide(&decider, action.source, &action.actor)
    {
        return Ok(Failure::new(codes::SOURCE_RESERVED, format!("{short_id}: {refused}"))
            .next("decide under your own name"));
    }
    let waits = current.status == ApprovalStatus::Pending;
    if waits && current.expires_at <= now {
        return Ok(Failure::new(
            codes::EXPIRED,
            format!("{short_id}: nobody decided before {:.0}", current.expires_at),
        )
        .next("the next pass files a new request: skep approvals list"));
    }
    if let (true, Some(expected)) = (waits, verdict.expected_revision) {
        let message = format!("{short_id} has revision {}, not {expected}", current.revision);
        return Ok(Failure::new(codes::REVISION_CONFLICT, message)
            .next(format!("look at it again: skep approvals show {short_id}")));
    }
    if verdict.decision == Decision::Revoke && current.status == ApprovalStatus::Approved {
        let message = format!(
            "{} {} ({short_id}) is {} and can no longer be taken back",
            action.kind, action.step.target, action.state
        );
        return Ok(Failure::new(codes::ALREADY_STARTED, message)
            .next(format!("skep actions show {}", short(action.id.as_str()))));
    }
    if waits {
        return Ok(error.into());
    }
    Ok(decided(store, &current).await)
}

fn unblocked(action: Option<&Action>) -> Result<()> {
    match action.and_then(|action| Some((action, action.step.blocked.as_ref()?))) {
        None => Ok(()),
        Some((action, blocked)) => {
            let message = format!("{} {} is blocked", action.kind, action.step.target);
            let mut failure = Failure::new(codes::BLOCKED, message).next(blocked.hint.clone());
            failure.push_cause(format!("{}: {}", blocked.code, blocked.message));
            Err(failure)
        }
    }
}

/// What becomes of what was just approved.
async fn what_happens(
    store: &Arc<dyn Store>,
    done: &Done,
    verdict: &Verdict,
) -> Result<Option<String>> {
    let actions = &done.actions;
    if actions.is_empty() {
        return Ok(None);
    }
    let modes: BTreeSet<_> = actions.iter().map(|action| action.mode.as_str()).collect();
    let how = if modes.contains(ActuatorMode::Swarm.as_str()) {
        "the swarm will be changed"
    } else {
        "it will be rehearsed only: the actuator is dryrun"
    };
    let who = match store.lease_holder().await? {
        Some(holder) => format!("{} is running and picks it up", holder.holder),
        None => "nobody is running to carry it out: run `skep reconcile --once` or start \
                 `skep serve`"
            .to_owned(),
    };
    let start_by = actions.iter().filter_map(|action| action.start_by).min();
    let until = start_by.map(|at| format!("; it must start before {at:.0}")).unwrap_or_default();
    let halts = match &done.batch {
        None => String::new(),
        Some(batch) => {
            let id = short(batch.as_str());
            let end = if verdict.halts { "halts at the first failure" } else { "does not halt" };
            format!("\ndecision {id} {end}: skep approvals show {id}, or revoke --decision {id}")
        }
    };
    Ok(Some(format!("next: {how}; {who}{until}{halts}")))
}
