//! The declared services beside the live ones.

mod ask;
mod choose;
mod fleet;
mod history;
mod hold;
mod one;
mod row;
mod why;

use std::collections::{BTreeMap, HashMap};

use skep_core::action::{Action, ActionState};
use skep_core::desired::DesiredService;
use skep_core::identity::ServiceName;
use skep_core::request::RequestVerb;
use skep_runtime::{Planned, ask_all};
use skep_store::{ActionFilter, Store};

pub(super) use self::ask::ask_about;
use self::row::Row;
use super::Session;
use crate::args::{FleetArgs, ServiceVerb};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::Items;
use crate::output::table::Columns;
use crate::wiring::Wired;

/// `skep service`.
pub(super) async fn run(session: &Session, verb: &ServiceVerb) -> Result<u8> {
    match verb {
        ServiceVerb::List { probe, fleet } => list(session, fleet, *probe).await,
        ServiceVerb::Status { name: Some(name), fleet } => one::status(session, fleet, name).await,
        ServiceVerb::Status { name: None, fleet } => fleet::status(session, fleet).await,
        ServiceVerb::Why { name, limit, fleet } => why::why(session, fleet, name, *limit).await,
        ServiceVerb::History(args) => history::list(session, args).await,
        ServiceVerb::Diff { name, from, to, fleet } => {
            history::diff(session, fleet, name, *from, *to).await
        }
        ServiceVerb::Rollback { name, to, ask } => {
            let verb = RequestVerb::Rollback { revision: *to };
            ask::ask(session, ask, vec![(name.clone(), verb)]).await
        }
        ServiceVerb::Adopt(args) => choose::adopt(session, args).await,
        ServiceVerb::Release(args) => choose::release(session, args).await,
        ServiceVerb::Restart { names, ask } => {
            ask::ask(session, ask, each(names, &RequestVerb::Restart)).await
        }
        ServiceVerb::Scale { targets, ask } => {
            let wanted = targets.iter().map(|target| {
                (target.name.clone(), RequestVerb::Scale { replicas: target.replicas })
            });
            ask::ask(session, ask, wanted.collect()).await
        }
        ServiceVerb::Stop { names, ask } => {
            ask::ask(session, ask, each(names, &RequestVerb::Stop)).await
        }
        ServiceVerb::RefreshCredentials { names, ask } => {
            ask::ask(session, ask, each(names, &RequestVerb::RefreshCredentials)).await
        }
        ServiceVerb::Retry { names, reason, operator, fleet } => {
            hold::retry(session, fleet, operator, names, reason.as_deref()).await
        }
        ServiceVerb::AcceptDrift { name, time, reason, operator, fleet } => {
            hold::accept(session, fleet, operator, name, *time, reason.as_deref()).await
        }
    }
}

fn each(names: &[String], verb: &RequestVerb) -> Vec<(String, RequestVerb)> {
    names.iter().map(|name| (name.clone(), verb.clone())).collect()
}

/// The world as the planner sees it, with the actions that are under way.
pub(super) struct Seen {
    pub(super) wired: Wired,
    pub(super) planned: Planned,
    open: HashMap<String, Action>,
}

pub(super) async fn look(session: &Session, fleet: &FleetArgs) -> Result<Seen> {
    let wired = session.controller(&fleet.only, "service").await?;
    let planned = wired.controller.plan().await?;
    let open = open_actions(wired.store.as_ref(), &planned).await?;
    Ok(Seen { wired, planned, open })
}

/// The final name of a service: owners use the connector's name, operators the final one.
fn find(seen: &Seen, name: &str) -> Result<ServiceName> {
    let planned = &seen.planned;
    let declared = planned
        .desired
        .services
        .values()
        .find(|service| service.name.as_str() == name || service.declared_name == name);
    let full = declared.map_or_else(|| ServiceName::new(name), |service| service.name.clone());
    let is_known = declared.is_some()
        || planned.snapshot.services.contains_key(&full)
        || planned.owned.contains_key(&full);
    if is_known { Ok(full) } else { Err(unknown(seen, name)) }
}

fn unknown(seen: &Seen, name: &str) -> Failure {
    let services = &seen.planned.desired.services;
    let names = services
        .values()
        .flat_map(|service| [service.name.as_str(), service.declared_name.as_str()])
        .chain(seen.planned.snapshot.services.keys().map(|name| name.as_str()));
    let failure =
        Failure::new(codes::NOT_FOUND, format!("no service {name:?} is declared or live"));
    failure.next(match skep_yaml::did_you_mean(name, names) {
        Some(near) => format!("did you mean {near}? skep service status {near}"),
        None => "skep service list".to_owned(),
    })
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
                row.shown_state(),
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
