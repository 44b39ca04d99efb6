//! Changes of an action's state: what is possible, and what is written down about it.

use jiff::Timestamp;
use skep_core::action::{
    ActionEvent, ActionKind, ActionState, ActuatorMode, IllegalTransition, IntentPhase, Source,
};
use skep_core::approval::{ApprovalStatus, Moved};
use skep_core::audit::{ActionFacts, AuditData, AuditEvent, AuditKind};
use skep_core::identity::{ActionId, ObjectKey};
use skep_store::{Closing, Effects, Error, Intent, IntentOutcome, OwnershipChange, Result};

use crate::columns::{json, key, word};
use crate::instant::to_column;

const WHAT: &str = "action";

/// The part of a row of `actions` that a change needs.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct HeadRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub kind: String,
    pub mode: String,
    pub source: String,
    pub actor: String,
    pub state: String,
    pub revision: i64,
}

impl HeadRow {
    /// What it says.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a row, [`Error::Corrupt`] for an unknown word.
    pub fn read(row: Option<Self>, id: &ActionId) -> Result<Head> {
        let row = row.ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_string() })?;
        Ok(Head {
            id: id.clone(),
            key: key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?,
            kind: word(&row.kind, ActionKind::from_word, WHAT)?,
            mode: word(&row.mode, ActuatorMode::from_word, WHAT)?,
            source: word(&row.source, Source::from_word, WHAT)?,
            actor: row.actor,
            state: word(&row.state, ActionState::from_word, WHAT)?,
            revision: row.revision,
        })
    }
}

/// What a change of state needs to know: everything but the step, so that an action whose step
/// this version cannot read can still be closed.
pub struct Head {
    /// Which action.
    pub id: ActionId,
    /// Its object.
    pub key: ObjectKey,
    /// What it does.
    pub kind: ActionKind,
    /// Whether it is for real.
    pub mode: ActuatorMode,
    /// Where it comes from.
    pub source: Source,
    /// Who proposed it.
    pub actor: String,
    /// Where it stands.
    pub state: ActionState,
    /// How often it has changed.
    pub revision: i64,
}

impl Head {
    /// Compare-and-set: the caller decided on what it saw at this revision.
    ///
    /// # Errors
    /// [`Error::Conflict`] with where it stands now.
    pub fn at_revision(&self, seen: i64) -> Result<()> {
        if self.revision == seen {
            return Ok(());
        }
        Err(self.moved())
    }

    /// Somebody else was faster.
    #[must_use]
    pub fn moved(&self) -> Error {
        Error::Conflict {
            what: WHAT,
            id: self.id.to_string(),
            current: format!("{} at revision {}", self.state, self.revision),
        }
    }

    /// What the trail says about the action beside the sentence.
    #[must_use]
    pub fn facts(&self, state: ActionState, attempts_before: u32) -> AuditData {
        AuditData::Action(ActionFacts {
            operation: self.kind,
            source: self.source,
            initiator: self.actor.clone(),
            mode: self.mode,
            state,
            attempts_before,
        })
    }

    fn refused(&self, why: &'static str) -> Error {
        Error::Refused { what: WHAT, id: self.id.to_string(), why }
    }

    /// Last line of a promise that the layers above make too.
    fn may_run(&self) -> Result<()> {
        match self.mode {
            ActuatorMode::Swarm => Ok(()),
            ActuatorMode::DryRun => {
                Err(self.refused("what was approved as a rehearsal never runs for real"))
            }
        }
    }

    /// Whether the action may be begun with this intent.
    ///
    /// # Errors
    /// [`Error::Conflict`] and [`Error::Refused`] as [`skep_store::Intents::begin`] says.
    pub fn may_begin(&self, revision: i64, intent: &Intent) -> Result<()> {
        self.at_revision(revision)?;
        self.may_run()?;
        if self.key != intent.key {
            return Err(self.refused("its intent is about another object"));
        }
        if self.kind.needs_no_intent() {
            return Err(self.refused("it only changes our own records and needs no intent"));
        }
        if intent.phase == IntentPhase::Create {
            return Err(self.refused("a replacement begins with the removal"));
        }
        Ok(())
    }

    /// Whether the action may be carried out without a request to the engine.
    ///
    /// # Errors
    /// As [`skep_store::Intents::settle_without_write`] says.
    pub fn may_settle_without_write(&self, revision: i64, outcome: &IntentOutcome) -> Result<()> {
        self.at_revision(revision)?;
        self.may_run()?;
        if !self.kind.needs_no_intent() {
            return Err(self.refused("it writes to the engine and needs an intent"));
        }
        if matches!(outcome, IntentOutcome::Accepted { .. }) {
            return Err(self.refused("nothing is sent to the engine, so nothing rolls out"));
        }
        Ok(())
    }

    /// Whether the effects are all about the action's own object.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn owns(&self, effects: &Effects) -> Result<()> {
        let Effects { ownership, revision, hold } = effects;
        let keys = [
            ownership.as_ref().map(object_of),
            revision.as_ref().map(|revision| &revision.key),
            hold.as_ref().map(|hold| &hold.key),
        ];
        if keys.into_iter().flatten().any(|key| *key != self.key) {
            return Err(self.refused("its outcome is about another object"));
        }
        let maker = revision.as_ref().and_then(|revision| revision.action.as_ref());
        if maker.is_some_and(|action| *action != self.id) {
            return Err(self.refused("its revision was made by another action"));
        }
        Ok(())
    }

    /// Whether the action may be closed like this, and what becomes of its request then.
    ///
    /// # Errors
    /// [`Error::Conflict`] and [`Error::Transition`] as [`skep_store::Actions::close_action`]
    /// says.
    pub fn may_close(&self, closing: &Closing) -> Result<Option<ApprovalStatus>> {
        self.at_revision(closing.revision)?;
        let illegal = || IllegalTransition { from: self.state, event: closing.event };
        let approval = match closing.event {
            ActionEvent::Supersede => Some(ApprovalStatus::Superseded),
            ActionEvent::Expire => Some(ApprovalStatus::Expired),
            ActionEvent::Deny => Some(ApprovalStatus::Denied),
            // What was approved was a rehearsal or a rollout, and it took place.
            ActionEvent::Rehearse | ActionEvent::Succeed => None,
            // What fails leaves a letter.
            ActionEvent::Fail
            | ActionEvent::Grant
            | ActionEvent::Begin
            | ActionEvent::Accept
            | ActionEvent::Retry => return Err(illegal().into()),
        };
        if self.state == ActionState::Executing {
            // The engine may have done it; only the outcome of the intent ends it.
            return Err(illegal().into());
        }
        Ok(approval)
    }

    /// Whether the action may be ended as failed like this.
    ///
    /// # Errors
    /// [`Error::Conflict`] and [`Error::Transition`] as [`skep_store::DeadLetters::fail_action`]
    /// says.
    pub fn may_fail(&self, closing: &Closing) -> Result<()> {
        self.at_revision(closing.revision)?;
        // What is executing may be done; only the outcome of the intent ends it.
        if closing.event != ActionEvent::Fail || self.state == ActionState::Executing {
            return Err(IllegalTransition { from: self.state, event: closing.event }.into());
        }
        Ok(())
    }

    /// What the change writes. Nothing else leads to another state.
    ///
    /// # Errors
    /// [`Error::Transition`] when it is not possible from where the action stands.
    pub fn moves(
        &self,
        change: &Change<'_>,
        attempts_before: u32,
        now: Timestamp,
    ) -> Result<ChangedColumns> {
        let after = self.state.after(change.event)?;
        let state = after.as_str();
        let updated_at = to_column(now);
        let moved = change.moved.map(serde_json::to_string);
        Ok(ChangedColumns {
            state,
            updated_at,
            granted_at: (change.event == ActionEvent::Grant).then_some(updated_at),
            start_by: change.start_by.map(to_column),
            moved: moved.map(|text| json(text, WHAT)).transpose()?,
            event: AuditEvent {
                at: now,
                kind: audit_kind(change.event),
                actor: change.actor.to_owned(),
                key: Some(self.key.clone()),
                action: Some(self.id.clone()),
                detail: change.said.to_owned(),
                data: Some(self.facts(after, attempts_before)),
            },
        })
    }
}

fn object_of(change: &OwnershipChange) -> &ObjectKey {
    match change {
        OwnershipChange::Record(object) => &object.key,
        OwnershipChange::Forget(key) => key,
    }
}

/// The columns that a change writes, and its row of the audit trail.
pub struct ChangedColumns {
    /// The new state.
    pub state: &'static str,
    /// When.
    pub updated_at: i64,
    /// The same, when it was granted; otherwise what is there stays.
    pub granted_at: Option<i64>,
    /// Only with a grant; otherwise what is there stays.
    pub start_by: Option<i64>,
    /// Only when it is superseded; otherwise what is there stays.
    pub moved: Option<String>,
    /// The row of the audit trail.
    pub event: AuditEvent,
}

/// One change of state, and what is written down about it.
pub struct Change<'a> {
    /// What happens.
    pub event: ActionEvent,
    /// Who, for the audit trail.
    pub actor: &'a str,
    /// What, for the audit trail.
    pub said: &'a str,
    /// What, for the action; `None` leaves it as it is.
    pub detail: Option<&'a str>,
    /// Only with a grant.
    pub start_by: Option<Timestamp>,
    /// What moved, only when it is superseded.
    pub moved: Option<&'a Moved>,
}

impl<'a> Change<'a> {
    /// The end of an action that never reached the engine, or of a rollout.
    #[must_use]
    pub fn closing(closing: &'a Closing) -> Self {
        Self {
            event: closing.event,
            actor: &closing.actor,
            said: &closing.detail,
            detail: Some(&closing.detail),
            start_by: None,
            moved: closing.moved.as_ref(),
        }
    }

    /// The beginning, with or without an intent.
    #[must_use]
    pub fn begin(actor: &'a str, said: &'a str) -> Self {
        Self { event: ActionEvent::Begin, actor, said, detail: None, start_by: None, moved: None }
    }

    /// What an outcome does.
    #[must_use]
    pub fn outcome(outcome: &'a IntentOutcome, actor: &'a str) -> Self {
        let said = outcome.detail();
        Self {
            event: outcome.event(),
            actor,
            said,
            detail: Some(said),
            start_by: None,
            moved: None,
        }
    }
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
