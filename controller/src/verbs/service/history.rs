//! The revisions of a service, and what differs between any two states of it.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use skep_core::identity::{ObjectKey, ServiceName};
use skep_core::plan::{Change, NetworkNames, diff_between};
use skep_core::revision::{Revision, RevisionOrigin};

use super::row::Place;
use super::{Seen, find, look};
use crate::args::{FleetArgs, HistoryArgs, Side};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::output::change::change_line;
use crate::output::table::Columns;
use crate::output::{Items, Style, plain, since};
use crate::verbs::Session;
use crate::verbs::view::short;

/// A revision as it is shown; its spec never is.
#[derive(Debug, Serialize)]
pub(super) struct RevisionView {
    pub(super) revision: u32,
    pub(super) origin: RevisionOrigin,
    pub(super) at: Timestamp,
    pub(super) actor: String,
    pub(super) reason: String,
    pub(super) action_id: Option<String>,
    source: Option<Place>,
    commit: Option<String>,
    author: Option<String>,
    object: String,
    version: Option<u64>,
    pub(super) changes: Vec<Change>,
}

impl RevisionView {
    pub(super) fn of(revision: Revision) -> Self {
        Self {
            revision: revision.number,
            origin: revision.origin,
            at: revision.at,
            actor: revision.actor,
            reason: revision.reason,
            action_id: revision.action.map(|id| id.to_string()),
            source: revision.provenance.as_ref().map(Place::of),
            author: revision.provenance.as_ref().and_then(|place| place.author.clone()),
            commit: revision.provenance.and_then(|place| place.commit),
            object: revision.object.to_string(),
            version: revision.version,
            changes: revision.changes,
        }
    }
}

/// `skep service history NAME`.
pub(super) async fn list(session: &Session, args: &HistoryArgs) -> Result<u8> {
    let seen = look(session, &args.fleet).await?;
    let name = find(&seen, &args.name)?;
    let key = ObjectKey::service(&seen.planned.plan.cluster_id, &name);
    let revisions = seen.wired.store.revisions(&key, args.limit).await?;
    let items: Vec<_> = revisions.into_iter().map(RevisionView::of).collect();
    session.printer.data(&Items { items }, |list, style| {
        let now = Timestamp::now();
        let mut columns =
            Columns::new(["REVISION", "AGE", "ORIGIN", "BY", "ACTION", "DECLARED AT", "WHAT"]);
        for view in &list.items {
            columns.row([
                view.revision.to_string(),
                since(view.at, now),
                view.origin.to_string(),
                view.actor.clone(),
                view.action_id.as_deref().map_or("-", short).to_owned(),
                view.source.as_ref().map_or("-".to_owned(), ToString::to_string),
                view.reason.clone(),
            ]);
        }
        columns.text(style, "nothing is on record about it yet")
    })?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Difference {
    target: String,
    from: String,
    to: String,
    changes: Vec<Change>,
}

/// `skep service diff NAME`.
pub(super) async fn diff(
    session: &Session,
    fleet: &FleetArgs,
    name: &str,
    from: Side,
    to: Side,
) -> Result<u8> {
    let seen = look(session, fleet).await?;
    let name = find(&seen, name)?;
    let (before, after) = (spec(&seen, &name, from).await?, spec(&seen, &name, to).await?);
    let names = NetworkNames::of(&seen.planned.snapshot);
    let secrets = &seen.planned.desired.secrets;
    let masking = &seen.wired.masking;
    let difference = Difference {
        target: name.to_string(),
        from: from.to_string(),
        to: to.to_string(),
        changes: diff_between(&before, &after, &names, secrets, masking),
    };
    session.printer.data(&difference, text)?;
    Ok(exit::OK)
}

fn text(difference: &Difference, style: Style) -> String {
    let Difference { target, from, to, changes } = difference;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{}  {from} -> {to}", style.bold(&plain(target)));
    if changes.is_empty() {
        let _ = writeln!(text, "  no difference");
    }
    for change in changes {
        change_line(&mut text, change, style);
    }
    text
}

async fn spec(seen: &Seen, name: &ServiceName, side: Side) -> Result<Value> {
    let planned = &seen.planned;
    let nothing = |what: &str| {
        Failure::new(codes::NOT_FOUND, format!("{name} is not {what}"))
            .next(format!("skep service history {name}"))
    };
    match side {
        Side::Live => {
            let live = planned.snapshot.services.get(name);
            live.map(|live| live.spec.value()).ok_or_else(|| nothing("on the swarm"))
        }
        Side::Declared => {
            let declared = planned.desired.services.get(name);
            declared.map(|service| service.spec.value()).ok_or_else(|| nothing("declared"))
        }
        Side::Revision(number) => {
            let key = ObjectKey::service(&planned.plan.cluster_id, name);
            let spec = skep_runtime::history::spec_of(
                seen.wired.store.as_ref(),
                &seen.wired.sealer,
                &key,
                number,
            )
            .await?;
            spec.ok_or_else(|| {
                Failure::new(codes::NOT_FOUND, format!("{name} has no revision {number}"))
                    .next(format!("skep service history {name}"))
            })
        }
    }
}
