//! The history of every service.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::Source;
use skep_core::audit::{AuditData, AuditEvent, AuditKind, RevisionFacts};
use skep_core::identity::{ActionId, ClusterId, ObjectKey, SwarmId};
use skep_core::revision::{NewRevision, Revision, RevisionHead, RevisionOrigin};
use skep_core::seal::Sealed;
use skep_store::{Error, Fence, REVISIONS_KEPT, Result, Revisions};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "revision";

/// A row of `revisions`.
struct RevisionRow {
    tenant: String,
    cluster: String,
    object_kind: String,
    object_name: String,
    number: i64,
    object_id: String,
    version: Option<i64>,
    fingerprint: String,
    origin: String,
    at: i64,
    action_id: Option<String>,
    actor: String,
    source: Option<String>,
    provenance: Option<String>,
    reason: String,
    changes: String,
    spec: Vec<u8>,
    previous: Option<Vec<u8>>,
}

impl RevisionRow {
    fn read(self) -> Result<Revision> {
        let json = |error: serde_json::Error| row::json_error(&error, WHAT);
        let source = self.source.map(|source| row::word(&source, Source::from_word, WHAT));
        let provenance = self.provenance.map(|json| serde_json::from_str(&json));
        Ok(Revision {
            key: row::key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            number: number(self.number)?,
            object: SwarmId::new(self.object_id),
            version: row::stored_version(self.version, WHAT)?,
            origin: row::word(&self.origin, RevisionOrigin::from_word, WHAT)?,
            action: self.action_id.map(ActionId::new),
            actor: self.actor,
            source: source.transpose()?,
            provenance: provenance.transpose().map_err(json)?,
            reason: self.reason,
            changes: serde_json::from_str(&self.changes).map_err(json)?,
            fingerprint: self.fingerprint,
            spec: Sealed::from_stored(self.spec),
            previous: self.previous.map(Sealed::from_stored),
            at: clock::from_column(self.at, WHAT)?,
        })
    }
}

fn number(stored: i64) -> Result<u32> {
    u32::try_from(stored).map_err(|source| Error::Corrupt { what: WHAT, source: source.into() })
}

/// Adds a revision to the history of its object, and lets go of the oldest.
pub(crate) async fn append(
    tx: &mut Tx,
    revision: &NewRevision,
    operation: &'static str,
) -> Result<u32> {
    let tenant = revision.key.tenant.as_str();
    let cluster = revision.key.cluster.as_str();
    let kind = revision.key.kind.as_str();
    let name = revision.key.name.as_str();
    // The newest one is never let go of, so no number is given twice.
    let newest = sqlx::query_scalar!(
        "UPDATE revisions SET is_newest = 0 \
         WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
         AND is_newest = 1 RETURNING number",
        tenant,
        cluster,
        kind,
        name
    )
    .fetch_optional(&mut **tx)
    .await
    .during(operation)?;
    let number = number(newest.unwrap_or(0).saturating_add(1))?;
    let json = |error: serde_json::Error| row::json_error(&error, WHAT);
    let object = revision.object.as_str();
    let version = row::version(revision.version, WHAT, &revision.key)?;
    let origin = revision.origin.as_str();
    let at = clock::to_column(revision.at);
    let action = revision.action.as_ref().map(ActionId::as_str);
    let source = revision.source.map(Source::as_str);
    let provenance = revision.provenance.as_ref().map(serde_json::to_string);
    let provenance = provenance.transpose().map_err(json)?;
    let changes = serde_json::to_string(&revision.changes).map_err(json)?;
    let spec = revision.spec.as_bytes();
    let previous = revision.previous.as_ref().map(Sealed::as_bytes);
    sqlx::query!(
        "INSERT INTO revisions (tenant, cluster, object_kind, object_name, number, is_newest, \
         object_id, version, fingerprint, origin, at, action_id, actor, source, provenance, \
         reason, changes, spec, previous) \
         VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        tenant,
        cluster,
        kind,
        name,
        number,
        object,
        version,
        revision.fingerprint,
        origin,
        at,
        action,
        revision.actor,
        source,
        provenance,
        revision.reason,
        changes,
        spec,
        previous
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    prune(tx, &revision.key, operation).await?;
    Ok(number)
}

/// Keeps the newest, and of those that would go the last one that was adopted.
async fn prune(tx: &mut Tx, key: &ObjectKey, operation: &'static str) -> Result<()> {
    let tenant = key.tenant.as_str();
    let cluster = key.cluster.as_str();
    let kind = key.kind.as_str();
    sqlx::query!(
        "WITH own AS (SELECT seq, number, origin FROM revisions WHERE tenant = ?1 \
             AND cluster = ?2 AND object_kind = ?3 AND object_name = ?4), \
         kept AS (SELECT max(number) AS number FROM own WHERE origin = 'adopted') \
         DELETE FROM revisions WHERE seq IN ( \
             SELECT seq FROM own WHERE number IS NOT (SELECT number FROM kept) \
             ORDER BY number DESC \
             LIMIT -1 OFFSET ?5 - (SELECT count(number) FROM kept))",
        tenant,
        cluster,
        kind,
        key.name,
        REVISIONS_KEPT
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Revisions for SqliteStore {
    async fn record_revision(
        &self,
        fence: &Fence,
        revision: &NewRevision,
        now: Timestamp,
    ) -> Result<u32> {
        const OPERATION: &str = "record a revision";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let number = append(&mut tx, revision, OPERATION).await?;
        let event = AuditEvent {
            at: now,
            kind: AuditKind::RevisionNoted,
            actor: leader,
            key: Some(revision.key.clone()),
            action: revision.action.clone(),
            detail: format!("revision {number} by {}: {}", revision.actor, revision.reason),
            data: Some(AuditData::Revision(RevisionFacts {
                revision: number,
                origin: revision.origin,
                author: revision.actor.clone(),
                reason: revision.reason.clone(),
            })),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(number)
    }

    async fn revisions(&self, key: &ObjectKey, limit: u32) -> Result<Vec<Revision>> {
        let tenant = key.tenant.as_str();
        let cluster = key.cluster.as_str();
        let kind = key.kind.as_str();
        let limit = row::limit(limit);
        let rows = sqlx::query_as!(
            RevisionRow,
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at, action_id, actor, source, provenance, reason, changes, \
             spec, previous FROM revisions \
             WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
             ORDER BY number DESC LIMIT ?",
            tenant,
            cluster,
            kind,
            key.name,
            limit
        )
        .fetch_all(&self.readers)
        .await
        .during("read a history")?;
        rows.into_iter().map(RevisionRow::read).collect()
    }

    async fn revision(&self, key: &ObjectKey, number: u32) -> Result<Revision> {
        let tenant = key.tenant.as_str();
        let cluster = key.cluster.as_str();
        let kind = key.kind.as_str();
        sqlx::query_as!(
            RevisionRow,
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at, action_id, actor, source, provenance, reason, changes, \
             spec, previous FROM revisions \
             WHERE tenant = ? AND cluster = ? AND object_kind = ? AND object_name = ? \
             AND number = ?",
            tenant,
            cluster,
            kind,
            key.name,
            number
        )
        .fetch_optional(&self.readers)
        .await
        .during("read a revision")?
        .ok_or_else(|| Error::NotFound { what: WHAT, id: format!("{number} of {}", key.name) })?
        .read()
    }

    async fn revision_heads(&self, cluster: &ClusterId) -> Result<Vec<RevisionHead>> {
        let cluster = cluster.as_str();
        let rows = sqlx::query!(
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at FROM revisions WHERE cluster = ? AND is_newest = 1 \
             ORDER BY object_name, object_kind, tenant",
            cluster
        )
        .fetch_all(&self.readers)
        .await
        .during("read the newest revisions")?;
        rows.into_iter()
            .map(|row| {
                let key =
                    row::key(row.tenant, row.cluster, &row.object_kind, row.object_name, WHAT)?;
                Ok(RevisionHead {
                    key,
                    number: number(row.number)?,
                    object: SwarmId::new(row.object_id),
                    version: row::stored_version(row.version, WHAT)?,
                    fingerprint: row.fingerprint,
                    origin: row::word(&row.origin, RevisionOrigin::from_word, WHAT)?,
                    at: clock::from_column(row.at, WHAT)?,
                })
            })
            .collect()
    }
}
