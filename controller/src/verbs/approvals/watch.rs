//! Following requests and decisions as they are recorded.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::approval::ApprovalStatus;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_store::{ApprovalFilter, AuditFilter, Store};

use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::{first_line, plain};
use crate::signals;
use crate::verbs::Session;
use crate::verbs::view::{ApprovalView, short};

/// How often the store is asked whether anything was recorded.
const POLL: Duration = Duration::from_millis(300);

/// One thing that happened to a request.
#[derive(Debug, Serialize)]
struct Event {
    /// `waiting` for what waited before, then `requested`, `approved`, `denied`, `superseded`,
    /// `expired`.
    event: &'static str,
    at: Timestamp,
    actor: String,
    detail: String,
    approval: ApprovalView,
}

impl Event {
    fn line(&self) -> String {
        let approval = &self.approval;
        let said = if self.detail.is_empty() { &approval.reason } else { &self.detail };
        format!(
            "{:.0}  {:<10}  {}  {} {}  by {}: {}",
            self.at,
            self.event,
            short(&approval.id),
            approval.kind,
            plain(&approval.target),
            plain(&self.actor),
            first_line(said),
        )
    }
}

/// `skep approvals watch`.
pub(super) async fn run(session: &Session, store: &Arc<dyn Store>) -> Result<u8> {
    let shutdown = signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    // Before the list: what is recorded meanwhile is told twice rather than not at all.
    let mut seen = store.change_counter().await?;
    let status = Some(ApprovalStatus::Pending);
    let filter = ApprovalFilter { status, ..ApprovalFilter::default() };
    for approval in store.approvals(&filter).await? {
        let action = store.action(approval.action.as_str()).await?;
        let event = Event {
            event: "waiting",
            at: approval.created_at,
            actor: action.actor.clone(),
            detail: String::new(),
            approval: ApprovalView::new(&approval, Some(&action)),
        };
        session.printer.record(&event, &event.line())?;
    }
    session.printer.note("following requests and decisions; Ctrl-C ends it");
    while !shutdown.is_cancelled() && !session.printer.is_closed() {
        let now = store.change_counter().await?;
        if now > seen {
            tell(session, store, seen, now).await?;
            seen = now;
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(POLL) => {}
        }
    }
    Ok(exit::OK)
}

/// Tells what the trail holds after `seen`, oldest first.
async fn tell(session: &Session, store: &Arc<dyn Store>, seen: i64, now: i64) -> Result<()> {
    let limit = u32::try_from(now.saturating_sub(seen)).unwrap_or(u32::MAX);
    let mut rows = store.audit(&AuditFilter { limit, ..AuditFilter::default() }).await?;
    rows.retain(|(sequence, _)| *sequence > seen && *sequence <= now);
    for (_, event) in rows.into_iter().rev() {
        if let Some(event) = about_a_request(store, event).await? {
            session.printer.record(&event, &event.line())?;
        }
    }
    Ok(())
}

/// The event of a row, when it is about an action that a person is asked about.
async fn about_a_request(store: &Arc<dyn Store>, row: AuditEvent) -> Result<Option<Event>> {
    let word = match row.kind {
        AuditKind::Proposed => "requested",
        AuditKind::Approved => "approved",
        AuditKind::Denied => "denied",
        AuditKind::Superseded => "superseded",
        AuditKind::Expired => "expired",
        _ => return Ok(None),
    };
    let Some(id) = row.action else { return Ok(None) };
    let action = match store.action(id.as_str()).await {
        Ok(action) => action,
        Err(skep_store::Error::NotFound { .. } | skep_store::Error::Corrupt { .. }) => {
            return Ok(None);
        }
        Err(error) => return Err(error.into()),
    };
    // What a rule allows asks nobody.
    let Some(approval) = &action.approval else { return Ok(None) };
    let approval = store.approval(approval.as_str()).await?;
    Ok(Some(Event {
        event: word,
        at: row.at,
        actor: row.actor,
        detail: row.detail,
        approval: ApprovalView::new(&approval, Some(&action)),
    }))
}
