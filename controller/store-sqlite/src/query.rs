//! Parts of statements that are put together at run time.

use skep_core::identity::ObjectKey;
use skep_store_sql::keys_json;
use sqlx::{QueryBuilder, Sqlite};

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
