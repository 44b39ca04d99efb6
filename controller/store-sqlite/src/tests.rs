//! What only the inside can show: the connections' settings, and failures of the disk.

mod keyed;
mod sealed;
mod tamper;
mod upgrade;

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::identity::TermId;
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, Audit as _, AuditFilter, Category, Error, Fence, LastGoodContent,
    LeaseRequest, Leases as _, Sources as _, Store as _,
};
use sqlx::{Connection as _, SqliteConnection};

use crate::{Cause, OpenOptions, SqliteStore};

async fn open(folder: &Path) -> SqliteStore {
    let options = OpenOptions::new(protection()).creating();
    SqliteStore::open(folder.join("skep.db"), options).await.unwrap()
}

pub(crate) async fn in_memory() -> SqliteStore {
    SqliteStore::open_in_memory(protection()).await.unwrap()
}

fn request(name: &str) -> LeaseRequest {
    LeaseRequest { term: TermId::new(name), holder: name.into(), ttl: Duration::from_secs(60) }
}

async fn fence(store: &SqliteStore) -> Fence {
    store.acquire_lease(&request("leader")).await.unwrap().unwrap().fence
}

fn content(bytes: usize) -> LastGoodContent {
    LastGoodContent {
        source: "registry".into(),
        digest: String::new(),
        content: vec![7; bytes],
        loaded_at: Timestamp::UNIX_EPOCH,
    }
}

/// The [`Cause`] inside an error.
fn cause(error: &Error) -> &Cause {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

#[tokio::test]
async fn each_connection_has_its_settings() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for (pool, query_only) in [(&store.writer, 0), (&store.readers, 1)] {
        for (pragma, expected) in [
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA busy_timeout", 5_000),
            ("PRAGMA query_only", query_only),
        ] {
            let value: i64 = sqlx::query_scalar(pragma).fetch_one(pool).await.unwrap();
            assert_eq!(value, expected, "{pragma}");
        }
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(pool).await.unwrap();
        assert_eq!(mode, "wal");
    }
}

#[tokio::test]
async fn a_full_disk_refuses_the_write_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let fence = fence(&store).await;
    store.put_last_good(&fence, &content(10)).await.unwrap();
    let pages: i64 =
        sqlx::query_scalar("PRAGMA page_count").fetch_one(&store.writer).await.unwrap();
    let limit = format!("PRAGMA max_page_count = {}", pages + 2);
    sqlx::query(sqlx::AssertSqlSafe(limit)).execute(&store.writer).await.unwrap();

    let error = store.put_last_good(&fence, &content(1 << 20)).await.unwrap_err();
    assert!(matches!(cause(&error), Cause::Full(_)), "{error:?}");
    assert_eq!(error.category(), Category::NeedsPerson);
    assert_eq!(store.last_good("registry").await.unwrap(), Some(content(10)));
    // What fits still works.
    store.put_last_good(&fence, &content(20)).await.unwrap();
}

#[tokio::test]
async fn a_database_that_becomes_read_only_refuses_writes_and_still_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let fence = fence(&store).await;
    sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.unwrap();
    let error = store.put_last_good(&fence, &content(1)).await.unwrap_err();
    assert!(matches!(cause(&error), Cause::ReadOnly(_)), "{error:?}");
    store.ping().await.unwrap();
}

#[tokio::test]
async fn a_writer_elsewhere_is_worth_a_retry() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let mut other =
        SqliteConnection::connect(&format!("sqlite:{}", folder.path().join("skep.db").display()))
            .await
            .unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    // Not five seconds in a test.
    sqlx::query("PRAGMA busy_timeout = 1").execute(&store.writer).await.unwrap();
    let error = store.acquire_lease(&request("leader")).await.unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error:?}");
    assert_eq!(error.category(), Category::Retry);
    // Readers do not wait for it.
    assert_eq!(store.lease_holder().await.unwrap(), None);
    held.rollback().await.unwrap();
    fence(&store).await;
}

/// A caller that gives up (a time limit, a closed HTTP connection) must not leave the only
/// writing connection inside a transaction.
#[tokio::test]
async fn a_call_that_is_dropped_at_any_point_leaves_the_store_usable() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let fence = fence(&store).await;
    for polls in 0..40 {
        let written = content(100 + polls);
        {
            let mut call = pin!(store.put_last_good(&fence, &written));
            for _ in 0..polls {
                if futures::poll!(call.as_mut()).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        store.put_last_good(&fence, &content(polls)).await.unwrap();
        assert_eq!(store.last_good("registry").await.unwrap(), Some(content(polls)));
    }
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let store = in_memory().await;
    store.close().await;
    let error = store.ping().await.unwrap_err();
    assert!(matches!(cause(&error), Cause::Closed), "{error:?}");
}

#[tokio::test]
async fn the_audit_trail_cannot_be_rewritten() {
    let store = in_memory().await;
    fence(&store).await;
    let before = store.audit(&AuditFilter::default()).await.unwrap();
    assert_eq!(before.len(), 1);
    for statement in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "INSERT OR REPLACE INTO audit SELECT * FROM audit",
    ] {
        let error = sqlx::query(statement).execute(&store.writer).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
    assert_eq!(store.audit(&AuditFilter::default()).await.unwrap(), before);
}

/// The lease's clock is SQLite's own when nobody hands in a shift.
#[tokio::test]
async fn the_lease_runs_on_the_databases_clock() {
    let store = in_memory().await;
    let clock = "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)";
    let before: i64 = sqlx::query_scalar(clock).fetch_one(&store.writer).await.unwrap();
    fence(&store).await;
    let after: i64 = sqlx::query_scalar(clock).fetch_one(&store.writer).await.unwrap();
    let since = store.lease_holder().await.unwrap().unwrap().since.as_millisecond();
    // A rounding of half a millisecond each way.
    assert!((before - 1..=after + 1).contains(&since), "{before} {since} {after}");
}

/// The schema itself refuses a second open action, whatever the code does.
#[tokio::test]
async fn the_schema_refuses_a_second_open_action_for_a_key() {
    let store = in_memory().await;
    let insert = |id: &str, state: &str| {
        sqlx::AssertSqlSafe(format!(
            "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, \
             step, binding, source, actor, reason, mode, rule, state, revision, detail, \
             created_at, updated_at) VALUES ('{id}', 't', 'c', 'service', 'one', \
             'deploy_service', 'p', x'', '', 'registry', '', '', 'swarm', '', '{state}', 1, \
             '', 0, 0)"
        ))
    };
    sqlx::query(insert("a", "failed")).execute(&store.writer).await.unwrap();
    sqlx::query(insert("b", "pending")).execute(&store.writer).await.unwrap();
    for state in ["pending", "granted", "executing", "rolling_out"] {
        let error = sqlx::query(insert("c", state)).execute(&store.writer).await.unwrap_err();
        assert!(error.as_database_error().unwrap().is_unique_violation(), "{state}: {error}");
    }
}

fn insert_action(id: &str, name: &str, step: &str) -> sqlx::AssertSqlSafe<String> {
    let context = skep_store::step_context(id);
    let sealed = protection().seal("action", &context, step.as_bytes()).unwrap();
    let step = sealed.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    sqlx::AssertSqlSafe(format!(
        "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, step, \
         binding, source, actor, reason, mode, rule, state, revision, detail, created_at, \
         updated_at) VALUES ('{id}', 't', 'c', 'service', '{name}', 'deploy_service', 'p', \
         x'{step}', '', 'registry', '', '', 'swarm', '', 'failed', 1, '', 0, 0)"
    ))
}

/// A row of a newer version, or a damaged one, hides neither the others nor itself.
#[tokio::test]
async fn an_unreadable_action_is_named_beside_the_others() {
    let store = in_memory().await;
    let step = include_str!("tests/step.json");
    for (id, name, step) in [("a", "one", step), ("b", "two", r#"{"hunter2": 1}"#)] {
        sqlx::query(insert_action(id, name, step)).execute(&store.writer).await.unwrap();
    }
    sqlx::query(insert_action("c", "three", step)).execute(&store.writer).await.unwrap();
    sqlx::query("UPDATE actions SET kind = 'from_the_future' WHERE id = 'c'")
        .execute(&store.writer)
        .await
        .unwrap();
    let all = ActionFilter::default();
    let list = store.list_actions(&all).await.unwrap();
    assert_eq!(list.actions.iter().map(|action| action.id.as_str()).collect::<Vec<_>>(), ["a"]);
    let unreadable: Vec<_> =
        list.unreadable.iter().map(|row| (row.id.as_str(), row.name.as_str())).collect();
    assert_eq!(unreadable, [("c", "three"), ("b", "two")]);
    assert!(!format!("{list:?}").contains("hunter2"));
    assert_eq!(store.actions(&all).await.unwrap().len(), 1);
    for id in ["b", "c"] {
        let error = store.action(id).await.unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
        assert_eq!(error.category(), Category::NeedsPerson);
    }
}

/// Work per wake-up depends on what changed: these lists are found by an index.
#[tokio::test]
async fn lists_of_a_few_objects_read_only_their_rows() {
    let store = in_memory().await;
    for (query, index) in [
        (
            "SELECT * FROM actions AS a WHERE true AND (tenant, cluster, object_kind, \
             object_name) IN (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 \
             FROM json_each('[]')) ORDER BY seq DESC LIMIT -1",
            "actions_by_key",
        ),
        (
            "SELECT * FROM ownership WHERE (tenant, cluster, object_kind, object_name) IN \
             (SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3 FROM json_each('[]'))",
            "sqlite_autoindex_ownership_1",
        ),
        (
            "SELECT number FROM revisions WHERE cluster = '' AND is_newest = 1 \
             ORDER BY object_name, object_kind, tenant",
            "revisions_newest",
        ),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}")))
                .fetch_all(&store.readers)
                .await
                .unwrap();
        let said: Vec<_> = plan.into_iter().map(|(_, _, _, detail)| detail).collect();
        let used = |line: &String| line.starts_with("SEARCH") && line.contains(index);
        assert!(said.iter().any(used), "{said:#?}");
    }
}
