//! The trail as lines of JSON, with a signed line at the end, so that a copy elsewhere can be
//! checked without the database, and a database against an earlier copy.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::encoding::Encoding;
use super::{AuditKey, AuditRecord, Damage, Mac, Scope, TrailSeals};
use crate::canonical::canonical_json;

/// Raise it when the lines change.
const VERSION: u32 = 1;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ExportLine {
    /// A row of the trail.
    Row(AuditRecord),
    /// The end, signed.
    Head(ExportHead),
}

/// The signed line at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHead {
    /// The version of the lines.
    pub version: u32,
    /// Whose trail it is.
    pub installation: String,
    /// When it was exported.
    pub exported_at: Timestamp,
    /// Names the key without giving it away.
    pub key_id: String,
    /// The number of the first row; `None` when it is the whole trail.
    pub from: Option<i64>,
    /// How many rows are exported.
    pub rows: u64,
    /// The SHA-256 digest over them, in order.
    pub digest: Mac,
    /// What is sealed beside the rows.
    pub seals: TrailSeals,
    /// The keyed hash over all of this.
    pub seal: Mac,
}

/// Why a signed line cannot be used. Says nothing about rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Of a newer version.
    #[error("the export has version {found} and this version of skep knows {VERSION}")]
    Version {
        /// Its version.
        found: u32,
    },
    /// Another key.
    #[error("the export was made with another key ({found}; this one is {known})")]
    WrongKey {
        /// The key that it names.
        found: String,
        /// Ours.
        known: String,
    },
    /// Changed since it was signed.
    #[error("{}", Damage::ExportForged)]
    Forged,
    /// The signed value has no canonical form.
    #[error("the signed line cannot be written")]
    Form,
}

/// Counts and digests the rows that go into an export, or come out of one.
#[derive(Debug, Clone, Default)]
pub struct ExportWriter {
    rows: u64,
    digest: Sha256,
}

impl ExportWriter {
    /// Takes the next row.
    pub fn row(&mut self, record: &AuditRecord) {
        let mut encoding = Encoding::new("exported row");
        record.encode_columns(&mut encoding);
        // The columns beside it are in this hash; that it fits them is checked row by row.
        encoding.bytes(record.chained.as_ref().map_or(&[], |chained| chained.mac.as_bytes()));
        self.digest.update(encoding.as_bytes());
        self.rows = self.rows.saturating_add(1);
    }

    /// The signed line for the rows so far.
    ///
    /// # Errors
    /// [`ExportError::Form`] when the line has no canonical form, which no trail has.
    pub fn sign(
        self,
        key: &AuditKey,
        installation: &str,
        exported_at: Timestamp,
        from: Option<i64>,
        seals: TrailSeals,
    ) -> Result<ExportHead, ExportError> {
        let mut head = ExportHead {
            version: VERSION,
            installation: installation.to_owned(),
            exported_at,
            key_id: key.id(),
            from,
            rows: self.rows,
            digest: Mac::from_stored(self.digest.finalize().to_vec()),
            seals,
            seal: Mac::default(),
        };
        head.seal = key.sign(&head.encode()?);
        Ok(head)
    }

    /// What is wrong when these are not the rows that were signed.
    #[must_use]
    pub fn compare(self, head: &ExportHead) -> Option<Damage> {
        let digest = Mac::from_stored(self.digest.finalize().to_vec());
        let differs = self.rows != head.rows || digest != head.digest;
        differs.then_some(Damage::ExportChanged { found: self.rows, expected: head.rows })
    }
}

impl ExportHead {
    /// Checks the signature.
    ///
    /// # Errors
    /// When it is of a newer version or another key, or was changed.
    pub fn check(&self, key: &AuditKey) -> Result<(), ExportError> {
        if self.version != VERSION {
            return Err(ExportError::Version { found: self.version });
        }
        if self.key_id != key.id() {
            let found = self.key_id.clone();
            return Err(ExportError::WrongKey { found, known: key.id() });
        }
        if key.fits(&self.encode()?, &self.seal) { Ok(()) } else { Err(ExportError::Forged) }
    }

    /// Which part of the trail it holds.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.from.map_or(Scope::Whole, Scope::From)
    }

    fn encode(&self) -> Result<Encoding, ExportError> {
        let unsigned = Self { seal: Mac::default(), ..self.clone() };
        let value = serde_json::to_value(&unsigned).map_err(|_| ExportError::Form)?;
        let mut encoding = Encoding::new("export");
        encoding.bytes(&canonical_json(&value));
        Ok(encoding)
    }
}
