//! Requests for a person's decision: looking at them and deciding.

mod choose;
mod decide;
mod groups;
mod watch;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionState};
use skep_core::approval::{Approval, ApprovalStatus, Batch, Halt, Moved, Overdue};
use skep_core::identity::ActionId;
use skep_store::{ActionFilter, ApprovalFilter, Store};

use self::groups::MOST_SINGLE;
use super::actions::{late, waits_for};
use super::view::{ActionView, ApprovalView, Lateness, short};
use super::{Session, freeze, moved};
use crate::args::{ApprovalsVerb, ListApprovalsArgs};
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Format, Items, Style, plain, since, until};

/// `skep approvals`.
pub(super) async fn run(session: &Session, verb: ApprovalsVerb) -> Result<u8> {
    let store = session.open_store().await?;
    match verb {
        ApprovalsVerb::List(args) => list(session, &store, &args).await,
        ApprovalsVerb::Show { id, .. } => show(session, &store, &id).await,
        ApprovalsVerb::Approve(args) => decide::approve(session, &store, args).await,
        ApprovalsVerb::Deny(args) => decide::deny(session, &store, args).await,
        ApprovalsVerb::Revoke(args) => decide::revoke(session, &store, args).await,
        ApprovalsVerb::Watch { .. } => watch::run(session, &store).await,
    }
}

async fn list(session: &Session, store: &Arc<dyn Store>, args: &ListApprovalsArgs) -> Result<u8> {
    let status = match (&args.status, args.all) {
        (Some(word), _) => ApprovalStatus::from_word(word),
        (None, true) => None,
        (None, false) => Some(ApprovalStatus::Pending),
    };
    let mut approvals =
        store.approvals(&ApprovalFilter { status, ..ApprovalFilter::default() }).await?;
    if let Some(plan) = &args.plan {
        approvals.retain(|approval| approval.plan.as_str().starts_with(plan.as_str()));
    }
    let actions = actions(store, status).await?;
    let now = Timestamp::now();
    // Programs get groups only when they ask for them.
    let is_long = status == Some(ApprovalStatus::Pending)
        && approvals.len() > MOST_SINGLE
        && session.printer.format() == Format::Table;
    let items = groups::groups(&approvals, &actions);
    // Groups of one each would hide the ids and shorten nothing.
    if args.group || (is_long && !args.no_group && items.len() < approvals.len()) {
        session
            .printer
            .data(&Items { items }, |list, style| groups::table(&list.items, style, now))?;
        if !approvals.is_empty() {
            session.printer.note("next: skep approvals approve --group KEY, or list --no-group");
        }
        return Ok(exit::OK);
    }
    let clock = Lateness::new(&session.config, now);
    let view = |approval: &Approval| {
        let action = actions.get(&approval.action);
        ApprovalView::new(approval, action).at(&clock, action)
    };
    let items: Vec<_> = approvals.iter().map(view).collect();
    session.printer.data(&Items { items }, |list, style| table(&list.items, style, now))?;
    freeze::warn(session, &freeze::in_force(store.as_ref(), now).await?);
    Ok(exit::OK)
}

/// The actions behind requests, for their reasons.
async fn actions(
    store: &Arc<dyn Store>,
    status: Option<ApprovalStatus>,
) -> Result<HashMap<ActionId, Action>> {
    let states = match status {
        Some(ApprovalStatus::Pending) => vec![ActionState::Pending],
        _ => Vec::new(),
    };
    let actions = store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    Ok(actions.into_iter().map(|action| (action.id.clone(), action)).collect())
}

fn table(items: &[ApprovalView], style: Style, now: Timestamp) -> String {
    let header = ["ID", "KIND", "TARGET", "AGE", "EXPIRES", "STATUS", "PLAN", "REASON"];
    let mut columns = Columns::new(header);
    for approval in items {
        let expires = match approval.status {
            ApprovalStatus::Pending => until(approval.expires_at, now),
            _ => "-".to_owned(),
        };
        let waits = approval.wait.as_ref().map(waits_for);
        let reason = approval.overdue.map(late).or(waits);
        let reason = reason.unwrap_or_else(|| approval.reason.clone());
        columns.row([
            short(&approval.id).to_owned(),
            approval.kind.to_string(),
            approval.target.clone(),
            since(approval.created_at, now),
            expires,
            approval.status.to_string(),
            approval.plan.clone(),
            reason,
        ]);
    }
    columns.text(style, "nothing waits for a decision")
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    approval: ApprovalView,
    action: ActionView<'a>,
    /// The decision that covers it, when that covers several.
    decision: Option<Batch>,
}

async fn show(session: &Session, store: &Arc<dyn Store>, id: &str) -> Result<u8> {
    let approval = match store.approval(id).await {
        Ok(approval) => approval,
        Err(error @ skep_store::Error::NotFound { .. }) => {
            return match store.batch(id).await {
                Ok(batch) => show_decision(session, store, batch).await,
                Err(skep_store::Error::NotFound { .. }) => Err(error.into()),
                Err(error) => Err(error.into()),
            };
        }
        Err(error) => return Err(error.into()),
    };
    let action = store.action(approval.action.as_str()).await?;
    let decision = match &approval.batch {
        Some(batch) => Some(store.batch(batch.as_str()).await?),
        None => None,
    };
    let clock = Lateness::new(&session.config, Timestamp::now());
    let shown = Shown {
        approval: ApprovalView::new(&approval, Some(&action)).at(&clock, Some(&action)),
        action: ActionView::new(&action),
        decision,
    };
    session.printer.data(&shown, text)?;
    if approval.status == ApprovalStatus::Pending {
        let id = short(approval.id.as_str());
        session.printer.note(&format!("next: skep approvals approve {id}, or deny {id}"));
    }
    let freezes = freeze::in_force(store.as_ref(), Timestamp::now()).await?;
    freeze::warn(session, freeze::over(&freezes, &action.step).map_or(&[], std::slice::from_ref));
    Ok(exit::OK)
}

fn text(shown: &Shown<'_>, style: Style) -> String {
    let approval = &shown.approval;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {}", plain(value));
        }
    };
    line("request", &approval.id);
    line("status", approval.status.as_str());
    line("overdue", approval.overdue.map(Overdue::why).unwrap_or_default());
    if let (Some(by), Some(at)) = (&approval.decided_by, approval.decided_at) {
        let from = approval.decided_source.as_deref().unwrap_or("an unknown source");
        line("decided", &format!("{at:.0} by {by} from {from}"));
    }
    if let Some(batch) = &shown.decision {
        line("decision", &format!("{} ({})", short(batch.id.as_str()), batch.chosen));
        line("halted", &batch.halted.as_ref().map(halted).unwrap_or_default());
    }
    line("comment", approval.comment.as_deref().unwrap_or_default());
    line("expires", &format!("{:.0}", approval.expires_at));
    line("revision", &approval.revision.to_string());
    line("group", approval.group.as_deref().unwrap_or_default());
    line("plan", &approval.plan);
    line("action", &format!("{} ({})", approval.action_id, shown.action.state));
    line("detail", shown.action.detail);
    line("waits for", &shown.action.wait.map(waits_for).unwrap_or_default());
    line("rule", shown.action.rule);
    line("actuator", shown.action.mode.as_str());
    if let Some(moved) = shown.action.moved {
        text.push_str(&moved::text(moved, style));
    }
    text.push('\n');
    shown.action.step.write(&mut text, style);
    text
}

fn halted(halt: &Halt) -> String {
    format!("{:.0}: {} failed: {}", halt.at, halt.target, halt.reason)
}

/// A decision about many, with what became of each.
#[derive(Serialize)]
struct ShownDecision {
    #[serde(flatten)]
    decision: Batch,
    approvals: Vec<ApprovalView>,
    /// What was decided about beside what was planned then, of those that were superseded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    moved: Vec<MovedMember>,
}

#[derive(Serialize)]
struct MovedMember {
    target: String,
    #[serde(flatten)]
    moved: Moved,
}

async fn show_decision(session: &Session, store: &Arc<dyn Store>, decision: Batch) -> Result<u8> {
    let filter = ApprovalFilter { batch: Some(decision.id.clone()), ..ApprovalFilter::default() };
    let clock = Lateness::new(&session.config, Timestamp::now());
    let (mut approvals, mut moved) = (Vec::new(), Vec::new());
    for approval in store.approvals(&filter).await? {
        let action = store.action(approval.action.as_str()).await?;
        approvals.push(ApprovalView::new(&approval, Some(&action)).at(&clock, Some(&action)));
        let target = approval.target.to_string();
        moved.extend(action.moved.map(|moved| MovedMember { target, moved }));
    }
    let shown = ShownDecision { decision, approvals, moved };
    session.printer.data(&shown, decision_text)?;
    Ok(exit::OK)
}

fn decision_text(shown: &ShownDecision, style: Style) -> String {
    let batch = &shown.decision;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {}", plain(value));
        }
    };
    line("decision", batch.id.as_str());
    line("said", &format!("{} {}", batch.decision, batch.chosen));
    line("decided", &format!("{:.0} by {} from {}", batch.decided_at, batch.actor, batch.source));
    line("comment", batch.comment.as_deref().unwrap_or_default());
    line("at failure", if batch.halts { "halts" } else { "goes on" });
    line("halted", &batch.halted.as_ref().map(halted).unwrap_or_default());
    text.push('\n');
    let mut columns = Columns::new(["REQUEST", "TARGET", "STATUS", "ACTION", "STATE"]);
    for approval in &shown.approvals {
        columns.row([
            short(&approval.id).to_owned(),
            approval.target.clone(),
            approval.status.to_string(),
            short(&approval.action_id).to_owned(),
            approval.state.map(|state| state.to_string()).unwrap_or_default(),
        ]);
    }
    text.push_str(&columns.text(style, "nothing"));
    for member in &shown.moved {
        let lines = moved::text(&member.moved, style);
        let _ = write!(text, "\n{}{lines}", style.bold(&plain(&member.target)));
    }
    text
}
