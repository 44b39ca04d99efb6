//! Approvals and actions as they are shown. A step's operation holds values of the environment
//! and is never part of a view.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionKind, ActionState, ActuatorMode, Source};
use skep_core::approval::{Approval, ApprovalStatus, Moved, Overdue, Wait, overdue};
use skep_core::audit::{AuditEvent, AuditKind};
use skep_core::gate::Override;
use skep_core::identity::APPROVAL_PREFIX;

use super::freeze;
use crate::config::{Config, table};
use crate::output::plan::StepView;

/// A request as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct ApprovalView {
    pub(super) id: String,
    pub(super) action_id: String,
    pub(super) kind: ActionKind,
    pub(super) target: String,
    pub(super) plan: String,
    pub(super) binding: String,
    pub(super) status: ApprovalStatus,
    pub(super) revision: i64,
    pub(super) created_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) decided_at: Option<Timestamp>,
    pub(super) decided_by: Option<String>,
    pub(super) decided_source: Option<String>,
    /// The decision that covered it, when that covered several.
    pub(super) batch_id: Option<String>,
    pub(super) comment: Option<String>,
    /// Why the action is proposed; empty when the action is not on record any more.
    pub(super) reason: String,
    pub(super) source: Option<Source>,
    pub(super) mode: Option<ActuatorMode>,
    /// Where the action stands.
    pub(super) state: Option<ActionState>,
    /// What should have happened by now and has not.
    pub(super) overdue: Option<Overdue>,
    /// What the action waits for, or would when it is approved.
    pub(super) wait: Option<Wait>,
    /// What requests have in common whose change is the same apart from the service.
    pub(super) group: Option<String>,
}

impl ApprovalView {
    pub(super) fn new(approval: &Approval, action: Option<&Action>) -> Self {
        Self {
            id: approval.id.to_string(),
            action_id: approval.action.to_string(),
            kind: approval.kind,
            target: approval.target.to_string(),
            plan: approval.plan.to_string(),
            binding: approval.binding.to_string(),
            status: approval.status,
            revision: approval.revision,
            created_at: approval.created_at,
            expires_at: approval.expires_at,
            decided_at: approval.decided_at,
            decided_by: approval.decided_by.clone(),
            decided_source: approval.decided_source.clone(),
            batch_id: approval.batch.as_ref().map(ToString::to_string),
            comment: approval.comment.clone(),
            reason: action.map(|action| action.reason.clone()).unwrap_or_default(),
            source: action.map(|action| action.source),
            mode: action.map(|action| action.mode),
            state: action.map(|action| action.state),
            overdue: None,
            wait: action.and_then(|action| action.wait.clone()),
            group: action.map(|action| action.step.group.to_string()),
        }
    }
}

impl ApprovalView {
    /// The same with what is overdue about its action.
    pub(super) fn at(mut self, clock: &Lateness, action: Option<&Action>) -> Self {
        self.overdue = action.and_then(|action| clock.of(action, Some(self.expires_at)));
        self
    }
}

/// What is needed to tell what is overdue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lateness {
    pub(super) timeout: jiff::SignedDuration,
    pub(super) now: Timestamp,
}

impl Lateness {
    pub(super) fn new(config: &Config, now: Timestamp) -> Self {
        let timeout = config.interval(table::ACTION_TIMEOUT);
        Self { timeout: timeout.try_into().unwrap_or(jiff::SignedDuration::MAX), now }
    }

    pub(super) fn of(&self, action: &Action, lapses_at: Option<Timestamp>) -> Option<Overdue> {
        overdue(action, lapses_at, self.timeout, self.now)
    }
}

/// As many characters of an id as people need.
pub(super) fn short(id: &str) -> &str {
    let random = id.strip_prefix(APPROVAL_PREFIX).unwrap_or(id);
    random.get(..8).unwrap_or(random)
}

/// An action as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct ActionView<'a> {
    pub(super) id: &'a str,
    pub(super) kind: ActionKind,
    pub(super) target: &'a str,
    pub(super) state: ActionState,
    pub(super) detail: &'a str,
    pub(super) reason: &'a str,
    pub(super) source: Source,
    pub(super) actor: &'a str,
    pub(super) mode: ActuatorMode,
    pub(super) rule: &'a str,
    pub(super) plan: &'a str,
    pub(super) cluster_id: &'a str,
    pub(super) binding: &'a str,
    pub(super) revision: i64,
    pub(super) approval_id: Option<&'a str>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
    pub(super) granted_at: Option<Timestamp>,
    pub(super) start_by: Option<Timestamp>,
    /// What it waits for; its time to start does not run meanwhile.
    pub(super) wait: Option<&'a Wait>,
    /// The freeze that keeps it from starting; its time to start runs on.
    pub(super) frozen: Option<String>,
    /// What should have happened by now and has not.
    pub(super) overdue: Option<Overdue>,
    pub(super) runnable_since: Option<Timestamp>,
    /// Of a superseded action: what was decided about beside what was planned then.
    pub(super) moved: Option<&'a Moved>,
    pub(super) step: StepView<'a>,
}

impl<'a> ActionView<'a> {
    pub(super) fn new(action: &'a Action) -> Self {
        Self {
            id: action.id.as_str(),
            kind: action.kind,
            target: &action.key.name,
            state: action.state,
            detail: &action.detail,
            reason: &action.reason,
            source: action.source,
            actor: &action.actor,
            mode: action.mode,
            rule: &action.rule,
            plan: action.plan.as_str(),
            cluster_id: action.key.cluster.as_str(),
            binding: action.binding.as_str(),
            revision: action.revision,
            approval_id: action.approval.as_ref().map(|id| id.as_str()),
            created_at: action.created_at,
            updated_at: action.updated_at,
            granted_at: action.granted_at,
            start_by: action.start_by,
            wait: action.wait.as_ref(),
            frozen: None,
            overdue: None,
            runnable_since: action.runnable_since,
            moved: action.moved.as_ref(),
            step: StepView::new(&action.step, &[]),
        }
    }

    /// The same with what is overdue about it; `lapses_at` is when its request does.
    pub(super) fn at(
        mut self,
        clock: &Lateness,
        action: &Action,
        lapses_at: Option<Timestamp>,
    ) -> Self {
        self.overdue = clock.of(action, lapses_at);
        self
    }

    /// The same with what keeps it from starting, of these freezes.
    pub(super) fn under(mut self, freezes: &[Override], action: &Action) -> Self {
        let may_start = matches!(action.state, ActionState::Pending | ActionState::Granted);
        // No freeze stops containment.
        if may_start && !action.is_containment() {
            self.frozen = freeze::over(freezes, &action.step).map(Override::why_frozen);
        }
        self
    }
}

/// A row of the trail as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct AuditView {
    pub(super) sequence: i64,
    pub(super) at: Timestamp,
    pub(super) kind: AuditKind,
    pub(super) actor: String,
    pub(super) detail: String,
}

impl AuditView {
    pub(super) fn new((sequence, event): (i64, AuditEvent)) -> Self {
        let AuditEvent { at, kind, actor, detail, .. } = event;
        Self { sequence, at, kind, actor, detail }
    }
}
