//! The only user of the Docker API: reads the swarm, writes service specs losslessly, follows
//! what changes.
//!
//! The layers, from the wire up: [`address`] (where), `transport` (one limited HTTP client for
//! unix sockets, TCP and ssh), [`docker`] (the real engine behind the trait [`engine::Engine`]),
//! [`observe`] (one snapshot), [`reflector`] (the newest snapshot, kept new).
//!
//! # Guarantees
//! - Every call has a limit in time and in size.
//! - A failed write says whether it may have had an effect.
//! - The spec of a service is never passed through a type that could lose a field.
//! - Neither bodies nor values of environments reach a log, an error or a `Debug` text, apart from
//!   what the engine itself quotes in the sentence of a refusal.

pub mod address;
pub mod docker;
pub mod engine;
pub mod error;
mod events;
#[cfg(feature = "fake")]
pub mod fake;
mod listed;
pub mod objects;
pub mod observe;
pub mod reflector;
pub mod registry;
mod tasks;
mod transport;
mod wire;

pub use self::address::EngineAddress;
pub use self::docker::DockerEngine;
pub use self::engine::Engine;
pub use self::error::{Category, Error};
pub use self::registry::{Distribution, RegistryAuth};
pub use self::transport::Limits;
