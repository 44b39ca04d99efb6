//! The policy: what it would say, whether it is sound, what it would have said.

mod check;
mod explain;
mod replay;

use std::path::Path;

use jiff::Timestamp;
use skep_core::gate::{Override, Policy};
use skep_crds::policy::{LenientPolicy, PolicyFile, load_lenient, shipped_default};
use skep_sources::{MAX_FILE_BYTES, read_file};
use skep_store::{OverrideFilter, Store};
use skep_store_sqlite::Location;

pub(super) use self::check::{run_lint, test};
pub(super) use self::explain::explain;
pub(super) use self::replay::replay;
use super::Session;
use crate::codes;
use crate::config::secret::Secret;
use crate::config::table;
use crate::error::{Failure, Result};
use crate::output::plain;
use crate::wiring;

/// The bytes of a policy file.
fn read(path: &Path) -> Result<Vec<u8>> {
    read_file(path, MAX_FILE_BYTES).map_err(|error| {
        Failure::of(codes::POLICY_INVALID, &error).next("check the path of --policy")
    })
}

/// The policy file that the settings name, or the shipped one. What is broken in it is read as its
/// safest meaning, as the running controller does, and told.
fn policy_file(session: &Session) -> Result<PolicyFile> {
    match session.config.path(table::POLICY) {
        None => Ok(shipped_default()),
        Some(path) => lenient(session, path),
    }
}

fn lenient(session: &Session, path: &Path) -> Result<PolicyFile> {
    let LenientPolicy { policy, problems, .. } =
        load_lenient(&path.display().to_string(), &read(path)?);
    for problem in problems.iter() {
        session.printer.warn(&plain(&problem.to_string()));
    }
    Ok(policy)
}

/// The policy with these overrides in front, and what cannot be meant in it told.
fn compiled(session: &Session, file: &PolicyFile, overrides: &[Override]) -> Policy {
    let policy = Policy::compile(file, Ok(overrides), wiring::policy_settings(&session.config));
    for problem in policy.problems() {
        session.printer.warn(&plain(&problem));
    }
    policy
}

/// The store, unless it would be made for this question.
async fn existing_store(session: &Session) -> Result<Option<std::sync::Arc<dyn Store>>> {
    let Some(written) = session.config.text(table::STORE) else { return Ok(None) };
    let revealed = Secret::parse(written).reveal(&session.environment).ok();
    match revealed.and_then(|uri| uri.parse::<Location>().ok()) {
        Some(Location::File(path)) if !path.exists() => Ok(None),
        Some(Location::Memory) => Ok(None),
        Some(Location::File(_)) | None => Ok(Some(session.open_store().await?)),
    }
}

/// The overrides that hold at a moment; none when there is no store yet.
async fn overrides(session: &Session, now: Timestamp) -> Result<Vec<Override>> {
    match existing_store(session).await? {
        Some(store) => Ok(store.overrides(&OverrideFilter { not_ended_by: Some(now) }).await?),
        None => Ok(Vec::new()),
    }
}
