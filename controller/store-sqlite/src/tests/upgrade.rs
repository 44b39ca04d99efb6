//! What an earlier version left is there after the migration, and goes on working.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use skep_core::action::{ActionEvent, ActionState, ActuatorMode, IntentPhase};
use skep_core::approval::{ApprovalStatus, binding_by};
use skep_core::identity::{ActionId, ApprovalId, ClusterId, IntentId, SwarmId, TermId};
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Audit as _, AuditFilter, Closing,
    Decision, DecisionRequest, Effects, IntentOutcome, Intents as _, LeaseRequest, Leases as _,
    Ledger as _, LedgerFilter, Ownership as _, Sources as _, Store as _,
};
use sqlx::{Connection as _, SqliteConnection};

use crate::{OpenOptions, SqliteStore};

pub(super) async fn raw(path: &Path) -> SqliteConnection {
    let location = format!("sqlite:{}?mode=rwc", path.display());
    SqliteConnection::connect(&location).await.unwrap()
}

/// A database of the first schema, with rows in every table.
pub(super) async fn of_the_first_schema(path: &Path) {
    let mut connection = raw(path).await;
    let migrator = sqlx::migrate!("./migrations");
    migrator.run_direct(Some(1), &mut connection, false).await.unwrap();
    let rows = include_str!("rows_0001.sql")
        .replace("@STEP@", &format!("'{}'", include_str!("step.json").trim()));
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut connection).await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    for table in tables {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await.unwrap();
        assert!(rows > 0, "{table} is empty, so this test says nothing about it");
    }
    connection.close().await.unwrap();
}

async fn upgraded(folder: &Path) -> SqliteStore {
    let path = folder.join("skep.db");
    of_the_first_schema(&path).await;
    SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap()
}

fn micros(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap()
}

#[tokio::test]
async fn every_row_of_the_first_schema_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let store = upgraded(folder.path()).await;
    assert_eq!(store.installation_id(), "000102030405060708090a0b0c0d0e0f");
    let actions = store.actions(&ActionFilter::default()).await.unwrap();
    let states: Vec<_> =
        actions.iter().map(|action| (action.id.as_str(), action.state, action.revision)).collect();
    assert_eq!(
        states,
        [
            ("running", ActionState::Executing, 2),
            ("asked", ActionState::Pending, 1),
            ("failed", ActionState::Failed, 3),
            ("done", ActionState::Succeeded, 4),
        ]
    );
    let done = &actions[3];
    assert_eq!(done.binding, binding_by(&done.step, "default", ActuatorMode::Swarm), "keyed");
    assert_eq!(done.approval, Some(ApprovalId::new("action_approval:done")));
    assert_eq!((done.created_at, done.updated_at), (micros(1_000_000), micros(2_000_000)));
    assert_eq!(
        (done.granted_at, done.start_by),
        (Some(micros(1_500_000)), Some(micros(9_000_000)))
    );
    assert_eq!((done.detail.as_str(), done.step.target.as_str()), ("detail of done", "caddy"));

    let approvals = store.approvals(&ApprovalFilter::default()).await.unwrap();
    let statuses: Vec<_> = approvals.iter().map(|approval| approval.status).collect();
    assert_eq!(statuses, [ApprovalStatus::Approved, ApprovalStatus::Pending]);
    let all = LedgerFilter { since: Timestamp::UNIX_EPOCH, allowed_only: false };
    let decisions = store.decisions(&all).await.unwrap();
    assert_eq!(decisions.len(), 4);
    let first = decisions.first().unwrap();
    assert_eq!(first.action, Some(ActionId::new("done")));
    assert_eq!((first.cause.as_str(), &first.facts), ("", &None), "as far as it is known");
    let cluster = ClusterId::new("cluster-1");
    assert_eq!(store.owned(&cluster).await.unwrap()[0].id, SwarmId::new("service-id"));
    assert_eq!(store.last_good("registry").await.unwrap().unwrap().content, [0, 255]);
    assert_eq!(store.audit(&AuditFilter::default()).await.unwrap().len(), 2);
    assert_eq!(store.change_counter().await.unwrap(), 2);

    let open = store.open_intents().await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0].id, open[0].phase), (&IntentId::new("i-running"), IntentPhase::Write));
    assert_eq!((open[0].version, &*open[0].body), (Some(41), &b"{}\0\xff"[..]));
    let kept: Vec<u8> = sqlx::query_scalar("SELECT body FROM intents WHERE id = 'i-running'")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert!(!kept.starts_with(b"{"), "sealed");
    let settled: String = sqlx::query_scalar("SELECT phase FROM intents WHERE id = 'i-done'")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!(settled, "write");
}

#[tokio::test]
async fn the_schema_after_the_upgrade_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = upgraded(folder.path()).await;
    let fresh = super::in_memory().await;
    let objects = "SELECT type || ' ' || name || ': ' || coalesce(sql, '') FROM sqlite_schema \
                   ORDER BY type, name";
    let mut found: Vec<Vec<String>> = Vec::new();
    for pool in [&store.writer, &fresh.writer] {
        found.push(sqlx::query_scalar(objects).fetch_all(pool).await.unwrap());
    }
    assert_eq!(found[0], found[1]);
    let has = |start: &str| found[0].iter().any(|object| object.starts_with(start));
    for kept in [
        "index actions_one_open_per_key",
        "index actions_by_key",
        "index actions_by_state",
        "index intents_one_open_per_action",
        "trigger audit_refuses_update",
        "trigger audit_refuses_delete",
        "trigger audit_refuses_replace",
    ] {
        assert!(has(kept), "{kept} is missing");
    }
    assert!(!found[0].iter().any(|object| object.contains("moving")), "{:#?}", found[0]);
    for table in ["approvals", "decisions", "intents"] {
        let query = sqlx::AssertSqlSafe(format!(
            "SELECT count(*) FROM pragma_foreign_key_list('{table}') WHERE \"table\" = 'actions'"
        ));
        let to_actions: i64 = sqlx::query_scalar(query).fetch_one(&store.writer).await.unwrap();
        assert_eq!(to_actions, 1, "{table}");
    }
    let broken: i64 = sqlx::query_scalar("SELECT count(*) FROM pragma_foreign_key_check")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!(broken, 0);
    // Still enforced, on rows from before too.
    for refused in [
        "DELETE FROM actions WHERE id = 'done'",
        "INSERT INTO actions SELECT 30, 'second', tenant, cluster, object_kind, object_name, \
         kind, plan_id, binding, source, actor, reason, mode, rule, 'rolling_out', \
         revision, NULL, detail, created_at, updated_at, granted_at, start_by, NULL, NULL, \
         NULL, NULL, NULL, step FROM actions WHERE id = 'asked'",
        "UPDATE actions SET state = 'anything' WHERE id = 'done'",
        "UPDATE intents SET phase = 'anything' WHERE id = 'i-done'",
        "DELETE FROM audit",
    ] {
        let error = sqlx::query(refused).execute(&store.writer).await.unwrap_err();
        assert!(error.as_database_error().is_some(), "{refused}: {error}");
    }
}

#[tokio::test]
async fn work_goes_on_after_the_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let store = upgraded(folder.path()).await;
    let request = LeaseRequest {
        term: TermId::new("new-term"),
        holder: "new@host".to_owned(),
        ttl: Duration::from_secs(60),
    };
    let fence = store.acquire_lease(&request).await.unwrap().unwrap().fence;
    assert_eq!(fence.epoch, 8, "epochs go on");
    let now = micros(3_000_000);

    let outcome =
        IntentOutcome::Accepted { detail: "found done".to_owned(), effects: Effects::default() };
    store.settle(&fence, &IntentId::new("i-running"), &outcome, now).await.unwrap();
    let closing = Closing {
        action: ActionId::new("running"),
        revision: 3,
        event: ActionEvent::Succeed,
        actor: "new@host".to_owned(),
        detail: "rolled out".to_owned(),
        moved: None,
    };
    store.close_action(&fence, &closing, now).await.unwrap();
    assert_eq!(store.action("running").await.unwrap().state, ActionState::Succeeded);

    let decision = DecisionRequest {
        approval: ApprovalId::new("action_approval:asked"),
        decision: Decision::Approve,
        actor: "alice".to_owned(),
        source: "host:operator".to_owned(),
        comment: None,
        expected_revision: Some(1),
        expected_binding: None,
        start_by: Some(micros(4_000_000)),
    };
    store.decide(&decision, now).await.unwrap();
    assert_eq!(store.action("asked").await.unwrap().state, ActionState::Granted);

    // No number of an action is given twice.
    sqlx::query(super::insert_action("next", "three", include_str!("step.json")))
        .execute(&store.writer)
        .await
        .unwrap();
    let seq: i64 = sqlx::query_scalar("SELECT seq FROM actions WHERE id = 'next'")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert_eq!(seq, 21);
}

/// The words of the new schema would be damage to the old binary.
#[tokio::test]
async fn the_first_binary_refuses_the_upgraded_database() {
    let folder = tempfile::tempdir().unwrap();
    let store = upgraded(folder.path()).await;
    let oldest: i64 = sqlx::query_scalar("SELECT max(runs_with) FROM schema_versions")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert!(oldest >= 6, "a step is sealed since then: {oldest}");
}

/// What the first version kept in the clear.
const CLEAR: &[&[u8]] = &[b"0123abcd-caddy", b"hunter2-in-a-step"];

pub(super) fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Everything beside the path that begins with its name: the file, its log, its index.
pub(super) fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.display().to_string(), std::fs::read(path).unwrap())).collect()
}

#[tokio::test]
async fn what_was_in_the_clear_is_sealed_and_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    of_the_first_schema(&path).await;
    let mut connection = raw(&path).await;
    // As the first version did: rows that come and go leave their content in free pages.
    let filler = format!(r#"{{"filler": "{}hunter2-in-a-step"}}"#, "x".repeat(9_000));
    for statement in [
        "PRAGMA journal_mode = WAL".to_owned(),
        format!("UPDATE actions SET step = '{filler}' WHERE id = 'failed'"),
        format!("UPDATE source_contents SET content = CAST('{filler}' AS BLOB)"),
        format!("CREATE TABLE gone AS SELECT '{filler}'"),
        "DROP TABLE gone".to_owned(),
        format!("UPDATE intents SET body = CAST('{filler}' AS BLOB) WHERE id = 'i-running'"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    let before = files(folder.path());
    for clear in CLEAR {
        let seen = before.iter().any(|(_, bytes)| contains(bytes, clear));
        assert!(seen, "otherwise this test proves nothing");
    }

    let store = SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
    let check = |when: &str| {
        for (name, bytes) in files(folder.path()) {
            for clear in CLEAR {
                assert!(!contains(&bytes, clear), "{when}: {name}");
            }
        }
    };
    check("while it is open");
    assert_eq!(store.last_good("registry").await.unwrap().unwrap().content, filler.as_bytes());
    assert_eq!(store.open_intents().await.unwrap()[0].body, filler.as_bytes());
    let done = store.action("done").await.unwrap();
    assert_eq!(done.step.target.as_str(), "caddy");
    store.close().await;
    check("when it is closed");
    let again = SqliteStore::open(&path, OpenOptions::new(protection())).await.unwrap();
    assert_eq!(again.action("done").await.unwrap(), done, "sealed once");
}

/// Rows from before are in no chain; the checkpoint covers them.
#[tokio::test]
async fn the_trail_from_before_is_covered_by_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let store = upgraded(folder.path()).await;
    let seals = super::tamper::seals(&store).await;
    let checkpoint = seals.checkpoint.unwrap();
    assert_eq!((checkpoint.rows, checkpoint.last_seq), (2, Some(2)));
    let found = super::tamper::verify(&store).await;
    assert_eq!((found.rows, found.legacy_rows, found.damage), (2, 2, vec![]));
    let request = LeaseRequest {
        term: TermId::new("new-term"),
        holder: "new@host".to_owned(),
        ttl: Duration::from_secs(60),
    };
    store.acquire_lease(&request).await.unwrap().unwrap();
    let found = super::tamper::verify(&store).await;
    assert_eq!((found.rows, found.intact_rows, found.damage), (3, 1, vec![]));
}
