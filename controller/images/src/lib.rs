//! Images by digest: what a tag stands for now, and the credentials that registries ask for.
//!
//! The engine asks the registries; this crate decides which tags it is asked about, how often and
//! with whose credentials, and remembers the answers.
//!
//! # Guarantees
//! - Every question ends: each has a limit in time, and so has a whole round.
//! - A registry that does not answer is left alone for a while, however many images it has.
//! - Credentials are read when they are needed, kept in memory only, and never shown: neither
//!   their file's content nor a helper's answer is part of any message.

mod cache;
mod credentials;
mod resolver;

pub use self::credentials::{Credentials, default_path};
pub use self::resolver::{Ask, Limits, Resolver};
