//! The one listener: health, readiness, metrics, status, and webhooks of forges.
//!
//! The crate knows nothing of the loop: what it shows comes through [`Probe`], which the binary
//! implements.

mod error;
mod limits;
mod probe;
mod routes;
mod server;
mod webhook;

pub use self::error::Error;
pub use self::limits::Limits;
pub use self::probe::{Check, Probe, Readiness, Status};
pub(crate) use self::routes::router;
pub use self::server::Server;
pub use self::webhook::{
    Announcements, Identity, NotTaken, Outcome, SHORTEST_SECRET, Taken, Webhooks, is_strong,
};
