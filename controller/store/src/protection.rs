//! What a backend keeps its rows safe with: what nobody may read in the database is sealed, and
//! what nobody may change in it is chained.

use std::sync::Arc;

use serde_json::json;
use skep_core::audit::AuditKey;
use skep_core::digester::Digester;
use skep_core::ports::Random;
use skep_core::seal::{SealError, Sealed, Sealer};

use crate::{Error, Result};

/// What the step of an action is sealed for.
#[must_use]
pub fn step_context(action: &str) -> Vec<u8> {
    json!(["action step", action]).to_string().into_bytes()
}

/// What the last good content of a source is sealed for.
#[must_use]
pub fn content_context(source: &str) -> Vec<u8> {
    json!(["source content", source]).to_string().into_bytes()
}

/// What the preview of a proposal is sealed for.
#[must_use]
pub fn preview_context(repository: &str, number: u64) -> Vec<u8> {
    json!(["preview", repository, number]).to_string().into_bytes()
}

/// Keys that are derived from the installation's, and the random numbers that sealing needs.
/// Cheap to clone.
#[derive(Clone)]
pub struct Protection(Arc<Inner>);

struct Inner {
    sealer: Sealer,
    audit: AuditKey,
    digester: Digester,
    random: Arc<dyn Random>,
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Protection")
    }
}

impl Protection {
    /// With keys that are derived from the installation's.
    ///
    /// # Errors
    /// [`SealError::Key`] when the installation's key does not have 32 bytes.
    pub fn new(
        installation_key: &[u8],
        random: Arc<dyn Random>,
    ) -> std::result::Result<Self, SealError> {
        let sealer = Sealer::new(installation_key)?;
        let audit = AuditKey::new(installation_key)?;
        let digester = Digester::new(installation_key)?;
        Ok(Self(Arc::new(Inner { sealer, audit, digester, random })))
    }

    /// The key of the audit trail.
    #[must_use]
    pub fn audit(&self) -> &AuditKey {
        &self.0.audit
    }

    /// What gives a key to digests that were stored without one.
    #[must_use]
    pub fn digester(&self) -> &Digester {
        &self.0.digester
    }

    /// The random numbers.
    #[must_use]
    pub fn random(&self) -> &dyn Random {
        self.0.random.as_ref()
    }

    /// Seals a column. It opens only with the same context, which says what it is and to which
    /// row it belongs.
    ///
    /// # Errors
    /// [`Error::Refused`] when the content is longer than the cipher takes.
    pub fn seal(&self, what: &'static str, context: &[u8], plain: &[u8]) -> Result<Vec<u8>> {
        match self.0.sealer.seal(self.0.random.as_ref(), context, plain) {
            Ok(sealed) => Ok(sealed.as_bytes().to_vec()),
            Err(_) => {
                let why = "it is too long to be sealed";
                Err(Error::Refused { what, id: String::new(), why })
            }
        }
    }

    /// Opens a column.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when it was sealed with another key or for another row, or was changed.
    pub fn open(&self, what: &'static str, context: &[u8], sealed: Vec<u8>) -> Result<Vec<u8>> {
        self.0
            .sealer
            .open(context, &Sealed::from_stored(sealed))
            .map_err(|error| Error::Corrupt { what, source: error.into() })
    }
}
