//! The pure heart of Skep: what is desired, what is observed, what to do about the difference,
//! and whether it may be done.
//!
//! Nothing here reads a clock, a file, a socket or a random number; whatever a decision needs is
//! an argument. That makes every decision repeatable: same input, same bytes, same digest.

pub mod action;
pub mod approval;
pub mod audit;
pub mod canonical;
pub mod containment;
pub mod desired;
pub mod digester;
pub mod gate;
pub mod hold;
pub mod identity;
pub mod image;
pub mod import;
pub mod labels;
pub mod letter;
pub mod notice;
pub mod observed;
pub mod plan;
pub mod ports;
pub mod push;
pub mod readiness;
pub mod redact;
pub mod request;
pub mod resolution;
pub mod retry;
pub mod revision;
pub mod rollout;
pub mod seal;
mod secrecy;
pub mod spec;
pub mod stack;
