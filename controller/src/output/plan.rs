//! The plan: for programs exactly the agreed fields, for people like a code review.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionKind, ActionState, Source};
use skep_core::desired::Provenance;
use skep_core::gate::{Override, Remark, Verdict};
use skep_core::hold::{Hold, HoldKind};
use skep_core::plan::{Blocked, Change, DriftClass, Note, Plan, Risk, Step, Summary, Waiting};

use super::change::change_line;
use super::{Style, first_line, plain};

/// A plan as it is shown. The operation with its values is not part of it: what differs is in
/// `changes`, masked.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView<'a> {
    plan_id: &'a str,
    digest: &'a str,
    cluster_id: &'a str,
    summary: Summary,
    steps: Vec<StepView<'a>>,
    waiting: &'a [Waiting],
    /// Freezes that are in force, each as one sentence. Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    freezes: Vec<String>,
}

/// A step as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct StepView<'a> {
    id: &'a str,
    action: ActionKind,
    target: &'a str,
    class: DriftClass,
    reason: &'a str,
    wave: u32,
    risk: Risk,
    changes: &'a [Change],
    digest: &'a str,
    blocked: Option<&'a Blocked>,
    notes: &'a [Note],
    confirm: Option<&'a str>,
    source: Source,
    domain: &'a str,
    provenance: Option<&'a Provenance>,
    object: Option<&'a str>,
    /// What has become of this very step, when it was proposed before.
    asked: Option<Asked<'a>>,
    /// Why it is not proposed although it differs. Left out where nothing holds it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Held<'a>>,
    /// What rules in mode `warn` would decide about a step that nobody has filed yet. Left out
    /// where there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<&'a Remark>,
}

/// What a person said about the difference of a step.
#[derive(Debug, Serialize)]
pub(crate) struct Held<'a> {
    code: &'static str,
    by: &'a str,
    reason: &'a str,
    until: Option<Timestamp>,
    /// How it is proposed all the same.
    #[serde(skip)]
    next: String,
}

/// The newest action about a step.
#[derive(Debug, Serialize)]
pub(crate) struct Asked<'a> {
    action_id: &'a str,
    approval_id: Option<&'a str>,
    state: ActionState,
    detail: &'a str,
}

impl<'a> PlanView<'a> {
    /// The view of a plan, with the newest action of each service.
    pub(crate) fn new(plan: &'a Plan, latest: &'a [Action]) -> Self {
        Self {
            plan_id: plan.plan_id.as_str(),
            digest: plan.digest.as_str(),
            cluster_id: plan.cluster_id.as_str(),
            summary: plan.summary,
            steps: plan.steps.iter().map(|step| StepView::new(step, latest)).collect(),
            waiting: &plan.waiting,
            freezes: Vec::new(),
        }
    }

    /// The same with what is frozen.
    pub(crate) fn with_freezes(mut self, plan: &'a Plan, freezes: &'a [Override]) -> Self {
        for (view, step) in self.steps.iter_mut().zip(&plan.steps) {
            let (kind, target) = (step.action.as_str(), step.target.as_str());
            let over = freezes.iter().find(|freeze| freeze.covers(kind, target, &step.domain));
            view.held = over.map(Held::by_freeze).or(view.held.take());
        }
        self.freezes = freezes.iter().map(Override::described).collect();
        self
    }

    /// The same with what people said about differences.
    pub(crate) fn with_holds(mut self, plan: &'a Plan, holds: &'a [Hold], now: Timestamp) -> Self {
        for (view, step) in self.steps.iter_mut().zip(&plan.steps) {
            let hold = holds.iter().find(|hold| hold.key.name == step.target.as_str());
            match hold {
                Some(hold) if hold.keeps(step.difference.as_ref(), now) => {
                    view.held = Some(Held::new(hold));
                }
                // Somebody wants it proposed again.
                Some(hold) if hold.kind == HoldKind::Retry => view.held = None,
                Some(_) | None => {}
            }
        }
        self
    }

    /// The same with what the policy would warn of, by step. An action that is filed says it
    /// itself, in its reason.
    pub(crate) fn with_warnings(mut self, verdicts: &'a [Verdict]) -> Self {
        for (view, verdict) in self.steps.iter_mut().zip(verdicts) {
            if view.could_be_proposed() {
                view.warnings = verdict.warnings().collect();
            }
        }
        self
    }

    /// Whether a step could be proposed that is neither asked, settled nor held.
    pub(crate) fn has_unasked(&self) -> bool {
        self.steps.iter().any(StepView::could_be_proposed)
    }

    /// Whether a step waits for a person's decision.
    pub(crate) fn has_pending(&self) -> bool {
        let waits = |asked: &Asked<'_>| asked.state == ActionState::Pending;
        self.steps.iter().any(|step| step.asked.as_ref().is_some_and(waits))
    }

    /// For people; the last line is the totals.
    pub(crate) fn text(&self, style: Style) -> String {
        let mut text = String::new();
        for step in &self.steps {
            step.write(&mut text, style);
            text.push('\n');
        }
        if !self.waiting.is_empty() {
            let _ = writeln!(text, "{}", style.bold("Waiting"));
            for waiting in self.waiting {
                let target = waiting.target.as_ref().map_or("(fleet)", |target| target.as_str());
                let _ = writeln!(
                    text,
                    "  {}  {}  {}",
                    plain(target),
                    style.yellow(&plain(&waiting.code)),
                    first_line(&waiting.reason)
                );
            }
            text.push('\n');
        }
        let Summary { create, update, remove, adopt, unchanged, blocked } = self.summary;
        let _ = writeln!(
            text,
            "Plan {}: {create} to create, {update} to update, {remove} to remove, \
             {adopt} to adopt, {unchanged} unchanged, {blocked} blocked.",
            style.bold(self.plan_id),
        );
        text
    }
}

impl<'a> Held<'a> {
    fn new(hold: &'a Hold) -> Self {
        let code = if hold.kind == HoldKind::Accepted { "ACCEPTED_DRIFT" } else { "HELD" };
        let next = format!("skep service retry {} proposes it again", hold.key.name);
        Self { code, by: &hold.actor, reason: &hold.reason, until: hold.until, next }
    }

    fn by_freeze(freeze: &'a Override) -> Self {
        let next = format!("skep unfreeze {} lifts the freeze", freeze.short_id());
        let (by, reason) = (&freeze.actor, &freeze.reason);
        Self { code: "FROZEN", by, reason, until: freeze.expires_at, next }
    }

    /// A service that a person released is not adopted again by itself.
    fn by_release(step: &Step, last: &'a Action) -> Option<Self> {
        let is_released = step.action == ActionKind::AdoptService
            && last.kind == ActionKind::ReleaseService
            && last.state == ActionState::Succeeded
            && last.step.target == step.target
            && last.step.object == step.object;
        is_released.then_some(Self {
            code: "RELEASED",
            by: &last.actor,
            reason: "it is not adopted again by itself",
            until: None,
            next: format!("skep service retry {} proposes it again", step.target),
        })
    }
}

impl<'a> StepView<'a> {
    /// The view of a step.
    pub(crate) fn new(step: &'a Step, latest: &'a [Action]) -> Self {
        let about_it = |action: &&Action| action.step.digest == step.digest;
        let asked = latest.iter().find(about_it).map(|action| Asked {
            action_id: action.id.as_str(),
            approval_id: action.approval.as_ref().map(|id| id.as_str()),
            state: action.state,
            detail: &action.detail,
        });
        Self {
            asked,
            held: latest.iter().find_map(|action| Held::by_release(step, action)),
            warnings: Vec::new(),
            id: step.id.as_str(),
            action: step.action,
            target: step.target.as_str(),
            class: step.class,
            reason: &step.reason,
            wave: step.wave,
            risk: step.risk,
            changes: &step.changes,
            digest: step.digest.as_str(),
            blocked: step.blocked.as_ref(),
            notes: &step.notes,
            confirm: step.confirm.as_deref(),
            source: step.source,
            domain: &step.domain,
            provenance: step.provenance.as_ref(),
            object: step.object.as_ref().map(|id| id.as_str()),
        }
    }

    fn could_be_proposed(&self) -> bool {
        let is_asked = self.asked.as_ref().is_some_and(|asked| match asked.state {
            // Rehearsed, denied and failed steps are not asked again while nothing changes.
            ActionState::Superseded | ActionState::Expired | ActionState::Succeeded => false,
            _ => true,
        });
        self.blocked.is_none() && self.held.is_none() && !is_asked
    }

    /// Appends the step as a person reads it.
    pub(crate) fn write(&self, text: &mut String, style: Style) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} {}  {}  {}  wave {}  risk {}",
            self.sign(style),
            style.bold(&plain(self.target)),
            self.action,
            self.class,
            self.wave,
            self.risk,
        );
        let mut reason = plain(self.reason);
        if let Some(at) = self.provenance.map(|at| plain(&at.to_string()))
            && !reason.contains(&at)
        {
            let _ = write!(reason, " ({at})");
        }
        let _ = writeln!(text, "    {}", style.dim(&reason));
        if let Some(commit) = self.provenance.and_then(Provenance::shown_commit) {
            let _ = writeln!(text, "    {}", style.dim(&plain(&commit)));
        }
        if let Some(confirm) = self.confirm {
            let _ = writeln!(text, "    {}: {}", style.yellow("needs a person"), plain(confirm));
        }
        for warning in &self.warnings {
            let _ =
                writeln!(text, "    {}: {}", style.yellow("warning"), plain(&warning.to_string()));
        }
        for note in self.notes {
            let (code, message) = (plain(&note.code), plain(&note.message));
            let _ = writeln!(text, "    note {}: {message}", style.yellow(&code));
        }
        if self.action.is_adoption() && !self.changes.is_empty() {
            let _ = writeln!(text, "    {}", style.dim("once adopted, this would be proposed:"));
        }
        for change in self.changes {
            change_line(text, change, style);
        }
        if let Some(asked) = &self.asked {
            let id = asked.action_id.get(..8).unwrap_or(asked.action_id);
            let detail = if asked.detail.is_empty() { "" } else { ": " };
            let _ = writeln!(
                text,
                "    asked as {id}, {}{detail}{}",
                style.yellow(asked.state.as_str()),
                first_line(asked.detail)
            );
        }
        if let Some(Held { code, by, reason, until, next }) = &self.held {
            let until = until.map(|at| format!(" until {at:.0}")).unwrap_or_default();
            let (by, reason) = (plain(by), first_line(reason));
            let _ = writeln!(text, "    {} by {by}{until}: {reason}", style.yellow(code));
            let _ = writeln!(text, "    next: {}", plain(next));
        }
        if let Some(blocked) = self.blocked {
            let code = style.red(&plain(&blocked.code));
            let _ = writeln!(text, "    blocked {code}: {}", plain(&blocked.message));
            let _ = writeln!(text, "    next: {}", plain(&blocked.hint));
        }
    }

    fn sign(&self, style: Style) -> String {
        if self.blocked.is_some() {
            return style.red("!");
        }
        match self.action {
            kind if kind.writes_nothing_to_the_engine() => style.cyan("→"),
            kind if kind.is_removal() => style.red("-"),
            ActionKind::RollbackService | ActionKind::RedeployStack => style.yellow("<"),
            _ if self.object.is_none() => style.green("+"),
            _ => style.yellow("~"),
        }
    }
}
