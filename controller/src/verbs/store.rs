//! The store itself: its state, backups, and moves.

mod backup;
mod check;
mod copy;
mod restore;

use std::time::{Duration, Instant};

use serde::Serialize;
use skep_store_sql::transfer::Contents;

use super::Session;
use crate::args::StoreVerb;
use crate::codes;
use crate::config::table;
use crate::database::{Database, Named};
use crate::error::{Failure, Result};
use crate::key::Place;

/// `skep store`.
pub(super) async fn run(session: &Session, verb: StoreVerb) -> Result<u8> {
    match verb {
        StoreVerb::Check { .. } => check::run(session).await,
        StoreVerb::Backup { file, .. } => backup::run(session, &file).await,
        StoreVerb::Restore(args) => restore::run(session, &args).await,
        StoreVerb::Copy(args) => copy::run(session, &args).await,
    }
}

/// The rows of one table, as they are shown.
#[derive(Debug, Serialize)]
struct TableView {
    name: String,
    rows: u64,
}

fn views(contents: &Contents) -> Vec<TableView> {
    let view = |(name, content): (&String, &skep_store_sql::transfer::Content)| TableView {
        name: name.clone(),
        rows: content.rows,
    };
    contents.iter().map(view).collect()
}

fn rows(contents: &Contents) -> u64 {
    contents.values().map(|content| content.rows).sum()
}

/// The tables that say whether anything has happened yet.
const RECORDS: [&str; 6] = ["actions", "audit", "overrides", "ownership", "requests", "revisions"];

fn is_empty(contents: &Contents) -> bool {
    RECORDS.iter().all(|table| contents.get(*table).is_none_or(|content| content.rows == 0))
}

fn not_empty(named: &Named, next: &str) -> Failure {
    Failure::new(
        codes::STORE_NOT_EMPTY,
        format!("{named} holds records already, and nothing was overwritten"),
    )
    .next(next)
}

/// The store of the settings, and where its key is.
fn in_force(session: &Session) -> Result<(Named, Option<Place>)> {
    let named = Named::in_force(&session.config, &session.environment)?;
    let place = named.key(session.config.text(table::KEY), &session.environment)?;
    Ok((named, place))
}

/// Nobody leads, or who does is told.
async fn nobody_leads(named: &Named, database: &Database) -> Result<()> {
    match database.store().lease_holder().await? {
        None => Ok(()),
        Some(holder) => Err(Failure::new(
            codes::LEASE_HELD,
            format!("{} leads on {named}, until {}", holder.holder, holder.expires_at),
        )
        .next("stop it first: what it writes meanwhile would be lost")),
    }
}

/// Tells now and then how far long work has come.
fn progress<'a>(session: &'a Session, doing: &'a str) -> impl FnMut(&str, u64) + 'a {
    const EVERY: Duration = Duration::from_secs(2);
    let mut last = Instant::now();
    move |table, rows| {
        if last.elapsed() >= EVERY {
            last = Instant::now();
            session.printer.note(&format!("{doing}: {table}, {rows} rows"));
        }
    }
}

/// What there is to be known about the key beside records.
fn about_the_key(place: Option<&Place>) -> String {
    match place {
        Some(place) => format!(
            "it does not hold the installation's key ({place}): keep a copy of that too, \
             elsewhere; without it the sealed records cannot be opened"
        ),
        None => "its key ends with this process".to_owned(),
    }
}
