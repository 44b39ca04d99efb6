//! Carrying all records over to another database.
//!
//! The installation moves. Its id says whose records the swarm's objects are on, so the copy has
//! the same; two stores that both let somebody lead under it would undo each other's work, so the
//! one that the copy was made from is retired: its lease is held, for good, by the copy.

use std::time::Duration;

use serde::Serialize;
use skep_core::identity::TermId;
use skep_core::ports::Random as _;
use skep_runtime::SystemRandom;
use skep_store::{Lease, LeaseRequest};
use skep_store_sql::transfer::{self, Contents};

use super::{TableView, in_force, is_empty, not_empty, progress, rows, views};
use crate::args::CopyArgs;
use crate::codes;
use crate::database::{Access, Database, Named, absolute};
use crate::error::{Failure, Result, exit};
use crate::key::Place;
use crate::verbs::Session;
use crate::wiring;

/// Longer than any copy takes; a copy that is killed does not keep others from leading for longer.
const COPYING: Duration = Duration::from_secs(3600);

/// "For good", as a lease can say it.
const RETIRED: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

#[derive(Debug, Serialize)]
struct CopyView {
    from: String,
    to: String,
    installation_id: String,
    rows: u64,
    tables: Vec<TableView>,
    /// Where the key of the copy is.
    key: Option<String>,
    /// Whether the store that it was made from can still be used.
    source: &'static str,
}

pub(super) async fn run(session: &Session, args: &CopyArgs) -> Result<u8> {
    let (from, from_key) = in_force(session)?;
    let to = Named::parse(&args.to, &session.environment)?;
    let same_file = from.file().zip(to.file()).is_some_and(|(a, b)| absolute(a) == absolute(b));
    if same_file || from.to_string() == to.to_string() {
        return Err(Failure::usage("--to names the store itself").next("name another database"));
    }
    if from.file().is_some_and(|own| !own.exists()) {
        return Err(Failure::new(codes::STORE_UNAVAILABLE, format!("there is no store at {from}"))
            .next("name it: --store URI"));
    }
    let key = from.keyed(from_key.as_ref(), &session.environment).await?;
    let to_key = to.key(args.to_key.as_deref(), &session.environment)?;
    same_key(session, to_key.as_ref(), &key)?;
    let protection = wiring::protection(&key)?;
    let source = from.open(Access::Any, &protection).await?;
    let target = to.open(Access::Write, &protection).await?;
    let there = transfer::contents(target.archive().await?, |_, _| {}).await?;
    if !is_empty(&there) {
        return Err(not_empty(&to, "name an empty database"));
    }
    let lease = hold(&from, &source, &to).await?;
    let carried = carry(session, &source, &target).await;
    let carried = match (carried, &lease) {
        (Ok(carried), _) => carried,
        (Err(failure), Some(lease)) => {
            let _ends_by_itself = source.store().release_lease(lease).await;
            return Err(failure);
        }
        (Err(failure), None) => return Err(failure),
    };
    // What this process knew of the target is not what is in it any more.
    target.close().await;
    let target = to.open(Access::Write, &protection).await?;
    if let Some(lease) = &lease {
        // It was copied too, and whoever comes first may lead on the copy.
        target.store().release_lease(lease).await?;
        if args.keep_source {
            source.store().release_lease(lease).await?;
        } else {
            let retired = Lease { ttl: RETIRED, ..lease.clone() };
            source.store().renew_lease(&retired).await?;
        }
    }
    let retired = lease.is_some() && !args.keep_source;
    let view = CopyView {
        from: from.to_string(),
        to: to.to_string(),
        installation_id: target.store().installation_id().to_owned(),
        rows: rows(&carried),
        tables: views(&carried),
        key: to_key.as_ref().map(ToString::to_string),
        source: if retired { "retired" } else { "kept" },
    };
    target.close().await;
    source.close().await;
    session.printer.data(&view, |view, _| {
        format!("{}: {} rows, each compared with {}\n", view.to, view.rows, view.from)
    })?;
    if let Some(place) = &to_key {
        session.printer.note(&format!("the key of the copy is {place}; it is the same one"));
    }
    session.printer.note(if retired {
        "nobody can lead on the old store any more: it stays as it is, for looking things up"
    } else {
        "both stores are the same installation: use only one of them"
    });
    Ok(exit::OK)
}

/// The copy is sealed with the key of its source.
fn same_key(session: &Session, place: Option<&Place>, key: &[u8]) -> Result<()> {
    let Some(place) = place else { return Ok(()) };
    let there = match place.read(&session.environment)? {
        Some(there) => there,
        None => place.create(key)?,
    };
    if there == key {
        return Ok(());
    }
    Err(Failure::new(
        codes::KEY_UNAVAILABLE,
        format!("the key at {place} is another one than the key of the store"),
    )
    .next("name where the key of the copy goes: --to-key FILE"))
}

/// Keeps others from leading while the copy is made. A store that can only be read needs nothing.
async fn hold(from: &Named, source: &Database, to: &Named) -> Result<Option<Lease>> {
    let store = source.store();
    if store.is_read_only() {
        return Ok(None);
    }
    let request = LeaseRequest {
        term: TermId::new(SystemRandom.hex128()),
        holder: format!("skep store copy to {to}"),
        ttl: COPYING,
    };
    match store.acquire_lease(&request).await? {
        Ok(lease) => Ok(Some(lease)),
        Err(holder) => Err(Failure::new(
            codes::LEASE_HELD,
            format!("{} leads on {from}, until {}", holder.holder, holder.expires_at),
        )
        .next("stop it first: what it writes meanwhile would be missing in the copy")),
    }
}

async fn carry(session: &Session, source: &Database, target: &Database) -> Result<Contents> {
    let archives = (source.archive().await?, target.archive_to_write().await?);
    let carried = transfer::carry(archives.0, archives.1, progress(session, "copying")).await?;
    let there = transfer::contents(target.archive().await?, progress(session, "comparing")).await?;
    compare(&carried, &there)?;
    Ok(carried)
}

/// Every table has arrived, row for row.
pub(super) fn compare(carried: &Contents, there: &Contents) -> Result<()> {
    let differs = carried.iter().find(|(table, content)| there.get(*table) != Some(content));
    match differs {
        None => Ok(()),
        Some((table, content)) => {
            let found = there.get(table).map_or(0, |content| content.rows);
            Err(Failure::new(
                codes::STORE_CORRUPT,
                format!(
                    "the table {table} has not arrived as it was: {} rows were read, and {found} \
                     are there",
                    content.rows
                ),
            )
            .next("do not use the copy; empty it and try again"))
        }
    }
}
