//! Conditions of lists that are put together at run time and read alike in both dialects.

use skep_core::identity::ObjectKey;
use skep_store::{AuditFilter, DeliveryFilter};
use sqlx::{Database, Encode, QueryBuilder, Type};

use crate::instant::to_column;
use crate::prefix::prefix_end;

/// Restricts a list to the rows of one object.
fn push_key<DB>(query: &mut QueryBuilder<DB>, key: &ObjectKey)
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    query.push(" AND tenant = ").push_bind(key.tenant.as_str().to_owned());
    query.push(" AND cluster = ").push_bind(key.cluster.as_str().to_owned());
    query.push(" AND object_kind = ").push_bind(key.kind.as_str().to_owned());
    query.push(" AND object_name = ").push_bind(key.name.clone());
}

/// The conditions of a filter of the audit trail.
pub fn push_audit_filter<DB>(query: &mut QueryBuilder<DB>, filter: &AuditFilter)
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
    i64: for<'q> Encode<'q, DB> + Type<DB>,
{
    if let Some(action) = &filter.action {
        query.push(" AND action_id = ").push_bind(action.as_str().to_owned());
    }
    if let Some(key) = &filter.key {
        push_key(query, key);
    }
    if let Some(name) = &filter.name {
        query.push(" AND object_name = ").push_bind(name.clone());
    }
    if let Some(actor) = &filter.actor {
        query.push(" AND actor = ").push_bind(actor.clone());
    }
    if !filter.kinds.is_empty() {
        query.push(" AND kind IN (");
        let mut kinds = query.separated(", ");
        for kind in &filter.kinds {
            kinds.push_bind(kind.as_str().to_owned());
        }
        query.push(")");
    }
    if let Some(since) = filter.since {
        query.push(" AND at >= ").push_bind(to_column(since));
    }
    if let Some(until) = filter.until {
        query.push(" AND at < ").push_bind(to_column(until));
    }
    if let Some(after) = filter.after {
        query.push(" AND seq > ").push_bind(after);
    }
}

/// The conditions of a filter over `d`, the deliveries of the outbox.
pub fn push_delivery_filter<DB>(query: &mut QueryBuilder<DB>, filter: &DeliveryFilter)
where
    DB: Database,
    String: for<'q> Encode<'q, DB> + Type<DB>,
{
    if let Some(state) = filter.state {
        query.push(" AND d.state = ").push_bind(state.as_str().to_owned());
    }
    if let Some(endpoint) = &filter.endpoint {
        query.push(" AND d.endpoint = ").push_bind(endpoint.clone());
    }
    if let Some(notice) = &filter.notice {
        query.push(" AND d.notice_id >= ").push_bind(notice.clone());
        query.push(" AND d.notice_id < ").push_bind(prefix_end(notice));
    }
}
