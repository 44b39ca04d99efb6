//! The history of every service: each spec that it has had, who changed it and why, so that a
//! person can see what changed and return to it.
//!
//! Docker keeps one earlier spec, and any update overwrites it; this history is ours.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::action::{Source, words};
use crate::desired::Provenance;
use crate::identity::{ActionId, ObjectKey, SwarmId};
use crate::plan::Change;
use crate::seal::{SealError, Sealed, Sealer};

words! {
    /// How a revision came about.
    RevisionOrigin {
        /// Skep wrote it.
        Applied = "applied",
        /// It was there when the service was adopted.
        Adopted = "adopted",
        /// Somebody else wrote it.
        External = "external",
    }
}

/// A revision to be recorded; the store numbers it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRevision {
    /// The service.
    pub key: ObjectKey,
    /// The engine's id of the service: one that was made anew under the same name has another.
    pub object: SwarmId,
    /// The engine's Version after the change, when it is known; of an update of ours the least
    /// that it can be.
    pub version: Option<u64>,
    /// How it came about.
    pub origin: RevisionOrigin,
    /// The action that made it.
    pub action: Option<ActionId>,
    /// Who: the action's actor, or what is known of the other writer.
    pub actor: String,
    /// Which source declared it.
    pub source: Option<Source>,
    /// Where it is declared.
    pub provenance: Option<Provenance>,
    /// Why, in one sentence.
    pub reason: String,
    /// What changed against the revision before, with secret values masked.
    pub changes: Vec<Change>,
    /// A keyed digest of the canonical spec: equal specs have equal fingerprints, and nobody can
    /// test a guess against one.
    pub fingerprint: String,
    /// The complete spec, sealed with [`spec_context`].
    pub spec: Sealed,
    /// The spec that the engine would roll back to, sealed with [`previous_context`].
    pub previous: Option<Sealed>,
    /// When.
    pub at: Timestamp,
}

/// One revision as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Revision {
    /// The service.
    pub key: ObjectKey,
    /// Counts from 1 for each key and never repeats.
    pub number: u32,
    /// The engine's id of the service.
    pub object: SwarmId,
    /// The engine's Version after the change, when it is known; of an update of ours the least
    /// that it can be.
    pub version: Option<u64>,
    /// How it came about.
    pub origin: RevisionOrigin,
    /// The action that made it.
    pub action: Option<ActionId>,
    /// Who.
    pub actor: String,
    /// Which source declared it.
    pub source: Option<Source>,
    /// Where it is declared.
    pub provenance: Option<Provenance>,
    /// Why, in one sentence.
    pub reason: String,
    /// What changed against the revision before, with secret values masked.
    pub changes: Vec<Change>,
    /// A keyed digest of the canonical spec.
    pub fingerprint: String,
    /// The complete spec.
    pub spec: Sealed,
    /// The spec that the engine would roll back to.
    pub previous: Option<Sealed>,
    /// When.
    pub at: Timestamp,
}

impl NewRevision {
    /// The revision that the store makes of it.
    #[must_use]
    pub fn numbered(self, number: u32) -> Revision {
        Revision {
            key: self.key,
            number,
            object: self.object,
            version: self.version,
            origin: self.origin,
            action: self.action,
            actor: self.actor,
            source: self.source,
            provenance: self.provenance,
            reason: self.reason,
            changes: self.changes,
            fingerprint: self.fingerprint,
            spec: self.spec,
            previous: self.previous,
            at: self.at,
        }
    }
}

impl Revision {
    /// The complete spec, as it was sealed.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn open_spec(&self, sealer: &Sealer) -> Result<Vec<u8>, SealError> {
        sealer.open(&spec_context(&self.key, &self.fingerprint), &self.spec)
    }

    /// The spec that the engine would roll back to, if there was one.
    ///
    /// # Errors
    /// As [`Sealer::open`].
    pub fn open_previous(&self, sealer: &Sealer) -> Result<Option<Vec<u8>>, SealError> {
        let context = previous_context(&self.key, &self.fingerprint);
        self.previous.as_ref().map(|previous| sealer.open(&context, previous)).transpose()
    }
}

/// What [`NewRevision::spec`] is sealed with, so that it opens only as the spec of this object
/// with this fingerprint.
#[must_use]
pub fn spec_context(key: &ObjectKey, fingerprint: &str) -> Vec<u8> {
    context("revision spec", key, fingerprint)
}

/// What [`NewRevision::previous`] is sealed with.
#[must_use]
pub fn previous_context(key: &ObjectKey, fingerprint: &str) -> Vec<u8> {
    context("revision previous spec", key, fingerprint)
}

/// A JSON list, because joined texts could be split in two ways.
fn context(what: &str, key: &ObjectKey, fingerprint: &str) -> Vec<u8> {
    let (tenant, cluster) = (key.tenant.as_str(), key.cluster.as_str());
    serde_json::json!([what, tenant, cluster, key.kind.as_str(), key.name, fingerprint])
        .to_string()
        .into_bytes()
}

/// The newest revision of a key, without its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionHead {
    /// The service.
    pub key: ObjectKey,
    /// The revision's number.
    pub number: u32,
    /// The engine's id of the service.
    pub object: SwarmId,
    /// The engine's Version after the change, when it is known; of an update of ours the least
    /// that it can be.
    pub version: Option<u64>,
    /// A keyed digest of the canonical spec.
    pub fingerprint: String,
    /// How it came about.
    pub origin: RevisionOrigin,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{ClusterId, ServiceName};
    use crate::ports::Random;

    struct Zero;

    impl Random for Zero {
        fn bits128(&self) -> u128 {
            0
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::service(&ClusterId::new("cluster"), &ServiceName::new(name))
    }

    fn revision(sealer: &Sealer) -> Revision {
        let seal = |context: Vec<u8>, plain: &[u8]| sealer.seal(&Zero, &context, plain).unwrap();
        let new = NewRevision {
            key: key("caddy"),
            object: SwarmId::new("id"),
            version: Some(3),
            origin: RevisionOrigin::Adopted,
            action: None,
            actor: "alice".to_owned(),
            source: None,
            provenance: None,
            reason: String::new(),
            changes: Vec::new(),
            fingerprint: "f1".to_owned(),
            spec: seal(spec_context(&key("caddy"), "f1"), b"spec"),
            previous: Some(seal(previous_context(&key("caddy"), "f1"), b"previous")),
            at: Timestamp::UNIX_EPOCH,
        };
        new.numbered(1)
    }

    #[test]
    fn both_specs_open_in_their_place() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let revision = revision(&sealer);
        assert_eq!(revision.open_spec(&sealer), Ok(b"spec".to_vec()));
        assert_eq!(revision.open_previous(&sealer), Ok(Some(b"previous".to_vec())));
        let without = Revision { previous: None, ..revision };
        assert_eq!(without.open_previous(&sealer), Ok(None));
    }

    /// Whoever can write to the database cannot have another service's spec, or one that was
    /// never this revision's, taken for it.
    #[test]
    fn a_spec_does_not_open_in_another_place() {
        let sealer = Sealer::new(&[7; 32]).unwrap();
        let revision = revision(&sealer);
        for moved in [
            Revision { key: key("other"), ..revision.clone() },
            Revision { fingerprint: "f2".to_owned(), ..revision.clone() },
            Revision { spec: revision.previous.clone().unwrap(), ..revision.clone() },
        ] {
            assert_eq!(moved.open_spec(&sealer), Err(SealError::Refused));
        }
        let (one, two) = (spec_context(&key("a"), "b"), spec_context(&key("a\",\"b"), ""));
        assert_ne!(one, two);
    }
}
