//! Rows of `overrides`.

use jiff::Timestamp;
use skep_core::audit::{AuditData, AuditEvent, AuditKind};
use skep_core::gate::{Lifted, MAX_OVERRIDES, Override};
use skep_core::identity::OverrideId;
use skep_crds::policy::{BlastRadius, MaintenanceWindow, Mode, PolicyRule, RateLimit, Tier};
use skep_store::{Error, Result};

use crate::columns::{instant_or_none, json_error, word};
use crate::instant::{from_column, to_column};

const WHAT: &str = "override";

/// A row of `overrides`.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct OverrideRow {
    pub id: String,
    pub name: Option<String>,
    pub kind: String,
    pub target: String,
    pub domain: String,
    pub tier: String,
    pub rate_max: Option<i64>,
    pub rate_window: Option<i64>,
    pub blast_max: Option<i64>,
    pub blast_window: Option<i64>,
    pub maintenance_window: Option<String>,
    pub priority: i64,
    pub fields: String,
    pub reason: String,
    pub actor: String,
    pub created_at: i64,
    pub expires_at: Option<i64>,
    pub lifted_at: Option<i64>,
    pub lifted_by: Option<String>,
}

impl OverrideRow {
    /// The override.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when a newer version wrote it or it is damaged.
    pub fn read(self) -> Result<Override> {
        let rate = limit(self.rate_max, self.rate_window)?;
        let blast = limit(self.blast_max, self.blast_window)?;
        let window = |text: String| word(&text, MaintenanceWindow::parse, WHAT);
        let lifted = match (instant_or_none(self.lifted_at, WHAT)?, self.lifted_by) {
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
                tier: word(&self.tier, Tier::parse, WHAT)?,
                rate_limit: rate.map(|(max, window_s)| RateLimit { max, window_s }),
                blast_radius: blast
                    .map(|(max_targets, window_s)| BlastRadius { max_targets, window_s }),
                maintenance_window: self.maintenance_window.map(window).transpose()?,
                priority: self.priority,
                fields: serde_json::from_str(&self.fields)
                    .map_err(|error| json_error(&error, WHAT))?,
                location: None,
            },
            reason: self.reason,
            actor: self.actor,
            created_at: from_column(self.created_at, WHAT)?,
            expires_at: instant_or_none(self.expires_at, WHAT)?,
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

/// A window of a limit as databases hold it.
fn seconds(window_s: u64) -> i64 {
    i64::try_from(window_s).unwrap_or(i64::MAX)
}

/// The columns of a new row that are no mere copy of a field.
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct OverrideColumns {
    pub rate_max: Option<i64>,
    pub rate_window: Option<i64>,
    pub blast_max: Option<i64>,
    pub blast_window: Option<i64>,
    pub maintenance_window: Option<String>,
    pub fields: String,
}

impl OverrideColumns {
    /// Writes an override down.
    #[must_use]
    pub fn of(new: &Override) -> Self {
        let rule = &new.rule;
        Self {
            rate_max: rule.rate_limit.map(|limit| i64::from(limit.max)),
            rate_window: rule.rate_limit.map(|limit| seconds(limit.window_s)),
            blast_max: rule.blast_radius.map(|limit| i64::from(limit.max_targets)),
            blast_window: rule.blast_radius.map(|limit| seconds(limit.window_s)),
            maintenance_window: rule.maintenance_window.as_ref().map(MaintenanceWindow::to_string),
            fields: serde_json::json!(rule.fields).to_string(),
        }
    }
}

/// What has to be true of a new override whatever is stored.
///
/// # Errors
/// [`Error::Refused`] when it ends before it begins.
pub fn check_override(new: &Override) -> Result<()> {
    if new.lifted.is_some() || new.expires_at.is_some_and(|end| end <= new.created_at) {
        return Err(refused(new, "it would have ended before it begins"));
    }
    Ok(())
}

/// Whether one more fits beside those in force.
///
/// # Errors
/// [`Error::Refused`] when not.
pub fn check_room(new: &Override, in_force: i64) -> Result<()> {
    if usize::try_from(in_force).unwrap_or(usize::MAX) >= MAX_OVERRIDES {
        let why = "100 overrides are in force, and no more can be; lift some first";
        return Err(refused(new, why));
    }
    Ok(())
}

fn refused(new: &Override, why: &'static str) -> Error {
    Error::Refused { what: WHAT, id: new.id.to_string(), why }
}

/// The one that is to be lifted, of those in force whose id starts with `id`, in order.
///
/// # Errors
/// [`Error::NotFound`] for none, [`Error::Ambiguous`] for several.
pub fn choose_override(mut found: Vec<OverrideRow>, id: &str) -> Result<OverrideRow> {
    // A whole id wins over longer ones that start with it.
    found.truncate(if found.first().is_some_and(|row| row.id == id) { 1 } else { found.len() });
    let count = found.len();
    let not_found = || Error::NotFound { what: WHAT, id: id.to_owned() };
    let only = found.pop().filter(|_| !id.is_empty()).ok_or_else(not_found)?;
    if count > 1 {
        return Err(Error::Ambiguous { what: WHAT, prefix: id.to_owned(), count });
    }
    Ok(only)
}

/// What the trail says about an override beside the sentence.
fn override_facts(of: &Override) -> AuditData {
    AuditData::Override {
        id: of.id.clone(),
        kind: of.rule.kind.clone(),
        target: of.rule.target.clone(),
        until: of.expires_at,
        reason: (!of.reason.is_empty()).then(|| of.reason.clone()),
    }
}

/// An override that was put in force.
#[must_use]
pub fn override_placed(new: &Override) -> AuditEvent {
    let is_freeze = new.is_freeze();
    AuditEvent {
        at: new.created_at,
        kind: if is_freeze { AuditKind::Frozen } else { AuditKind::OverridePlaced },
        actor: new.actor.clone(),
        key: None,
        action: None,
        detail: new.described(),
        data: Some(override_facts(new)),
    }
}

/// An override that was taken away, and its row of the audit trail.
///
/// # Errors
/// [`Error::Corrupt`] when the row cannot be read.
pub fn override_lifted(
    row: OverrideRow,
    actor: &str,
    now: Timestamp,
) -> Result<(Override, AuditEvent)> {
    let mut lifted = row.read()?;
    let at = from_column(to_column(now), WHAT)?;
    lifted.lifted = Some(Lifted { at, by: actor.to_owned() });
    let is_freeze = lifted.is_freeze();
    let event = AuditEvent {
        at: now,
        kind: if is_freeze { AuditKind::Unfrozen } else { AuditKind::OverrideLifted },
        actor: actor.to_owned(),
        key: None,
        action: None,
        detail: lifted.described(),
        data: Some(override_facts(&lifted)),
    };
    Ok((lifted, event))
}
