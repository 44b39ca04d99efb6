//! Which services `adopt` and `release` are about.

use std::collections::BTreeSet;

use serde_json::Value;
use skep_core::identity::ServiceName;
use skep_core::labels;
use skep_core::request::RequestVerb;

use super::ask::ask_about;
use super::{Seen, find, look};
use crate::args::ChooseArgs;
use crate::config::table;
use crate::error::{Result, exit};
use crate::verbs::Session;

/// `skep service adopt`.
pub(super) async fn adopt(session: &Session, args: &ChooseArgs) -> Result<u8> {
    let seen = look(session, &args.ask.fleet).await?;
    let planned = &seen.planned;
    let is_ours = |name: &ServiceName| {
        planned
            .snapshot
            .services
            .get(name)
            .is_some_and(|live| planned.owned.get(name) == Some(&live.id))
    };
    let is_live = |name: &&ServiceName| planned.snapshot.services.contains_key(name);
    let chosen = if args.all {
        let declared = planned.desired.services.keys();
        declared.filter(is_live).filter(|name| !is_ours(name)).cloned().collect()
    } else if args.labelled {
        labelled(session, &seen).into_iter().filter(|name| !is_ours(name)).collect()
    } else {
        named(&seen, &args.names)?
    };
    for name in chosen.iter().filter(|name| !planned.desired.services.contains_key(*name)) {
        session.printer.warn(&format!(
            "no source declares {name}: it will be on record and otherwise left alone"
        ));
    }
    about(session, args, &seen, chosen, &RequestVerb::Adopt).await
}

/// `skep service release`.
pub(super) async fn release(session: &Session, args: &ChooseArgs) -> Result<u8> {
    let seen = look(session, &args.ask.fleet).await?;
    let chosen = if args.all {
        seen.planned.owned.keys().cloned().collect()
    } else if args.labelled {
        let owned = &seen.planned.owned;
        labelled(session, &seen).into_iter().filter(|name| owned.contains_key(name)).collect()
    } else {
        named(&seen, &args.names)?
    };
    about(session, args, &seen, chosen, &RequestVerb::Release).await
}

async fn about(
    session: &Session,
    args: &ChooseArgs,
    seen: &Seen,
    chosen: Vec<ServiceName>,
    verb: &RequestVerb,
) -> Result<u8> {
    if chosen.is_empty() {
        session.printer.note("there is no such service: nothing to do");
        return Ok(exit::OK);
    }
    let wanted = chosen.into_iter().map(|name| (name, verb.clone())).collect();
    ask_about(session, &args.ask, seen, wanted, BTreeSet::new()).await
}

fn named(seen: &Seen, names: &[String]) -> Result<Vec<ServiceName>> {
    names.iter().map(|name| find(seen, name)).collect()
}

/// The services that carry the label of this fleet: what was ours, when the record is lost.
fn labelled(session: &Session, seen: &Seen) -> Vec<ServiceName> {
    let fleet = session.config.text(table::FLEET).unwrap_or("default");
    let carries = |spec: &Value| {
        let label = spec.get("Labels").and_then(|own| own.get(labels::FLEET));
        label.and_then(Value::as_str) == Some(fleet)
    };
    let services = seen.planned.snapshot.services.values();
    services.filter(|live| carries(&live.spec.value())).map(|live| live.name.clone()).collect()
}
