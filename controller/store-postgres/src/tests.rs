//! What only the inside can show: the schema's own rules, and who waits for whom.

mod keyed;
mod locks;

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, ObjectKey, ServiceName, TermId};
use skep_store::conformance::protection;
use skep_store::{Error, Holds as _, LeaseRequest, Leases as _, Store as _};
use skep_testkit::Postgres;
use sqlx::{Connection as _, Executor as _, PgConnection};

use crate::{Address, Cause, ClockShift, OpenOptions, PostgresStore};

fn fresh() -> (String, Address) {
    let url = Postgres::shared().unwrap().fresh_database().unwrap();
    (url.clone(), url.parse().unwrap())
}

async fn store() -> PostgresStore {
    PostgresStore::open(&fresh().1, options()).await.unwrap()
}

async fn raw(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

fn options() -> OpenOptions {
    OpenOptions::new(protection())
}

fn cause(error: &Error) -> &Cause {
    std::error::Error::source(error).unwrap().downcast_ref().unwrap()
}

fn request(name: &str) -> LeaseRequest {
    LeaseRequest { term: TermId::new(name), holder: name.into(), ttl: Duration::from_secs(60) }
}

fn hold() -> Hold {
    Hold {
        key: ObjectKey::service(&ClusterId::new("cluster"), &ServiceName::new("one")),
        kind: HoldKind::Manual,
        difference: None,
        until: None,
        actor: "alice@vm".to_owned(),
        reason: "looking".to_owned(),
        placed_at: Timestamp::UNIX_EPOCH,
    }
}

#[tokio::test]
async fn the_audit_trail_cannot_be_rewritten() {
    let store = store().await;
    store.place_hold(&hold()).await.unwrap();
    for statement in ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit", "TRUNCATE audit"] {
        let error = sqlx::query(statement).execute(&store.pool).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{statement}: {error}");
    }
}

/// A row with a smaller number that is committed later would never be seen behind a larger one.
#[tokio::test]
async fn a_change_that_is_committed_late_is_noticed() {
    let store = store().await;
    let mut late = store.write("test").await.unwrap();
    let event = skep_store_sql::events::held(&hold());
    crate::audit::append(&mut late, &event).await.unwrap();
    store.place_hold(&hold()).await.unwrap();
    let between = store.change_counter().await.unwrap();
    late.commit().await.unwrap();
    assert!(store.change_counter().await.unwrap() > between);
}

/// A takeover and a write of the old leader: one is before the other, whole.
#[tokio::test]
async fn a_takeover_waits_for_the_leaders_transaction() {
    let (url, address) = fresh();
    let clock = ClockShift::default();
    let open = || PostgresStore::open_with_clock(&address, options(), clock.clone());
    let (old, new) = (open().await.unwrap(), open().await.unwrap());
    let lease = old.acquire_lease(&request("old")).await.unwrap().unwrap();
    let (write, _) = old.write_fenced(&lease.fence, "test").await.unwrap();
    clock.advance(Duration::from_secs(120));
    let takeover = tokio::spawn(async move { new.acquire_lease(&request("new")).await });
    let mut looking = raw(&url).await;
    let waiting = "SELECT count(*) FROM pg_stat_activity \
                   WHERE datname = current_database() AND wait_event_type = 'Lock'";
    loop {
        let count: i64 = sqlx::query_scalar(waiting).fetch_one(&mut looking).await.unwrap();
        if count > 0 {
            break;
        }
        assert!(!takeover.is_finished(), "it did not wait");
        tokio::task::yield_now().await;
    }
    write.commit().await.unwrap();
    let taken = takeover.await.unwrap().unwrap().unwrap();
    assert_eq!(taken.fence.epoch, lease.fence.epoch + 1);
    let refused = old.write_fenced(&lease.fence, "test").await.map(drop);
    assert!(matches!(refused, Err(Error::Fenced { .. })), "{refused:?}");
}

/// Those who wait for the lease ask often; they never wait for its holder's transactions.
#[tokio::test]
async fn asking_for_a_lease_that_is_held_waits_for_nobody() {
    let store = store().await;
    let lease = store.acquire_lease(&request("old")).await.unwrap().unwrap();
    let (_under_way, _) = store.write_fenced(&lease.fence, "test").await.unwrap();
    let holder = store.acquire_lease(&request("new")).await.unwrap().unwrap_err();
    assert_eq!(holder.holder, "old");
    store.renew_lease(&lease).await.unwrap();
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let (_, address) = fresh();
    let opened =
        futures::future::join_all((0..8).map(|_| PostgresStore::open(&address, options()))).await;
    let ids: BTreeSet<_> =
        opened.iter().map(|store| store.as_ref().unwrap().installation_id().to_owned()).collect();
    assert_eq!(ids.len(), 1);
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_says_that_we_may() {
    let (url, address) = fresh();
    let open = || PostgresStore::open(&address, options());
    open().await.unwrap();
    let mut newer = raw(&url).await;
    let known: i64 = sqlx::query_scalar("SELECT max(version) FROM schema_versions")
        .fetch_one(&mut newer)
        .await
        .unwrap();
    newer
        .execute(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
             execution_time) VALUES (9000, 'x', true, '', 0)",
        )
        .await
        .unwrap();
    for (statement, fits) in [
        ("SELECT 1".to_owned(), false),
        (format!("INSERT INTO schema_versions VALUES (9000, {})", known + 1), false),
        (format!("UPDATE schema_versions SET runs_with = {known} WHERE version = 9000"), true),
    ] {
        newer.execute(sqlx::AssertSqlSafe(statement.clone())).await.unwrap();
        match open().await {
            Ok(_) => assert!(fits, "{statement}"),
            Err(error) => {
                assert!(!fits, "{statement}: {error:?}");
                let cause = cause(&error);
                assert!(matches!(cause, Cause::Newer { found: 9000, .. }), "{cause:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_database_of_something_else_is_left_alone() {
    let (url, address) = fresh();
    raw(&url).await.execute("CREATE TABLE people (name TEXT)").await.unwrap();
    let error = PostgresStore::open(&address, options()).await.unwrap_err();
    assert!(matches!(cause(&error), Cause::Foreign), "{error:?}");
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'")
            .fetch_one(&mut raw(&url).await)
            .await
            .unwrap();
    assert_eq!(tables, 1);
}

#[tokio::test]
async fn what_the_server_refuses_says_what_to_do() {
    let (url, address) = fresh();
    PostgresStore::open(&address, options()).await.unwrap();
    let mut admin = raw(&url).await;
    let role = format!("role_{}", std::process::id());
    let create = format!("CREATE ROLE {role} LOGIN CONNECTION LIMIT 1");
    admin.execute(sqlx::AssertSqlSafe(create)).await.unwrap();
    let as_role = url.replace("//skep@", &format!("//{role}@"));
    let open = |url: String| async move {
        let address: Address = url.parse().unwrap();
        PostgresStore::open(&address, options()).await.unwrap_err()
    };
    let denied = open(as_role.clone()).await;
    assert!(matches!(cause(&denied), Cause::Denied(_)), "{denied:?}");
    let _the_only_one = raw(&as_role).await;
    let full = open(as_role).await;
    assert!(matches!(cause(&full), Cause::TooManyConnections(_)), "{full:?}");
    let (server, rest) = url.rsplit_once('/').unwrap();
    let options = rest.split_once('?').unwrap().1;
    let absent = open(format!("{server}/no_such_database?{options}")).await;
    assert!(matches!(cause(&absent), Cause::NoDatabase(_)), "{absent:?}");
    let down = open("postgres://me:hunter2@127.0.0.1:1/skep".to_owned()).await;
    assert!(matches!(cause(&down), Cause::Unreachable { .. }), "{down:?}");
    assert!(!format!("{down:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_read_only_database_is_read_and_not_written() {
    let (url, address) = fresh();
    let open = || PostgresStore::open(&address, options());
    open().await.unwrap().place_hold(&hold()).await.unwrap();
    let set = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only \
               = on', current_database()); END $$";
    raw(&url).await.execute(set).await.unwrap();
    let store = open().await.unwrap();
    assert!(store.is_read_only());
    assert_eq!(store.holds(&ClusterId::new("cluster")).await.unwrap().len(), 1);
    let error = store.place_hold(&hold()).await.unwrap_err();
    assert!(matches!(cause(&error), Cause::ReadOnly(_)), "{error:?}");
    let error = store.acquire_lease(&request("leader")).await.map(drop).unwrap_err();
    assert!(matches!(cause(&error), Cause::ReadOnly(_)), "{error:?}");
}

#[tokio::test]
async fn a_text_that_postgres_cannot_keep_is_refused() {
    let store = store().await;
    let error = store.place_hold(&Hold { reason: "a\0b".to_owned(), ..hold() }).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error:?}");
}

/// The server's process is ended in the middle: nothing is there, and the next call works.
#[tokio::test]
async fn a_transaction_whose_server_process_ends_leaves_nothing() {
    let (url, address) = fresh();
    let store = PostgresStore::open(&address, options()).await.unwrap();
    let mut write = store.write("test").await.unwrap();
    crate::holds::place(&mut write, &hold(), "test").await.unwrap();
    let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    raw(&url).await.execute(end).await.unwrap();
    let error = write.commit().await.unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "{error:?}");
    assert!(store.holds(&ClusterId::new("cluster")).await.unwrap().is_empty());
    store.place_hold(&hold()).await.unwrap();
}

#[tokio::test]
async fn every_migration_says_which_versions_it_runs_with() {
    let store = store().await;
    let declared: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM schema_versions ORDER BY version")
            .fetch_all(&store.pool)
            .await
            .unwrap();
    let embedded: Vec<i64> =
        sqlx::migrate!("./migrations").iter().map(|migration| migration.version).collect();
    assert_eq!(declared, embedded);
    let sqlite =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../store-sqlite/migrations");
    let there: BTreeSet<i64> = std::fs::read_dir(sqlite)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_str().unwrap()[..4].parse().unwrap())
        .filter(|number| *number != 1)
        .collect();
    assert_eq!(there, embedded.into_iter().collect(), "the numbers are the same in both");
}

/// `.sqlx/` was written from some state of the schema; this is what notices a migration that was
/// changed or added without writing it again.
#[tokio::test]
async fn every_cached_statement_fits_the_schema() {
    use sqlx::SqlSafeStr as _;

    let store = store().await;
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".sqlx");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let cached: serde_json::Value = serde_json::from_str(&text).unwrap();
        let query = cached["query"].as_str().unwrap().to_owned();
        let prepared = (&store.pool).prepare(sqlx::AssertSqlSafe(query).into_sql_str()).await;
        if let Err(error) = prepared {
            panic!("{}: {error}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 80, "only {seen} cached statements");
}

/// The oldest schema with a row in every table, brought up to date: everything is there, and what
/// is sealed now does not stand in the clear.
#[tokio::test]
async fn what_the_first_schema_held_is_there_after_the_upgrade() {
    use skep_core::action::ActionState;
    use skep_store::{
        ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Audit as _, AuditFilter,
        Intents as _, Ledger as _, LedgerFilter, Ownership as _, Sources as _,
    };

    // A server of its own: a row that somebody's snapshot may still see, in whatever database, is
    // written anew with the others.
    let cluster = Postgres::start().unwrap();
    let url = cluster.create_database("first").unwrap();
    let address: Address = url.parse().unwrap();
    let mut connection = raw(&url).await;
    let migrator = sqlx::migrate!("./migrations");
    migrator.run_direct(Some(2), &mut connection, false).await.unwrap();
    let step = include_str!("../../store-sqlite/src/tests/step.json").trim();
    let rows = include_str!("tests/rows_0002.sql").replace("@STEP@", &format!("'{step}'"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    for table in tables {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
        assert!(rows > 0, "{table} is empty, so this test says nothing about it");
    }

    let before = files(&mut connection).await;
    for clear in CLEAR {
        assert!(contains(&before, clear), "{clear}: otherwise this test proves nothing");
    }
    let store = PostgresStore::open(&address, options()).await.unwrap();
    let after = files(&mut connection).await;
    for clear in CLEAR {
        assert!(!contains(&after, clear), "{clear} is left in the files of the tables");
    }
    let unsealed: Option<String> = sqlx::query_scalar("SELECT to_regclass('unsealed_steps')::text")
        .fetch_one(&mut connection)
        .await
        .unwrap();
    assert_eq!(unsealed, None, "the sealing is over");
    let actions = store.actions(&ActionFilter::default()).await.unwrap();
    let states: Vec<_> =
        actions.iter().map(|action| (action.id.as_str(), action.state, action.revision)).collect();
    assert_eq!(states, [("running", ActionState::Executing, 2)]);
    assert_eq!(actions[0].step.target.as_str(), "caddy");
    let intents = store.open_intents().await.unwrap();
    assert_eq!(intents[0].body, br#"{"hunter2":1}"#);
    assert_eq!(store.approvals(&ApprovalFilter::default()).await.unwrap().len(), 1);
    let all = LedgerFilter { since: Timestamp::UNIX_EPOCH, allowed_only: false };
    assert_eq!(store.decisions(&all).await.unwrap()[0].cause, "");
    let cluster = ClusterId::new("cluster-1");
    assert_eq!(store.owned(&cluster).await.unwrap()[0].id.as_str(), "service-id");
    assert_eq!(store.holds(&cluster).await.unwrap().len(), 1);
    assert_eq!(store.last_good("registry").await.unwrap().unwrap().content, [0, 255]);
    assert_eq!(store.audit(&AuditFilter::default()).await.unwrap().len(), 1);
    let lease = store.acquire_lease(&request("next")).await.unwrap().unwrap();
    assert_eq!(lease.fence.epoch, 8, "epochs go on");
    for column in ["SELECT step FROM actions", "SELECT body FROM intents"] {
        let sealed: Vec<u8> = sqlx::query_scalar(column).fetch_one(&store.pool).await.unwrap();
        let text = String::from_utf8_lossy(&sealed);
        assert!(!text.contains("caddy") && !text.contains("hunter2"), "{column}: {text}");
    }
    store.place_hold(&hold()).await.unwrap();
}

/// What the oldest schema kept in the clear.
const CLEAR: [&str; 2] = ["0123abcd-caddy", "hunter2"];

/// The files of all tables of the database, with what was moved out of their rows, as they are on
/// the disk of the server.
async fn files(connection: &mut PgConnection) -> Vec<u8> {
    connection.execute("CHECKPOINT").await.unwrap();
    let folder: String = sqlx::query_scalar("SELECT current_setting('data_directory')")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let paths: Vec<String> = sqlx::query_scalar(
        "SELECT pg_relation_filepath(oid) FROM pg_class WHERE relkind IN ('r', 't') AND oid > 16383",
    )
    .fetch_all(&mut *connection)
    .await
    .unwrap();
    let read = |path: String| std::fs::read(std::path::Path::new(&folder).join(path)).unwrap();
    paths.into_iter().flat_map(read).collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}
