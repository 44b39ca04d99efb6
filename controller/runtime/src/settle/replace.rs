//! A replacement: remove, then create, under one intent with a phase, so that a crash between the
//! two goes on with the second. The former spec lies in the intent as well: when the engine
//! refuses the new service, the former one is put back. Until one of the two exists the intent
//! stays open; a service is never given up in silence.

use jiff::SignedDuration;
use skep_core::action::{Action, ActuatorMode, IntentPhase};
use skep_core::identity::SwarmId;
use skep_core::letter::LetterReason;
use skep_core::observed::ObservedService;
use skep_core::plan::Replacement;
use skep_store::{Attempts, Failed, Intent, IntentOutcome};
use skep_swarm::Error as EngineError;

use super::{Sending, carries, effects, live, store};
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::{Attempt, read_by_name};
use crate::{Error, attempts, contain};

/// One replacement at work.
pub(super) struct Work<'a> {
    pub(super) context: &'a Context,
    pub(super) leadership: &'a Leadership,
    pub(super) action: &'a Action,
    pub(super) intent: &'a Intent,
}

/// What became of the first phase.
enum Removal {
    /// The service is gone.
    Gone,
    /// Nothing was removed; the attempt is over.
    Over(Attempt),
}

impl Work<'_> {
    /// Begins it, or goes on from where it stands.
    pub(super) async fn carry_on(&self, sending: Sending) -> Result<Attempt, Error> {
        let replacement = match Replacement::from_bytes(&self.intent.body) {
            Ok(replacement) => replacement,
            Err(error) => {
                tracing::error!(action.id = %self.action.id, error = %error, "replace.unreadable");
                return Ok(Attempt::Retry(error.to_string()));
            }
        };
        if self.context.options.mode == ActuatorMode::DryRun {
            return self.look(&replacement).await;
        }
        if self.intent.phase == IntentPhase::Create {
            return self.create(&replacement, Sending::Again).await;
        }
        if let Removal::Over(attempt) = self.remove(sending).await? {
            return Ok(attempt);
        }
        let (from, to) = (IntentPhase::Remove, IntentPhase::Create);
        let (fence, now) = (self.leadership.fence(), self.context.clock.now());
        match self.context.store.advance(fence, &self.intent.id, from, to, now).await {
            Ok(()) => self.create(&replacement, Sending::First).await,
            Err(skep_store::Error::Conflict { .. }) => {
                Ok(Attempt::Ended("settled", "settled meanwhile".to_owned()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// By id, right after reading that it is what was decided about: a removal takes no Version.
    async fn remove(&self, sending: Sending) -> Result<Removal, Error> {
        let found = match live(self.context, self.intent).await {
            Ok(found) => found,
            Err(error) => return Ok(Removal::Over(Attempt::Retry(error.to_string()))),
        };
        let Some(service) = found else { return Ok(Removal::Gone) };
        if Some(service.version) != self.intent.version {
            // What was decided was to remove another one: the plan asks again.
            let detail = "somebody else changed the service meanwhile; it was not removed";
            let outcome = IntentOutcome::NoEffect { detail: detail.to_owned() };
            return self.settle(outcome).await.map(Removal::Over);
        }
        if let Some(earlier) = self.context.store.attempts(&self.action.id).await? {
            return self.give_up_removal(&earlier).await.map(Removal::Over);
        }
        self.may_write()?;
        self.context.asking_since(&self.intent.id);
        match self.context.engine.remove_service(&service.id).await {
            Ok(()) | Err(EngineError::NotFound { .. }) => Ok(Removal::Gone),
            Err(error @ EngineError::Refused { status, .. }) if status.is_client_error() => {
                let detail = format!("the service was not removed: {error}");
                let failed = self.failed(LetterReason::Refused).await?;
                self.settle(IntentOutcome::Refused { detail, failed }).await.map(Removal::Over)
            }
            // A definite answer, and what destroys something is tried once.
            Err(error @ EngineError::Refused { .. }) if error.may_have_had_effect() => {
                let detail = error.to_string();
                let (context, wait) = (self.context, SignedDuration::ZERO);
                let noted =
                    attempts::note(context, self.leadership, self.intent, wait, &detail).await?;
                self.give_up_removal(&noted).await.map(Removal::Over)
            }
            Err(error) if sending == Sending::First && !error.may_have_had_effect() => {
                let detail = format!("nothing was sent: {error}");
                let outcome = IntentOutcome::Retry { detail, attempt: None };
                self.settle(outcome).await.map(Removal::Over)
            }
            Err(error) => Ok(Removal::Over(self.unknown(&error))),
        }
    }

    /// The engine has answered the removal with an error and the service is there: when no copy
    /// can take effect any more, nothing was removed.
    async fn give_up_removal(&self, earlier: &Attempts) -> Result<Attempt, Error> {
        if let Some(left) = attempts::still_unsure(self.context, self.intent) {
            return Ok(attempts::making_sure(left, &earlier.detail));
        }
        let found = live(self.context, self.intent).await;
        match found {
            Ok(Some(_)) => {
                let detail = format!("the service was not removed: {}", earlier.detail);
                let reason = LetterReason::EngineError;
                let failed = attempts::letter(self.context, self.action, reason, earlier.failed);
                self.settle(IntentOutcome::Refused { detail, failed }).await
            }
            // It is gone after all; the next look goes on with the create.
            Ok(None) => Ok(Attempt::Retry("the service is gone".to_owned())),
            Err(error) => Ok(Attempt::Retry(error.to_string())),
        }
    }

    async fn create(&self, replacement: &Replacement, sending: Sending) -> Result<Attempt, Error> {
        let phase = IntentPhase::Create;
        let killed = match contain::settle_held(self.context, self.action, phase).await? {
            contain::Settling::OnlyLook(held) => Some(held.reason),
            contain::Settling::AsAlways => None,
        };
        if sending == Sending::Again || killed.is_some() {
            match self.by_name().await {
                Ok(Some(service)) => return self.settle_by(&service, replacement).await,
                Ok(None) => {}
                Err(error) => return Ok(self.unknown(&error)),
            }
        }
        if let Some(why) = killed {
            let detail = format!("the former service is removed, the new one waits; {why}");
            return Ok(Attempt::Waiting(super::OUTCOME_UNKNOWN.to_owned(), detail));
        }
        self.may_write()?;
        let asking_since = self.context.asking_since(&self.intent.id);
        let error = match self.send_create(replacement.create()).await {
            Ok(id) => return self.settle(self.done(&id)).await,
            Err(error) => error,
        };
        let is_definite = match &error {
            EngineError::Refused { status, .. } => {
                status.is_client_error()
                    || asking_since.elapsed() > self.context.options.conclude_after
            }
            EngineError::Conflict { .. } => true,
            _ => false,
        };
        if !is_definite {
            return Ok(self.unknown(&error));
        }
        // What stands in the way may be our own first copy, by its name or by its port.
        match self.by_name().await {
            Ok(Some(service)) => self.settle_by(&service, replacement).await,
            Ok(None) if matches!(error, EngineError::Conflict { .. }) => Ok(self.unknown(&error)),
            Ok(None) => self.put_back(replacement, &error).await,
            Err(error) => Ok(self.unknown(&error)),
        }
    }

    async fn send_create(&self, body: Vec<u8>) -> Result<SwarmId, EngineError> {
        let auth = self.context.images.credentials_for(&body).await;
        Ok(self.context.engine.create_service(body.into(), auth.as_ref()).await?.id)
    }

    /// The engine refuses the new service and there is none: the former one comes back.
    async fn put_back(
        &self,
        replacement: &Replacement,
        refusal: &EngineError,
    ) -> Result<Attempt, Error> {
        self.may_write()?;
        match self.send_create(replacement.restore()).await {
            Ok(id) => {
                let why = format!("the engine refused the new service: {refusal}");
                self.settle(self.was_put_back(&id, &why).await?).await
            }
            Err(error) => {
                let detail = format!(
                    "the service is gone: the engine refused the new one ({refusal}), and the \
                     former one cannot be put back ({error}); both are kept and tried again"
                );
                tracing::error!(
                    action.id = %self.action.id,
                    service.name = %self.action.key.name,
                    detail,
                    "replace.service_is_gone"
                );
                Ok(Attempt::Retry(detail))
            }
        }
    }

    /// There is a service of this name: decide by whose it is.
    async fn settle_by(
        &self,
        service: &ObservedService,
        replacement: &Replacement,
    ) -> Result<Attempt, Error> {
        let outcome = if !carries(service, self.intent) {
            IntentOutcome::Refused {
                detail: format!(
                    "FOREIGN_NAME: the former service was removed, and a service named {:?} that \
                     is not ours was created before the new one ({})",
                    self.intent.key.name, service.id
                ),
                failed: self.failed(LetterReason::ForeignName).await?,
            }
        } else if replacement.is_done_by(&service.spec) {
            self.done(&service.id)
        } else {
            self.was_put_back(&service.id, "the engine refused the new service").await?
        };
        self.settle(outcome).await
    }

    /// Settles without writing: only proof counts.
    async fn look(&self, replacement: &Replacement) -> Result<Attempt, Error> {
        match self.by_name().await {
            Ok(Some(service)) if carries(&service, self.intent) => {
                self.settle_by(&service, replacement).await
            }
            Ok(_) => Ok(Attempt::Waiting(
                super::OUTCOME_UNKNOWN.to_owned(),
                "it is half done and the actuator is a dry run: turn it on to go on".to_owned(),
            )),
            Err(error) => Ok(self.unknown(&error)),
        }
    }

    /// The service of the name, unless it is the former one that a manager still shows.
    async fn by_name(&self) -> Result<Option<ObservedService>, EngineError> {
        let found = read_by_name(self.context, &self.intent.key.name).await?;
        Ok(found.filter(|service| Some(&service.id) != self.intent.object.as_ref()))
    }

    fn done(&self, id: &SwarmId) -> IntentOutcome {
        let detail = format!("removed and created again with the id {id}");
        IntentOutcome::Done { detail, effects: effects(self.context, self.action, self.intent, id) }
    }

    async fn was_put_back(&self, id: &SwarmId, why: &str) -> Result<IntentOutcome, Error> {
        let detail = format!("{why}; the former one was put back with the id {id}");
        Ok(IntentOutcome::PutBack {
            detail,
            effects: effects(self.context, self.action, self.intent, id),
            failed: self.failed(LetterReason::PutBack).await?,
        })
    }

    async fn failed(&self, reason: LetterReason) -> Result<Option<Failed>, Error> {
        attempts::failed(self.context, self.action, reason).await
    }

    fn may_write(&self) -> Result<(), Error> {
        super::may_write(self.context, self.leadership)
    }

    fn unknown(&self, error: &EngineError) -> Attempt {
        super::unknown(self.intent, error)
    }

    async fn settle(&self, outcome: IntentOutcome) -> Result<Attempt, Error> {
        store(self.context, self.leadership, self.action, self.intent, outcome).await
    }
}
