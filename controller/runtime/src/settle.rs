//! Intents: sending one, and finding out what became of one whose outcome nobody knows.
//!
//! An unknown update is settled by sending *the same bytes with the same Version* again. If the
//! first request was lost, this one does the work; if it was not, the engine refuses this one and
//! the object shows whose write it carries. The same change is never sent with a fresh Version.
//! A create has no Version: it is looked for by name, and asked of the gate again if it is not
//! there.

use std::time::Duration;

use serde_json::Value;
use skep_core::action::{ActuatorMode, Source};
use skep_core::identity::SwarmId;
use skep_core::labels;
use skep_core::observed::ObservedService;
use skep_core::plan::{NetworkNames, normalise};
use skep_core::spec::Spec;
use skep_store::{Effects, Intent, IntentOutcome, OwnedObject, OwnershipChange};
use skep_swarm::{Error as EngineError, observe};

use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::{Attempt, read_by_name};
use crate::{Error, history};

/// Whether an earlier copy of the request may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sending {
    /// The intent was stored a moment ago by this process.
    First,
    /// An earlier process, or a lost reply, may have done it already.
    Again,
}

/// A definite answer is expected within the daemon's own limit of 20 s; an engine that refuses
/// copies with an internal error for this long has not done it and will not.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// Settles one intent that an earlier leader, or a lost reply, left open. The caller has claimed
/// its key.
pub(crate) async fn settle(
    context: &Context,
    leadership: &Leadership,
    intent: &Intent,
) -> Result<Attempt, Error> {
    // A dry run writes nothing, not even the rest of what a live actuator began.
    if context.options.mode == ActuatorMode::DryRun {
        return look_and_settle(context, leadership, intent).await;
    }
    // A create has no Version that would fence an old copy. Where nothing is there, the action
    // goes back to the gate; should the first copy still land, the name refuses the second.
    if intent.object.is_none() {
        match live(context, intent).await {
            Ok(None) => {
                let detail = "the create never arrived; the grant is looked at again".to_owned();
                return store(context, leadership, intent, IntentOutcome::Retry { detail }).await;
            }
            Ok(Some(_)) => {
                let outcome = read_back(context, intent, "the name is taken").await;
                return match outcome {
                    Ok(outcome) => store(context, leadership, intent, outcome).await,
                    Err(error) => Ok(Attempt::Retry(error.to_string())),
                };
            }
            Err(error) => return Ok(Attempt::Retry(error.to_string())),
        }
    }
    send_and_settle(context, leadership, intent, Sending::Again).await
}

/// Sends the request of an intent and stores what came of it.
pub(crate) async fn send_and_settle(
    context: &Context,
    leadership: &Leadership,
    intent: &Intent,
    sending: Sending,
) -> Result<Attempt, Error> {
    if !leadership.is_trusted() {
        context.metrics.writes_dropped.inc();
        return Err(Error::LeaseLost);
    }
    let unknown = |error: EngineError| {
        tracing::warn!(action.id = %intent.action, error = %error, "act.outcome_unknown");
        Ok(Attempt::Retry(format!("the outcome is unknown: {error}")))
    };
    // Counted from this process's first copy, so that one that is still under way can arrive.
    let asking_since = context.asking_since(&intent.id);
    let decided = match send(context, intent).await {
        Ok(sent) => Ok(done(context, intent, sent).await),
        Err(EngineError::Refused { message, status, .. })
            if sending == Sending::Again
                && (status.is_client_error() || asking_since.elapsed() > GIVE_UP_AFTER) =>
        {
            // Our own first copy may be what stands in the way, for example of its port.
            read_back(context, intent, &message).await
        }
        Err(error) if error.may_have_had_effect() => return unknown(error),
        Err(error @ EngineError::OutOfSequence { .. }) => {
            match read_back(context, intent, &error.to_string()).await {
                // Somebody moved the service between reading and writing; the grant still holds.
                Ok(IntentOutcome::NoEffect { detail }) if sending == Sending::First => {
                    Ok(IntentOutcome::Retry { detail })
                }
                // The manager that answers the read has not seen what moved the service, and what
                // moved it may be our own first copy.
                Ok(IntentOutcome::Refused { .. }) => return unknown(error),
                outcome => outcome,
            }
        }
        Err(EngineError::NotFound { message, .. } | EngineError::Conflict { message, .. }) => {
            read_back(context, intent, &message).await
        }
        Err(error @ EngineError::Refused { .. }) => {
            Ok(IntentOutcome::Refused { detail: error.to_string() })
        }
        // It was never sent; the grant still holds.
        Err(error) if sending == Sending::First => {
            Ok(IntentOutcome::Retry { detail: format!("nothing was sent: {error}") })
        }
        Err(error) => return unknown(error),
    };
    match decided {
        Ok(outcome) => store(context, leadership, intent, outcome).await,
        Err(error) => unknown(error),
    }
}

/// Settles without writing: only proof counts.
async fn look_and_settle(
    context: &Context,
    leadership: &Leadership,
    intent: &Intent,
) -> Result<Attempt, Error> {
    match live(context, intent).await {
        Ok(Some(service)) if carries(&service, intent) => {
            let outcome = recorded(context, intent, &service.id, "found done");
            store(context, leadership, intent, outcome).await
        }
        Ok(_) => Ok(Attempt::Waiting(
            "its outcome is unknown and the actuator is a dry run: turn it on to settle it"
                .to_owned(),
        )),
        Err(error) => Ok(Attempt::Retry(error.to_string())),
    }
}

async fn store(
    context: &Context,
    leadership: &Leadership,
    intent: &Intent,
    mut outcome: IntentOutcome,
) -> Result<Attempt, Error> {
    if let IntentOutcome::Done { effects, .. } = &mut outcome {
        let action = context.store.action(intent.action.as_str()).await?;
        history::of_write(context, &action, intent, effects);
    }
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
        IntentOutcome::Accepted { detail, .. } => Attempt::Ended("rolling out", detail),
        IntentOutcome::Refused { detail } => Attempt::Ended("failed", detail),
        IntentOutcome::NoEffect { detail } => Attempt::Ended("superseded", detail),
        IntentOutcome::Retry { detail } => Attempt::Retry(detail),
    })
}

/// What the engine answered to an accepted request.
struct Sent {
    id: SwarmId,
    warnings: Vec<String>,
}

async fn send(context: &Context, intent: &Intent) -> Result<Sent, EngineError> {
    let body = intent.body.clone().into();
    match (&intent.object, intent.version) {
        (Some(id), Some(version)) => {
            let updated = context.engine.update_service(id, version, body).await?;
            Ok(Sent { id: id.clone(), warnings: updated.warnings })
        }
        _ => {
            let created = context.engine.create_service(body).await?;
            Ok(Sent { id: created.id, warnings: created.warnings })
        }
    }
}

/// The engine said yes. Its answer is the proof; reading back tells whether the picture agrees.
async fn done(context: &Context, intent: &Intent, sent: Sent) -> IntentOutcome {
    let mut detail = String::from(if intent.object.is_some() { "updated" } else { "created" });
    match live(context, intent).await {
        Ok(Some(service)) if carries(&service, intent) => detail.push_str(" and read back"),
        // The manager that answers may lag behind the one that wrote.
        Ok(_) => detail.push_str("; reading back does not show it yet"),
        Err(error) => detail.push_str(&format!("; reading back failed: {error}")),
    }
    if !sent.warnings.is_empty() {
        detail.push_str(&format!("; the engine warns: {}", sent.warnings.join("; ")));
    }
    recorded(context, intent, &sent.id, &detail)
}

/// The engine said no: decide by what is there now.
async fn read_back(
    context: &Context,
    intent: &Intent,
    refusal: &str,
) -> Result<IntentOutcome, EngineError> {
    let refused = || IntentOutcome::Refused { detail: format!("the engine refused it: {refusal}") };
    Ok(match (live(context, intent).await?, &intent.object) {
        (Some(service), _) if carries(&service, intent) => {
            recorded(context, intent, &service.id, "found done: the reply had been lost")
        }
        // The label may be gone while the change is there: Swarm's own rollback, or another
        // client that rewrote the labels. Equal specs are as good as done.
        (Some(service), Some(_)) if equals(&service, intent) => {
            recorded(context, intent, &service.id, "found as wanted")
        }
        (Some(service), Some(_)) if Some(service.version) == intent.version => refused(),
        (Some(_), Some(_)) => IntentOutcome::NoEffect {
            detail: "somebody else changed the service meanwhile".to_owned(),
        },
        (None, Some(_)) => {
            IntentOutcome::NoEffect { detail: "the service was removed meanwhile".to_owned() }
        }
        (Some(service), None) => IntentOutcome::Refused {
            detail: format!(
                "FOREIGN_NAME: a service named {:?} that is not ours was created meanwhile ({}): \
                 {refusal}",
                intent.key.name, service.id
            ),
        },
        (None, None) => refused(),
    })
}

async fn live(context: &Context, intent: &Intent) -> Result<Option<ObservedService>, EngineError> {
    let Some(id) = &intent.object else {
        return read_by_name(context, &intent.key.name).await;
    };
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

fn recorded(context: &Context, intent: &Intent, id: &SwarmId, detail: &str) -> IntentOutcome {
    // An update is about a service that is on record already; only a create adds one.
    let ownership = intent.object.is_none().then(|| {
        OwnershipChange::Record(OwnedObject {
            key: intent.key.clone(),
            id: id.clone(),
            source: declared_by(intent),
            since: context.clock.now(),
        })
    });
    let effects = Effects { ownership, ..Effects::default() };
    IntentOutcome::Done { detail: detail.to_owned(), effects }
}

/// The source that the written spec names in its label.
fn declared_by(intent: &Intent) -> Source {
    serde_json::from_slice::<Value>(&intent.body)
        .ok()
        .as_ref()
        .and_then(|spec| spec.get("Labels")?.get(labels::SOURCE)?.as_str())
        .and_then(Source::from_word)
        .unwrap_or(Source::Registry)
}
