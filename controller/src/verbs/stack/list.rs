//! `skep stack list`: which stacks there are, and how each stands.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::desired::{SourceState, SourceStatus};
use skep_runtime::{Planned, StackOrigin};
use skep_store::LastGoodContent;

use super::own::belongs;
use crate::args::FleetArgs;
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, plain, since};
use crate::sources;
use crate::verbs::Session;
use crate::wiring::Wired;

/// A stack in a list.
#[derive(Serialize)]
struct Row {
    name: String,
    state: &'static str,
    source: String,
    commit: Option<String>,
    services: Services,
    /// When the content in force was taken by the loop; none when it never was.
    loaded_at: Option<Timestamp>,
    /// Why, when it is not ready.
    reason: Option<String>,
}

/// The services of a stack, counted.
#[derive(Serialize)]
struct Services {
    declared: usize,
    ok: usize,
    drifted: usize,
}

/// `skep stack list`.
pub(super) async fn list(session: &Session, fleet: &FleetArgs) -> Result<u8> {
    let Wired { controller, store, .. } = session.controller(&fleet.only, "stack").await?;
    let planned = controller.plan().await?;
    let mut items = Vec::new();
    for origin in controller.stacks().await {
        let kept = store.last_good(&origin.source_name()).await?;
        items.push(row(&planned, &origin, kept.as_ref()));
    }
    let listed = Items { items };
    session.printer.data(&listed, |list, style| {
        let header = ["NAME", "STATE", "SOURCE", "COMMIT", "SERVICES", "DRIFTED", "LOADED"];
        let mut columns = Columns::new(header);
        let now = Timestamp::now();
        for row in &list.items {
            columns.row([
                row.name.clone(),
                row.state.to_owned(),
                row.source.clone(),
                row.commit.as_deref().map_or("-", short).to_owned(),
                row.services.declared.to_string(),
                row.services.drifted.to_string(),
                row.loaded_at.map_or("-".to_owned(), |at| since(at, now)),
            ]);
        }
        columns.text(style, "no stack is declared")
    })?;
    for row in &listed.items {
        if let Some(reason) = &row.reason {
            session.printer.warn(&plain(&format!("{}: {reason}", row.name)));
        }
    }
    if !sources::are_named(&session.config) {
        session.printer.note(sources::NOTHING_DECLARED);
    }
    Ok(exit::OK)
}

/// As many characters as git's own lists show.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// How a stack stands.
fn row(planned: &Planned, origin: &StackOrigin, kept: Option<&LastGoodContent>) -> Row {
    let name = origin.source_name();
    let status = planned.desired.sources.iter().find(|status| status.name == name);
    let stack = planned.desired.stacks.get(&origin.name);
    let services = stack.map(|stack| &stack.services);
    let drifted =
        planned.plan.steps.iter().filter(|step| belongs(planned, &origin.name, step)).count();
    let declared = services.map_or(0, std::collections::BTreeSet::len);
    Row {
        name: origin.name.clone(),
        state: state(status, stack.is_some()),
        source: origin.shown.clone(),
        commit: status.and_then(|status| status.commit.clone()),
        services: Services { declared, ok: declared.saturating_sub(drifted), drifted },
        loaded_at: kept.map(|kept| kept.loaded_at),
        reason: status.and_then(|status| status.reason.clone()),
    }
}

fn state(status: Option<&SourceStatus>, is_in_force: bool) -> &'static str {
    match status.map(|status| status.state) {
        Some(SourceState::Ready) => "ready",
        Some(SourceState::Stale) if is_in_force => "stale",
        Some(SourceState::Stale) => "invalid",
        Some(SourceState::NeverLoaded) | None => "never_loaded",
    }
}
