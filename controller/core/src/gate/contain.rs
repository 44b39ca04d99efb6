//! Containment's way through the gate: the one authorisation that no rule, freeze, window, budget,
//! rate or ledger has a say in, because it stops things.
//!
//! What it can authorise is narrow: scaling one service to zero while a kill of it is on record,
//! and putting back exactly what was recorded before, while none is.

use serde_json::json;

use super::Authorised;
use crate::action::{ActionKind, Source};
use crate::canonical::Digest;
use crate::containment::{
    Contained, ContainmentState, ContainmentVerb, FormerState, PROTECTED, Protected, changes_of,
    is_killed, kill_edits,
};
use crate::digester::Digester;
use crate::identity::{ClusterId, GroupKey, ObjectKey, StepId};
use crate::observed::ObservedService;
use crate::plan::{DriftClass, Edit, Operation, PLANNER_VERSION, Risk, Step};
use crate::request::RequestVerb;

/// What one service is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Containing<'a> {
    /// Everything that is contained on the swarm.
    pub contained: &'a Contained,
    /// What nobody may stop.
    pub protected: &'a Protected,
    /// The swarm.
    pub cluster: &'a ClusterId,
    /// The service as it is now; it must be on record as ours.
    pub live: &'a ObservedService,
    /// Its domain.
    pub domain: &'a str,
    /// What the step's digest is made with.
    pub digester: &'a Digester,
}

/// What containment wants of a service now.
#[derive(Debug)]
pub enum Wanted {
    /// This write, and nothing else. For a kill: with what was there before.
    Write {
        /// A kill, or the way back.
        verb: ContainmentVerb,
        /// The right to do it, once.
        step: Box<Authorised<Step>>,
        /// Who ordered it.
        actor: String,
        /// What is to be put back one day; recorded before the write.
        former: FormerState,
    },
    /// It is as it should be; what was there before still has to be recorded.
    Record(FormerState),
    /// It is as it was before the kill: the record has served.
    Forget,
    /// Nothing.
    Nothing,
    /// It cannot be killed.
    Skipped {
        /// A stable code.
        code: &'static str,
        /// Why, in one sentence.
        reason: String,
    },
}

/// Decides what containment wants of one service. `Authorised` is minted here and in
/// [`crate::approval::redeem`], nowhere else.
#[must_use]
pub fn contain(asked: Containing<'_>) -> Wanted {
    let Containing { contained, live, domain, .. } = asked;
    let recorded = contained.recorded(&live.name).filter(|state| state.object == live.id);
    match (contained.in_force(&live.name, domain), recorded) {
        (Some(order), _) if order.state == ContainmentState::Killed => {
            if let Some(why) = asked.protected.why(live) {
                let reason = format!("it is protected: {why}");
                return Wanted::Skipped { code: PROTECTED, reason };
            }
            // What the first kill found is what is put back, whatever somebody did meanwhile.
            let former = recorded
                .map_or_else(|| FormerState::of(&live.spec), |one| Some(one.former.clone()));
            let (Some(edits), Some(former)) = (kill_edits(&live.spec), former) else {
                let reason = "it is a job: its tasks end by themselves, and any write would run \
                              it again; remove it with docker if it must end now";
                return Wanted::Skipped { code: "IS_A_JOB", reason: reason.to_owned() };
            };
            match (is_killed(&live.spec), recorded) {
                (true, Some(_)) => Wanted::Nothing,
                (true, None) => Wanted::Record(former),
                (false, _) => {
                    let again = if recorded.is_some() { "killed again" } else { "killed" };
                    let reason = format!("{again} {}", order.said());
                    let step = asked.step(RequestVerb::Kill, edits, reason);
                    let (verb, actor) = (ContainmentVerb::Kill, order.actor.clone());
                    let step = Box::new(Authorised::mint(step));
                    Wanted::Write { verb, step, actor, former }
                }
            }
        }
        (None, Some(state)) => {
            if state.former.holds(&live.spec) {
                return Wanted::Forget;
            }
            let by = contained.resuming(&live.name, domain);
            let said = by.map(|by| format!(" {}", by.said())).unwrap_or_default();
            let reason = format!("put back as it was before the kill; resumed{said}");
            let step = asked.step(RequestVerb::Resume, state.former.edits().to_vec(), reason);
            Wanted::Write {
                verb: ContainmentVerb::Resume,
                step: Box::new(Authorised::mint(step)),
                actor: by.map_or_else(|| "containment".to_owned(), |by| by.actor.clone()),
                former: state.former.clone(),
            }
        }
        _ => Wanted::Nothing,
    }
}

impl Containing<'_> {
    fn step(&self, verb: RequestVerb, edits: Vec<Edit>, reason: String) -> Step {
        let live = self.live;
        // Stopping is what a kill is; the way back changes fields like any other update.
        let action = match verb {
            RequestVerb::Kill => ActionKind::StopService,
            _ => ActionKind::ScaleService,
        };
        let content = json!({
            "planner": PLANNER_VERSION,
            "key": ObjectKey::service(self.cluster, &live.name),
            "object": live.id,
            "action": action,
            "request": verb,
            "edits": edits,
        });
        let mut step = Step {
            id: StepId::new(""),
            action,
            target: live.name.clone(),
            object: Some(live.id.clone()),
            class: DriftClass::Requested,
            reason,
            wave: 1,
            risk: Risk::High,
            changes: changes_of(&live.spec.value(), &edits),
            operation: Operation::Update { edits },
            blocked: None,
            notes: Vec::new(),
            confirm: None,
            source: Source::Manual,
            domain: self.domain.to_owned(),
            provenance: None,
            observed_at: Some(live.updated_at),
            request: Some(verb),
            difference: None,
            digest: Digest::of_bytes(b""),
            group: GroupKey::default(),
            stack: None,
        };
        step.identify(self.digester, &content);
        step
    }
}
