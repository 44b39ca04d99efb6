//! What containment and the protected set keep everybody else from doing.

use std::collections::BTreeSet;

use skep_core::action::{Action, ActionEvent, ActionState, IntentPhase};
use skep_core::containment::{Contained, ContainmentState, Held, block_protected};
use skep_core::identity::{ObjectKey, ServiceName};
use skep_core::observed::{ObservedService, Snapshot};
use skep_core::plan::{Plan, Requested, Step};
use skep_store::{ActionFilter, IntentOutcome};

use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::World;
use crate::reconcile::close::close;
use crate::settle::Sending;

/// The plan without what is contained, and with what is protected blocked.
pub(crate) fn guarded(
    context: &Context,
    plan: Plan,
    contained: &Contained,
    observed: &Snapshot,
) -> Plan {
    let protected = &context.options.protected;
    plan.guarded(|steps| protected.block(steps, observed), |step| contained.holds_back(step))
}

/// Why nothing may be done for an object now. Read from the store, not from the pass: an order
/// counts from the moment at which it is stored.
pub(crate) async fn held(context: &Context, action: &Action) -> Result<Option<Held>, Error> {
    if action.is_containment() {
        return Ok(None);
    }
    let contained = context.store.contained(&action.key.cluster).await?;
    if contained.is_empty() {
        return Ok(None);
    }
    let name = &action.step.target;
    let declared = context.declared();
    let domain = contained.domain(declared.as_deref(), name);
    // The domain that it was decided in, and the one that it is in now.
    Ok(contained.held(name, domain).or_else(|| contained.held(name, &action.step.domain)))
}

/// Ends what waits for a decision, or to start, for something that is contained: when it is
/// resumed, the plan looks again.
pub(crate) async fn withdraw(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    busy: &BTreeSet<ObjectKey>,
) -> Result<(), Error> {
    if world.contained.is_empty() {
        return Ok(());
    }
    let states = vec![ActionState::Pending, ActionState::Granted];
    let idle = context.store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    for action in idle {
        if action.key.cluster != world.snapshot.cluster || busy.contains(&action.key) {
            continue;
        }
        let name = &action.step.target;
        let domain = world.contained.domain(Some(&world.desired), name);
        let held = world.contained.held(name, domain);
        let held = held.or_else(|| world.contained.held(name, &action.step.domain));
        if let Some(held) = held {
            let why = format!("{}: {}", held.code, held.reason);
            close(context, leadership, &action, ActionEvent::Supersede, &why).await?;
        }
    }
    Ok(())
}

/// A step as it may be carried out: blocked when it would take something protected down.
pub(crate) fn protect_step(
    context: &Context,
    mut step: Step,
    live: Option<&ObservedService>,
) -> Step {
    block_protected(&mut step, &context.options.protected, live);
    step
}

/// The same for what a person asks for by hand.
pub(crate) fn protect_request(
    context: &Context,
    world: &World,
    name: &ServiceName,
    requested: Requested,
) -> Requested {
    let Requested::Step { step, secrets } = requested else { return requested };
    let mut step = protect_step(context, *step, world.live(name));
    match step.blocked.take() {
        Some(blocked) => Requested::Refused(blocked),
        None => Requested::Step { step: Box::new(step), secrets },
    }
}

/// The last look, after the intent is stored and right before it is sent: what to store instead of
/// sending it, if it may not be sent any more.
pub(crate) async fn before_sending(
    context: &Context,
    action: &Action,
    sending: Sending,
) -> Result<Option<IntentOutcome>, Error> {
    if sending == Sending::Again {
        return Ok(None);
    }
    Ok(held(context, action).await?.map(|held| {
        let detail = format!("nothing was sent: {}: {}", held.code, held.reason);
        IntentOutcome::NoEffect { detail }
    }))
}

/// What an intent whose outcome is unknown is to do while its object is contained.
pub(crate) enum Settling {
    /// As always.
    AsAlways,
    /// Look, and send nothing.
    OnlyLook(Held),
}

/// Whether an unknown intent may be sent again. An update waits until its object is resumed, and a
/// replacement of what was killed stops between its two requests: nothing runs then. One of what
/// was paused goes on to its end, because a pause must not leave a service removed.
pub(crate) async fn settle_held(
    context: &Context,
    action: &Action,
    phase: IntentPhase,
) -> Result<Settling, Error> {
    let Some(held) = held(context, action).await? else { return Ok(Settling::AsAlways) };
    Ok(match (phase, held.state) {
        (IntentPhase::Write, _) | (IntentPhase::Create, ContainmentState::Killed) => {
            Settling::OnlyLook(held)
        }
        _ => Settling::AsAlways,
    })
}
