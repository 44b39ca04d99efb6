//! `skep stack sync`: whoever leads is asked to look now, and what came of it is told. Where nobody
//! leads, the pass is made here.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::desired::SourceState;
use skep_core::ports::Random as _;
use skep_core::push::{Answer, LookedAt, Matter};
use skep_runtime::SystemRandom;
use skep_store::{Announced, LeaseHolder, NewAnnouncement, Store};
use tokio::time::Instant;

use super::list::short;
use super::one::{find, is_usable};
use super::own::belongs;
use crate::args::SyncStackArgs;
use crate::database::Access;
use crate::error::{Failure, Result, exit};
use crate::output::{Items, Style, plain};
use crate::verbs::Session;
use crate::wiring::{self, Wired};
use crate::{codes, identity};

/// How often the answer is looked for.
const POLL: Duration = Duration::from_millis(100);
/// How often a person is told that it is still waited for.
const PROGRESS: Duration = Duration::from_secs(10);
/// How long it is waited for unless somebody says otherwise: longer than a repository may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// `skep stack sync`.
pub(super) async fn sync(session: &Session, args: &SyncStackArgs) -> Result<u8> {
    let store = session.open_store().await?;
    if let Some(holder) = store.lease_holder().await?
        && let Some(answer) = ask(session, store.as_ref(), &holder, args).await?
    {
        return tell(session, answer);
    }
    session.printer.note("no `skep serve` leads: the sources are read and the pass is made here");
    drop(store);
    here(session, args).await
}

/// Asks the leader; no answer when nobody leads any more.
async fn ask(
    session: &Session,
    store: &dyn Store,
    holder: &LeaseHolder,
    args: &SyncStackArgs,
) -> Result<Option<Answer>> {
    let id = format!("sync:{:032x}", SystemRandom.bits128());
    let actor = identity::actor(&session.environment);
    let matter = Matter::Sync { stacks: args.names.clone(), actor };
    let new = NewAnnouncement { id: id.clone(), also: None, matter };
    if store.announce(&new, Timestamp::now()).await? == Announced::Full {
        let message = "too many announcements wait for their answer already";
        return Err(Failure::new(codes::SYNC_UNANSWERED, message)
            .next("look at what the leader is busy with: its log, and /status"));
    }
    let leader = plain(&holder.holder);
    session.printer.note(&format!("{leader} leads and is asked to look now"));
    let started = Instant::now();
    let patience = args.timeout.and_then(|time| Duration::try_from(time).ok()).unwrap_or(PATIENCE);
    let mut told = started;
    loop {
        if let Some(answer) = store.announcement(&id).await?.and_then(|kept| kept.answer) {
            return Ok(Some(answer));
        }
        if started.elapsed() >= patience {
            let message = format!("{leader} has not answered within {} s", patience.as_secs());
            return Err(Failure::new(codes::SYNC_UNANSWERED, message)
                .next("it looks as soon as it can; then: skep stack list, skep approvals list"));
        }
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let seconds = started.elapsed().as_secs();
            session.printer.note(&format!("still waiting for its answer after {seconds} s"));
            if store.lease_holder().await?.is_none() {
                return Ok(None);
            }
        }
        tokio::time::sleep(POLL).await;
    }
}

/// A stack as the leader found it.
#[derive(Serialize)]
struct Row {
    name: String,
    state: SourceState,
    before: Option<String>,
    commit: Option<String>,
    reason: Option<String>,
    steps: Vec<StepRow>,
    /// How many steps more there are.
    more: usize,
}

#[derive(Serialize)]
struct StepRow {
    action: &'static str,
    target: String,
}

impl Row {
    fn new(stack: LookedAt) -> Self {
        let LookedAt { stack: name, state, reason, before, commit, steps, more } = stack;
        let steps = steps
            .into_iter()
            .map(|step| StepRow { action: step.action.as_str(), target: step.target })
            .collect();
        Self { name, state, before, commit, reason, steps, more }
    }

    fn write(&self, text: &mut String, style: Style) {
        let state = match self.state {
            SourceState::Ready => style.green("ready"),
            SourceState::Stale => style.yellow("stale"),
            SourceState::NeverLoaded => style.red("never_loaded"),
        };
        let commit = match (self.before.as_deref().map(short), self.commit.as_deref().map(short)) {
            (Some(before), Some(now)) if before != now => format!("{before} -> {now}"),
            (_, Some(now)) => now.to_owned(),
            (_, None) => "-".to_owned(),
        };
        let count = match self.steps.len() + self.more {
            0 => "nothing to do".to_owned(),
            1 => "1 step".to_owned(),
            count => format!("{count} steps"),
        };
        // Writing to a String cannot fail.
        let name = style.bold(&plain(&self.name));
        let _ = writeln!(text, "{name}  {state}  {}  {count}", plain(&commit));
        for StepRow { action, target } in &self.steps {
            let _ = writeln!(text, "    {action}  {}", plain(target));
        }
        if self.more > 0 {
            let _ = writeln!(text, "    and {} more", self.more);
        }
    }
}

fn tell(session: &Session, answer: Answer) -> Result<u8> {
    let Answer { stacks, unknown, note } = answer;
    let list = Items { items: stacks.into_iter().map(Row::new).collect::<Vec<_>>() };
    session.printer.data(&list, |list, style| {
        let mut text = String::new();
        list.items.iter().for_each(|row| row.write(&mut text, style));
        text
    })?;
    if let Some(note) = note {
        session.printer.note(&plain(&note));
    }
    for row in &list.items {
        if let Some(reason) = &row.reason {
            session.printer.warn(&plain(&format!("{}: {reason}", row.name)));
        }
    }
    if list.items.iter().any(|row| !row.steps.is_empty()) {
        session.printer.note("next: skep approvals list");
    }
    if !unknown.is_empty() {
        let message = format!("no stack {:?} is declared where it leads", unknown.join(", "));
        return Err(Failure::new(codes::NOT_FOUND, message).next("skep stack list"));
    }
    let is_usable = list.items.iter().all(|row| row.state == SourceState::Ready);
    Ok(if is_usable { exit::OK } else { exit::FAILED })
}

/// One pass for the services of the stacks.
async fn here(session: &Session, args: &SyncStackArgs) -> Result<u8> {
    let wired = session.controller(&[], "stack").await?;
    let planned = wired.controller.plan().await?;
    let stacks = wired.controller.stacks().await;
    let named = args.names.iter().map(|name| find(&stacks, name)).collect::<Result<Vec<_>>>()?;
    let chosen = if named.is_empty() { stacks.iter().collect() } else { named };
    if chosen.is_empty() {
        return Err(Failure::new(codes::NOT_FOUND, "no stack is declared")
            .next("name a stacks file: skep stack sync --stacks stacks.yml"));
    }
    let mut only = BTreeSet::new();
    for origin in chosen {
        is_usable(&planned, origin)?;
        let services = planned.desired.stacks.get(&origin.name);
        only.extend(services.into_iter().flat_map(|stack| stack.services.iter().cloned()));
        let steps = planned.plan.steps.iter();
        let own = steps.filter(|step| belongs(&planned, &origin.name, step));
        only.extend(own.map(|step| step.target.clone()));
    }
    drop(wired);
    let mut options = wiring::options(&session.config, &[], "stack sync")?;
    options.only = Some(only);
    options.wait_for_rollouts = !args.no_wait;
    let (config, environment) = (&session.config, &session.environment);
    let Wired { controller, .. } =
        wiring::assemble(config, environment, options, Access::Write).await?;
    crate::verbs::reconcile::pass(session, &controller).await
}
