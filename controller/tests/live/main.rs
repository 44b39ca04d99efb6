//! The whole program against a real engine: plan, queue, approve, act, record.
//!
//! Every test looks at the engine through a proxy that records what Skep asks of it, and every
//! test has bystanders on the same swarm: services that are not Skep's and must not change by a
//! byte.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod adopt;
mod canary;
mod contain;
mod converge;
mod crash;
mod drift;
mod harness;
mod images;
mod import;
mod inert;
mod letters;
mod manual;
mod matrix;
mod meaning;
mod objects;
mod ports;
mod prune;
mod queue;
mod readiness;
mod replace;
mod rollout;
mod scope;
mod served;
mod sources;
mod stack;
mod stacks;
mod tutorial;
mod waves;
