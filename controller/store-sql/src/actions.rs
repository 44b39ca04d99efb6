//! Rows of `actions`, and what a proposal must be.

use skep_core::action::{Action, ActionKind, ActionState, ActuatorMode, Source};
use skep_core::approval::{ApprovalStatus, Wait};
use skep_core::canonical::Digest;
use skep_core::identity::{ActionId, ApprovalId, PlanId};
use skep_store::{
    ActionList, Error, NewAction, Protection, Result, UnreadableAction, step_context,
};

use crate::columns::{instant_or_none, json_error, key, word};
use crate::instant::from_column;

const WHAT: &str = "action";

/// A row of `actions`. Not `Debug`: the step holds values of the environment.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ActionRow {
    pub id: String,
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub kind: String,
    pub plan_id: String,
    pub step: Vec<u8>,
    pub binding: String,
    pub source: String,
    pub actor: String,
    pub reason: String,
    pub mode: String,
    pub rule: String,
    pub state: String,
    pub revision: i64,
    pub approval_id: Option<String>,
    pub detail: String,
    pub created_at: i64,
    pub updated_at: i64,
    pub granted_at: Option<i64>,
    pub start_by: Option<i64>,
    pub wait_code: Option<String>,
    pub wait_reason: Option<String>,
    pub wait_since: Option<i64>,
    pub runnable_since: Option<i64>,
    pub moved: Option<String>,
}

impl ActionRow {
    /// The action.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self, protection: &Protection) -> Result<Action> {
        let step = protection.open(WHAT, &step_context(&self.id), self.step)?;
        let since = instant_or_none(self.wait_since, WHAT)?;
        let wait = match (self.wait_code, self.wait_reason, since) {
            (Some(code), Some(reason), Some(since)) => Some(Wait { code, reason, since }),
            _ => None,
        };
        let moved = self.moved.as_deref().map(serde_json::from_str).transpose();
        Ok(Action {
            id: ActionId::new(self.id),
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            plan: PlanId::new(self.plan_id),
            step: serde_json::from_slice(&step).map_err(|error| json_error(&error, WHAT))?,
            binding: Digest::from_stored(self.binding),
            source: word(&self.source, Source::from_word, WHAT)?,
            actor: self.actor,
            reason: self.reason,
            mode: word(&self.mode, ActuatorMode::from_word, WHAT)?,
            rule: self.rule,
            state: word(&self.state, ActionState::from_word, WHAT)?,
            revision: self.revision,
            approval: self.approval_id.map(ApprovalId::new),
            detail: self.detail,
            created_at: from_column(self.created_at, WHAT)?,
            updated_at: from_column(self.updated_at, WHAT)?,
            granted_at: instant_or_none(self.granted_at, WHAT)?,
            start_by: instant_or_none(self.start_by, WHAT)?,
            wait,
            runnable_since: instant_or_none(self.runnable_since, WHAT)?,
            moved: moved.map_err(|error| json_error(&error, WHAT))?,
        })
    }
}

/// Reads rows one by one: one that cannot be read does not hide the others.
#[must_use]
pub fn list(rows: Vec<ActionRow>, protection: &Protection) -> ActionList {
    let mut list = ActionList { actions: Vec::with_capacity(rows.len()), unreadable: vec![] };
    for row in rows {
        let (id, name) = (row.id.clone(), row.object_name.clone());
        match row.read(protection) {
            Ok(action) => list.actions.push(action),
            Err(error) => {
                list.unreadable.push(UnreadableAction { id: ActionId::new(id), name, error });
            }
        }
    }
    list
}

/// What has to be true of a proposal before anything is written.
///
/// # Errors
/// [`Error::Refused`] with what it contradicts.
pub fn check_proposal(new: &NewAction) -> Result<()> {
    let action = &new.action;
    let refuse = |why| Err(Error::Refused { what: WHAT, id: action.id.to_string(), why });
    match (action.state, &new.approval) {
        (ActionState::Pending, None) => return refuse("it waits for nobody's decision"),
        (ActionState::Granted, Some(_)) => return refuse("it asks for what is granted already"),
        (ActionState::Pending, Some(_)) | (ActionState::Granted, None) => {}
        _ => return refuse("a new action is pending or granted"),
    }
    if let Some(approval) = &new.approval
        && approval.status != ApprovalStatus::Pending
    {
        return refuse("its request is decided already");
    }
    if new.approval.as_ref().is_some_and(|approval| approval.action != action.id)
        || new.approval.as_ref().map(|approval| &approval.id) != action.approval.as_ref()
        || new.decision.action.as_ref() != Some(&action.id)
    {
        return refuse("its request or its decision is about another action");
    }
    Ok(())
}
