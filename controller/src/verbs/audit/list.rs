//! `skep audit list`.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_store::{AuditFilter, Store};

use crate::args::ListAuditArgs;
use crate::error::{Failure, Result, exit};
use crate::output::table::Columns;
use crate::output::{Format, Items, plain};
use crate::verbs::Session;
use crate::verbs::view::short;
use crate::{codes, signals};

/// How often new rows are looked for.
const POLL: Duration = Duration::from_secs(1);

/// A row as it is shown.
#[derive(Debug, Serialize)]
struct Row {
    sequence: i64,
    at: Timestamp,
    kind: AuditKind,
    actor: String,
    service: Option<String>,
    cluster_id: Option<String>,
    action_id: Option<String>,
    detail: String,
    data: Option<AuditData>,
}

impl Row {
    fn new((sequence, event): (i64, AuditEvent)) -> Self {
        let (service, cluster_id) =
            event.key.map(|key| (key.name, key.cluster.to_string())).unzip();
        Self {
            sequence,
            at: event.at,
            kind: event.kind,
            actor: event.actor,
            service,
            cluster_id,
            action_id: event.action.map(|id| id.to_string()),
            detail: event.detail,
            data: event.data,
        }
    }
}

pub(super) async fn run(session: &Session, args: &ListAuditArgs) -> Result<u8> {
    let store = session.open_store().await?;
    let action = match &args.action {
        Some(id) => Some(store.action(id).await?.id),
        None => None,
    };
    let filter = AuditFilter {
        action,
        name: args.service.clone(),
        kinds: args.kind.iter().filter_map(|word| AuditKind::from_word(word)).collect(),
        actor: args.actor.clone(),
        since: args.since,
        until: args.until,
        limit: args.limit,
        ..AuditFilter::default()
    };
    if args.follow {
        return follow(session, store.as_ref(), filter).await;
    }
    let items: Vec<_> = store.audit(&filter).await?.into_iter().map(Row::new).collect();
    session.printer.data(&Items { items }, |list, style| {
        let mut columns = Columns::new(["ROW", "AT", "WHAT", "BY", "SERVICE", "ACTION", "DETAIL"]);
        for row in &list.items {
            columns.row([
                row.sequence.to_string(),
                format!("{:.0}", row.at),
                row.kind.to_string(),
                row.actor.clone(),
                row.service.clone().unwrap_or_else(|| "-".to_owned()),
                row.action_id.as_deref().map_or("-", short).to_owned(),
                row.detail.clone(),
            ]);
        }
        columns.text(style, "nothing fits")
    })?;
    Ok(exit::OK)
}

/// One row on one line: a list that goes on has no widths.
fn line(session: &Session, row: &Row) -> Result<()> {
    if session.printer.format() == Format::Table {
        return session.printer.raw(&format!(
            "{}  {:.0}  {}  {}  {}  {}\n",
            row.sequence,
            row.at,
            row.kind,
            plain(&row.actor),
            plain(row.service.as_deref().unwrap_or("-")),
            plain(&row.detail)
        ));
    }
    match serde_json::to_string(row) {
        Ok(json) => session.printer.raw(&format!("{json}\n")),
        Err(_) => Ok(()),
    }
}

/// Shows the list, and then rows as they come. Numbers of a Postgres trail become visible out of
/// order; a row that is committed late and has a lower number is in the next list, not here.
async fn follow(session: &Session, store: &dyn Store, mut filter: AuditFilter) -> Result<u8> {
    let shutdown = signals::shutdown().map_err(|error| Failure::of(codes::INTERNAL, &error))?;
    // Before the list: what is recorded meanwhile is looked for at once and not at the next change.
    let mut seen = store.change_counter().await?;
    loop {
        let rows = store.audit(&filter).await?;
        filter.after = rows.first().map(|(seq, _)| *seq).or(filter.after);
        // The limit is about what was there before.
        filter.limit = 0;
        for row in rows.into_iter().rev().map(Row::new) {
            line(session, &row)?;
        }
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(exit::OK),
                () = tokio::time::sleep(POLL) => {}
            }
            if session.printer.is_closed() {
                return Ok(exit::OK);
            }
            let now = store.change_counter().await?;
            if now != seen {
                seen = now;
                break;
            }
        }
    }
}
