//! Parts of statements that are put together at run time.

use skep_core::identity::ObjectKey;
use skep_store_sql::keys_json;
use sqlx::{Postgres, QueryBuilder};

/// Restricts a list to the rows of these objects; none means all.
pub(crate) fn push_keys(query: &mut QueryBuilder<Postgres>, keys: &[ObjectKey]) {
    if keys.is_empty() {
        return;
    }
    query.push(
        " AND (tenant, cluster, object_kind, object_name) IN (SELECT value ->> 0, value ->> 1, \
         value ->> 2, value ->> 3 FROM json_array_elements(",
    );
    query.push_bind(keys_json(keys)).push("::json))");
}

/// `LIMIT NULL` is none; our zero is none.
pub(crate) fn limit(limit: u32) -> Option<i64> {
    (limit > 0).then_some(i64::from(limit))
}
