//! The history of every service.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::action::Source;
use skep_core::identity::{ActionId, ClusterId, ObjectKey};
use skep_core::revision::{NewRevision, Revision, RevisionHead};
use skep_core::seal::Sealed;
use skep_store::{Error, Fence, REVISIONS_KEPT, Result, Revisions};
use skep_store_sql::{HeadOfHistoryRow, RevisionColumns, RevisionRow, events, keys_json, number};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit, query};

const WHAT: &str = "revision";

/// Waits for whoever adds to the same history, until the transaction ends. There is no row that
/// could be locked before the first revision.
async fn lock(tx: &mut Session<'_>, key: &ObjectKey, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('revisions ' || $1::text, 0))",
        keys_json(std::slice::from_ref(key))
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

/// Adds a revision to the history of its object, and lets go of the oldest.
pub(crate) async fn append(
    tx: &mut Session<'_>,
    revision: &NewRevision,
    operation: &'static str,
) -> Result<u32> {
    lock(tx, &revision.key, operation).await?;
    let tenant = revision.key.tenant.as_str();
    let cluster = revision.key.cluster.as_str();
    let kind = revision.key.kind.as_str();
    let name = revision.key.name.as_str();
    // The newest one is never let go of, so no number is given twice.
    let newest = sqlx::query_scalar!(
        "UPDATE revisions SET is_newest = false \
         WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4 \
         AND is_newest RETURNING number",
        tenant,
        cluster,
        kind,
        name
    )
    .fetch_optional(&mut *tx)
    .await
    .during(operation)?;
    let next = newest.unwrap_or(0).saturating_add(1);
    let columns = RevisionColumns::of(revision)?;
    sqlx::query!(
        "INSERT INTO revisions (tenant, cluster, object_kind, object_name, number, is_newest, \
         object_id, version, fingerprint, origin, at, action_id, actor, source, provenance, \
         reason, changes, spec, previous) \
         VALUES ($1, $2, $3, $4, $5, true, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, \
         $17, $18)",
        tenant,
        cluster,
        kind,
        name,
        next,
        revision.object.as_str(),
        columns.version,
        revision.fingerprint,
        revision.origin.as_str(),
        columns.at,
        revision.action.as_ref().map(ActionId::as_str),
        revision.actor,
        revision.source.map(Source::as_str),
        columns.provenance,
        revision.reason,
        columns.changes,
        revision.spec.as_bytes(),
        revision.previous.as_ref().map(Sealed::as_bytes)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    prune(tx, &revision.key, operation).await?;
    number(next, WHAT)
}

/// Keeps the newest, and of those that would go the last one that was adopted.
async fn prune(tx: &mut Session<'_>, key: &ObjectKey, operation: &'static str) -> Result<()> {
    sqlx::query!(
        "DELETE FROM revisions WHERE seq IN ( \
             WITH own AS (SELECT seq, number, origin FROM revisions WHERE tenant = $1 \
                 AND cluster = $2 AND object_kind = $3 AND object_name = $4), \
             kept AS (SELECT max(number) AS number FROM own WHERE origin = 'adopted') \
             SELECT seq FROM own WHERE number IS DISTINCT FROM (SELECT number FROM kept) \
             ORDER BY number DESC \
             OFFSET $5::bigint - (SELECT count(number) FROM kept))",
        key.tenant.as_str(),
        key.cluster.as_str(),
        key.kind.as_str(),
        key.name,
        i64::from(REVISIONS_KEPT)
    )
    .execute(&mut *tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Revisions for PostgresStore {
    async fn record_revision(
        &self,
        fence: &Fence,
        revision: &NewRevision,
        now: Timestamp,
    ) -> Result<u32> {
        const OPERATION: &str = "record a revision";
        let (mut tx, leader) = self.write_fenced(fence, OPERATION).await?;
        let number = append(&mut tx, revision, OPERATION).await?;
        let event = events::revision_noted(revision, number, leader, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await?;
        Ok(number)
    }

    async fn revisions(&self, key: &ObjectKey, limit: u32) -> Result<Vec<Revision>> {
        const OPERATION: &str = "read a history";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            RevisionRow,
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at, action_id, actor, source, provenance, reason, changes, \
             spec, previous FROM revisions \
             WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4 \
             ORDER BY number DESC LIMIT $5",
            key.tenant.as_str(),
            key.cluster.as_str(),
            key.kind.as_str(),
            key.name,
            query::limit(limit)
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(RevisionRow::read).collect()
    }

    async fn revision(&self, key: &ObjectKey, number: u32) -> Result<Revision> {
        const OPERATION: &str = "read a revision";
        let mut tx = self.read(OPERATION).await?;
        sqlx::query_as!(
            RevisionRow,
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at, action_id, actor, source, provenance, reason, changes, \
             spec, previous FROM revisions \
             WHERE tenant = $1 AND cluster = $2 AND object_kind = $3 AND object_name = $4 \
             AND number = $5",
            key.tenant.as_str(),
            key.cluster.as_str(),
            key.kind.as_str(),
            key.name,
            i64::from(number)
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?
        .ok_or_else(|| Error::NotFound { what: WHAT, id: format!("{number} of {}", key.name) })?
        .read()
    }

    async fn revision_heads(&self, cluster: &ClusterId) -> Result<Vec<RevisionHead>> {
        const OPERATION: &str = "read the newest revisions";
        let mut tx = self.read(OPERATION).await?;
        let rows = sqlx::query_as!(
            HeadOfHistoryRow,
            "SELECT tenant, cluster, object_kind, object_name, number, object_id, version, \
             fingerprint, origin, at FROM revisions WHERE cluster = $1 AND is_newest \
             ORDER BY object_name, object_kind, tenant",
            cluster.as_str()
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        rows.into_iter().map(HeadOfHistoryRow::read).collect()
    }
}
