//! What the gate refused: on record once, and told at every pass.

use skep_core::gate::{Cause, Request, Verdict};
use skep_core::identity::ObjectKey;
use skep_core::plan::{Step, Waiting};
use skep_store::Refusal;

use super::gate::Gate;
use super::propose::Origin;
use super::world::World;
use crate::Error;
use crate::controller::Context;
use crate::leader::Leadership;

/// A refusal that is not on record yet.
pub(crate) fn refusal(
    context: &Context,
    origin: Origin<'_>,
    world: &World,
    gate: &Gate,
    request: &Request<'_>,
    step: &Step,
    verdict: &Verdict,
) -> Option<Refusal> {
    // Nobody refused it: it could not be told.
    if verdict.cause().is_blindness() || !context.refusals.is_new(step, verdict) {
        return None;
    }
    context.refusals.recorded(step, verdict);
    Some(Refusal {
        key: ObjectKey::service(&world.snapshot.cluster, &step.target),
        actor: origin.actor.to_owned(),
        decision: gate.row(request, step, verdict, None),
    })
}

/// Puts refusals on record.
pub(crate) async fn record(
    context: &Context,
    leadership: &Leadership,
    world: &World,
    refusals: &[Refusal],
) -> Result<(), Error> {
    if refusals.is_empty() {
        return Ok(());
    }
    let recorded = context.store.record_refusals(leadership.fence(), refusals, world.now).await;
    if recorded.is_err() {
        let names = refusals.iter().map(|refusal| &refusal.decision.target);
        names.for_each(|name| context.refusals.forget(name));
    }
    Ok(recorded?)
}

/// What a person is told about it.
pub(crate) fn denied(step: &Step, verdict: &Verdict) -> Waiting {
    let code = match verdict.cause() {
        Cause::Frozen => "FROZEN",
        Cause::RateLimit => "RATE_LIMITED",
        Cause::UnavailabilityBudget => "TOO_MUCH_UNAVAILABLE",
        cause if cause.is_blindness() => "POLICY_UNDECIDABLE",
        _ => "DENIED_BY_POLICY",
    };
    Waiting {
        target: Some(step.target.clone()),
        code: code.to_owned(),
        reason: format!(
            "{} is denied by rule {}: {}",
            step.action,
            verdict.rule().label(),
            verdict.reason()
        ),
    }
}
