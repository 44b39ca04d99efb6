//! Everything that is known about one service.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::desired::{SourceState, SourceStatus};
use skep_core::hold::HoldKind;
use skep_core::identity::ObjectKey;
use skep_core::plan::Waiting;
use skep_core::readiness::{Finding, State};
use skep_runtime::ask;
use skep_store::ActionFilter;

use super::hold::HoldView;
use super::row::Row;
use super::{find, look, unknown};
use crate::args::FleetArgs;
use crate::error::{Result, exit};
use crate::output::plan::StepView;
use crate::output::{Style, plain, since};
use crate::verbs::Session;
use crate::verbs::dlq::{self, LetterView};
use crate::verbs::freeze::{self, OverrideView};
use crate::verbs::view::{ActionView, short};

/// How many of the last actions are shown.
const LAST_ACTIONS: u32 = 5;

#[derive(Serialize)]
struct Status<'a> {
    #[serde(flatten)]
    row: Row,
    conditions: Vec<Condition>,
    /// What the plan would do about it.
    step: Option<StepView<'a>>,
    /// Why the plan does nothing about it.
    waiting: Vec<&'a Waiting>,
    live: Option<Live<'a>>,
    /// Who holds it, when it is paused or killed.
    contained: Option<Containing>,
    /// What a person said that outweighs the plan, while it holds.
    hold: Option<HoldView>,
    /// The freeze that keeps what the plan would do from starting.
    #[serde(skip_serializing_if = "Option::is_none")]
    freeze: Option<OverrideView>,
    sources: &'a [SourceStatus],
    last_actions: Vec<ActionView<'a>>,
    /// What failed about it and nobody has looked at.
    dead_letters: Vec<LetterView>,
}

/// Why nothing is done for the service.
#[derive(Serialize)]
struct Containing {
    code: &'static str,
    reason: String,
}

/// One aspect, as true, false or unknown, with the reason.
#[derive(Serialize)]
struct Condition {
    r#type: &'static str,
    /// `None` when it is not known.
    status: Option<bool>,
    reason: String,
}

#[derive(Serialize)]
struct Live<'a> {
    id: &'a str,
    version: u64,
    updated_at: Timestamp,
    rollout: Option<&'a str>,
    rollout_message: Option<&'a str>,
    tasks: Tasks<'a>,
    ports: Vec<String>,
}

#[derive(Serialize)]
struct Tasks<'a> {
    running: u32,
    starting: u32,
    failed: u32,
    last_error: Option<&'a str>,
}

/// `skep service status NAME`.
pub(super) async fn status(session: &Session, fleet: &FleetArgs, name: &str) -> Result<u8> {
    let seen = look(session, fleet).await?;
    let planned = &seen.planned;
    let full = find(&seen, name)?;
    let declared = planned.desired.services.get(&full);
    let live = planned.snapshot.services.get(&full);
    let row = match (declared, live) {
        (Some(service), _) => Row::declared(service, planned, &seen.open),
        (None, Some(live)) => Row::undeclared(live, planned, &seen.open),
        (None, None) => return Err(unknown(&seen, name)),
    };
    let finding = match (declared, live) {
        (Some(service), Some(live)) if live.tasks.running > 0 => {
            ask(&seen.wired.probe_address, &service.mcp).await
        }
        (Some(_), _) => Finding::Unasked("not asked: no task runs".to_owned()),
        (None, _) => Finding::Unasked("not asked: no source declares it".to_owned()),
    };
    let row = row.with_answer(Some(&finding));
    let filter = ActionFilter {
        keys: vec![ObjectKey::service(&planned.plan.cluster_id, &full)],
        limit: LAST_ACTIONS,
        ..ActionFilter::default()
    };
    let actions = seen.wired.store.actions(&filter).await?;
    let now = Timestamp::now();
    let holds = seen.wired.store.holds(&planned.plan.cluster_id).await?;
    let hold = holds.iter().find(|hold| hold.key.name == full.as_str() && hold.is_active(now));
    let step = planned.plan.steps.iter().find(|step| step.target == full);
    let freezes = freeze::in_force(seen.wired.store.as_ref(), now).await?;
    let frozen = step.and_then(|step| freeze::over(&freezes, step));
    let status = Status {
        conditions: conditions(
            &row,
            &planned.desired.sources,
            step.map(|step| step.reason.as_str()),
        ),
        step: step.map(|step| StepView::new(step, &[])),
        freeze: frozen.map(|stored| OverrideView::of(stored, now)),
        waiting: planned
            .plan
            .waiting
            .iter()
            .filter(|waiting| waiting.target.as_ref() == Some(&full))
            .collect(),
        live: live.map(|live| Live {
            id: live.id.as_str(),
            version: live.version,
            updated_at: live.updated_at,
            rollout: live.update.as_ref().map(|update| update.state.as_str()),
            rollout_message: live.update.as_ref().map(|update| update.message.as_str()),
            tasks: Tasks {
                running: live.tasks.running,
                starting: live.tasks.starting,
                failed: live.tasks.failed,
                last_error: live.tasks.last_error(),
            },
            ports: live.ports.iter().map(|p| format!("{}/{}", p.published, p.protocol)).collect(),
        }),
        contained: planned
            .contained
            .held(&full, planned.contained.domain(Some(&planned.desired), &full))
            .map(|held| Containing { code: held.code, reason: held.reason }),
        hold: hold
            .filter(|hold| hold.kind != HoldKind::Retry && hold.difference.is_some())
            .map(HoldView::of),
        sources: &planned.desired.sources,
        dead_letters: dlq::open_about(
            seen.wired.store.as_ref(),
            &planned.plan.cluster_id,
            full.as_str(),
        )
        .await?,
        last_actions: actions.iter().map(ActionView::new).collect(),
        row,
    };
    session.printer.data(&status, text)?;
    freeze::warn(session, frozen.map_or(&[], std::slice::from_ref));
    Ok(exit::OK)
}

fn conditions(row: &Row, sources: &[SourceStatus], drift: Option<&str>) -> Vec<Condition> {
    let condition = |r#type, status, reason: String| {
        let status = Some(status);
        Condition { r#type, status, reason }
    };
    let declared = match &row.source {
        Some(place) => condition("Declared", true, format!("at {place}")),
        None => condition("Declared", false, "no source declares it".to_owned()),
    };
    let broken = sources.iter().find(|source| source.state != SourceState::Ready);
    let source_ready = match broken {
        None => condition("SourceReady", true, "every source is read and valid".to_owned()),
        Some(source) => condition(
            "SourceReady",
            false,
            format!("{}: {}", source.name, source.reason.as_deref().unwrap_or("not read")),
        ),
    };
    let in_sync = match (row.class, drift) {
        (Some(class), Some(reason)) => condition("InSync", false, format!("{class}: {reason}")),
        _ if row.source.is_none() => {
            condition("InSync", false, "nothing says how it should be".to_owned())
        }
        _ => condition("InSync", true, "it is as declared".to_owned()),
    };
    let well = matches!(row.state, "running" | "stopped");
    let available =
        condition("Available", well, format!("{}, {} tasks run", row.state, row.replicas.shown()));
    let mcp_ready = row.mcp.as_ref().map(|mcp| Condition {
        r#type: "McpReady",
        status: match mcp.state {
            State::Unknown => None,
            State::Ready => Some(true),
            State::NotReady => Some(false),
        },
        reason: mcp.reason.clone(),
    });
    [declared, source_ready, in_sync, available].into_iter().chain(mcp_ready).collect()
}

fn text(status: &Status<'_>, style: Style) -> String {
    let row = &status.row;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{}  {}  {}  {}  {}",
        style.bold(&plain(&row.name)),
        row.shown_state(),
        row.replicas.shown(),
        row.owner,
        plain(row.image.as_deref().unwrap_or_default()),
    );
    for condition in &status.conditions {
        let word = match condition.status {
            Some(true) => style.green("yes"),
            Some(false) => style.red("no "),
            None => style.yellow("?  "),
        };
        let _ = writeln!(text, "  {word}  {:<12} {}", condition.r#type, plain(&condition.reason));
    }
    if let Some(live) = &status.live {
        let tasks = &live.tasks;
        let _ = writeln!(
            text,
            "  tasks: {} running, {} starting, {} failed; version {}, id {}",
            tasks.running, tasks.starting, tasks.failed, live.version, live.id
        );
        if let Some(error) = tasks.last_error {
            let _ = writeln!(text, "  last error: {}", style.red(&plain(error)));
        }
        if let (Some(state), Some(message)) = (live.rollout, live.rollout_message) {
            let _ = writeln!(text, "  rollout: {}: {}", plain(state), plain(message));
        }
    }
    for waiting in &status.waiting {
        let code = style.yellow(&plain(&waiting.code));
        let _ = writeln!(text, "  waiting {code}: {}", plain(&waiting.reason));
    }
    if let Some(Containing { code, reason }) = &status.contained {
        let _ = writeln!(text, "  {}: {}", style.red(code), plain(reason));
    }
    if let Some(hold) = &status.hold {
        let until = hold.until.map(|until| format!(" until {until}")).unwrap_or_default();
        let _ = writeln!(
            text,
            "  {} by {}{until}: {}",
            style.yellow(hold.kind.as_str()),
            plain(&hold.actor),
            plain(&hold.reason)
        );
    }
    for letter in &status.dead_letters {
        let _ = writeln!(text, "  {}", style.yellow(&letter.line(Timestamp::now())));
    }
    if let Some(step) = &status.step {
        text.push('\n');
        step.write(&mut text, style);
    }
    if !status.last_actions.is_empty() {
        let now = Timestamp::now();
        let _ = writeln!(text, "\n{}", style.bold("Last actions"));
        for action in &status.last_actions {
            let why = if action.detail.is_empty() { action.reason } else { action.detail };
            let _ = writeln!(
                text,
                "  {}  {}  {}  {} ago  {}",
                short(action.id),
                action.kind,
                action.state,
                since(action.created_at, now),
                plain(why)
            );
        }
    }
    text
}
