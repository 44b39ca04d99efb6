//! Having what failed proposed again: never straight to the actuator. The failure is forgotten, or
//! the request by hand is filed once more; what becomes of it is decided by a fresh plan and by
//! the gate, in this process when nobody leads.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::action::Action;
use skep_core::desired::SourceState;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ObjectKey, RequestId, ServiceName};
use skep_core::letter::{DeadLetter, LetterKind, LetterState};
use skep_core::plan::Waiting;
use skep_core::request::{NewRequest, RequestState, RequestVerb};
use skep_runtime::SystemRandom;
use skep_store::{
    ActionFilter, LetterAnswer, Operator, RequestFilter, Requeue, RequeueWith, Store,
};
use tokio::time::Instant;

use super::{Handling, named, operator, tell};
use crate::args::RequeueArgs;
use crate::error::{Failure, Result};
use crate::verbs::Session;
use crate::verbs::service::{Seen, look};
use crate::{codes, signals};

/// How often the store is asked what has become of it.
const POLL: Duration = Duration::from_millis(150);
/// How long a running leader may take to propose it.
const FILING: Duration = Duration::from_secs(15);

/// `skep dlq requeue`.
pub(super) async fn run(session: &Session, args: &RequeueArgs) -> Result<u8> {
    let seen = look(session, &args.fleet).await?;
    let store = seen.wired.store.as_ref();
    let (letters, mut items) = named(store, &args.ids).await?;
    let asked = Asked {
        seen: &seen,
        store,
        by: operator(session, &args.operator),
        why: args.reason.clone().unwrap_or_default(),
    };
    let mut filed = Vec::new();
    for letter in letters {
        match asked.requeue(letter).await? {
            Requeued::Over(handling) => items.push(handling),
            Requeued::Filed(new) => filed.push(*new),
        }
    }
    if !filed.is_empty() {
        let waiting = asked.drive(&filed).await?;
        for new in &filed {
            items.push(asked.became(new, &waiting).await?);
        }
    }
    tell(session, items)
}

struct Asked<'a> {
    seen: &'a Seen,
    store: &'a dyn Store,
    by: Operator,
    why: String,
}

/// A letter that was requeued a moment ago.
struct New {
    letter: DeadLetter,
    key: ObjectKey,
    at: Timestamp,
    /// The request by hand, when it is one.
    request: Option<RequestId>,
}

enum Requeued {
    Over(Handling),
    Filed(Box<New>),
}

impl Asked<'_> {
    async fn requeue(&self, letter: DeadLetter) -> Result<Requeued> {
        if letter.state != LetterState::Open {
            return Ok(Requeued::Over(Handling::already(&letter)));
        }
        let Some(key) = letter.key.clone().filter(|_| letter.kind == LetterKind::Dispatch) else {
            let why = "it is about an event from outside; have its source send it again, then \
                       put the letter away";
            return Ok(Requeued::Over(Handling::of(&letter, "not-requeueable", why)));
        };
        let cluster = &self.seen.planned.plan.cluster_id;
        if key.cluster != *cluster {
            let why = format!("it is about swarm {}, and this is {cluster}", key.cluster);
            return Ok(Requeued::Over(Handling::of(&letter, "other-swarm", why)));
        }
        let action = self.store.action(letter.id.as_str()).await?;
        let now = Timestamp::now();
        let with = self.with(&action, &key, now);
        let (is_moot, request) = match &with {
            RequeueWith::Nothing => (true, None),
            RequeueWith::Request(request) => (false, Some(request.id.clone())),
            RequeueWith::Retry(_) => (false, None),
        };
        let wish =
            Requeue { letter: letter.id.clone(), by: self.by.clone(), why: self.why.clone(), with };
        Ok(match self.store.requeue_letter(&wish, now).await? {
            LetterAnswer::Already(letter) => Requeued::Over(Handling::already(&letter)),
            LetterAnswer::Changed(letter) if is_moot => {
                let what = "nothing differs any more, so nothing is proposed";
                Requeued::Over(Handling::of(&letter, "nothing-to-do", what))
            }
            LetterAnswer::Changed(letter) => {
                Requeued::Filed(Box::new(New { letter, key, at: now, request }))
            }
        })
    }

    /// How the letter's action would be proposed again.
    fn with(&self, action: &Action, key: &ObjectKey, now: Timestamp) -> RequeueWith {
        if let Some(verb) = &action.step.request {
            return RequeueWith::Request(Box::new(NewRequest {
                id: RequestId::generate(&SystemRandom),
                key: key.clone(),
                verb: match verb {
                    // Whoever asks again is a person.
                    RequestVerb::RollbackStack { .. } => {
                        RequestVerb::RollbackStack { automatic: false }
                    }
                    verb => verb.clone(),
                },
                actor: self.by.actor.clone(),
                reason: Some(self.why.clone()).filter(|why| !why.is_empty()),
            }));
        }
        let name = ServiceName::new(key.name.as_str());
        let plan = &self.seen.planned.plan;
        let differs = plan.steps.iter().any(|step| step.target == name);
        // What cannot be told now may differ when it can.
        let is_unclear = plan.waiting.iter().any(|waiting| {
            !waiting.is_remark() && waiting.target.as_ref().is_none_or(|target| *target == name)
        });
        let sources = &self.seen.planned.desired.sources;
        let is_read = sources.iter().all(|source| source.state == SourceState::Ready);
        if !differs && !is_unclear && is_read {
            return RequeueWith::Nothing;
        }
        let why = if self.why.is_empty() { "its dead letter was requeued" } else { &self.why };
        RequeueWith::Retry(Box::new(Hold {
            key: key.clone(),
            kind: HoldKind::Retry,
            difference: None,
            until: None,
            actor: self.by.actor.clone(),
            reason: why.to_owned(),
            placed_at: now,
        }))
    }

    /// Waits until whoever leads has proposed them, or does it where nobody leads. Returns why
    /// something was not proposed, as far as this process knows.
    async fn drive(&self, filed: &[New]) -> Result<Vec<Waiting>> {
        let shutdown = signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?;
        let only: BTreeSet<_> =
            filed.iter().map(|new| ServiceName::new(new.key.name.as_str())).collect();
        let controller = self.seen.wired.controller.for_services(only);
        let deadline = Instant::now() + FILING;
        while Instant::now() < deadline && !shutdown.is_cancelled() {
            if self.are_filed(filed).await? {
                break;
            }
            if self.store.lease_holder().await?.is_none() {
                match controller.reconcile_once(&shutdown).await {
                    Ok(report) => return Ok(report.waiting),
                    // Somebody was faster to lead; they see it as well.
                    Err(skep_runtime::Error::LeaseHeld { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
        Ok(Vec::new())
    }

    async fn are_filed(&self, filed: &[New]) -> Result<bool> {
        for new in filed {
            let is_filed = match &new.request {
                Some(id) => self.answer(id).await?.is_some(),
                None => self.proposed(new).await?.is_some(),
            };
            if !is_filed {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The leader's answer to a request: its action, or why there is none.
    async fn answer(&self, id: &RequestId) -> Result<Option<Result<Action, String>>> {
        let filter = RequestFilter { ids: vec![id.clone()], ..RequestFilter::default() };
        let Some(request) = self.store.requests(&filter).await?.into_iter().next() else {
            return Ok(None);
        };
        match (request.state, &request.action) {
            (RequestState::Open, _) => Ok(None),
            (_, Some(action)) => Ok(Some(Ok(self.store.action(action.as_str()).await?))),
            (_, None) => Ok(Some(Err(request.detail))),
        }
    }

    /// The newest action on the object, when it is newer than the wish.
    async fn proposed(&self, new: &New) -> Result<Option<Action>> {
        let keys = vec![new.key.clone()];
        let filter = ActionFilter { keys, limit: 1, ..ActionFilter::default() };
        let newest = self.store.actions(&filter).await?.into_iter().next();
        Ok(newest.filter(|action| action.created_at >= new.at))
    }

    async fn became(&self, new: &New, waiting: &[Waiting]) -> Result<Handling> {
        let action = match &new.request {
            Some(id) => match self.answer(id).await? {
                Some(Err(detail)) => return Ok(Handling::of(&new.letter, "requeued", detail)),
                Some(Ok(action)) => Some(action),
                None => None,
            },
            None => self.proposed(new).await?,
        };
        let Some(action) = action else {
            let name = new.key.name.as_str();
            let why = waiting.iter().find(|waiting| {
                waiting.target.as_ref().is_some_and(|target| target.as_str() == name)
            });
            let detail = match why {
                Some(waiting) => format!("{}: {}", waiting.code, waiting.reason),
                None => format!("not proposed yet; what it waits for: skep service status {name}"),
            };
            return Ok(Handling::of(&new.letter, "requeued", detail));
        };
        let detail = if action.detail.is_empty() { &action.reason } else { &action.detail };
        Ok(Handling {
            action_id: Some(action.id.to_string()),
            approval_id: action.approval.as_ref().map(ToString::to_string),
            state: Some(action.state),
            ..Handling::of(&new.letter, "requeued", detail.clone())
        })
    }
}
