//! Intents about networks, configs and secrets, and removals of whatever kind.
//!
//! A create is guarded by its name and settled by looking for its label. New labels are written
//! with the Version that was read, like a service's spec. A removal is by id and takes no Version:
//! what is gone is done, whoever removed it.

use skep_core::action::{Action, ActuatorMode};
use skep_core::identity::ObjectKind;
use skep_core::letter::LetterReason;
use skep_core::observed::ObservedObject;
use skep_core::plan::Operation;
use skep_core::retry::{self, Failure, Next};
use skep_store::{Effects, Failed, Intent, IntentOutcome, OwnershipChange};
use skep_swarm::Error as EngineError;

use super::{OUTCOME_UNKNOWN, Sending, by_id, may_write, store, unknown};
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;
use crate::reconcile::objects::{carries, owned, read};
use crate::{Error, attempts};

/// True for what is carried out here.
pub(super) fn is_about(action: &Action) -> bool {
    action.key.kind != ObjectKind::Service || action.step.operation == Operation::Remove
}

/// One intent at work.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    pub(super) leadership: &'a Leadership,
    pub(super) action: &'a Action,
    pub(super) intent: &'a Intent,
}

/// What is there now.
enum There {
    /// Nothing of this name, or under this id.
    Nothing,
    /// What the intent was to achieve.
    Done(Box<Effects>),
    /// The object as it was before.
    AsBefore,
    /// Something else.
    SomethingElse(String),
}

impl Work<'_> {
    /// Settles an intent whose outcome nobody knows.
    pub(super) async fn settle(&self) -> Result<Attempt, Error> {
        let there = match self.look().await {
            Ok(there) => there,
            Err(error) => return Ok(unknown(self.intent, &error)),
        };
        let earlier = self.context.store.attempts(&self.action.id).await?;
        let allowed = retry::attempts_allowed(&self.action.step);
        let is_exhausted = earlier.as_ref().is_some_and(|earlier| earlier.failed >= allowed);
        match there {
            There::Done(effects) => self.done("found done", *effects).await,
            // A dry run writes nothing, not even the rest of what a live actuator began.
            _ if self.context.options.mode == ActuatorMode::DryRun => {
                let why = "its outcome is unknown and the actuator is a dry run: turn it on to \
                           settle it";
                Ok(Attempt::Waiting(OUTCOME_UNKNOWN.to_owned(), why.to_owned()))
            }
            There::SomethingElse(what) => self.no_effect(what).await,
            // A create has no Version that would fence an old copy: its action goes back to the
            // gate. Should the first copy still land, the name refuses the second.
            There::Nothing if self.intent.object.is_none() && !is_exhausted => {
                self.came_to_nothing(Failure::NoReply, "the create never arrived").await
            }
            There::Nothing if self.intent.object.is_some() => {
                self.no_effect("it was removed meanwhile".to_owned()).await
            }
            There::Nothing | There::AsBefore if is_exhausted => {
                if let Some(left) = attempts::still_unsure(self.context, self.intent) {
                    return Ok(attempts::making_sure(left, "the engine answered with an error"));
                }
                let failed = earlier.map_or(allowed, |earlier| earlier.failed);
                let reason = LetterReason::EngineError;
                let letter = attempts::letter(self.context, self.action, reason, failed);
                let detail = format!("attempts that failed: {failed}");
                self.refused(detail, letter).await
            }
            There::Nothing | There::AsBefore => {
                may_write(self.context, self.leadership)?;
                self.send(Sending::Again).await
            }
        }
    }

    /// Sends the request and stores what came of it.
    pub(super) async fn send(&self, sending: Sending) -> Result<Attempt, Error> {
        self.context.asking_since(&self.intent.id);
        let error = match self.request().await {
            Ok(()) => {
                return match self.look().await {
                    Ok(There::Done(effects)) => self.done(self.word(), *effects).await,
                    // The engine said yes; a manager that lags may not show it yet.
                    Ok(_) if self.action.kind.is_removal() => {
                        self.done(self.word(), self.forget()).await
                    }
                    Ok(_) => Ok(Attempt::Retry("reading back does not show it yet".to_owned())),
                    Err(error) => Ok(unknown(self.intent, &error)),
                };
            }
            Err(error) => error,
        };
        if error.may_have_had_effect() {
            return match &error {
                EngineError::Refused { .. } => self.engine_error(&error.to_string()).await,
                _ => Ok(unknown(self.intent, &error)),
            };
        }
        let said = error.to_string();
        match error {
            EngineError::NotFound { .. } if self.action.kind.is_removal() => {
                self.done("it was gone already", self.forget()).await
            }
            EngineError::Refused { .. }
            | EngineError::Conflict { .. }
            | EngineError::NotFound { .. }
            | EngineError::OutOfSequence { .. } => match self.look().await {
                Ok(There::Done(effects)) => {
                    self.done("found done: the reply had been lost", *effects).await
                }
                Ok(There::SomethingElse(what)) if self.intent.object.is_none() => {
                    let detail = format!("FOREIGN_NAME: {what}: {said}");
                    let failed =
                        attempts::failed(self.context, self.action, LetterReason::ForeignName);
                    self.refused(detail, failed.await?).await
                }
                Ok(There::SomethingElse(what)) => self.no_effect(what).await,
                Ok(There::Nothing) if self.intent.object.is_some() => {
                    self.no_effect("it was removed meanwhile".to_owned()).await
                }
                // The object moved between reading and writing.
                Ok(There::AsBefore | There::Nothing)
                    if matches!(error, EngineError::OutOfSequence { .. }) =>
                {
                    self.no_effect(said).await
                }
                Ok(There::AsBefore | There::Nothing) => {
                    let failed =
                        attempts::failed(self.context, self.action, LetterReason::Refused).await?;
                    self.refused(said, failed).await
                }
                Err(error) => Ok(unknown(self.intent, &error)),
            },
            // It was never sent; the grant still holds.
            _ if sending == Sending::First => {
                let detail = format!("nothing was sent: {said}");
                self.store(IntentOutcome::Retry { detail, attempt: None }).await
            }
            error => Ok(unknown(self.intent, &error)),
        }
    }

    async fn request(&self) -> Result<(), EngineError> {
        let (engine, intent) = (&self.context.engine, self.intent);
        let body = || intent.body.clone().into();
        let kind = intent.key.kind;
        match (&self.action.step.operation, &intent.object, intent.version) {
            (Operation::Remove, Some(id), _) if kind == ObjectKind::Service => {
                engine.remove_service(id).await
            }
            (Operation::Remove, Some(id), _) => engine.remove_object(kind, id).await,
            (_, Some(id), Some(version)) => engine.update_object(kind, id, version, body()).await,
            _ => engine.create_object(kind, body()).await.map(drop),
        }
    }

    async fn look(&self) -> Result<There, EngineError> {
        let intent = self.intent;
        if intent.key.kind == ObjectKind::Service {
            let Some(id) = &intent.object else { return Ok(There::Nothing) };
            return Ok(match by_id(self.context, id).await? {
                Some(_) => There::AsBefore,
                None => There::Done(Box::new(self.forget())),
            });
        }
        let live = read(self.context, &intent.key.target()).await?;
        Ok(match (&intent.object, live) {
            (None, None) => There::Nothing,
            (None, Some(live)) if carries(&live, &intent.action) => {
                There::Done(Box::new(self.record(&live)))
            }
            (None, Some(live)) => There::SomethingElse(format!(
                "{} was made by somebody else meanwhile ({})",
                intent.key, live.id
            )),
            (Some(id), Some(live)) if live.id == *id => {
                if self.action.kind.is_removal() {
                    There::AsBefore
                } else if carries(&live, &intent.action) {
                    There::Done(Box::new(self.record(&live)))
                } else if Some(live.version) == intent.version {
                    There::AsBefore
                } else {
                    There::SomethingElse("somebody else changed it meanwhile".to_owned())
                }
            }
            // Gone, or another one under the same name.
            (Some(_), _) if self.action.kind.is_removal() => There::Done(Box::new(self.forget())),
            (Some(_), None) => There::Nothing,
            (Some(_), Some(_)) => {
                There::SomethingElse("another one has taken its place meanwhile".to_owned())
            }
        })
    }

    /// The engine answered with an error of its own: one attempt has failed.
    async fn engine_error(&self, said: &str) -> Result<Attempt, Error> {
        match self.look().await {
            Ok(There::Done(effects)) => {
                return self.done("found done: the engine had said no", *effects).await;
            }
            Ok(_) => {}
            Err(error) => return Ok(unknown(self.intent, &error)),
        }
        if self.intent.object.is_none() {
            return self.came_to_nothing(Failure::EngineError, said).await;
        }
        let (context, leadership, intent) = (self.context, self.leadership, self.intent);
        let failure = Failure::EngineError;
        let (number, next) = attempts::follows(context, self.action, failure).await?;
        let wait = match next {
            Next::Retry { after } => after,
            _ => jiff::SignedDuration::ZERO,
        };
        attempts::note(context, leadership, intent, wait, said).await?;
        let detail = format!("attempt {number} failed: {said}");
        Ok(Attempt::After(attempts::wait(wait), detail))
    }

    /// Nothing came of a create.
    async fn came_to_nothing(&self, failure: Failure, said: &str) -> Result<Attempt, Error> {
        let (number, next) = attempts::follows(self.context, self.action, failure).await?;
        match next {
            Next::Retry { after } => {
                let attempt = attempts::counted(failure, self.context.clock.now(), after);
                let detail = format!("attempt {number} came to nothing: {said}");
                self.store(IntentOutcome::Retry { detail, attempt: Some(attempt) }).await
            }
            Next::Fail(reason) => {
                if let Some(left) = attempts::still_unsure(self.context, self.intent) {
                    return Ok(attempts::making_sure(left, said));
                }
                let failed = attempts::letter(self.context, self.action, reason, number);
                self.refused(format!("{number} attempts came to nothing: {said}"), failed).await
            }
            Next::Again | Next::AskAgain => Ok(Attempt::Retry(said.to_owned())),
        }
    }

    fn word(&self) -> &'static str {
        match &self.action.step.operation {
            Operation::Remove => "removed",
            Operation::CreateObject { .. } => "created and read back",
            _ => "labelled and read back",
        }
    }

    fn record(&self, live: &ObservedObject) -> Effects {
        // New labels are written to what is on record already.
        let ownership =
            self.intent.object.is_none().then(|| owned(self.context, self.action, live));
        Effects { ownership, ..Effects::default() }
    }

    fn forget(&self) -> Effects {
        let ownership = Some(OwnershipChange::Forget(self.intent.key.clone()));
        Effects { ownership, ..Effects::default() }
    }

    async fn done(&self, detail: &str, effects: Effects) -> Result<Attempt, Error> {
        self.store(IntentOutcome::Done { detail: detail.to_owned(), effects }).await
    }

    async fn no_effect(&self, detail: String) -> Result<Attempt, Error> {
        self.store(IntentOutcome::NoEffect { detail }).await
    }

    async fn refused(&self, detail: String, failed: Option<Failed>) -> Result<Attempt, Error> {
        self.store(IntentOutcome::Refused { detail, failed }).await
    }

    async fn store(&self, outcome: IntentOutcome) -> Result<Attempt, Error> {
        store(self.context, self.leadership, self.action, self.intent, outcome).await
    }
}
