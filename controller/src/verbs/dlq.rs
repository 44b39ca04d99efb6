//! Dead letters: what could not be done, until somebody has looked at it.

mod drop;
mod requeue;

use std::fmt::Write as _;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::action::{Action, ActionState};
use skep_core::letter::{DeadLetter, LetterKind, LetterReason, LetterState};
use skep_store::{ActionFilter, LetterFilter, Operator, Store};

use super::Session;
use super::view::short;
use crate::args::{DlqVerb, LetterFilterArgs, ListLettersArgs, OperatorArgs};
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, Style, plain, since};
use crate::{codes, identity};

/// `skep dlq`.
pub(super) async fn run(session: &Session, verb: DlqVerb) -> Result<u8> {
    match verb {
        DlqVerb::List(args) => list(session, &args).await,
        DlqVerb::Show { id, .. } => show(session, &id).await,
        DlqVerb::Requeue(args) => requeue::run(session, &args).await,
        DlqVerb::Drop(args) => drop::run(session, &args).await,
    }
}

/// A letter as it is shown. The first five names are those that scripts for such queues know.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LetterView {
    host: String,
    event_id: String,
    reason: LetterReason,
    attempt_count: u32,
    last_seen_ms: i64,
    first_seen_ms: i64,
    kind: LetterKind,
    source: String,
    /// What failed: the kind of the action, or the type of the event.
    event: String,
    target: Option<String>,
    cluster_id: Option<String>,
    detail: String,
    payload: String,
    state: LetterState,
    handled_by: Option<String>,
    handled_at_ms: Option<i64>,
    handled_why: Option<String>,
    #[serde(skip)]
    last_seen: Timestamp,
}

impl LetterView {
    pub(super) fn new(letter: DeadLetter) -> Self {
        let (target, cluster_id) =
            letter.key.map(|key| (key.name, key.cluster.to_string())).unzip();
        let handled = letter.handled;
        Self {
            host: letter.host,
            event_id: letter.id.to_string(),
            reason: letter.reason,
            attempt_count: letter.attempts,
            last_seen_ms: letter.last_seen.as_millisecond(),
            first_seen_ms: letter.first_seen.as_millisecond(),
            kind: letter.kind,
            source: letter.source,
            event: letter.event,
            target,
            cluster_id,
            detail: letter.detail,
            payload: letter.payload,
            state: letter.state,
            handled_at_ms: handled.as_ref().map(|handled| handled.at.as_millisecond()),
            handled_by: handled.as_ref().map(|handled| handled.by.clone()),
            handled_why: handled.map(|handled| handled.why),
            last_seen: letter.last_seen,
        }
    }

    /// One line for people, with what to do.
    pub(super) fn line(&self, now: Timestamp) -> String {
        let id = short(&self.event_id);
        format!(
            "dead letter {id}: {} failed {} ago ({}, attempts: {}): {}; have it proposed again: \
             skep dlq requeue {id}, or put it away: skep dlq drop {id} --reason TEXT",
            self.event,
            since(self.last_seen, now),
            self.reason,
            self.attempt_count,
            plain(&self.detail)
        )
    }
}

/// The open letters about a service of a swarm.
pub(super) async fn open_about(
    store: &dyn Store,
    cluster: &skep_core::identity::ClusterId,
    name: &str,
) -> Result<Vec<LetterView>> {
    let filter = LetterFilter {
        states: vec![LetterState::Open],
        names: vec![name.to_owned()],
        ..LetterFilter::default()
    };
    let letters = store.letters(&filter).await?.into_iter();
    let is_meant =
        |letter: &DeadLetter| letter.key.as_ref().is_some_and(|key| key.cluster == *cluster);
    Ok(letters.filter(is_meant).map(LetterView::new).collect())
}

/// What a list of letters is in JSON and YAML.
#[derive(Serialize)]
struct Letters {
    rejections: Vec<LetterView>,
    /// Hosts that could not be asked; there is one store so far, and its failure is an error.
    failures: Vec<String>,
}

fn filter(args: &LetterFilterArgs, reasons: &[String]) -> LetterFilter {
    LetterFilter {
        kind: args.kind.as_deref().and_then(LetterKind::from_word),
        reasons: reasons.iter().filter_map(|word| LetterReason::from_word(word)).collect(),
        min_attempts: args.min_attempts,
        since: args.since,
        ..LetterFilter::default()
    }
}

async fn list(session: &Session, args: &ListLettersArgs) -> Result<u8> {
    let store = session.open_store().await?;
    let states = if args.all { Vec::new() } else { vec![LetterState::Open] };
    let filter = LetterFilter { states, limit: args.limit, ..filter(&args.filter, &args.reason) };
    let rejections: Vec<_> =
        store.letters(&filter).await?.into_iter().map(LetterView::new).collect();
    let now = Timestamp::now();
    session.printer.data(&Letters { rejections, failures: Vec::new() }, |list, style| {
        let header =
            ["ID", "KIND", "EVENT", "TARGET", "REASON", "ATTEMPTS", "AGE", "STATE", "DETAIL"];
        let mut columns = Columns::new(header);
        for letter in &list.rejections {
            columns.row([
                short(&letter.event_id).to_owned(),
                letter.kind.to_string(),
                letter.event.clone(),
                letter.target.clone().unwrap_or_else(|| "-".to_owned()),
                letter.reason.to_string(),
                letter.attempt_count.to_string(),
                since(letter.last_seen, now),
                letter.state.to_string(),
                letter.detail.clone(),
            ]);
        }
        columns.text(style, "no dead letters")
    })?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    letter: LetterView,
    /// The newest action on the same object, when it is another one.
    since_then: Option<Later>,
}

#[derive(Serialize)]
struct Later {
    action_id: String,
    kind: String,
    state: ActionState,
    at: Timestamp,
}

async fn show(session: &Session, id: &str) -> Result<u8> {
    let store = session.open_store().await?;
    let letter = store.letter(id).await.map_err(unknown)?;
    let since_then = later(&store, &letter).await?.map(|action| Later {
        action_id: action.id.to_string(),
        kind: action.kind.to_string(),
        state: action.state,
        at: action.updated_at,
    });
    let shown = Shown { letter: LetterView::new(letter), since_then };
    session.printer.data(&shown, text)?;
    if shown.letter.state == LetterState::Open {
        let id = short(&shown.letter.event_id);
        let next = format!("next: skep dlq requeue {id}, or: skep dlq drop {id} --reason TEXT");
        session.printer.note(&next);
    }
    Ok(exit::OK)
}

/// The newest action on the letter's object, unless it is the one that failed.
async fn later(store: &Arc<dyn Store>, letter: &DeadLetter) -> Result<Option<Action>> {
    let Some(key) = &letter.key else { return Ok(None) };
    let filter = ActionFilter { keys: vec![key.clone()], limit: 1, ..ActionFilter::default() };
    let newest = store.actions(&filter).await?.into_iter().next();
    Ok(newest.filter(|action| action.id.as_str() != letter.id.as_str()))
}

fn text(shown: &Shown, _: Style) -> String {
    let letter = &shown.letter;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{name:<10} {}", plain(value));
        }
    };
    line("letter", &letter.event_id);
    line("about", &format!("{} ({}, from {})", letter.event, letter.kind, letter.source));
    line("target", letter.target.as_deref().unwrap_or_default());
    line("reason", letter.reason.as_str());
    line("detail", &letter.detail);
    line("attempts", &letter.attempt_count.to_string());
    line("host", &letter.host);
    let first = Timestamp::from_millisecond(letter.first_seen_ms).unwrap_or(letter.last_seen);
    line("first", &format!("{first:.0}"));
    line("last", &format!("{:.0}", letter.last_seen));
    line("payload", &letter.payload);
    let by = letter.handled_by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let why = letter.handled_why.as_deref().filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    line("state", &format!("{}{by}{why}", letter.state));
    if let Some(later) = &shown.since_then {
        let id = short(&later.action_id);
        let what = format!("{} {} ({id}) at {:.0}", later.kind, later.state, later.at);
        line("since then", &what);
    }
    text
}

fn unknown(error: skep_store::Error) -> Failure {
    let (code, next) = match &error {
        skep_store::Error::NotFound { .. } => (codes::NOT_FOUND, "skep dlq list --all"),
        skep_store::Error::Ambiguous { .. } => (codes::AMBIGUOUS, "skep dlq list --all"),
        _ => return error.into(),
    };
    Failure::of(code, &error).next(next)
}

/// Who acts, for the trail.
fn operator(session: &Session, args: &OperatorArgs) -> Operator {
    Operator {
        actor: identity::actor(&session.environment),
        source: identity::source_of(args),
        initiator: "skep dlq".to_owned(),
        host: identity::host(),
    }
}

/// What became of one letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Handling {
    /// The whole id, or what was given when it names none.
    event_id: String,
    target: Option<String>,
    /// `requeued`, `dropped`, `nothing-to-do`, `already-requeued`, `already-dropped`,
    /// `not-found`, `ambiguous`, `not-requeueable` or `other-swarm`.
    outcome: &'static str,
    action_id: Option<String>,
    approval_id: Option<String>,
    state: Option<ActionState>,
    detail: String,
}

impl Handling {
    fn of(letter: &DeadLetter, outcome: &'static str, detail: impl Into<String>) -> Self {
        Self {
            event_id: letter.id.to_string(),
            target: letter.key.as_ref().map(|key| key.name.clone()),
            outcome,
            action_id: None,
            approval_id: None,
            state: None,
            detail: detail.into(),
        }
    }

    /// Somebody was faster.
    fn already(letter: &DeadLetter) -> Self {
        let outcome = match letter.state {
            LetterState::Dropped => "already-dropped",
            LetterState::Open | LetterState::Requeued => "already-requeued",
        };
        let by = letter.handled.as_ref();
        let detail = by.map(|by| format!("by {} at {:.0}: {}", by.by, by.at, by.why));
        Self::of(letter, outcome, detail.unwrap_or_default())
    }

    fn missing(given: &str, error: &skep_store::Error) -> Option<Self> {
        let outcome = match error {
            skep_store::Error::NotFound { .. } => "not-found",
            skep_store::Error::Ambiguous { .. } => "ambiguous",
            _ => return None,
        };
        Some(Self {
            event_id: given.to_owned(),
            target: None,
            outcome,
            action_id: None,
            approval_id: None,
            state: None,
            detail: error.to_string(),
        })
    }

    fn has_failed(&self) -> bool {
        matches!(self.outcome, "not-found" | "ambiguous" | "not-requeueable" | "other-swarm")
    }
}

/// The letters that are named; what names none is told beside them.
async fn named(store: &dyn Store, ids: &[String]) -> Result<(Vec<DeadLetter>, Vec<Handling>)> {
    let (mut found, mut missing) = (Vec::<DeadLetter>::new(), Vec::new());
    for id in ids {
        match store.letter(id).await {
            // One letter by two spellings of its id is handled once.
            Ok(letter) if found.iter().any(|other| other.id == letter.id) => {}
            Ok(letter) => found.push(letter),
            Err(error) => match Handling::missing(id, &error) {
                Some(handling) => missing.push(handling),
                None => return Err(error.into()),
            },
        }
    }
    Ok((found, missing))
}

/// Tells what became of them; fails when one of them could not be handled.
fn tell(session: &Session, items: Vec<Handling>) -> Result<u8> {
    let failed = items.iter().any(Handling::has_failed);
    session.printer.data(&Items { items }, |list, style| {
        let mut columns = Columns::new(["ID", "TARGET", "OUTCOME", "ACTION", "STATE", "DETAIL"]);
        for item in &list.items {
            columns.row([
                short(&item.event_id).to_owned(),
                item.target.clone().unwrap_or_else(|| "-".to_owned()),
                item.outcome.to_owned(),
                item.action_id.as_deref().map_or("-", short).to_owned(),
                item.state.map_or("-".to_owned(), |state| state.to_string()),
                item.detail.clone(),
            ]);
        }
        columns.text(style, "no dead letters")
    })?;
    Ok(if failed { exit::FAILED } else { exit::OK })
}
