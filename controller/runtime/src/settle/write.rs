//! What the engine's no means for a create or an update: by what is there now, and by how many
//! attempts there were.

use skep_core::action::Action;
use skep_core::letter::LetterReason;
use skep_core::retry::{Failure, Next};
use skep_core::rollout;
use skep_store::{Attempts, Failed, Intent, IntentOutcome};
use skep_swarm::Error as EngineError;

use super::{carries, effects, equals, live, recorded, store, unknown};
use crate::controller::Context;
use crate::leader::Leadership;
use crate::reconcile::act::Attempt;
use crate::{Error, attempts};

/// One create or update at work.
pub(super) struct Write<'a> {
    pub(super) context: &'a Context,
    pub(super) leadership: &'a Leadership,
    pub(super) action: &'a Action,
    pub(super) intent: &'a Intent,
}

/// What it means when nothing came of the request.
pub(super) struct Refusal {
    said: String,
    failed: Option<Failed>,
}

impl Write<'_> {
    /// The engine refused this attempt in these words.
    pub(super) async fn refusal(&self, message: &str) -> Result<Refusal, Error> {
        let failed = attempts::failed(self.context, self.action, LetterReason::Refused).await?;
        Ok(Refusal { said: format!("the engine refused it: {message}"), failed })
    }

    /// Nothing was written because the object had moved: the grant holds for what the next plan
    /// says, where that may be done twice.
    pub(super) fn moved(&self, detail: String) -> IntentOutcome {
        match attempts::next(self.context, self.action, Failure::Moved, 1) {
            Next::AskAgain => IntentOutcome::NoEffect { detail },
            _ => IntentOutcome::Retry { detail, attempt: None },
        }
    }

    /// The engine answered with an error of its own: one attempt has failed.
    pub(super) async fn engine_error(&self, detail: &str) -> Result<Attempt, Error> {
        let failure = Failure::EngineError;
        if self.action.is_containment() {
            return self.go_on_containing(detail).await;
        }
        if self.intent.object.is_none() {
            return self.look_for_it(failure, detail).await;
        }
        let (number, next) = attempts::follows(self.context, self.action, failure).await?;
        let wait = match next {
            Next::Retry { after } => after,
            _ => jiff::SignedDuration::ZERO,
        };
        let (context, leadership, intent) = (self.context, self.leadership, self.intent);
        let noted = attempts::note(context, leadership, intent, wait, detail).await?;
        match next {
            // The same bytes with the same Version: at most one copy takes effect.
            Next::Retry { after } => {
                let detail = format!("attempt {number} failed and is made again: {detail}");
                Ok(Attempt::After(attempts::wait(after), detail))
            }
            _ => self.conclude(&noted).await,
        }
    }

    /// What people want contained has no number of attempts: the same bytes are sent until the
    /// engine has given another answer, or for so long that none will come.
    async fn go_on_containing(&self, detail: &str) -> Result<Attempt, Error> {
        if attempts::still_unsure(self.context, self.intent).is_some() {
            return Ok(Attempt::Retry(format!("the outcome is unknown: {detail}")));
        }
        match self.read_back(&self.refusal(detail).await?).await {
            Ok(outcome) => self.settle(outcome).await,
            Err(error) => Ok(unknown(self.intent, &error)),
        }
    }

    /// A create of which nobody knows the outcome is looked for under its name.
    pub(super) async fn look_for_it(
        &self,
        failure: Failure,
        detail: &str,
    ) -> Result<Attempt, Error> {
        match live(self.context, self.intent).await {
            Ok(None) => self.not_there(failure, detail).await,
            Ok(Some(_)) => {
                let refusal = self.refusal("the name is taken").await?;
                match self.read_back(&refusal).await {
                    Ok(outcome) => self.settle(outcome).await,
                    Err(error) => Ok(unknown(self.intent, &error)),
                }
            }
            Err(error) => Ok(unknown(self.intent, &error)),
        }
    }

    /// Nothing came of a create.
    async fn not_there(&self, failure: Failure, detail: &str) -> Result<Attempt, Error> {
        let (number, next) = attempts::follows(self.context, self.action, failure).await?;
        let reason = match next {
            Next::Retry { after } => {
                let attempt = attempts::counted(failure, self.context.clock.now(), after);
                let detail = format!("attempt {number} came to nothing: {detail}");
                let outcome = IntentOutcome::Retry { detail, attempt: Some(attempt) };
                return self.settle(outcome).await;
            }
            Next::Fail(reason) => reason,
            Next::Again | Next::AskAgain => return Ok(Attempt::Retry(detail.to_owned())),
        };
        if failure == Failure::EngineError {
            // On record before anything else: no later leader sends it once more.
            let (context, leadership, intent) = (self.context, self.leadership, self.intent);
            let wait = jiff::SignedDuration::ZERO;
            let noted = attempts::note(context, leadership, intent, wait, detail).await?;
            return self.conclude(&noted).await;
        }
        if let Some(left) = attempts::still_unsure(self.context, self.intent) {
            return Ok(attempts::making_sure(left, detail));
        }
        let detail = format!("{number} attempts came to nothing: {detail}");
        let failed = attempts::letter(self.context, self.action, reason, number);
        self.settle(IntentOutcome::Refused { detail, failed }).await
    }

    /// Every attempt was answered with an error, and nothing is sent any more. What is there
    /// decides: a proof at once, its absence when no copy can take effect any more.
    pub(super) async fn conclude(&self, all: &Attempts) -> Result<Attempt, Error> {
        let reason = match attempts::next(self.context, self.action, all.failure, all.failed) {
            Next::Fail(reason) => reason,
            Next::Again | Next::Retry { .. } | Next::AskAgain => LetterReason::EngineError,
        };
        let refusal = Refusal {
            said: format!("attempts that failed: {}; the last: {}", all.failed, all.detail),
            failed: attempts::letter(self.context, self.action, reason, all.failed),
        };
        match (self.read_back(&refusal).await, attempts::still_unsure(self.context, self.intent)) {
            (Ok(IntentOutcome::Refused { .. }), Some(left)) => {
                Ok(attempts::making_sure(left, &all.detail))
            }
            (Ok(outcome), _) => self.settle(outcome).await,
            (Err(error), _) => Ok(unknown(self.intent, &error)),
        }
    }

    /// The engine said no: decide by what is there now.
    pub(super) async fn read_back(&self, refusal: &Refusal) -> Result<IntentOutcome, EngineError> {
        let Self { context, action, intent, .. } = *self;
        let Refusal { said, failed } = refusal;
        let refused = || IntentOutcome::Refused { detail: said.clone(), failed: failed.clone() };
        Ok(match (live(context, intent).await?, &intent.object) {
            (Some(service), _) if carries(&service, intent) => {
                recorded(context, action, intent, &service, "found done: the reply had been lost")
            }
            // The label may be gone while the change is there: Swarm's own rollback, or another
            // client that rewrote the labels. Equal specs are as good as done.
            // While its Version stands nothing was written, however equal it is: handing over
            // credentials changes no spec.
            (Some(service), Some(_))
                if Some(service.version) != intent.version && equals(&service, intent) =>
            {
                let effects = effects(context, action, intent, &service.id);
                IntentOutcome::Done { detail: "found as wanted".to_owned(), effects }
            }
            (Some(service), Some(_)) if Some(service.version) == intent.version => refused(),
            // What becomes of it is judged like any other rollout.
            (Some(service), Some(_)) if rollout::has_gone_back(&action.step, &service) => {
                let detail = "it arrived, and Swarm has gone back since; the reply had been lost";
                recorded(context, action, intent, &service, detail)
            }
            (Some(_), Some(_)) => IntentOutcome::NoEffect {
                detail: "somebody else changed the service meanwhile".to_owned(),
            },
            (None, Some(_)) => {
                IntentOutcome::NoEffect { detail: "the service was removed meanwhile".to_owned() }
            }
            (Some(service), None) => IntentOutcome::Refused {
                detail: format!(
                    "FOREIGN_NAME: a service named {:?} that is not ours was created meanwhile \
                     ({}): {said}",
                    intent.key.name, service.id
                ),
                failed: failed
                    .clone()
                    .map(|failed| Failed { reason: LetterReason::ForeignName, ..failed }),
            },
            (None, None) => refused(),
        })
    }

    async fn settle(&self, outcome: IntentOutcome) -> Result<Attempt, Error> {
        store(self.context, self.leadership, self.action, self.intent, outcome).await
    }
}
