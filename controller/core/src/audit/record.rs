//! One row of the trail with every column as it is stored. Whether the words in it are known does
//! not matter for whether it was changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::encoding::{Encoding, FORM};
use super::{AuditEvent, AuditKey, Mac};

/// All columns of one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number in the trail.
    #[serde(rename = "sequence")]
    pub seq: i64,
    /// When, in microseconds since 1970-01-01 UTC.
    #[serde(with = "instant")]
    pub at: i64,
    /// The word for what happened.
    pub kind: String,
    /// Who.
    pub actor: String,
    /// The object's tenant.
    pub tenant: Option<String>,
    /// The object's cluster.
    pub cluster: Option<String>,
    /// The object's kind.
    pub object_kind: Option<String>,
    /// The object's name.
    pub object_name: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// One sentence.
    pub detail: String,
    /// The typed facts, as JSON text.
    pub data: Option<String>,
    /// Its place in a chain; rows from before there were chains have none.
    #[serde(flatten)]
    pub chained: Option<Chained>,
}

/// A row's place in its chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chained {
    /// The version of the encoding that was hashed.
    pub form: i64,
    /// The chain.
    pub chain: String,
    /// Counts from 1.
    pub position: i64,
    /// The number of the row that it is linked to: the one before it in the chain; for the first
    /// the newest row that was there.
    pub follows: Option<i64>,
    /// The keyed hash of that row; the checkpoint's seal when there was no chained row.
    pub link: Mac,
    /// The keyed hash of this row.
    pub mac: Mac,
}

impl AuditRecord {
    /// The columns of an event, not yet in a chain.
    #[must_use]
    pub fn of(seq: i64, event: &AuditEvent) -> Self {
        let key = event.key.as_ref();
        Self {
            seq,
            at: event.at.as_microsecond(),
            kind: event.kind.as_str().to_owned(),
            actor: event.actor.clone(),
            tenant: key.map(|key| key.tenant.as_str().to_owned()),
            cluster: key.map(|key| key.cluster.as_str().to_owned()),
            object_kind: key.map(|key| key.kind.as_str().to_owned()),
            object_name: key.map(|key| key.name.clone()),
            action: event.action.as_ref().map(|action| action.as_str().to_owned()),
            detail: event.detail.clone(),
            // Strings, numbers and words: there is nothing in it that JSON cannot say.
            data: event.data.as_ref().and_then(|data| serde_json::to_string(data).ok()),
            chained: None,
        }
    }

    /// Puts the row behind another one.
    #[must_use]
    pub fn chain(
        mut self,
        key: &AuditKey,
        chain: &str,
        position: i64,
        follows: Option<i64>,
        link: Mac,
    ) -> Self {
        let mut chained = Chained {
            form: FORM,
            chain: chain.to_owned(),
            position,
            follows,
            link,
            mac: Mac::default(),
        };
        chained.mac = key.sign(&self.encode(&chained));
        self.chained = Some(chained);
        self
    }

    /// Whether the row is as it was written, as far as its own columns go.
    pub(super) fn is_intact(&self, key: &AuditKey, chained: &Chained) -> bool {
        key.fits(&self.encode(chained), &chained.mac)
    }

    fn encode(&self, chained: &Chained) -> Encoding {
        let mut encoding = Encoding::new("row");
        encoding.number(chained.form).text(Some(&chained.chain)).number(chained.position);
        encoding.optional_number(chained.follows).bytes(chained.link.as_bytes());
        self.encode_columns(&mut encoding);
        encoding
    }

    pub(super) fn encode_columns(&self, encoding: &mut Encoding) {
        let Self {
            seq,
            at,
            kind,
            actor,
            tenant,
            cluster,
            object_kind,
            object_name,
            action,
            detail,
            data,
            chained: _,
        } = self;
        encoding.number(*seq).number(*at).text(Some(kind)).text(Some(actor));
        encoding.text(tenant.as_deref()).text(cluster.as_deref());
        encoding.text(object_kind.as_deref()).text(object_name.as_deref());
        encoding.text(action.as_deref()).text(Some(detail)).text(data.as_deref());
    }
}

/// An instant as text; one that no calendar has stays a number, so that damage can be told.
mod instant {
    use super::{Deserialize, Timestamp};

    pub(super) fn serialize<S: serde::Serializer>(at: &i64, to: S) -> Result<S::Ok, S::Error> {
        match Timestamp::from_microsecond(*at) {
            Ok(at) => to.collect_str(&at),
            Err(_) => to.serialize_i64(*at),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(Timestamp),
        Micros(i64),
    }

    pub(super) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<i64, D::Error> {
        Ok(match Written::deserialize(from)? {
            Written::Text(at) => at.as_microsecond(),
            Written::Micros(at) => at,
        })
    }
}
