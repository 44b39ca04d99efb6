//! Killing very much at once is asked twice: the first call says what would happen, the same call
//! of the same person soon afterwards means it.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::Scope;
use crate::canonical::Digest;
use crate::identity::{ClusterId, ServiceName};

/// How long the first call waits for the second one: long enough to read a list, too short to
/// forget what it was.
pub const CONFIRM_WITHIN: SignedDuration = SignedDuration::from_secs(60);

/// Up to so many services of a domain are killed without asking, however small the fleet is.
const FREELY: usize = 5;

/// Whether killing so many services of a domain has to be confirmed: more than the larger of five
/// and a tenth of the fleet, or the domain of everything that is in no other.
#[must_use]
pub fn needs_confirmation(domain: &str, targets: usize, fleet: usize) -> bool {
    domain == super::held::DEFAULT_DOMAIN || targets > FREELY.max(fleet / 10)
}

/// The first of two calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Who made it; nobody else can confirm it.
    pub actor: String,
    /// What exactly was asked: the swarm, the domain, and every service.
    pub digest: Digest,
    /// Until when the second call counts.
    pub until: Timestamp,
}

impl Confirmation {
    /// The confirmation that a kill needs.
    #[must_use]
    pub fn new(
        actor: &str,
        cluster: &ClusterId,
        scope: &Scope,
        targets: &BTreeSet<ServiceName>,
        now: Timestamp,
    ) -> Self {
        let digest = Digest::of_json(&json!({
            "kill": scope,
            "cluster": cluster,
            "targets": targets,
        }));
        let until = now.checked_add(CONFIRM_WITHIN).unwrap_or(Timestamp::MAX);
        Self { actor: actor.to_owned(), digest, until }
    }
}
