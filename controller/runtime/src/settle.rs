//! Intents: sending one, and finding out what became of one whose outcome nobody knows.
//!
//! An unknown update is settled by sending *the same bytes with the same Version* again. If the
//! first request was lost, this one does the work; if it was not, the engine refuses this one and
//! the object shows whose write it carries. The same change is never sent with a fresh Version.
//! A create has no Version: it is looked for by name, and asked of the gate again if it is not
//! there. A replacement is both a removal and a create, see [`replace`].
//!
//! An engine that answers with an error of its own has given a definite answer that may pass: that
//! is a failed attempt, of which there are at most three ([`skep_core::retry`]). No answer at all
//! is none.

pub(crate) mod landed;
mod object;
mod replace;
mod write;

use serde_json::Value;
use skep_core::action::{Action, ActuatorMode, IntentPhase, Source};
use skep_core::identity::SwarmId;
use skep_core::letter::LetterReason;
use skep_core::observed::ObservedService;
use skep_core::plan::{NetworkNames, normalise};
use skep_core::retry::{self, Failure};
use skep_core::spec::Spec;
use skep_core::{labels, rollout};
use skep_store::{Effects, Intent, IntentOutcome, OwnedObject, OwnershipChange};
use skep_swarm::{Error as EngineError, observe};

use self::write::Write;
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::{Attempt, read_by_name};
use crate::{Error, attempts, contain, history};

/// Whether an earlier copy of the request may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The intent was stored a moment ago by this process.
    First,
    /// An earlier process, or a lost reply, may have done it already.
    Again,
}

/// Settles one intent that an earlier leader, or a lost reply, left open. The caller has claimed
/// its key.
pub(crate) async fn settle(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    intent: &Intent,
) -> Result<Attempt, Error> {
    if intent.phase != IntentPhase::Write {
        return send_and_settle(context, leadership, action, intent, Sending::Again).await;
    }
    if object::is_about(action) {
        return object::Work { context, leadership, action, intent }.settle().await;
    }
    // A dry run writes nothing, not even the rest of what a live actuator began.
    if context.options.mode == ActuatorMode::DryRun {
        return look_and_settle(context, leadership, action, intent).await;
    }
    // While people hold the object nothing is sent for it, not even what may have been sent before.
    if intent.object.is_some()
        && let contain::Settling::OnlyLook(held) =
            contain::settle_held(context, action, intent.phase).await?
    {
        return look_while_held(context, leadership, action, intent, &held.reason).await;
    }
    let work = Write { context, leadership, action, intent };
    let earlier = context.store.attempts(&action.id).await?;
    if let Some(all) =
        earlier.filter(|earlier| earlier.failed >= retry::attempts_allowed(&action.step))
    {
        return work.conclude(&all).await;
    }
    // A create has no Version that would fence an old copy. Where nothing is there, the action
    // goes back to the gate; should the first copy still land, the name refuses the second.
    if intent.object.is_none() {
        return work.look_for_it(Failure::NoReply, "the create never arrived").await;
    }
    send_and_settle(context, leadership, action, intent, Sending::Again).await
}

/// Sends the request of an intent and stores what came of it.
pub(crate) async fn send_and_settle(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    intent: &Intent,
    sending: Sending,
) -> Result<Attempt, Error> {
    if let Some(outcome) = contain::before_sending(context, action, sending).await? {
        return store(context, leadership, action, intent, outcome).await;
    }
    if intent.phase != IntentPhase::Write {
        return replace::Work { context, leadership, action, intent }.carry_on(sending).await;
    }
    may_write(context, leadership)?;
    if object::is_about(action) {
        return object::Work { context, leadership, action, intent }.send(sending).await;
    }
    let work = Write { context, leadership, action, intent };
    // Counted from this process's first copy, so that one that is still under way can arrive.
    context.asking_since(&intent.id);
    let error = match send(context, intent).await {
        Ok(sent) => {
            let outcome = done(context, action, intent, sent).await;
            return store(context, leadership, action, intent, outcome).await;
        }
        Err(error) => error,
    };
    let decided = match &error {
        EngineError::Refused { status, .. } if error.may_have_had_effect() => {
            return work.engine_error(&format!("the engine answered {status}: {error}")).await;
        }
        _ if error.may_have_had_effect() => return Ok(unknown(intent, &error)),
        // Our own first copy may be what stands in the way, for example of its port; that of a
        // create may even be one of an earlier intent.
        EngineError::Refused { message, .. }
            if sending == Sending::Again || intent.object.is_none() =>
        {
            work.read_back(&work.refusal(message).await?).await
        }
        EngineError::Refused { .. } => {
            let failed = attempts::failed(context, action, LetterReason::Refused).await?;
            Ok(IntentOutcome::Refused { detail: error.to_string(), failed })
        }
        EngineError::OutOfSequence { .. } => {
            match work.read_back(&work.refusal(&error.to_string()).await?).await {
                // Somebody moved the service between reading and writing.
                Ok(IntentOutcome::NoEffect { detail }) if sending == Sending::First => {
                    Ok(work.moved(detail))
                }
                // The manager that answers the read has not seen what moved the service, and what
                // moved it may be our own first copy.
                Ok(IntentOutcome::Refused { .. }) => return Ok(unknown(intent, &error)),
                outcome => outcome,
            }
        }
        EngineError::NotFound { message, .. } | EngineError::Conflict { message, .. } => {
            work.read_back(&work.refusal(message).await?).await
        }
        // It was never sent; the grant still holds.
        _ if sending == Sending::First => {
            Ok(IntentOutcome::Retry { detail: format!("nothing was sent: {error}"), attempt: None })
        }
        _ => return Ok(unknown(intent, &error)),
    };
    match decided {
        Ok(outcome) => store(context, leadership, action, intent, outcome).await,
        Err(error) => Ok(unknown(intent, &error)),
    }
}

/// The store would refuse what comes after as well; this saves the write, and is counted.
fn may_write(context: &Context, leadership: &Leadership) -> Result<(), Error> {
    if leadership.is_trusted() {
        return Ok(());
    }
    context.metrics.writes_dropped.inc();
    Err(Error::LeaseLost)
}

fn unknown(intent: &Intent, error: &EngineError) -> Attempt {
    tracing::warn!(action.id = %intent.action, error = %error, "act.outcome_unknown");
    Attempt::Retry(format!("the outcome is unknown: {error}"))
}

/// Settles without writing: only proof counts.
async fn look_and_settle(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    intent: &Intent,
) -> Result<Attempt, Error> {
    match live(context, intent).await {
        Ok(Some(service)) if carries(&service, intent) => {
            let outcome = recorded(context, action, intent, &service, "found done");
            store(context, leadership, action, intent, outcome).await
        }
        Ok(_) => Ok(Attempt::Waiting(
            OUTCOME_UNKNOWN.to_owned(),
            "its outcome is unknown and the actuator is a dry run: turn it on to settle it"
                .to_owned(),
        )),
        Err(error) => Ok(Attempt::Retry(error.to_string())),
    }
}

/// The same for an update of something that people hold. Its Version tells when it can no longer
/// arrive.
async fn look_while_held(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    intent: &Intent,
    why: &str,
) -> Result<Attempt, Error> {
    let outcome = match live(context, intent).await {
        Ok(Some(service)) if carries(&service, intent) => {
            recorded(context, action, intent, &service, "found done")
        }
        Ok(Some(service)) if Some(service.version) == intent.version => {
            let why = format!("its outcome is unknown; {why}");
            return Ok(Attempt::Waiting(OUTCOME_UNKNOWN.to_owned(), why));
        }
        Ok(_) => IntentOutcome::NoEffect { detail: format!("it moved meanwhile; {why}") },
        Err(error) => return Ok(Attempt::Retry(error.to_string())),
    };
    store(context, leadership, action, intent, outcome).await
}

/// The code of what waits for somebody to settle it.
pub(crate) const OUTCOME_UNKNOWN: &str = "OUTCOME_UNKNOWN";

/// The state of an action that the engine has accepted and Swarm rolls out.
pub(crate) const ROLLING_OUT: &str = "rolling_out";

pub(crate) async fn store(
    context: &Context,
    leadership: &Leadership,
    action: &Action,
    intent: &Intent,
    mut outcome: IntentOutcome,
) -> Result<Attempt, Error> {
    // Containment looks again and begins anew; nobody may grant its action once more.
    if let (true, IntentOutcome::Retry { detail, .. }) = (action.is_containment(), &outcome) {
        outcome = IntentOutcome::NoEffect { detail: detail.clone() };
    }
    history::of_write(context, action, intent, &mut outcome);
    let now = context.clock.now();
    match context.store.settle(leadership.fence(), &intent.id, &outcome, now).await {
        Ok(()) => {}
        Err(skep_store::Error::Conflict { .. }) => {
            return Ok(Attempt::Ended("settled", "settled meanwhile".to_owned()));
        }
        Err(error) => return Err(error.into()),
    }
    Ok(match outcome {
        IntentOutcome::Done { detail, .. } => Attempt::Ended("succeeded", detail),
        IntentOutcome::Accepted { detail, .. } => Attempt::Ended(ROLLING_OUT, detail),
        IntentOutcome::Refused { detail, failed }
        | IntentOutcome::PutBack { detail, failed, .. } => {
            if failed.is_some() {
                context.metrics.count_letter(action.source.as_str());
            }
            Attempt::Ended("failed", detail)
        }
        IntentOutcome::NoEffect { detail } => Attempt::Ended("superseded", detail),
        IntentOutcome::Retry { detail, attempt: Some(attempt) } => {
            context.metrics.count_failed_attempt(attempt.failure.as_str());
            let wait = attempts::wait(attempt.not_before.duration_since(now));
            Attempt::After(wait, detail)
        }
        IntentOutcome::Retry { detail, attempt: None } => Attempt::Retry(detail),
    })
}

/// What the engine answered to an accepted request.
struct Sent {
    id: SwarmId,
    warnings: Vec<String>,
}

async fn send(context: &Context, intent: &Intent) -> Result<Sent, EngineError> {
    let body = intent.body.clone().into();
    // Those of now, also for an intent that an earlier process has stored: they are no part of it.
    let auth = context.images.credentials_for(&intent.body).await;
    match (&intent.object, intent.version) {
        (Some(id), Some(version)) => {
            let updated = context.engine.update_service(id, version, body, auth.as_ref()).await?;
            Ok(Sent { id: id.clone(), warnings: updated.warnings })
        }
        _ => {
            let created = context.engine.create_service(body, auth.as_ref()).await?;
            Ok(Sent { id: created.id, warnings: created.warnings })
        }
    }
}

/// The engine said yes. Its answer is the proof; reading back tells whether the picture agrees.
async fn done(context: &Context, action: &Action, intent: &Intent, sent: Sent) -> IntentOutcome {
    let mut detail = String::from(if intent.object.is_some() { "updated" } else { "created" });
    // One request instead of three: its tasks are nobody's concern here.
    let found = by_id(context, &sent.id).await;
    let service = found.as_ref().ok().and_then(Option::as_ref);
    let service = service.filter(|service| carries(service, intent) || equals(service, intent));
    match &found {
        Ok(_) if service.is_some() => detail.push_str(" and read back"),
        // The manager that answers may lag behind the one that wrote.
        Ok(_) => detail.push_str("; reading back does not show it yet"),
        Err(error) => detail.push_str(&format!("; reading back failed: {error}")),
    }
    if !sent.warnings.is_empty() {
        detail.push_str(&format!("; the engine warns: {}", sent.warnings.join("; ")));
    }
    let effects = effects(context, action, intent, &sent.id);
    accepted(action, service, detail, effects)
}

async fn live(context: &Context, intent: &Intent) -> Result<Option<ObservedService>, EngineError> {
    match &intent.object {
        Some(id) => by_id(context, id).await,
        None => read_by_name(context, &intent.key.name).await,
    }
}

/// The service with this id, without its tasks.
async fn by_id(context: &Context, id: &SwarmId) -> Result<Option<ObservedService>, EngineError> {
    match context.engine.inspect_service(id.as_str()).await {
        Ok(found) => observe::service(found).map(Some),
        Err(EngineError::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// True when the live spec carries this action's label: proof that the write arrived.
fn carries(service: &ObservedService, intent: &Intent) -> bool {
    let spec = service.spec.value();
    let label = spec.get("Labels").and_then(|own| own.get(labels::ACTION));
    label.and_then(Value::as_str) == Some(intent.action.as_str())
}

/// True when the live spec says what the intent wanted, restarts included.
fn equals(service: &ObservedService, intent: &Intent) -> bool {
    let names = NetworkNames::default();
    serde_json::from_slice::<Value>(&intent.body).is_ok_and(|wanted| {
        normalise(&wanted, &names) == normalise(&service.spec.value(), &names)
            && Spec::from(wanted).restarts() == service.spec.restarts()
    })
}

/// The live service carries the write.
fn recorded(
    context: &Context,
    action: &Action,
    intent: &Intent,
    service: &ObservedService,
    detail: &str,
) -> IntentOutcome {
    let effects = effects(context, action, intent, &service.id);
    accepted(action, Some(service), detail.to_owned(), effects)
}

/// The engine has done it. Where tasks are replaced, whether it works is known when that has ended.
fn accepted(
    action: &Action,
    service: Option<&ObservedService>,
    detail: String,
    effects: Effects,
) -> IntentOutcome {
    // A kill is done when the engine has it, and so is the way back.
    if !action.is_containment() && rollout::follows(&action.step, service) {
        IntentOutcome::Accepted { detail, effects }
    } else {
        IntentOutcome::Done { detail, effects }
    }
}

fn effects(context: &Context, action: &Action, intent: &Intent, id: &SwarmId) -> Effects {
    // An update is about a service that is on record already; a create adds one.
    let is_update = intent.phase == IntentPhase::Write && intent.object.is_some();
    let ownership = (!is_update).then(|| {
        OwnershipChange::Record(OwnedObject {
            key: intent.key.clone(),
            id: id.clone(),
            source: declared_by(action),
            stack: None,
            since: context.clock.now(),
        })
    });
    Effects { ownership, ..Effects::default() }
}

/// The source that declared what was carried out, as the label of the written spec names it.
fn declared_by(action: &Action) -> Source {
    action.step.provenance.as_ref().map_or(action.step.source, |place| place.source)
}
