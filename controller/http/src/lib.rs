//! The one listener: health, readiness, metrics and status.
//!
//! The crate knows nothing of the loop: what it shows comes through [`Probe`], which the binary
//! implements.

mod error;
mod limits;
mod probe;
mod routes;
mod server;

pub use self::error::Error;
pub use self::limits::Limits;
pub use self::probe::{Check, Probe, Readiness, Status};
pub(crate) use self::routes::router;
pub use self::server::Server;
