//! Which requests a decision is about. Everything is checked before anything is decided.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use skep_core::action::{Action, ActionState};
use skep_core::approval::{Approval, ApprovalStatus};
use skep_core::identity::ActionId;
use skep_store::{ActionFilter, ApprovalFilter, Store};

use crate::args::SelectArgs;
use crate::codes;
use crate::error::{Failure, Result};
use crate::verbs::moved;
use crate::verbs::view::short;

/// The requests of one decision, and how they were chosen.
pub(super) struct Chosen {
    pub(super) approvals: Vec<Approval>,
    /// For the record, for example `group 4b1e90d2c7a35f68`.
    pub(super) how: String,
}

/// The requests that the flags name.
pub(super) async fn select(store: &Arc<dyn Store>, args: &SelectArgs) -> Result<Chosen> {
    if !args.ids.is_empty() {
        let approvals = named(store, &args.ids, ApprovalStatus::Pending).await?;
        return Ok(Chosen { approvals, how: "ids".to_owned() });
    }
    let mut waiting = pending(store).await?;
    let mut how = "all".to_owned();
    if let Some(plan) = &args.plan {
        waiting = of_plan(store, waiting, plan).await?;
        how = format!("plan {plan}");
    }
    if let Some(key) = &args.group {
        let (found, members) = of_group(store, waiting, key).await?;
        waiting = members;
        how = format!("group {found}");
    }
    let approvals = without(waiting, &args.except)?;
    if !args.except.is_empty() {
        how = format!("{how} except {}", args.except.join(", "));
    }
    Ok(Chosen { approvals, how })
}

/// The requests behind ids; each must have this status.
pub(super) async fn named(
    store: &Arc<dyn Store>,
    ids: &[String],
    status: ApprovalStatus,
) -> Result<Vec<Approval>> {
    let mut found: Vec<Approval> = Vec::new();
    for id in ids {
        let approval = store.approval(id).await?;
        if approval.status != status {
            return Err(decided(store, &approval).await);
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

/// The actions that wait for a decision.
pub(super) async fn pending_actions(store: &Arc<dyn Store>) -> Result<HashMap<ActionId, Action>> {
    let states = vec![ActionState::Pending];
    let actions = store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    Ok(actions.into_iter().map(|action| (action.id.clone(), action)).collect())
}

async fn of_group(
    store: &Arc<dyn Store>,
    waiting: Vec<Approval>,
    key: &str,
) -> Result<(String, Vec<Approval>)> {
    let actions = pending_actions(store).await?;
    let group_of = |approval: &Approval| {
        actions.get(&approval.action).map(|action| action.step.group.to_string())
    };
    let groups: BTreeSet<String> = waiting
        .iter()
        .filter_map(group_of)
        .filter(|group| !key.is_empty() && group.starts_with(key))
        .collect();
    let mut found = groups.iter();
    match (found.next(), found.next()) {
        (None, _) => {
            let message = format!(
                "no waiting request is of group {key:?}; a group ends when its change is another one"
            );
            Err(Failure::new(codes::NOT_FOUND, message).next("skep approvals list --group"))
        }
        (Some(_), Some(_)) => {
            let message =
                format!("{key:?} is the start of {} groups; give more of it", groups.len());
            Err(Failure::new(codes::AMBIGUOUS, message).next("skep approvals list --group"))
        }
        (Some(group), None) => {
            let is_meant = |approval: &Approval| group_of(approval).as_ref() == Some(group);
            Ok((group.clone(), waiting.into_iter().filter(is_meant).collect()))
        }
    }
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
        (true, Some(last)) => Err(decided(store, last).await),
        _ => Ok(waiting),
    }
}

/// A misspelt exception would decide about what was to be left out.
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

/// Why a request cannot be decided as it stands, with what moved when it was superseded.
pub(super) async fn decided(store: &Arc<dyn Store>, approval: &Approval) -> Failure {
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
        ApprovalStatus::Pending => (codes::REVISION_CONFLICT, "nobody has decided about it"),
    };
    let next = match approval.status {
        ApprovalStatus::Superseded | ApprovalStatus::Expired => {
            "look at the new request, if there is one: skep approvals list".to_owned()
        }
        _ => format!("skep approvals show {}", short(approval.id.as_str())),
    };
    let mut failure = Failure::new(code, format!("{about}: {what}{by}")).next(next);
    if approval.status == ApprovalStatus::Superseded
        && let Ok(action) = store.action(approval.action.as_str()).await
    {
        failure.push_cause(action.detail);
        for line in action.moved.iter().flat_map(moved::lines) {
            failure.push_cause(line);
        }
    }
    failure
}
