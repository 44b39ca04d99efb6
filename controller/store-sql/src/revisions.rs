//! Rows of `revisions`.

use skep_core::action::Source;
use skep_core::identity::{ActionId, SwarmId};
use skep_core::revision::{NewRevision, Revision, RevisionHead, RevisionOrigin};
use skep_core::seal::Sealed;
use skep_store::Result;

use crate::columns::{json, json_error, key, number, stored_version, version, word};
use crate::instant::{from_column, to_column};

const WHAT: &str = "revision";

/// A row of `revisions`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct RevisionRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub number: i64,
    pub object_id: String,
    pub version: Option<i64>,
    pub fingerprint: String,
    pub origin: String,
    pub at: i64,
    pub action_id: Option<String>,
    pub actor: String,
    pub source: Option<String>,
    pub provenance: Option<String>,
    pub reason: String,
    pub changes: String,
    pub spec: Vec<u8>,
    pub previous: Option<Vec<u8>>,
}

impl RevisionRow {
    /// The revision.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Revision> {
        let unreadable = |error: serde_json::Error| json_error(&error, WHAT);
        let source = self.source.map(|source| word(&source, Source::from_word, WHAT));
        let provenance = self.provenance.map(|json| serde_json::from_str(&json));
        Ok(Revision {
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            number: number(self.number, WHAT)?,
            object: SwarmId::new(self.object_id),
            version: stored_version(self.version, WHAT)?,
            origin: word(&self.origin, RevisionOrigin::from_word, WHAT)?,
            action: self.action_id.map(ActionId::new),
            actor: self.actor,
            source: source.transpose()?,
            provenance: provenance.transpose().map_err(unreadable)?,
            reason: self.reason,
            changes: serde_json::from_str(&self.changes).map_err(unreadable)?,
            fingerprint: self.fingerprint,
            spec: Sealed::from_stored(self.spec),
            previous: self.previous.map(Sealed::from_stored),
            at: from_column(self.at, WHAT)?,
        })
    }
}

/// The columns of a new row that are no mere copy of a field.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct RevisionColumns {
    pub version: Option<i64>,
    pub at: i64,
    pub provenance: Option<String>,
    pub changes: String,
}

impl RevisionColumns {
    /// Writes a revision down.
    ///
    /// # Errors
    /// [`skep_store::Error::Refused`] for a Version that no database can hold.
    pub fn of(revision: &NewRevision) -> Result<Self> {
        let provenance = revision.provenance.as_ref().map(serde_json::to_string);
        Ok(Self {
            version: version(revision.version, WHAT, &revision.key)?,
            at: to_column(revision.at),
            provenance: provenance.map(|text| json(text, WHAT)).transpose()?,
            changes: json(serde_json::to_string(&revision.changes), WHAT)?,
        })
    }
}

/// The newest row of an object, without the specs.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct HeadOfHistoryRow {
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub number: i64,
    pub object_id: String,
    pub version: Option<i64>,
    pub fingerprint: String,
    pub origin: String,
    pub at: i64,
}

impl HeadOfHistoryRow {
    /// The head.
    ///
    /// # Errors
    /// [`skep_store::Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<RevisionHead> {
        Ok(RevisionHead {
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            number: number(self.number, WHAT)?,
            object: SwarmId::new(self.object_id),
            version: stored_version(self.version, WHAT)?,
            fingerprint: self.fingerprint,
            origin: word(&self.origin, RevisionOrigin::from_word, WHAT)?,
            at: from_column(self.at, WHAT)?,
        })
    }
}
