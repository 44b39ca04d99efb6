//! The lease, on the database's clock.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::identity::TermId;
use skep_store::{Error, Fence, Lease, LeaseHolder, LeaseRequest, Leases, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, fence};

/// What is on record about the lease.
struct Held {
    term: Option<TermId>,
    holder: LeaseHolder,
}

async fn held(tx: &mut Tx, operation: &'static str) -> Result<Held> {
    const WHAT: &str = "lease";
    let row = sqlx::query!(
        "SELECT e.epoch, e.term, e.holder, e.since, x.expires_at \
         FROM lease_epoch AS e JOIN lease_expiry AS x USING (one)"
    )
    .fetch_one(&mut **tx)
    .await
    .during(operation)?;
    Ok(Held {
        term: row.term.map(TermId::new),
        holder: LeaseHolder {
            holder: row.holder,
            epoch: row.epoch,
            since: clock::from_column(row.since, WHAT)?,
            expires_at: clock::from_column(row.expires_at, WHAT)?,
        },
    })
}

async fn set_expiry(tx: &mut Tx, expires_at: i64, operation: &'static str) -> Result<()> {
    sqlx::query!("UPDATE lease_expiry SET expires_at = ?", expires_at)
        .execute(&mut **tx)
        .await
        .during(operation)?;
    Ok(())
}

fn event(at: Timestamp, kind: AuditKind, actor: &str, epoch: i64, detail: String) -> AuditEvent {
    let data = Some(AuditData::Lease { epoch });
    AuditEvent { at, kind, actor: actor.to_owned(), key: None, action: None, detail, data }
}

#[async_trait]
impl Leases for SqliteStore {
    async fn acquire_lease(
        &self,
        request: &LeaseRequest,
    ) -> Result<std::result::Result<Lease, LeaseHolder>> {
        const OPERATION: &str = "take the lease";
        let mut tx = self.write(OPERATION).await?;
        let now = clock::now(&mut tx, &self.clock).await?;
        let held = held(&mut tx, OPERATION).await?;
        // The same term asks again when it did not see the answer to its first request.
        let again = held.term.as_ref() == Some(&request.term);
        if held.term.is_some() && now < held.holder.expires_at && !again {
            return Ok(Err(held.holder));
        }
        let epoch = if again { held.holder.epoch } else { held.holder.epoch.saturating_add(1) };
        set_expiry(&mut tx, until(now, request.ttl), OPERATION).await?;
        if !again {
            let term = request.term.as_str();
            let since = clock::to_column(now);
            sqlx::query!(
                "UPDATE lease_epoch SET epoch = ?, term = ?, holder = ?, since = ?",
                epoch,
                term,
                request.holder,
                since
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            let detail = if held.term.is_some() {
                format!("epoch {epoch}; the lease of {} had run out", held.holder.holder)
            } else {
                format!("epoch {epoch}; the lease was free")
            };
            tx.write_as_term(request.term.as_str());
            let event = event(now, AuditKind::LeaderStarted, &request.holder, epoch, detail);
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await.during(OPERATION)?;
        let fence = Fence { epoch, term: request.term.clone() };
        Ok(Ok(Lease { fence, ttl: request.ttl }))
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<()> {
        const OPERATION: &str = "renew the lease";
        let (mut tx, _) = self.write_fenced(&lease.fence, OPERATION).await?;
        let now = clock::now(&mut tx, &self.clock).await?;
        set_expiry(&mut tx, until(now, lease.ttl), OPERATION).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        const OPERATION: &str = "release the lease";
        let mut tx = self.write(OPERATION).await?;
        let holder = match fence::check(&mut tx, &lease.fence, OPERATION).await {
            Err(Error::Fenced { .. }) => return Ok(()),
            other => other?,
        };
        let now = clock::now(&mut tx, &self.clock).await?;
        // Without a term no fence fits: what this process still has under way is refused.
        sqlx::query!("UPDATE lease_epoch SET term = NULL")
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
        set_expiry(&mut tx, clock::to_column(now), OPERATION).await?;
        tx.write_as_term(lease.fence.term.as_str());
        let epoch = lease.fence.epoch;
        let detail = format!("epoch {epoch}");
        let event = event(now, AuditKind::LeaderReleased, &holder, epoch, detail);
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn lease_holder(&self) -> Result<Option<LeaseHolder>> {
        const OPERATION: &str = "read the lease";
        let mut tx = self.read(OPERATION).await?;
        let held = held(&mut tx, OPERATION).await?;
        let now = clock::now(&mut tx, &self.clock).await?;
        Ok(held.term.is_some().then_some(held.holder).filter(|holder| now < holder.expires_at))
    }
}

/// The end of a lease that begins now.
fn until(now: Timestamp, ttl: std::time::Duration) -> i64 {
    clock::to_column(now).saturating_add(clock::micros(ttl))
}
