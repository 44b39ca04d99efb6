//! Rows as they stand in the tables, and the way back to the types of skep-core.
//!
//! No row is `Debug`: steps and bodies hold values of the environment.

use jiff::Timestamp;
use skep_core::action::{Action, ActionKind, ActionState, ActuatorMode, Source};
use skep_core::approval::{Approval, ApprovalStatus, Wait};
use skep_core::canonical::Digest;
use skep_core::identity::{
    ActionId, ApprovalId, BatchId, ClusterId, ObjectKey, ObjectKind, PlanId, ServiceName, TenantId,
};
use skep_store::{Error, Protection, Result, step_context};
use sqlx::{QueryBuilder, Sqlite};

use crate::clock::from_column;

/// A row of `actions`.
#[derive(sqlx::FromRow)]
pub(crate) struct ActionRow {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) cluster: String,
    pub(crate) object_kind: String,
    pub(crate) object_name: String,
    pub(crate) kind: String,
    pub(crate) plan_id: String,
    pub(crate) step: Vec<u8>,
    pub(crate) binding: String,
    pub(crate) source: String,
    pub(crate) actor: String,
    pub(crate) reason: String,
    pub(crate) mode: String,
    pub(crate) rule: String,
    pub(crate) state: String,
    pub(crate) revision: i64,
    pub(crate) approval_id: Option<String>,
    pub(crate) detail: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) granted_at: Option<i64>,
    pub(crate) start_by: Option<i64>,
    pub(crate) wait_code: Option<String>,
    pub(crate) wait_reason: Option<String>,
    pub(crate) wait_since: Option<i64>,
    pub(crate) runnable_since: Option<i64>,
    pub(crate) moved: Option<String>,
}

impl ActionRow {
    pub(crate) fn read(self, protection: &Protection) -> Result<Action> {
        const WHAT: &str = "action";
        let step = protection.open(WHAT, &step_context(&self.id), self.step)?;
        let wait = match (self.wait_code, self.wait_reason, instant(self.wait_since, WHAT)?) {
            (Some(code), Some(reason), Some(since)) => Some(Wait { code, reason, since }),
            _ => None,
        };
        let moved = self.moved.as_deref().map(serde_json::from_str).transpose();
        Ok(Action {
            id: ActionId::new(self.id),
            key: key(self.tenant, self.cluster, &self.object_kind, self.object_name, WHAT)?,
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            plan: PlanId::new(self.plan_id),
            step: serde_json::from_slice(&step).map_err(|error| json_error(&error, WHAT))?,
            binding: Digest::from_stored(self.binding),
            source: word(&self.source, Source::from_word, WHAT)?,
            actor: self.actor,
            reason: self.reason,
            mode: word(&self.mode, ActuatorMode::from_word, WHAT)?,
            rule: self.rule,
            state: word(&self.state, ActionState::from_word, WHAT)?,
            revision: self.revision,
            approval: self.approval_id.map(ApprovalId::new),
            detail: self.detail,
            created_at: from_column(self.created_at, WHAT)?,
            updated_at: from_column(self.updated_at, WHAT)?,
            granted_at: instant(self.granted_at, WHAT)?,
            start_by: instant(self.start_by, WHAT)?,
            wait,
            runnable_since: instant(self.runnable_since, WHAT)?,
            moved: moved.map_err(|error| json_error(&error, WHAT))?,
        })
    }
}

/// A row of `approvals`.
#[derive(sqlx::FromRow)]
pub(crate) struct ApprovalRow {
    pub(crate) id: String,
    pub(crate) action_id: String,
    pub(crate) kind: String,
    pub(crate) target: String,
    pub(crate) plan_id: String,
    pub(crate) binding: String,
    pub(crate) status: String,
    pub(crate) revision: i64,
    pub(crate) created_at: i64,
    pub(crate) expires_at: i64,
    pub(crate) decided_at: Option<i64>,
    pub(crate) decided_by: Option<String>,
    pub(crate) decided_source: Option<String>,
    pub(crate) batch_id: Option<String>,
    pub(crate) comment: Option<String>,
}

impl ApprovalRow {
    pub(crate) fn read(self) -> Result<Approval> {
        const WHAT: &str = "approval";
        Ok(Approval {
            id: ApprovalId::new(self.id),
            action: ActionId::new(self.action_id),
            kind: word(&self.kind, ActionKind::from_word, WHAT)?,
            target: ServiceName::new(self.target),
            plan: PlanId::new(self.plan_id),
            binding: Digest::from_stored(self.binding),
            status: word(&self.status, ApprovalStatus::from_word, WHAT)?,
            revision: self.revision,
            created_at: from_column(self.created_at, WHAT)?,
            expires_at: from_column(self.expires_at, WHAT)?,
            decided_at: instant(self.decided_at, WHAT)?,
            decided_by: self.decided_by,
            decided_source: self.decided_source,
            batch: self.batch_id.map(BatchId::new),
            comment: self.comment,
        })
    }
}

/// The columns of an object's key.
pub(crate) fn key(
    tenant: String,
    cluster: String,
    kind: &str,
    name: String,
    what: &'static str,
) -> Result<ObjectKey> {
    Ok(ObjectKey {
        tenant: TenantId::new(tenant),
        cluster: ClusterId::new(cluster),
        kind: word(kind, ObjectKind::from_word, what)?,
        name,
    })
}

/// A column that may be empty.
pub(crate) fn instant(micros: Option<i64>, what: &'static str) -> Result<Option<Timestamp>> {
    micros.map(|micros| from_column(micros, what)).transpose()
}

/// A column that holds one of a fixed set of words.
pub(crate) fn word<T>(
    text: &str,
    read: impl FnOnce(&str) -> Option<T>,
    what: &'static str,
) -> Result<T> {
    read(text).ok_or_else(|| Error::Corrupt {
        what,
        source: format!("the word {text:?} is not known to this version").into(),
    })
}

/// serde's own message repeats values ("invalid type: string …"), and a step holds those of the
/// environment; the place is enough.
pub(crate) fn json_error(error: &serde_json::Error, what: &'static str) -> Error {
    let place = format!(
        "its JSON does not have the expected form (line {}, column {})",
        error.line(),
        error.column()
    );
    Error::Corrupt { what, source: place.into() }
}

/// The range of texts that start with `prefix`: `[prefix, end)` in the order of bytes.
pub(crate) fn prefix_end(prefix: &str) -> String {
    format!("{prefix}\u{10FFFF}")
}

/// Restricts a list to the rows of one object.
pub(crate) fn push_key(query: &mut QueryBuilder<Sqlite>, key: &ObjectKey) {
    query.push(" AND tenant = ").push_bind(key.tenant.as_str().to_owned());
    query.push(" AND cluster = ").push_bind(key.cluster.as_str().to_owned());
    query.push(" AND object_kind = ").push_bind(key.kind.as_str());
    query.push(" AND object_name = ").push_bind(key.name.clone());
}

/// Restricts a list to the rows of these objects; none means all. One parameter however many
/// there are, because SQLite takes a limited number of them.
pub(crate) fn push_keys(query: &mut QueryBuilder<Sqlite>, keys: &[ObjectKey]) {
    if keys.is_empty() {
        return;
    }
    query.push(
        " AND (tenant, cluster, object_kind, object_name) IN (SELECT value ->> 0, value ->> 1, \
         value ->> 2, value ->> 3 FROM json_each(",
    );
    query.push_bind(keys_json(keys)).push("))");
}

/// Keys as one JSON parameter: a list of lists of four texts.
pub(crate) fn keys_json(keys: &[ObjectKey]) -> String {
    keys.iter()
        .map(|key| {
            let (tenant, cluster) = (key.tenant.as_str(), key.cluster.as_str());
            serde_json::json!([tenant, cluster, key.kind.as_str(), key.name])
        })
        .collect::<serde_json::Value>()
        .to_string()
}

/// A Version as SQLite holds it: its integers have a sign.
pub(crate) fn version(
    version: Option<u64>,
    what: &'static str,
    id: impl std::fmt::Display,
) -> Result<Option<i64>> {
    version.map(i64::try_from).transpose().map_err(|_| Error::Refused {
        what,
        id: id.to_string(),
        why: "its Version is larger than any that the engine gives",
    })
}

/// The way back.
pub(crate) fn stored_version(version: Option<i64>, what: &'static str) -> Result<Option<u64>> {
    let version = version.map(u64::try_from).transpose();
    version.map_err(|source| Error::Corrupt { what, source: source.into() })
}

/// A key whose columns are empty together.
pub(crate) fn optional_key(
    (tenant, cluster): (Option<String>, Option<String>),
    (kind, name): (Option<String>, Option<String>),
    what: &'static str,
) -> Result<Option<ObjectKey>> {
    match (tenant, cluster, kind, name) {
        (Some(tenant), Some(cluster), Some(kind), Some(name)) => {
            key(tenant, cluster, &kind, name, what).map(Some)
        }
        (None, None, None, None) => Ok(None),
        _ => Err(Error::Corrupt { what, source: "half of an object's key".into() }),
    }
}

/// A number of things.
pub(crate) fn count(count: i64, what: &'static str) -> Result<u32> {
    u32::try_from(count).map_err(|source| Error::Corrupt { what, source: source.into() })
}

/// The id that a prefix means, of those that start with it. A whole id wins over longer ones.
pub(crate) fn one_of<'a>(ids: &'a [String], prefix: &str, what: &'static str) -> Result<&'a str> {
    match ids {
        [] => Err(Error::NotFound { what, id: prefix.to_owned() }),
        _ if prefix.is_empty() => Err(Error::NotFound { what, id: String::new() }),
        [id] => Ok(id),
        [id, ..] if id == prefix => Ok(id),
        several => Err(Error::Ambiguous { what, prefix: prefix.to_owned(), count: several.len() }),
    }
}

/// Restricts a list to rows whose column has one of these words; none means all.
pub(crate) fn push_words<'a>(
    query: &mut QueryBuilder<Sqlite>,
    column: &'static str,
    words: impl Iterator<Item = &'a str>,
) {
    let words: serde_json::Value = words.collect();
    if words.as_array().is_some_and(Vec::is_empty) {
        return;
    }
    query.push(" AND ").push(column).push(" IN (SELECT value FROM json_each(");
    query.push_bind(words.to_string()).push("))");
}

/// SQLite's `LIMIT`: negative is none; our zero is none.
pub(crate) fn limit(limit: u32) -> i64 {
    if limit == 0 { -1 } else { i64::from(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_json_error_never_repeats_a_value() {
        let error = serde_json::from_str::<u8>(r#""hunter2""#).unwrap_err();
        assert!(error.to_string().contains("hunter2"), "otherwise this test proves nothing");
        let ours = json_error(&error, "action");
        let mut text = format!("{ours} {ours:?}");
        let mut source = std::error::Error::source(&ours);
        while let Some(error) = source {
            text.push_str(&error.to_string());
            source = error.source();
        }
        assert!(!text.contains("hunter2"), "{text}");
    }
}
