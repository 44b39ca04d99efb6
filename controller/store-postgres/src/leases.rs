//! The lease, on the database's clock.

use async_trait::async_trait;
use skep_store::{Lease, LeaseHolder, LeaseRequest, Leases, Result};
use skep_store_sql::instant::to_column;
use skep_store_sql::{Held, LeaseRow, events, until};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, audit, clock};

async fn held(tx: &mut Session<'_>, operation: &'static str) -> Result<Held> {
    let row = sqlx::query_as!(
        LeaseRow,
        "SELECT e.epoch, e.term, e.holder, e.since, x.expires_at \
         FROM lease_epoch AS e JOIN lease_expiry AS x USING (one)"
    )
    .fetch_one(&mut *tx)
    .await
    .during(operation)?;
    row.read()
}

async fn set_expiry(tx: &mut Session<'_>, expires_at: i64, operation: &'static str) -> Result<()> {
    sqlx::query!("UPDATE lease_expiry SET expires_at = $1", expires_at)
        .execute(&mut *tx)
        .await
        .during(operation)?;
    Ok(())
}

#[async_trait]
impl Leases for PostgresStore {
    async fn acquire_lease(
        &self,
        request: &LeaseRequest,
    ) -> Result<std::result::Result<Lease, LeaseHolder>> {
        const OPERATION: &str = "take the lease";
        let mut tx = self.write(OPERATION).await?;
        // Without a lock first: those who wait for the lease ask often, and must not stand in the
        // way of its holder.
        let seen = held(&mut tx, OPERATION).await?;
        if seen.is_taken(request, clock::now(&mut tx, &self.clock).await?) {
            return Ok(Err(seen.holder));
        }
        sqlx::query_scalar!("SELECT one FROM lease_epoch FOR UPDATE")
            .fetch_one(&mut *tx)
            .await
            .during(OPERATION)?;
        // Again, in a statement that begins after the lock was had: the holder may have renewed,
        // or somebody else may have been faster.
        let held = held(&mut tx, OPERATION).await?;
        let now = clock::now(&mut tx, &self.clock).await?;
        if held.is_taken(request, now) {
            return Ok(Err(held.holder));
        }
        let again = held.is_of(request);
        let epoch = if again { held.holder.epoch } else { held.holder.epoch.saturating_add(1) };
        set_expiry(&mut tx, until(now, request.ttl), OPERATION).await?;
        if !again {
            sqlx::query!(
                "UPDATE lease_epoch SET epoch = $1, term = $2, holder = $3, since = $4",
                epoch,
                request.term.as_str(),
                request.holder,
                to_column(now)
            )
            .execute(&mut *tx)
            .await
            .during(OPERATION)?;
            let event = events::leader_started(&held, epoch, &request.holder, now);
            audit::append(&mut tx, &event).await?;
        }
        tx.commit().await?;
        let fence = skep_store::Fence { epoch, term: request.term.clone() };
        Ok(Ok(Lease { fence, ttl: request.ttl }))
    }

    async fn renew_lease(&self, lease: &Lease) -> Result<()> {
        const OPERATION: &str = "renew the lease";
        let (mut tx, _) = self.write_fenced(&lease.fence, OPERATION).await?;
        let now = clock::now(&mut tx, &self.clock).await?;
        set_expiry(&mut tx, until(now, lease.ttl), OPERATION).await?;
        tx.commit().await
    }

    async fn release_lease(&self, lease: &Lease) -> Result<()> {
        const OPERATION: &str = "release the lease";
        let mut tx = self.write(OPERATION).await?;
        // Without a term no fence fits: what this process begins from now on is refused, and what
        // it has under way is waited for.
        let holder = sqlx::query_scalar!(
            "UPDATE lease_epoch SET term = NULL WHERE epoch = $1 AND term = $2 RETURNING holder",
            lease.fence.epoch,
            lease.fence.term.as_str()
        )
        .fetch_optional(&mut *tx)
        .await
        .during(OPERATION)?;
        let Some(holder) = holder else { return Ok(()) };
        let now = clock::now(&mut tx, &self.clock).await?;
        set_expiry(&mut tx, to_column(now), OPERATION).await?;
        let event = events::leader_released(lease.fence.epoch, &holder, now);
        audit::append(&mut tx, &event).await?;
        tx.commit().await
    }

    async fn lease_holder(&self) -> Result<Option<LeaseHolder>> {
        const OPERATION: &str = "read the lease";
        let mut tx = self.read(OPERATION).await?;
        let held = held(&mut tx, OPERATION).await?;
        Ok(held.current(clock::now(&mut tx, &self.clock).await?))
    }
}
