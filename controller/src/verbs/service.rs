//! The declared services beside the live ones.

mod fleet;
mod one;
mod row;

use std::collections::{BTreeMap, HashMap};

use skep_core::action::{Action, ActionState};
use skep_core::desired::DesiredService;
use skep_runtime::{Planned, ask_all};
use skep_store::{ActionFilter, Store};

use self::row::Row;
use super::Session;
use crate::args::{FleetArgs, ServiceVerb};
use crate::error::{Result, exit};
use crate::output::Items;
use crate::output::table::Columns;
use crate::wiring::{self, Wired};

/// `skep service`.
pub(super) async fn run(session: &Session, verb: &ServiceVerb) -> Result<u8> {
    match verb {
        ServiceVerb::List { probe, fleet } => list(session, fleet, *probe).await,
        ServiceVerb::Status { name: Some(name), fleet } => one::status(session, fleet, name).await,
        ServiceVerb::Status { name: None, fleet } => fleet::status(session, fleet).await,
    }
}

/// The world as the planner sees it, with the actions that are under way.
struct Seen {
    wired: Wired,
    planned: Planned,
    open: HashMap<String, Action>,
}

async fn look(session: &Session, fleet: &FleetArgs) -> Result<Seen> {
    let wired =
        wiring::controller(&session.config, &session.environment, &fleet.only, "service").await?;
    let planned = wired.controller.plan().await?;
    let open = open_actions(wired.store.as_ref(), &planned).await?;
    Ok(Seen { wired, planned, open })
}

/// By service; a service has at most one.
async fn open_actions(store: &dyn Store, planned: &Planned) -> Result<HashMap<String, Action>> {
    let states = ActionState::ALL.iter().copied().filter(|state| state.is_open()).collect();
    let actions = store.actions(&ActionFilter { states, ..ActionFilter::default() }).await?;
    Ok(actions
        .into_iter()
        .filter(|action| action.key.cluster == planned.plan.cluster_id)
        .map(|action| (action.key.name.clone(), action))
        .collect())
}

async fn list(session: &Session, fleet: &FleetArgs, probe: bool) -> Result<u8> {
    let Seen { planned, open, wired } = look(session, fleet).await?;
    let shown: Vec<_> = planned
        .desired
        .services
        .values()
        .filter(|service| {
            fleet.only.is_empty() || fleet.only.iter().any(|n| n == service.name.as_str())
        })
        .collect();
    let answers = if probe {
        let runs = |service: &&DesiredService| {
            let live = planned.snapshot.services.get(&service.name);
            live.is_some_and(|live| live.tasks.running > 0)
        };
        let asked = shown.iter().copied().filter(runs);
        let endpoints = asked.map(|service| (service.name.clone(), service.mcp.clone())).collect();
        ask_all(&wired.probe_address, endpoints).await
    } else {
        BTreeMap::new()
    };
    let items = shown
        .into_iter()
        .map(|service| {
            Row::declared(service, &planned, &open).with_answer(answers.get(&service.name))
        })
        .collect();
    session.printer.data(&Items { items }, |list, style| {
        let header = [
            "NAME",
            "STATE",
            "HEALTH",
            "DRIFT",
            "REPLICAS",
            "OWNER",
            "ACTION",
            "IMAGE",
            "DECLARED AT",
        ];
        let mut columns = Columns::new(header);
        for row in &list.items {
            columns.row([
                row.name.clone(),
                row.state.to_owned(),
                row.shown_health(),
                row.class.map_or("-".to_owned(), |class| class.to_string()),
                row.replicas.shown(),
                row.owner.to_owned(),
                row.action.as_ref().map_or("-".to_owned(), |action| action.state.to_string()),
                row.image.clone().unwrap_or_default(),
                row.source.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]);
        }
        columns.text(style, "no service is declared")
    })?;
    for source in &planned.desired.sources {
        if let Some(reason) = &source.reason {
            session.printer.warn(&crate::output::plain(&format!("{}: {reason}", source.name)));
        }
    }
    Ok(exit::OK)
}
