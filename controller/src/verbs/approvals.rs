//! Requests for a person's decision: looking at them and deciding.

mod choose;
mod decide;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionState};
use skep_core::approval::ApprovalStatus;
use skep_core::identity::ActionId;
use skep_store::{ActionFilter, ApprovalFilter, Store};

use super::view::{ActionView, ApprovalView, short};
use super::{Session, freeze};
use crate::args::{ApprovalsVerb, ListApprovalsArgs};
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Style, plain, since, until};
use crate::wiring;

/// `skep approvals`.
pub(super) async fn run(session: &Session, verb: ApprovalsVerb) -> Result<u8> {
    let store = wiring::open_store(&session.config, &session.environment).await?.store;
    match verb {
        ApprovalsVerb::List(args) => list(session, &store, &args).await,
        ApprovalsVerb::Show { id, .. } => show(session, &store, &id).await,
        ApprovalsVerb::Approve(args) => decide::approve(session, &store, args).await,
        ApprovalsVerb::Deny(args) => decide::deny(session, &store, args).await,
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
    let items: Vec<_> = approvals
        .iter()
        .map(|approval| ApprovalView::new(approval, actions.get(&approval.action)))
        .collect();
    let now = Timestamp::now();
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
        columns.row([
            short(&approval.id).to_owned(),
            approval.kind.to_string(),
            approval.target.clone(),
            since(approval.created_at, now),
            expires,
            approval.status.to_string(),
            approval.plan.clone(),
            approval.reason.clone(),
        ]);
    }
    columns.text(style, "nothing waits for a decision")
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    approval: ApprovalView,
    action: ActionView<'a>,
}

async fn show(session: &Session, store: &Arc<dyn Store>, id: &str) -> Result<u8> {
    let approval = store.approval(id).await?;
    let action = store.action(approval.action.as_str()).await?;
    let shown = Shown {
        approval: ApprovalView::new(&approval, Some(&action)),
        action: ActionView::new(&action),
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
    if let (Some(by), Some(at)) = (&approval.decided_by, approval.decided_at) {
        line("decided", &format!("{at:.0} by {by}"));
    }
    line("comment", approval.comment.as_deref().unwrap_or_default());
    line("expires", &format!("{:.0}", approval.expires_at));
    line("revision", &approval.revision.to_string());
    line("plan", &approval.plan);
    line("action", &format!("{} ({})", approval.action_id, shown.action.state));
    line("rule", shown.action.rule);
    line("actuator", shown.action.mode.as_str());
    text.push('\n');
    shown.action.step.write(&mut text, style);
    text
}
