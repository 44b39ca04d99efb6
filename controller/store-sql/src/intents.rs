//! Rows of `intents`.

use skep_core::action::IntentPhase;
use skep_core::identity::{ActionId, IntentId, SwarmId};
use skep_store::{Error, Intent, IntentOutcome, Protection, Result};

use crate::columns::{key, stored_version, word};
use crate::instant::from_column;

const WHAT: &str = "intent";

/// The word for an outcome in the tables.
#[must_use]
pub fn outcome_word(outcome: &IntentOutcome) -> &'static str {
    match outcome {
        // What became of the rollout stands with the action.
        IntentOutcome::Done { .. } | IntentOutcome::Accepted { .. } => "done",
        IntentOutcome::Refused { .. } | IntentOutcome::PutBack { .. } => "refused",
        IntentOutcome::NoEffect { .. } => "no_effect",
        IntentOutcome::Retry { .. } => "retry",
    }
}

/// A row of `intents`. Not `Debug`: the body holds values of the environment.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct IntentRow {
    pub id: String,
    pub action_id: String,
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub object_id: Option<String>,
    pub version: Option<i64>,
    pub phase: String,
    pub body: Vec<u8>,
    pub created_at: i64,
}

impl IntentRow {
    /// The intent.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self, protection: &Protection) -> Result<Intent> {
        let (id, action) = (IntentId::new(self.id), ActionId::new(self.action_id));
        let key = key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?;
        let context = Intent::body_context(&id, &action, &key);
        Ok(Intent {
            body: protection.open(WHAT, &context, self.body)?,
            id,
            action,
            key,
            object: self.object_id.map(SwarmId::new),
            version: stored_version(self.version, WHAT)?,
            phase: word(&self.phase, IntentPhase::from_word, WHAT)?,
            created_at: from_column(self.created_at, WHAT)?,
        })
    }
}

/// The part of a row of `intents` that says whether it is open.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct OpenIntentRow {
    pub action_id: String,
    pub phase: String,
    pub outcome: String,
}

/// An intent whose outcome is unknown.
pub struct OpenIntent {
    /// Its action.
    pub action: ActionId,
    /// Which of its requests comes next.
    pub phase: IntentPhase,
}

impl OpenIntentRow {
    /// The intent, while it is open.
    ///
    /// # Errors
    /// [`Error::NotFound`] without a row, [`Error::Conflict`] when it has been settled.
    pub fn open(row: Option<Self>, id: &IntentId) -> Result<OpenIntent> {
        let row = row.ok_or_else(|| Error::NotFound { what: WHAT, id: id.to_string() })?;
        if row.outcome != "unknown" {
            let current = format!("settled as {}", row.outcome);
            return Err(Error::Conflict { what: WHAT, id: id.to_string(), current });
        }
        Ok(OpenIntent {
            action: ActionId::new(row.action_id),
            phase: word(&row.phase, IntentPhase::from_word, WHAT)?,
        })
    }
}

impl OpenIntent {
    /// Whether a replacement may move on like this.
    ///
    /// # Errors
    /// [`Error::Conflict`] when it is elsewhere, [`Error::Refused`] for any other step than from
    /// the removal to the create.
    pub fn may_advance(&self, id: &IntentId, from: IntentPhase, to: IntentPhase) -> Result<()> {
        if self.phase != from {
            let current = format!("in phase {}", self.phase);
            return Err(Error::Conflict { what: WHAT, id: id.to_string(), current });
        }
        if !from.leads_to(to) {
            let why = "only a removal is followed by another request";
            return Err(Error::Refused { what: WHAT, id: id.to_string(), why });
        }
        Ok(())
    }
}
