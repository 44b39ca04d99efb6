//! Stored overrides: rows that end but never go away, and the counter that says they changed.

use async_trait::async_trait;
use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::gate::{Lifted, MAX_OVERRIDES, Override};
use skep_core::identity::OverrideId;
use skep_crds::policy::{BlastRadius, MaintenanceWindow, Mode, PolicyRule, RateLimit, Tier};
use skep_store::{Error, OverrideFilter, Overrides, Result};

use crate::error::IntoStoreError as _;
use crate::{SqliteStore, Tx, audit, clock, row};

const WHAT: &str = "override";

/// A row of `overrides`.
struct OverrideRow {
    id: String,
    name: Option<String>,
    kind: String,
    target: String,
    domain: String,
    tier: String,
    rate_max: Option<i64>,
    rate_window: Option<i64>,
    blast_max: Option<i64>,
    blast_window: Option<i64>,
    maintenance_window: Option<String>,
    priority: i64,
    fields: String,
    reason: String,
    actor: String,
    created_at: i64,
    expires_at: Option<i64>,
    lifted_at: Option<i64>,
    lifted_by: Option<String>,
}

impl OverrideRow {
    fn read(self) -> Result<Override> {
        let rate = limit(self.rate_max, self.rate_window)?;
        let blast = limit(self.blast_max, self.blast_window)?;
        let window = |text: String| row::word(&text, MaintenanceWindow::parse, WHAT);
        let lifted = match (row::instant(self.lifted_at, WHAT)?, self.lifted_by) {
            (Some(at), Some(by)) => Some(Lifted { at, by }),
            _ => None,
        };
        Ok(Override {
            id: OverrideId::new(self.id),
            rule: PolicyRule {
                name: self.name,
                kind: self.kind,
                target: self.target,
                domain: self.domain,
                mode: Mode::Enforce,
                tier: row::word(&self.tier, Tier::parse, WHAT)?,
                rate_limit: rate.map(|(max, window_s)| RateLimit { max, window_s }),
                blast_radius: blast
                    .map(|(max_targets, window_s)| BlastRadius { max_targets, window_s }),
                maintenance_window: self.maintenance_window.map(window).transpose()?,
                priority: self.priority,
                fields: serde_json::from_str(&self.fields)
                    .map_err(|error| row::json_error(&error, WHAT))?,
                location: None,
            },
            reason: self.reason,
            actor: self.actor,
            created_at: clock::from_column(self.created_at, WHAT)?,
            expires_at: row::instant(self.expires_at, WHAT)?,
            lifted,
        })
    }
}

fn limit(most: Option<i64>, window: Option<i64>) -> Result<Option<(u32, u64)>> {
    let (Some(most), Some(window)) = (most, window) else { return Ok(None) };
    let corrupt = |source| Error::Corrupt { what: WHAT, source };
    let most = u32::try_from(most).map_err(|error| corrupt(error.into()))?;
    let window = u64::try_from(window).map_err(|error| corrupt(error.into()))?;
    Ok(Some((most, window)))
}

/// A window of a limit as SQLite holds it.
fn seconds(window_s: u64) -> i64 {
    i64::try_from(window_s).unwrap_or(i64::MAX)
}

/// What the trail says about an override beside the sentence.
fn facts(of: &Override) -> AuditData {
    AuditData::Override {
        id: of.id.clone(),
        kind: of.rule.kind.clone(),
        target: of.rule.target.clone(),
        until: of.expires_at,
        reason: (!of.reason.is_empty()).then(|| of.reason.clone()),
    }
}

async fn moved(tx: &mut Tx, operation: &'static str) -> Result<()> {
    sqlx::query!("UPDATE overrides_counter SET counter = counter + 1")
        .execute(&mut **tx)
        .await
        .during(operation)?;
    Ok(())
}

async fn insert(tx: &mut Tx, new: &Override, operation: &'static str) -> Result<()> {
    let id = new.id.as_str();
    let rule = &new.rule;
    let tier = rule.tier.as_str();
    let rate_max = rule.rate_limit.map(|limit| i64::from(limit.max));
    let rate_window = rule.rate_limit.map(|limit| seconds(limit.window_s));
    let blast_max = rule.blast_radius.map(|limit| i64::from(limit.max_targets));
    let blast_window = rule.blast_radius.map(|limit| seconds(limit.window_s));
    let window = rule.maintenance_window.as_ref().map(MaintenanceWindow::to_string);
    let fields = serde_json::json!(rule.fields).to_string();
    let created_at = clock::to_column(new.created_at);
    let expires_at = new.expires_at.map(clock::to_column);
    sqlx::query!(
        "INSERT INTO overrides (id, name, kind, target, domain, tier, rate_max, rate_window, \
         blast_max, blast_window, maintenance_window, priority, fields, reason, actor, \
         created_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        id,
        rule.name,
        rule.kind,
        rule.target,
        rule.domain,
        tier,
        rate_max,
        rate_window,
        blast_max,
        blast_window,
        window,
        rule.priority,
        fields,
        new.reason,
        new.actor,
        created_at,
        expires_at
    )
    .execute(&mut **tx)
    .await
    .during(operation)?;
    Ok(())
}

#[async_trait]
impl Overrides for SqliteStore {
    async fn place_override(&self, new: &Override) -> Result<()> {
        const OPERATION: &str = "place an override";
        let refuse = |why| Err(Error::Refused { what: WHAT, id: new.id.to_string(), why });
        if new.lifted.is_some() || new.expires_at.is_some_and(|end| end <= new.created_at) {
            return refuse("it would have ended before it begins");
        }
        let mut tx = self.write(OPERATION).await?;
        let now = clock::to_column(new.created_at);
        let in_force = sqlx::query_scalar!(
            "SELECT count(*) FROM overrides \
             WHERE lifted_at IS NULL AND (expires_at IS NULL OR expires_at > ?)",
            now
        )
        .fetch_one(&mut *tx)
        .await
        .during(OPERATION)?;
        if usize::try_from(in_force).unwrap_or(usize::MAX) >= MAX_OVERRIDES {
            return refuse("100 overrides are in force, and no more can be; lift some first");
        }
        insert(&mut tx, new, OPERATION).await?;
        moved(&mut tx, OPERATION).await?;
        let is_freeze = new.is_freeze();
        let event = AuditEvent {
            at: new.created_at,
            kind: if is_freeze { AuditKind::Frozen } else { AuditKind::OverridePlaced },
            actor: new.actor.clone(),
            key: None,
            action: None,
            detail: new.described(),
            data: Some(facts(new)),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)
    }

    async fn lift_override(&self, id: &str, actor: &str, now: Timestamp) -> Result<Override> {
        const OPERATION: &str = "lift an override";
        let not_found = || Error::NotFound { what: WHAT, id: id.to_owned() };
        if id.is_empty() {
            return Err(not_found());
        }
        let mut tx = self.write(OPERATION).await?;
        let (end, at) = (row::prefix_end(id), clock::to_column(now));
        let mut found = sqlx::query_as!(
            OverrideRow,
            "SELECT id, name, kind, target, domain, tier, rate_max, rate_window, blast_max, \
             blast_window, maintenance_window, priority, fields, reason, actor, created_at, \
             expires_at, lifted_at, lifted_by FROM overrides \
             WHERE id >= ?1 AND id < ?2 AND lifted_at IS NULL \
             AND (expires_at IS NULL OR expires_at > ?3) ORDER BY id",
            id,
            end,
            at
        )
        .fetch_all(&mut *tx)
        .await
        .during(OPERATION)?;
        // A whole id wins over longer ones that start with it.
        found.truncate(if found.first().is_some_and(|row| row.id == id) { 1 } else { found.len() });
        let count = found.len();
        let Some(only) = found.pop() else { return Err(not_found()) };
        if count > 1 {
            return Err(Error::Ambiguous { what: WHAT, prefix: id.to_owned(), count });
        }
        sqlx::query!(
            "UPDATE overrides SET lifted_at = ?, lifted_by = ? WHERE id = ?",
            at,
            actor,
            only.id
        )
        .execute(&mut *tx)
        .await
        .during(OPERATION)?;
        moved(&mut tx, OPERATION).await?;
        let mut lifted = only.read()?;
        lifted.lifted = Some(Lifted { at: clock::from_column(at, WHAT)?, by: actor.to_owned() });
        let is_freeze = lifted.is_freeze();
        let event = AuditEvent {
            at: now,
            kind: if is_freeze { AuditKind::Unfrozen } else { AuditKind::OverrideLifted },
            actor: actor.to_owned(),
            key: None,
            action: None,
            detail: lifted.described(),
            data: Some(facts(&lifted)),
        };
        audit::append(&mut tx, &event).await?;
        tx.commit().await.during(OPERATION)?;
        Ok(lifted)
    }

    async fn overrides(&self, filter: &OverrideFilter) -> Result<Vec<Override>> {
        let ended = filter.not_ended_by.map(clock::to_column);
        let rows = sqlx::query_as!(
            OverrideRow,
            "SELECT id, name, kind, target, domain, tier, rate_max, rate_window, blast_max, \
             blast_window, maintenance_window, priority, fields, reason, actor, created_at, \
             expires_at, lifted_at, lifted_by FROM overrides \
             WHERE ?1 IS NULL OR ((lifted_at IS NULL OR lifted_at > ?1) \
             AND (expires_at IS NULL OR expires_at > ?1)) ORDER BY seq",
            ended
        )
        .fetch_all(&self.readers)
        .await
        .during("read the overrides")?;
        rows.into_iter().map(OverrideRow::read).collect()
    }

    async fn overrides_counter(&self) -> Result<i64> {
        sqlx::query_scalar!("SELECT counter FROM overrides_counter")
            .fetch_one(&self.readers)
            .await
            .during("read the counter of overrides")
    }
}
