//! The trail of who did what: looking at it, checking it, taking it elsewhere.

mod export;
mod list;
mod verify;

use super::Session;
use crate::args::AuditVerb;
use crate::error::Result;

/// `skep audit`.
pub(super) async fn run(session: &Session, verb: AuditVerb) -> Result<u8> {
    match verb {
        AuditVerb::List(args) => list::run(session, &args).await,
        AuditVerb::Verify(args) => verify::run(session, &args).await,
        AuditVerb::Export(args) => export::run(session, &args).await,
    }
}
