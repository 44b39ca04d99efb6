//! Leaving drift alone for some time, and taking that back.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::ObjectKey;

use super::{find, look};
use crate::args::{FleetArgs, OperatorArgs};
use crate::codes;
use crate::error::{Failure, Result, exit};
use crate::identity;
use crate::output::Items;
use crate::output::table::Columns;
use crate::verbs::Session;

/// A hold as it is shown.
#[derive(Debug, Serialize)]
pub(super) struct HoldView {
    pub(super) target: String,
    pub(super) kind: HoldKind,
    pub(super) until: Option<Timestamp>,
    pub(super) actor: String,
    pub(super) reason: String,
    pub(super) placed_at: Timestamp,
}

impl HoldView {
    pub(super) fn of(hold: &Hold) -> Self {
        Self {
            target: hold.key.name.clone(),
            kind: hold.kind,
            until: hold.until,
            actor: hold.actor.clone(),
            reason: hold.reason.clone(),
            placed_at: hold.placed_at,
        }
    }
}

/// `skep service accept-drift`.
pub(super) async fn accept(
    session: &Session,
    fleet: &FleetArgs,
    operator: &OperatorArgs,
    name: &str,
    time: jiff::SignedDuration,
    reason: Option<&str>,
) -> Result<u8> {
    let seen = look(session, fleet).await?;
    let name = find(&seen, name)?;
    let step = seen.planned.plan.steps.iter().find(|step| step.target == name);
    let Some(difference) = step.and_then(|step| step.difference.clone()) else {
        return Err(Failure::new(
            codes::NOTHING_TO_DO,
            format!("{name} does not differ from what is declared: there is no drift to accept"),
        )
        .next(format!("skep service status {name}")));
    };
    let now = Timestamp::now();
    let hold = Hold {
        key: ObjectKey::service(&seen.planned.plan.cluster_id, &name),
        kind: HoldKind::Accepted,
        difference: Some(difference),
        until: Some(now.checked_add(time).unwrap_or(Timestamp::MAX)),
        actor: identity::actor_from(&session.environment, operator),
        reason: reason.unwrap_or("accepted by hand").to_owned(),
        placed_at: now,
    };
    seen.wired.store.place_hold(&hold).await?;
    tell(session, vec![HoldView::of(&hold)])
}

/// `skep service retry`.
pub(super) async fn retry(
    session: &Session,
    fleet: &FleetArgs,
    operator: &OperatorArgs,
    names: &[String],
    reason: Option<&str>,
) -> Result<u8> {
    let seen = look(session, fleet).await?;
    let names = names.iter().map(|name| find(&seen, name)).collect::<Result<Vec<_>>>()?;
    let mut views = Vec::new();
    for name in names {
        let hold = Hold {
            key: ObjectKey::service(&seen.planned.plan.cluster_id, &name),
            kind: HoldKind::Retry,
            difference: None,
            until: None,
            actor: identity::actor_from(&session.environment, operator),
            reason: reason.unwrap_or("tried again by hand").to_owned(),
            placed_at: Timestamp::now(),
        };
        seen.wired.store.place_hold(&hold).await?;
        views.push(HoldView::of(&hold));
    }
    session.printer.note("the next pass proposes what differs again");
    tell(session, views)
}

fn tell(session: &Session, views: Vec<HoldView>) -> Result<u8> {
    session.printer.data(&Items { items: views }, |list, style| {
        let mut columns = Columns::new(["SERVICE", "KIND", "UNTIL", "BY", "REASON"]);
        for view in &list.items {
            columns.row([
                view.target.clone(),
                view.kind.to_string(),
                view.until.map_or("-".to_owned(), |until| format!("{until:.0}")),
                view.actor.clone(),
                view.reason.clone(),
            ]);
        }
        columns.text(style, "nothing is held")
    })?;
    Ok(exit::OK)
}
