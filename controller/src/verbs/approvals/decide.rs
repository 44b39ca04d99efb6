//! Saying yes or no, and what happens next.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;
use skep_core::action::{Action, ActuatorMode};
use skep_core::approval::{Approval, Clocks};
use skep_store::{Decision, DecisionRequest, Error as StoreError, Store};

use super::choose::{self, decided};
use super::table;
use crate::args::{ApproveArgs, DenyArgs};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::{Items, Style};
use crate::verbs::Session;
use crate::verbs::view::{ApprovalView, short};
use crate::{identity, wiring};

/// `skep approvals approve`.
pub(super) async fn approve(
    session: &Session,
    store: &Arc<dyn Store>,
    args: ApproveArgs,
) -> Result<u8> {
    let chosen = choose::to_approve(store, &args).await?;
    if args.expected_revision.is_some() && chosen.len() > 1 {
        return Err(Failure::usage("--expected-revision fits one request only"));
    }
    for approval in &chosen {
        unblocked(&store.action(approval.action.as_str()).await?)?;
    }
    // Together means one decision over many: those run a few at a time and get longer.
    let clocks = wiring::clocks(&session.config);
    let verdict = Verdict {
        decision: Decision::Approve,
        comment: args.comment,
        expected_revision: args.expected_revision,
        start_by: Some((clocks, chosen.len() > 1)),
    };
    let done = decide_all(session, store, chosen, &verdict).await?;
    if let Some(next) = what_happens(store, &done.actions).await? {
        session.printer.note(&next);
    }
    done.code(session)
}

/// `skep approvals deny`.
pub(super) async fn deny(session: &Session, store: &Arc<dyn Store>, args: DenyArgs) -> Result<u8> {
    let chosen = choose::named(store, &args.ids).await?;
    if args.expected_revision.is_some() && chosen.len() > 1 {
        return Err(Failure::usage("--expected-revision fits one request only"));
    }
    let verdict = Verdict {
        decision: Decision::Deny,
        comment: args.comment,
        expected_revision: args.expected_revision,
        start_by: None,
    };
    decide_all(session, store, chosen, &verdict).await?.code(session)
}

struct Verdict {
    decision: Decision,
    comment: Option<String>,
    expected_revision: Option<i64>,
    start_by: Option<(Clocks, bool)>,
}

struct Done {
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
    chosen: Vec<Approval>,
    verdict: &Verdict,
) -> Result<Done> {
    let actor = identity::actor(&session.environment);
    let (mut items, mut actions, mut refused) = (Vec::new(), Vec::new(), Vec::new());
    for approval in chosen {
        let now = Timestamp::now();
        let request = DecisionRequest {
            approval: approval.id.clone(),
            decision: verdict.decision,
            actor: actor.clone(),
            source: identity::source(),
            comment: verdict.comment.clone(),
            expected_revision: verdict.expected_revision,
            expected_binding: Some(approval.binding.clone()),
            start_by: verdict.start_by.map(|(clocks, bulk)| clocks.start_by(now, bulk)),
        };
        match store.decide(&request, now).await {
            Ok(approval) => {
                let action = store.action(approval.action.as_str()).await?;
                items.push(ApprovalView::new(&approval, Some(&action)));
                actions.push(action);
            }
            Err(StoreError::Conflict { .. } | StoreError::Transition(_)) => {
                refused.push(refusal(store, &approval, verdict, now).await?);
            }
            // The store itself fails: what was decided so far is told with the error.
            Err(error) => {
                refused.push(error.into());
                break;
            }
        }
    }
    if !items.is_empty() || refused.is_empty() {
        let now = Timestamp::now();
        session
            .printer
            .data(&Items { items }, |list, style: Style| table(&list.items, style, now))?;
    }
    Ok(Done { actions, refused })
}

/// Somebody was faster, or the request lapsed: say which.
async fn refusal(
    store: &Arc<dyn Store>,
    seen: &Approval,
    verdict: &Verdict,
    now: Timestamp,
) -> Result<Failure> {
    let current = store.approval(seen.id.as_str()).await?;
    let waits = current.status == skep_core::approval::ApprovalStatus::Pending;
    let id = short(current.id.as_str());
    if waits && current.expires_at <= now {
        return Ok(Failure::new(
            codes::EXPIRED,
            format!("{id}: nobody decided before {:.0}", current.expires_at),
        )
        .next("the next pass files a new request: skep approvals list"));
    }
    if let (true, Some(expected)) = (waits, verdict.expected_revision) {
        let message = format!("{id} has revision {}, not {expected}", current.revision);
        return Ok(Failure::new(codes::REVISION_CONFLICT, message)
            .next(format!("look at it again: skep approvals show {id}")));
    }
    Ok(decided(&current))
}

fn unblocked(action: &Action) -> Result<()> {
    match &action.step.blocked {
        None => Ok(()),
        Some(blocked) => {
            let message = format!("{} {} is blocked", action.kind, action.step.target);
            let mut failure = Failure::new(codes::BLOCKED, message).next(blocked.hint.clone());
            failure.push_cause(format!("{}: {}", blocked.code, blocked.message));
            Err(failure)
        }
    }
}

/// What becomes of what was just approved.
async fn what_happens(store: &Arc<dyn Store>, actions: &[Action]) -> Result<Option<String>> {
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
    Ok(Some(format!("next: {how}; {who}{until}")))
}
