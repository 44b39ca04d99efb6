//! What was proposed, and what became of it.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionState};
use skep_core::approval::{ApprovalStatus, Overdue, Wait};
use skep_core::identity::ActionId;
use skep_core::retry::Failure;
use skep_store::{ActionFilter, ApprovalFilter, AuditFilter, Store};

use super::view::{ActionView, AuditView, Lateness, short};
use super::{Session, freeze, moved};
use crate::args::ActionsVerb;
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Style, plain, since};

/// `skep actions`.
pub(super) async fn run(session: &Session, verb: ActionsVerb) -> Result<u8> {
    let store = session.open_store().await?;
    match verb {
        ActionsVerb::List { state, only, limit, .. } => {
            list(session, &store, &state, &only, limit).await
        }
        ActionsVerb::Show { id, .. } => show(session, &store, &id).await,
    }
}

async fn list(
    session: &Session,
    store: &Arc<dyn Store>,
    states: &[String],
    only: &[String],
    limit: u32,
) -> Result<u8> {
    let states = states.iter().filter_map(|word| ActionState::from_word(word)).collect();
    // Names are filtered here: the store looks up by full key, and the swarm is not known here.
    let asked = if only.is_empty() { limit } else { 0 };
    let filter = ActionFilter { states, limit: asked, ..ActionFilter::default() };
    let mut actions = store.actions(&filter).await?;
    actions.retain(|action| only.is_empty() || only.contains(&action.key.name));
    if let (true, Ok(limit)) = (limit > 0, usize::try_from(limit)) {
        actions.truncate(limit);
    }
    let now = Timestamp::now();
    let clock = Lateness::new(&session.config, now);
    let lapses = lapses(store, &actions).await?;
    let freezes = freeze::in_force(store.as_ref(), now).await?;
    let items: Vec<_> = actions
        .iter()
        .map(|action| {
            let lapses_at = lapses.get(&action.id).copied();
            ActionView::new(action).at(&clock, action, lapses_at).under(&freezes, action)
        })
        .collect();
    session.printer.data(&Items { items }, |list, style| {
        let mut columns = Columns::new(["ID", "KIND", "TARGET", "STATE", "AGE", "DETAIL"]);
        for action in &list.items {
            let first = action.frozen.clone().or_else(|| action.overdue.map(late));
            let first = first.or_else(|| action.wait.map(waits_for));
            let detail = match &first {
                Some(first) => first.as_str(),
                None if action.detail.is_empty() => action.reason,
                None => action.detail,
            };
            columns.row([
                short(action.id).to_owned(),
                action.kind.to_string(),
                action.target.to_owned(),
                action.state.to_string(),
                since(action.created_at, now),
                detail.to_owned(),
            ]);
        }
        columns.text(style, "no actions")
    })?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    action: ActionView<'a>,
    attempts: Option<AttemptsView>,
    history: Vec<AuditView>,
}

/// The attempts that have failed.
#[derive(Serialize)]
struct AttemptsView {
    failed: u32,
    failure: Failure,
    detail: String,
    not_before: Timestamp,
}

async fn show(session: &Session, store: &Arc<dyn Store>, id: &str) -> Result<u8> {
    let action = store.action(id).await?;
    let filter = AuditFilter { action: Some(action.id.clone()), ..AuditFilter::default() };
    let mut history: Vec<_> = store.audit(&filter).await?.into_iter().map(AuditView::new).collect();
    history.reverse();
    let attempts = store.attempts(&action.id).await?.map(|attempts| AttemptsView {
        failed: attempts.failed,
        failure: attempts.failure,
        detail: attempts.detail,
        not_before: attempts.not_before,
    });
    let now = Timestamp::now();
    let clock = Lateness::new(&session.config, now);
    let lapses_at = lapses(store, std::slice::from_ref(&action)).await?.get(&action.id).copied();
    let freezes = freeze::in_force(store.as_ref(), now).await?;
    let shown = Shown {
        action: ActionView::new(&action).at(&clock, &action, lapses_at).under(&freezes, &action),
        attempts,
        history,
    };
    session.printer.data(&shown, text)?;
    Ok(exit::OK)
}

/// When the requests of those actions lapse that wait for a decision.
async fn lapses(
    store: &Arc<dyn Store>,
    actions: &[Action],
) -> Result<HashMap<ActionId, Timestamp>> {
    if actions.iter().all(|action| action.state != ActionState::Pending) {
        return Ok(HashMap::new());
    }
    let status = Some(ApprovalStatus::Pending);
    let pending = store.approvals(&ApprovalFilter { status, ..ApprovalFilter::default() }).await?;
    Ok(pending.into_iter().map(|request| (request.action, request.expires_at)).collect())
}

/// What is overdue, for people.
pub(super) fn late(overdue: Overdue) -> String {
    format!("overdue: {}", overdue.why())
}

/// What an action waits for, for people.
pub(super) fn waits_for(wait: &Wait) -> String {
    format!("{} since {:.0} ({})", wait.reason, wait.since, wait.code)
}

fn text(shown: &Shown<'_>, style: Style) -> String {
    let action = &shown.action;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {}", plain(value));
        }
    };
    line("action", action.id);
    line("state", action.state.as_str());
    line("frozen", action.frozen.as_deref().unwrap_or_default());
    line("overdue", action.overdue.map(Overdue::why).unwrap_or_default());
    line("detail", action.detail);
    if let Some(attempts) = &shown.attempts {
        let (failed, failure) = (attempts.failed, attempts.failure);
        let last = &attempts.detail;
        line("attempts", &format!("failed so far: {failed}; the last ({failure}): {last}"));
    }
    line("actuator", action.mode.as_str());
    line("rule", action.rule);
    line("proposed", &format!("{:.0} by {} ({})", action.created_at, action.actor, action.source));
    line("approval", action.approval_id.unwrap_or_default());
    line("start by", &action.start_by.map(|at| format!("{at:.0}")).unwrap_or_default());
    line("waits for", &action.wait.map(waits_for).unwrap_or_default());
    line("plan", action.plan);
    if let Some(moved) = action.moved {
        text.push_str(&moved::text(moved, style));
    }
    text.push('\n');
    action.step.write(&mut text, style);
    text.push('\n');
    for event in &shown.history {
        let _ = writeln!(
            text,
            "{:.0}  {}  {}  {}",
            event.at,
            event.kind,
            plain(&event.actor),
            plain(&event.detail)
        );
    }
    text
}
