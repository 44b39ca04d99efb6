//! The one place where the state of an action changes.

use jiff::Timestamp;
use skep_core::action::{
    ActionEvent, ActionKind, ActionState, ActuatorMode, IllegalTransition, Source,
};
use skep_core::approval::Moved;
use skep_core::audit::{ActionFacts, AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ObjectKey};
use skep_store::{Error, Result};

use crate::error::IntoStoreError as _;
use crate::{Tx, audit, clock, row};

const WHAT: &str = "action";

/// What a change of state needs to know: everything but the step, so that an action whose step
/// this version cannot read can still be closed.
pub(crate) struct Head {
    pub(crate) id: ActionId,
    pub(crate) key: ObjectKey,
    pub(crate) kind: ActionKind,
    pub(crate) mode: ActuatorMode,
    pub(crate) source: Source,
    /// Who proposed it.
    pub(crate) actor: String,
    pub(crate) state: ActionState,
    pub(crate) revision: i64,
}

impl Head {
    pub(crate) async fn load(tx: &mut Tx, id: &ActionId, operation: &'static str) -> Result<Self> {
        let text = id.as_str();
        let row = sqlx::query!(
            "SELECT tenant, cluster, object_kind, object_name, kind, mode, source, \
             actor, state, revision FROM actions WHERE id = ?",
            text
        )
        .fetch_optional(&mut **tx)
        .await
        .during(operation)?
        .ok_or_else(|| Error::NotFound { what: WHAT, id: text.to_owned() })?;
        Ok(Self {
            id: id.clone(),
            key: row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?,
            kind: row::word(&row.kind, ActionKind::from_word, WHAT)?,
            mode: row::word(&row.mode, ActuatorMode::from_word, WHAT)?,
            source: row::word(&row.source, Source::from_word, WHAT)?,
            actor: row.actor,
            state: row::word(&row.state, ActionState::from_word, WHAT)?,
            revision: row.revision,
        })
    }

    /// Compare-and-set: the caller decided on what it saw at this revision.
    pub(crate) fn at_revision(&self, seen: i64) -> Result<()> {
        if self.revision == seen {
            return Ok(());
        }
        Err(Error::Conflict {
            what: WHAT,
            id: self.id.to_string(),
            current: format!("{} at revision {}", self.state, self.revision),
        })
    }

    pub(crate) fn refused(&self, why: &'static str) -> Error {
        Error::Refused { what: WHAT, id: self.id.to_string(), why }
    }

    pub(crate) fn impossible(&self, event: ActionEvent) -> Error {
        IllegalTransition { from: self.state, event }.into()
    }

    /// The engine may have done what is executing; only the outcome of the intent ends it.
    pub(crate) fn may_be_closed(&self, event: ActionEvent) -> Result<()> {
        if self.state == ActionState::Executing { Err(self.impossible(event)) } else { Ok(()) }
    }

    /// Moves the action on. Nothing else writes its state.
    pub(crate) async fn apply(
        &self,
        tx: &mut Tx,
        change: Change<'_>,
        now: Timestamp,
        operation: &'static str,
    ) -> Result<()> {
        let after = self.state.after(change.event)?;
        let state = after.as_str();
        let id = self.id.as_str();
        let updated_at = clock::to_column(now);
        let granted_at = (change.event == ActionEvent::Grant).then_some(updated_at);
        let start_by = change.start_by.map(clock::to_column);
        let moved = change.moved.map(serde_json::to_string).transpose();
        let moved = moved.map_err(|error| row::json_error(&error, WHAT))?;
        let changed = sqlx::query!(
            "UPDATE actions SET state = ?, revision = revision + 1, updated_at = ?, \
             detail = coalesce(?, detail), granted_at = coalesce(?, granted_at), \
             start_by = coalesce(?, start_by), moved = coalesce(?, moved), \
             wait_code = NULL, wait_reason = NULL, wait_since = NULL \
             WHERE id = ? AND revision = ?",
            state,
            updated_at,
            change.detail,
            granted_at,
            start_by,
            moved,
            id,
            self.revision
        )
        .execute(&mut **tx)
        .await
        .during(operation)?;
        if changed.rows_affected() != 1 {
            // Cannot happen while the write lock is held from the read on; never go on if it does.
            self.at_revision(self.revision.saturating_add(1))?;
        }
        let event = AuditEvent {
            at: now,
            kind: audit_kind(change.event),
            actor: change.actor.to_owned(),
            key: Some(self.key.clone()),
            action: Some(self.id.clone()),
            detail: change.said.to_owned(),
            data: Some(self.facts(tx, after, operation).await?),
        };
        audit::append(tx, &event).await
    }

    /// What the trail says about the action beside the sentence.
    pub(crate) async fn facts(
        &self,
        tx: &mut Tx,
        state: ActionState,
        operation: &'static str,
    ) -> Result<AuditData> {
        Ok(AuditData::Action(ActionFacts {
            operation: self.kind,
            source: self.source,
            initiator: self.actor.clone(),
            mode: self.mode,
            state,
            attempts_before: audit::attempts(tx, &self.id, operation).await?,
        }))
    }
}

/// One change of state, and what is written down about it.
pub(crate) struct Change<'a> {
    pub(crate) event: ActionEvent,
    /// Who, for the audit trail.
    pub(crate) actor: &'a str,
    /// What, for the audit trail.
    pub(crate) said: &'a str,
    /// What, for the action; `None` leaves it as it is.
    pub(crate) detail: Option<&'a str>,
    /// Only with a grant.
    pub(crate) start_by: Option<Timestamp>,
    /// Only when it is superseded.
    pub(crate) moved: Option<&'a Moved>,
}

fn audit_kind(event: ActionEvent) -> AuditKind {
    match event {
        ActionEvent::Grant => AuditKind::Approved,
        ActionEvent::Deny => AuditKind::Denied,
        ActionEvent::Supersede => AuditKind::Superseded,
        ActionEvent::Expire => AuditKind::Expired,
        ActionEvent::Begin => AuditKind::Started,
        ActionEvent::Rehearse => AuditKind::Rehearsed,
        ActionEvent::Accept => AuditKind::Accepted,
        ActionEvent::Succeed => AuditKind::Succeeded,
        ActionEvent::Fail => AuditKind::Failed,
        ActionEvent::Retry => AuditKind::Retried,
    }
}
