//! Carrying out the way back of a stack: files its members, and ends it with them. A crash at any
//! point leaves it granted with some members filed, and whoever leads goes on from there.

use skep_core::action::{Action, ActionEvent, ActionKind, ActionState};
use skep_core::approval::{self, Proposal};
use skep_core::gate::{Cause, Decision, Request};
use skep_core::identity::{ActionId, ObjectKey, PlanId};
use skep_core::letter::LetterReason;
use skep_core::plan::{Operation, RolloutOf, StackMember, Step};
use skep_core::stack::{Progress, RETURNING, progress};
use skep_store::{ActionFilter, Effects, IntentOutcome, NewAction, ProposeOutcome};

use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::World;
use crate::reconcile::act::Attempt;
use crate::reconcile::close::close;
use crate::reconcile::gate::Gate;
use crate::{Error, attempts};

/// Every action about a member of a whole, its own and others. Not only the newest: what is filed
/// after a member has ended must not hide that it has.
pub(super) async fn members_on_record(
    context: &Context,
    whole: &Action,
) -> Result<Vec<Action>, Error> {
    let Operation::ReturnStack { members, .. } = &whole.step.operation else {
        return Ok(Vec::new());
    };
    let key = |member: &StackMember| ObjectKey::of(&whole.key.cluster, member.service());
    let keys: Vec<ObjectKey> = members.iter().map(key).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    Ok(context.store.actions(&ActionFilter { keys, ..ActionFilter::default() }).await?)
}

/// The action about a whole stack that an action is a member of.
pub(crate) async fn whole_of(context: &Context, action: &Action) -> Result<Option<Action>, Error> {
    match action.step.stack.as_ref().and_then(|of| of.member_of.as_ref()) {
        Some(whole) => Ok(Some(context.store.action(whole.as_str()).await?)),
        None => Ok(None),
    }
}

/// True when a member of the whole has been filed: from then on it goes on to its end.
pub(crate) async fn has_begun(context: &Context, whole: &Action) -> Result<bool, Error> {
    let members = members_on_record(context, whole).await?;
    let is_member = |action: &Action| {
        let of = action.step.stack.as_ref().and_then(|of| of.member_of.as_ref());
        of == Some(&whole.id)
    };
    Ok(members.iter().any(is_member))
}

/// Goes on with a whole that has begun; `None` for one that has not, which must be redeemed first.
pub(crate) async fn carry_on(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    whole: &Action,
) -> Result<Option<Attempt>, Error> {
    if whole.kind != ActionKind::RedeployStack || !has_begun(context, whole).await? {
        return Ok(None);
    }
    let mut members = members_on_record(context, whole).await?;
    if let Progress::Stop { why, waiting } = progress(whole, &members) {
        let why = format!("the way back of the stack has stopped: {why}");
        for action in waiting {
            close(context, leadership, action, ActionEvent::Supersede, &why).await?;
        }
        members = members_on_record(context, whole).await?;
    }
    Ok(Some(match progress(whole, &members) {
        Progress::Unfiled(_) => {
            return file_members(context, leadership, world, whole).await.map(Some);
        }
        Progress::Running(how_far) | Progress::Stop { why: how_far, .. } => waiting(how_far),
        Progress::Done(detail) => {
            let outcome = IntentOutcome::Done { detail, effects: Effects::default() };
            end(context, leadership, whole, outcome).await?
        }
        Progress::Failed(detail) => {
            let failed = attempts::failed(context, whole, LetterReason::RolloutFailed).await?;
            end(context, leadership, whole, IntentOutcome::Refused { detail, failed }).await?
        }
    }))
}

fn waiting(reason: String) -> Attempt {
    Attempt::Waiting(RETURNING.to_owned(), reason)
}

async fn end(
    context: &Context,
    leadership: &Leadership,
    whole: &Action,
    outcome: IntentOutcome,
) -> Result<Attempt, Error> {
    let (store, now) = (&context.store, context.clock.now());
    let fence = leadership.fence();
    store.settle_without_write(fence, &whole.id, whole.revision, &outcome, now).await?;
    let state = match outcome {
        IntentOutcome::Done { .. } => ActionState::Succeeded,
        _ => ActionState::Failed,
    };
    Ok(Attempt::Ended(state.as_str(), outcome.detail().to_owned()))
}

/// Files the members that have no action yet, all in one transaction. What the gate refuses to one
/// of them keeps all of them from being filed.
pub(crate) async fn file_members(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    whole: &Action,
) -> Result<Attempt, Error> {
    let on_record = members_on_record(context, whole).await?;
    let Progress::Unfiled(members) = progress(whole, &on_record) else {
        return Ok(waiting("its members are on record".to_owned()));
    };
    let gate = Gate::open(context, world).await;
    let mut filed = Vec::new();
    for member in members {
        let name = member.service();
        let open = on_record.iter().find(|one| one.key.target() == *name && one.state.is_open());
        match open.map(|open| (open, open.state)) {
            Some((open, ActionState::Pending | ActionState::Granted)) => {
                let why = "its stack goes back";
                close(context, leadership, open, ActionEvent::Supersede, why).await?;
            }
            Some((_, state)) => return Ok(waiting(format!("waits for {name}, which is {state}"))),
            None => {}
        }
        let step = step_of(whole, member);
        let request = Request::for_step(&step, context.options.mode, context.clock.now());
        let verdict = gate.ask(&request);
        if verdict.decision() == Decision::Deny {
            let why = format!("{name} may not go back: {}", verdict.reason());
            let passes = verdict.cause().is_blindness()
                || matches!(
                    verdict.cause(),
                    Cause::Frozen | Cause::RateLimit | Cause::UnavailabilityBudget
                );
            if passes || !on_record.is_empty() && has_begun(context, whole).await? {
                return Ok(waiting(why));
            }
            close(context, leadership, whole, ActionEvent::Deny, &why).await?;
            return Ok(Attempt::Ended(ActionState::Denied.as_str(), why));
        }
        let id = ActionId::generate(context.random.as_ref());
        let key = ObjectKey::of(&world.snapshot.cluster, name);
        let plan = PlanId::new(step.digest.short(16));
        let proposal = Proposal {
            id: &id,
            key: &key,
            plan: &plan,
            step: &step,
            verdict: &verdict,
            mode: context.options.mode,
            actor: &whole.actor,
            now: context.clock.now(),
        };
        let action = match approval::member(&proposal, whole, &context.options.clocks) {
            Ok(action) => action,
            Err(error) => return Ok(Attempt::Retry(error.to_string())),
        };
        let decision = gate.row(&request, &step, &verdict, Some(id.clone()));
        filed.push(NewAction { action, approval: None, decision, request: None });
    }
    let now = context.clock.now();
    let outcomes = context.store.propose(leadership.fence(), &filed, now).await?;
    for (new, outcome) in filed.iter().zip(&outcomes) {
        if *outcome == ProposeOutcome::Recorded {
            context.retries().reset(&new.action.step.target);
            tracing::info!(
                action.id = %new.action.id,
                service.name = %new.action.step.target,
                whole.id = %whole.id,
                "stack.member_filed"
            );
        }
    }
    // Its worker is done with it; from here on its members say how far it is.
    Ok(Attempt::Ended("begun", format!("{} services go back", filed.len())))
}

/// The step of a member as it is filed: whoever proposed the whole proposed it.
fn step_of(whole: &Action, member: &StackMember) -> Step {
    let declaration = match &whole.step.operation {
        Operation::ReturnStack { declaration, .. } => declaration.clone(),
        _ => whole.step.digest.clone(),
    };
    let stack = RolloutOf {
        stack: whole.step.target.bare().to_owned(),
        declaration,
        member_of: Some(whole.id.clone()),
    };
    Step { stack: Some(stack), source: whole.source, ..member.step.clone() }
}
