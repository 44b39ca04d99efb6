//! Every label that Skep writes or reads, in one place.
//!
//! Ours are evidence for people and for rebuilding a lost store, never the record of ownership:
//! `docker stack deploy` strips them. They are written only together with a real change.

/// Prefix of all labels that Skep writes. The diff ignores the whole prefix on both sides.
pub const PREFIX: &str = "dev.skep.";
/// The fleet that the service belongs to.
pub const FLEET: &str = "dev.skep.fleet";
/// The source that declared it, for example `registry`.
pub const SOURCE: &str = "dev.skep.source";
/// The action that last changed it: proof that a lost reply was a success.
pub const ACTION: &str = "dev.skep.action";
/// A keyed digest of the content of a secret, which nobody can read again.
pub const CONTENT: &str = "dev.skep.content";
/// The name of the stack, as `docker stack deploy` writes it.
pub const STACK_NAMESPACE: &str = "com.docker.stack.namespace";
/// The image as the stack file names it, as `docker stack deploy` writes it.
pub const STACK_IMAGE: &str = "com.docker.stack.image";
/// Prefix of the labels that `docker stack deploy` writes.
pub const STACK_PREFIX: &str = "com.docker.stack.";

/// True for labels that Skep writes for itself.
#[must_use]
pub fn is_ours(key: &str) -> bool {
    key.starts_with(PREFIX)
}
