//! Which requests a decision is about. Everything is checked before anything is decided.

use std::collections::BTreeSet;
use std::sync::Arc;

use skep_core::approval::{Approval, ApprovalStatus};
use skep_store::{ApprovalFilter, Store};

use crate::args::ApproveArgs;
use crate::codes;
use crate::error::{Failure, Result};
use crate::verbs::view::short;

/// The requests that `approve` names.
pub(super) async fn to_approve(
    store: &Arc<dyn Store>,
    args: &ApproveArgs,
) -> Result<Vec<Approval>> {
    if !args.ids.is_empty() {
        return named(store, &args.ids).await;
    }
    let mut waiting = pending(store).await?;
    if let Some(plan) = &args.plan {
        waiting = of_plan(store, waiting, plan).await?;
    }
    without(waiting, &args.except)
}

/// The requests behind ids; each must still wait.
pub(super) async fn named(store: &Arc<dyn Store>, ids: &[String]) -> Result<Vec<Approval>> {
    let mut found: Vec<Approval> = Vec::new();
    for id in ids {
        let approval = store.approval(id).await?;
        if approval.status != ApprovalStatus::Pending {
            return Err(decided(&approval));
        }
        // The same request by two spellings of its id is one decision.
        if !found.iter().any(|other| other.id == approval.id) {
            found.push(approval);
        }
    }
    Ok(found)
}

async fn pending(store: &Arc<dyn Store>) -> Result<Vec<Approval>> {
    let status = Some(ApprovalStatus::Pending);
    Ok(store.approvals(&ApprovalFilter { status, ..ApprovalFilter::default() }).await?)
}

async fn of_plan(
    store: &Arc<dyn Store>,
    mut waiting: Vec<Approval>,
    plan: &str,
) -> Result<Vec<Approval>> {
    let is_meant = |approval: &Approval| approval.plan.as_str().starts_with(plan);
    let all = store.approvals(&ApprovalFilter::default()).await?;
    let plans: BTreeSet<&str> =
        all.iter().filter(|approval| is_meant(approval)).map(|a| a.plan.as_str()).collect();
    if plan.is_empty() || plans.is_empty() {
        return Err(Failure::new(
            codes::NOT_FOUND,
            format!("there is no request of plan {plan:?}"),
        )
        .next("skep approvals list"));
    }
    if plans.len() > 1 {
        let message = format!("{plan:?} is the start of {} plan ids; give more of it", plans.len());
        return Err(Failure::new(codes::AMBIGUOUS, message).next("skep approvals list"));
    }
    waiting.retain(is_meant);
    match (waiting.is_empty(), all.iter().rev().find(|approval| is_meant(approval))) {
        (true, Some(last)) => Err(decided(last)),
        _ => Ok(waiting),
    }
}

/// A misspelt exception would approve what was to be left out.
fn without(mut waiting: Vec<Approval>, except: &[String]) -> Result<Vec<Approval>> {
    for name in except {
        let targets = waiting.iter().map(|approval| approval.target.as_str());
        if targets.clone().any(|target| target == name) {
            continue;
        }
        let near = skep_yaml::did_you_mean(name, targets);
        let failure = Failure::new(
            codes::NOT_FOUND,
            format!("--except: no waiting request is about {name:?}; nothing was decided"),
        );
        return Err(failure.next(match near {
            Some(near) => format!("did you mean --except {near}?"),
            None => "skep approvals list".to_owned(),
        }));
    }
    waiting.retain(|approval| !except.iter().any(|name| name == approval.target.as_str()));
    Ok(waiting)
}

/// Why a request that no longer waits cannot be decided.
pub(super) fn decided(approval: &Approval) -> Failure {
    let about = format!("{} {} ({})", approval.kind, approval.target, short(approval.id.as_str()));
    let by = match (&approval.decided_by, approval.decided_at) {
        (Some(by), Some(at)) => format!(" by {by} at {at}"),
        _ => String::new(),
    };
    let (code, what) = match approval.status {
        ApprovalStatus::Superseded => (codes::SUPERSEDED, "what it was about has moved on"),
        ApprovalStatus::Expired => (codes::EXPIRED, "it was not decided or not started in time"),
        ApprovalStatus::Approved => (codes::ALREADY_DECIDED, "it is approved already"),
        ApprovalStatus::Denied => (codes::ALREADY_DECIDED, "it is denied already"),
        ApprovalStatus::Pending => (codes::REVISION_CONFLICT, "it has changed meanwhile"),
    };
    let next = match approval.status {
        ApprovalStatus::Superseded | ApprovalStatus::Expired => {
            "look at the new request, if there is one: skep approvals list".to_owned()
        }
        _ => format!("skep approvals show {}", short(approval.id.as_str())),
    };
    Failure::new(code, format!("{about}: {what}{by}")).next(next)
}
