//! Asking by hand: the request is stored, whoever leads turns it into an action through the gate,
//! and this process waits for what becomes of it. When nobody leads, this process does.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::ActionState;
use skep_core::identity::{ObjectKey, RequestId, ServiceName};
use skep_core::request::{NewRequest, RequestState, RequestVerb, ServiceRequest};
use skep_runtime::Controller;
use skep_runtime::SystemRandom;
use skep_store::{Decision, DecisionRequest, RequestFilter, Store};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Seen, find, look};
use crate::args::AskArgs;
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Style};
use crate::verbs::Session;
use crate::verbs::view::short;
use crate::{codes, identity, signals, wiring};

/// How often the store is asked what has become of a request.
const POLL: Duration = Duration::from_millis(150);
/// How long a running leader may take to file a request.
const FILING: Duration = Duration::from_secs(15);
/// How long an action that may run is waited for.
const ENDING: Duration = Duration::from_secs(180);

/// Asks for something about some services, and tells what became of it.
pub(super) async fn ask(
    session: &Session,
    args: &AskArgs,
    wanted: Vec<(String, RequestVerb)>,
) -> Result<u8> {
    let seen = look(session, &args.fleet).await?;
    let wanted = wanted
        .into_iter()
        .map(|(name, verb)| Ok((find(&seen, &name)?, verb)))
        .collect::<Result<Vec<_>>>()?;
    ask_about(session, args, &seen, wanted, BTreeSet::new()).await
}

/// Asks about services, or other objects, whose names are final, or about stacks; `members` are the
/// services that are changed on their behalf.
pub(in crate::verbs) async fn ask_about(
    session: &Session,
    args: &AskArgs,
    seen: &Seen,
    wanted: Vec<(ServiceName, RequestVerb)>,
    members: BTreeSet<ServiceName>,
) -> Result<u8> {
    let store = seen.wired.store.as_ref();
    let actor = identity::actor(&session.environment);
    let only = wanted.iter().map(|(name, _)| name.clone()).chain(members).collect();
    let requests: Vec<NewRequest> = wanted
        .into_iter()
        .map(|(name, verb)| NewRequest {
            id: RequestId::generate(&SystemRandom),
            key: ObjectKey::of(&seen.planned.plan.cluster_id, &name),
            verb,
            actor: actor.clone(),
            reason: args.reason.clone(),
        })
        .collect();
    let submitted = store.submit(&requests, Timestamp::now()).await?;
    let asked = Asked {
        session,
        store,
        controller: seen.wired.controller.for_requests(only),
        ids: submitted.into_iter().map(|request| request.id).collect(),
        actor,
        source: identity::source_of(&args.operator),
        shutdown: signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?,
    };
    asked.follow(args).await
}

struct Asked<'a> {
    session: &'a Session,
    store: &'a dyn Store,
    controller: Controller,
    ids: Vec<RequestId>,
    actor: String,
    source: String,
    shutdown: CancellationToken,
}

impl Asked<'_> {
    async fn follow(&self, args: &AskArgs) -> Result<u8> {
        self.until(FILING, |view| view.request != RequestState::Open).await?;
        if args.approve {
            self.approve().await?;
        }
        let views = if args.no_wait {
            self.views().await?
        } else {
            self.until(ENDING, |view| !view.is_moving()).await?
        };
        self.tell(views).await
    }

    /// Waits until every request is as it should be, doing the leader's work where nobody leads.
    async fn until(&self, patience: Duration, done: impl Fn(&View) -> bool) -> Result<Vec<View>> {
        let deadline = Instant::now() + patience;
        loop {
            let views = self.views().await?;
            if views.iter().all(&done) || Instant::now() >= deadline || self.shutdown.is_cancelled()
            {
                return Ok(views);
            }
            if self.store.lease_holder().await?.is_none() {
                match self.controller.reconcile_once(&self.shutdown).await {
                    // Somebody was faster to lead; they will see the request as well.
                    Ok(_) | Err(skep_runtime::Error::LeaseHeld { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = tokio::time::sleep(POLL) => {}
            }
        }
    }

    async fn views(&self) -> Result<Vec<View>> {
        let filter = RequestFilter { ids: self.ids.clone(), ..RequestFilter::default() };
        let mut views = Vec::new();
        for request in self.store.requests(&filter).await? {
            let action = match &request.action {
                Some(id) => Some(self.store.action(id.as_str()).await?),
                None => None,
            };
            views.push(View {
                state: action.as_ref().map(|action| action.state),
                approval_id: action
                    .as_ref()
                    .and_then(|action| action.approval.as_ref())
                    .map(ToString::to_string),
                detail: action
                    .map(|action| action.detail)
                    .filter(|detail| !detail.is_empty())
                    .unwrap_or_else(|| request.detail.clone()),
                ..View::of(request)
            });
        }
        views.sort_by(|a, b| a.target.cmp(&b.target));
        Ok(views)
    }

    async fn approve(&self) -> Result<()> {
        let views = self.views().await?;
        let bulk = views.len() > 1;
        for view in views.into_iter().filter(|view| view.state == Some(ActionState::Pending)) {
            let Some(approval) = view.approval_id else { continue };
            let approval = self.store.approval(&approval).await?;
            let now = Timestamp::now();
            let request = DecisionRequest {
                approval: approval.id,
                decision: Decision::Approve,
                actor: self.actor.clone(),
                source: self.source.clone(),
                comment: Some("approved by whoever asked for it".to_owned()),
                expected_revision: Some(approval.revision),
                expected_binding: Some(approval.binding),
                start_by: Some(wiring::clocks(&self.session.config).start_by(now, bulk)),
            };
            match self.store.decide(&request, now).await {
                // Decided by somebody else meanwhile: the view shows how.
                Ok(_) | Err(skep_store::Error::Conflict { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    async fn tell(&self, views: Vec<View>) -> Result<u8> {
        let failed = views.iter().any(View::has_failed);
        let open = views.iter().any(|view| view.request == RequestState::Open);
        let waiting: Vec<String> = views
            .iter()
            .filter(|view| view.state == Some(ActionState::Pending))
            .filter_map(|view| Some(short(view.approval_id.as_deref()?).to_owned()))
            .collect();
        let moving = views.iter().any(View::is_moving);
        self.session
            .printer
            .data(&Items { items: views }, |list, style| table(&list.items, style))?;
        if !waiting.is_empty() {
            let note = format!("next: skep approvals approve {}", waiting.join(" "));
            self.session.printer.note(&note);
        }
        if open {
            let who = match self.store.lease_holder().await? {
                Some(holder) => format!("{} leads", holder.holder),
                None => "nobody leads".to_owned(),
            };
            self.session.printer.warn(&format!(
                "not taken up yet ({who}): the service is busy with another action, or the \
                 reconciler is switched off; the request stays open"
            ));
        } else if moving {
            self.session.printer.note("still on its way: skep actions list");
        }
        Ok(if failed { exit::FAILED } else { exit::OK })
    }
}

/// What has become of one request.
#[derive(Debug, Serialize)]
struct View {
    request_id: String,
    target: String,
    #[serde(flatten)]
    verb: RequestVerb,
    request: RequestState,
    action_id: Option<String>,
    approval_id: Option<String>,
    /// Where the action stands.
    state: Option<ActionState>,
    detail: String,
}

impl View {
    fn of(request: ServiceRequest) -> Self {
        Self {
            request_id: request.id.to_string(),
            target: request.key.name,
            verb: request.verb,
            request: request.state,
            action_id: request.action.map(|id| id.to_string()),
            approval_id: None,
            state: None,
            detail: request.detail,
        }
    }

    /// True while it will go on without anybody.
    fn is_moving(&self) -> bool {
        self.request == RequestState::Open
            || self.state.is_some_and(|state| state.is_open() && state != ActionState::Pending)
    }

    fn has_failed(&self) -> bool {
        let is_nothing = self.detail.starts_with(codes::NOTHING_TO_DO);
        (self.request == RequestState::Refused && !is_nothing)
            || matches!(
                self.state,
                Some(
                    ActionState::Failed
                        | ActionState::Denied
                        | ActionState::Superseded
                        | ActionState::Expired
                )
            )
    }

    fn stands(&self) -> String {
        match self.state {
            Some(state) => state.to_string(),
            None => self.request.to_string(),
        }
    }
}

fn table(views: &[View], style: Style) -> String {
    let mut columns = Columns::new(["SERVICE", "ASKED FOR", "STATE", "ACTION", "DETAIL"]);
    for view in views {
        columns.row([
            view.target.clone(),
            view.verb.to_string(),
            view.stands(),
            view.action_id.as_deref().map_or("-", short).to_owned(),
            view.detail.clone(),
        ]);
    }
    columns.text(style, "nothing was asked for")
}
