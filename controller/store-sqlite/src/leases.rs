//! The lease, on the database's clock.

use async_trait::async_trait;
use skep_store::{Error, Fence, Lease, LeaseHolder, LeaseRequest, Leases, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{Held, LeaseRow, events, until};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, fence};

async fn held(tx: &mut Tx, operation: &'static str) -> Result<Held> {
    let row = sqlx::query_as!(
        LeaseRow,
        "SELECT e.epoch, e.term, e.holder, e.since, x.expires_at \
         FROM lease_epoch AS e JOIN lease_expiry AS x USING (one)"
    )
    .fetch_one(&mut **tx)
    .await
    .during(operation)?;
    row.read()
}

async fn set_expiry(tx: &mut Tx, expires_at: i64, operation: &'static str) -> Result<()> {
    sqlx::query!("UPDATE lease_expiry SET expires_at = ?", expires_at)
        .execute(&mut **tx)
        .await
        .during(operation)?;
    Ok(())
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
        if held.is_taken(request, now) {
            return Ok(Err(held.holder));
        }
        let again = held.is_of(request);
        let epoch = if again { held.holder.epoch } else { held.holder.epoch.saturating_add(1) };
        set_expiry(&mut tx, until(now, request.ttl), OPERATION).await?;
        if !again {
            sqlx::query!(
                "UPDATE lease_epoch SET epoch = ?, term = ?, holder = ?, since = ?",
                epoch,
                request.term.as_str(),
                request.holder,
                to_column(now)
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            tx.write_as_term(request.term.as_str());
            let event = events::leader_started(&held, epoch, &request.holder, now);
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
        set_expiry(&mut tx, to_column(now), OPERATION).await?;
        tx.write_as_term(lease.fence.term.as_str());
        let event = events::leader_released(lease.fence.epoch, &holder, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn lease_holder(&self) -> Result<Option<LeaseHolder>> {
        const OPERATION: &str = "read the lease";
        let mut tx = self.read(OPERATION).await?;
        let held = held(&mut tx, OPERATION).await?;
        Ok(held.current(clock::now(&mut tx, &self.clock).await?))
    }
}
