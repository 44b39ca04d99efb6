//! `skep contain list`: what is paused and killed, by whom, when and why.

use jiff::Timestamp;
use serde::Serialize;
use skep_core::containment::{Containment, Scope};
use skep_runtime::Survey;

use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::output::{Items, since};
use crate::verbs::Session;
use crate::wiring;

#[derive(Serialize)]
struct View {
    #[serde(flatten)]
    containment: Containment,
    /// The services of ours that it holds.
    services: Vec<String>,
}

/// `skep contain list`.
pub(super) async fn list(session: &Session) -> Result<u8> {
    let wired = wiring::for_containment(&session.config, &session.environment, "contain").await?;
    let seen = wired.controller.survey().await?;
    let items: Vec<View> = seen
        .contained
        .containments()
        .map(|one| View { services: held_by(&seen, &one.scope), containment: one.clone() })
        .collect();
    session.printer.data(&Items { items }, |list, style| {
        let now = Timestamp::now();
        let mut columns = Columns::new(["WHAT", "STATE", "SINCE", "BY", "SERVICES", "REASON"]);
        for view in &list.items {
            let one = &view.containment;
            columns.row([
                one.scope.to_string(),
                one.state.to_string(),
                format!("{} ago", since(one.since, now)),
                one.actor.clone(),
                view.services.len().to_string(),
                one.reason.clone(),
            ]);
        }
        columns.text(style, "nothing is paused or killed")
    })?;
    Ok(exit::OK)
}

fn held_by(seen: &Survey, scope: &Scope) -> Vec<String> {
    let held = seen.owned.keys().filter(|name| scope.covers(name, seen.domain(name)));
    held.map(ToString::to_string).collect()
}
