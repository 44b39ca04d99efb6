//! Who changed a service, what, and when: one time line of its owners, of people, of Skep and of
//! other writers.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::identity::{ObjectKey, ServiceName};
use skep_core::labels;
use skep_core::plan::Change;
use skep_core::revision::RevisionOrigin;
use skep_store::AuditFilter;

use super::history::RevisionView;
use super::{Seen, find, look};
use crate::args::FleetArgs;
use crate::error::{Result, exit};
use crate::output::change::change_line;
use crate::output::{Items, Style, plain, since};
use crate::verbs::Session;
use crate::verbs::dlq;
use crate::verbs::view::short;

/// One line of the story.
#[derive(Debug, Serialize)]
struct Line {
    at: Timestamp,
    /// `source`, `person`, `skep`, `other` (another writer), or `swarm`.
    by: &'static str,
    actor: String,
    what: String,
    action_id: Option<String>,
    /// What changed, field by field, with secret values masked.
    changes: Vec<Change>,
}

/// `skep service why NAME`.
pub(super) async fn why(
    session: &Session,
    fleet: &FleetArgs,
    name: &str,
    limit: u32,
) -> Result<u8> {
    let seen = look(session, fleet).await?;
    let name = find(&seen, name)?;
    let key = ObjectKey::service(&seen.planned.plan.cluster_id, &name);
    let store = &seen.wired.store;
    let revisions = store.revisions(&key, limit).await?;
    let audit =
        store.audit(&AuditFilter { key: Some(key), limit, ..AuditFilter::default() }).await?;
    let mut items: Vec<Line> = revisions.into_iter().map(RevisionView::of).map(changed).collect();
    items.extend(audit.into_iter().filter_map(|(_, event)| decided(event)));
    items.extend(present(&seen, &name));
    let cluster = &seen.planned.plan.cluster_id;
    let now = Timestamp::now();
    for letter in dlq::open_about(store.as_ref(), cluster, name.as_str()).await? {
        let (what, actor) = (letter.line(now), "skep".to_owned());
        items.push(Line { at: now, by: "skep", actor, what, action_id: None, changes: vec![] });
    }
    items.sort_by_key(|line| line.at);
    let extra = match usize::try_from(limit) {
        Ok(limit) if limit > 0 => items.len().saturating_sub(limit),
        _ => 0,
    };
    items.drain(..extra);
    session.printer.data(&Items { items }, text)?;
    Ok(exit::OK)
}

/// What a revision says: the spec became another one.
fn changed(view: RevisionView) -> Line {
    let by = match view.origin {
        RevisionOrigin::External if view.actor == "swarm" => "swarm",
        RevisionOrigin::External => "other",
        RevisionOrigin::Applied | RevisionOrigin::Adopted => "skep",
    };
    Line {
        at: view.at,
        by,
        what: format!("revision {} ({}): {}", view.revision, view.origin, view.reason),
        actor: view.actor,
        action_id: view.action_id,
        changes: view.changes,
    }
}

/// What the trail adds: what people said, and what came to nothing.
fn decided(event: AuditEvent) -> Option<Line> {
    let by = match event.kind {
        AuditKind::Approved
        | AuditKind::Denied
        | AuditKind::Requested
        | AuditKind::Held
        | AuditKind::DriftAccepted
        | AuditKind::RetriedByHand
        | AuditKind::LetterRequeued
        | AuditKind::LetterDropped
        | AuditKind::HoldLifted
        | AuditKind::Paused
        | AuditKind::Killed
        | AuditKind::Resumed
        | AuditKind::ContainmentRehearsed => "person",
        AuditKind::Proposed
        | AuditKind::Allowed
        | AuditKind::Superseded
        | AuditKind::Expired
        | AuditKind::Failed
        | AuditKind::AttemptFailed
        | AuditKind::Retried
        | AuditKind::RequestRefused
        | AuditKind::Rehearsed
        | AuditKind::Contained
        | AuditKind::FormerStateRecorded
        | AuditKind::Restored => "skep",
        // The revision of the same moment says more.
        _ => return None,
    };
    Some(Line {
        at: event.at,
        by,
        actor: event.actor,
        what: match event.detail.as_str() {
            "" => event.kind.to_string(),
            detail => format!("{}: {detail}", event.kind),
        },
        action_id: event.action.map(|id| id.to_string()),
        changes: Vec::new(),
    })
}

/// What the declaration and the live service say now.
fn present(seen: &Seen, name: &ServiceName) -> Vec<Line> {
    let planned = &seen.planned;
    let now = Timestamp::now();
    let mut lines = Vec::new();
    if let Some(service) = planned.desired.services.get(name) {
        let commit = service.provenance.commit.as_deref().map(|commit| format!(" ({commit})"));
        let step = planned.plan.steps.iter().find(|step| step.target == *name);
        let what = match step {
            Some(step) => format!("declared, and not as declared now: {}", step.reason),
            None => "declared, and as declared now".to_owned(),
        };
        lines.push(Line {
            at: now,
            by: "source",
            actor: format!("{}{}", service.provenance, commit.unwrap_or_default()),
            what,
            action_id: None,
            changes: step.map(|step| step.changes.clone()).unwrap_or_default(),
        });
    }
    if let Some(live) = planned.snapshot.services.get(name) {
        let is_ours = planned.owned.get(name) == Some(&live.id);
        let spec = live.spec.value();
        let label = spec.get("Labels").and_then(|own| own.get(labels::ACTION));
        let last_writer = match label.and_then(Value::as_str) {
            Some(action) => format!("it carries the label of action {}", short(action)),
            None if is_ours => {
                "somebody else has written it since: the labels of Skep are gone, as \
                                after `docker stack deploy`; it stays on record as ours"
                    .to_owned()
            }
            None => "it carries no label of Skep".to_owned(),
        };
        lines.push(Line {
            at: live.updated_at,
            by: if label.is_some() { "skep" } else { "other" },
            actor: "engine".to_owned(),
            what: format!("version {}, {last_writer}", live.version),
            action_id: label.and_then(Value::as_str).map(str::to_owned),
            changes: Vec::new(),
        });
    }
    lines
}

fn text(list: &Items<Line>, style: Style) -> String {
    use std::fmt::Write as _;
    let now = Timestamp::now();
    let mut text = String::new();
    for line in &list.items {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>8} ago  {:<6}  {}  {}",
            since(line.at, now),
            line.by,
            style.bold(&plain(&line.actor)),
            plain(&line.what)
        );
        for change in &line.changes {
            change_line(&mut text, change, style);
        }
    }
    text
}
