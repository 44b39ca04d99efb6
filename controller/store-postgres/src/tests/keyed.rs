//! Digests from before they had a key: what is stored gets one, and nothing of the old is left.

use serde_json::{Value, json};
use skep_core::action::ActuatorMode;
use skep_core::approval::{binding_by, is_keyless};
use skep_core::canonical::Digest;
use skep_core::digester::Purpose;
use skep_core::identity::ClusterId;
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Holds as _, Sources as _,
    content_context, step_context,
};
use sqlx::PgConnection;

use super::{fresh, options, raw};
use crate::PostgresStore;

fn content(action: &str) -> Value {
    json!({"action": action, "desired": {"Env": ["PIN=1234"]}})
}

fn difference() -> Value {
    json!({"difference": {"Env": ["PIN=1234"]}})
}

/// A database as the seventh schema left it, with an action that runs and one that waits.
async fn of_the_seventh_schema(connection: &mut PgConnection) {
    let migrator = sqlx::migrate!("./migrations");
    migrator.run_direct(Some(2), &mut *connection, false).await.unwrap();
    let step = include_str!("../../../store-sqlite/src/tests/step.json").trim();
    let rows = include_str!("rows_0002.sql").replace("@STEP@", &format!("'{step}'"));
    sqlx::raw_sql(sqlx::AssertSqlSafe(rows)).execute(&mut *connection).await.unwrap();
    migrator.run_direct(Some(7), &mut *connection, false).await.unwrap();
    let seal = |context: Vec<u8>, plain: &[u8]| protection().seal("x", &context, plain).unwrap();
    let message = json!({"data": {"group": "0123", "plan_id": "4567", "target": "caddy"}});
    for statement in [
        "DROP TABLE unsealed_steps".to_owned(),
        "INSERT INTO actions (id, tenant, cluster, object_kind, object_name, kind, plan_id, step, \
         binding, source, actor, reason, mode, rule, state, revision, approval_id, detail, \
         created_at, updated_at) SELECT 'asked', tenant, cluster, object_kind, 'other', kind, \
         plan_id, step, binding, source, actor, reason, mode, rule, 'pending', 1, \
         'action_approval:asked', detail, created_at, updated_at FROM actions"
            .to_owned(),
        "INSERT INTO approvals (id, action_id, kind, target, plan_id, binding, status, revision, \
         created_at, expires_at) SELECT 'action_approval:asked', 'asked', kind, target, plan_id, \
         binding, 'pending', 1, created_at, expires_at FROM approvals"
            .to_owned(),
        format!("UPDATE holds SET difference = '{}'", Digest::of_json(&difference())),
        format!("UPDATE source_contents SET digest = '{}'", Digest::of_json(&json!("content"))),
        format!("INSERT INTO outbox (id, kind, body, at) VALUES ('m', 'x', '{message}', 1)"),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut *connection).await.unwrap();
    }
    sqlx::query("UPDATE source_contents SET content = $1")
        .bind(seal(content_context("registry"), &[0, 255]))
        .execute(&mut *connection)
        .await
        .unwrap();
    for action in ["running", "asked"] {
        let digest = Digest::of_json(&content(action));
        let mut step: Value = serde_json::from_str(step).unwrap();
        step["digest"] = json!(digest);
        step["difference"] = json!(Digest::of_json(&difference()));
        sqlx::query("UPDATE actions SET step = $1, plan_id = $2, binding = $3 WHERE id = $4")
            .bind(seal(step_context(action), step.to_string().as_bytes()))
            .bind(digest.short(16))
            .bind(digest.as_str())
            .bind(action)
            .execute(&mut *connection)
            .await
            .unwrap();
        sqlx::query("UPDATE approvals SET plan_id = $1, binding = $2 WHERE action_id = $3")
            .bind(digest.short(16))
            .bind(digest.as_str())
            .bind(action)
            .execute(&mut *connection)
            .await
            .unwrap();
    }
}

/// Every text of the tables that hold digests.
const TEXTS: &str = "SELECT a::text FROM actions a UNION ALL SELECT a::text FROM approvals a \
                     UNION ALL SELECT h::text FROM holds h UNION ALL SELECT o::text FROM outbox o \
                     UNION ALL SELECT s::text FROM source_contents s";

#[tokio::test]
async fn every_digest_from_before_becomes_that_of_the_same_content() {
    let (url, address) = fresh();
    let mut connection = raw(&url).await;
    of_the_seventh_schema(&mut connection).await;
    let plain = [content("running"), content("asked"), difference(), json!("content")];
    let left = |rows: &[String]| {
        let digests = plain.iter().map(Digest::of_json);
        digests.filter(|d| rows.iter().any(|row| row.contains(d.short(16)))).count()
    };
    let before: Vec<String> = sqlx::query_scalar(TEXTS).fetch_all(&mut connection).await.unwrap();
    assert_eq!(left(&before), plain.len(), "otherwise this test proves nothing");

    let protection = protection();
    let digester = protection.digester();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let store = PostgresStore::open(&address, options()).await.unwrap();
        for (id, waits) in [("running", false), ("asked", true)] {
            let found = store.action(id).await.unwrap();
            assert_eq!(found.step.digest, digester.digest(Purpose::Step, &content(id)));
            let differs = digester.digest(Purpose::Difference, &difference());
            assert_eq!(found.step.difference.as_ref(), Some(&differs));
            let bound = binding_by(&found.step, &found.rule, ActuatorMode::Swarm);
            assert_eq!(is_keyless(&found.binding), waits, "{id}");
            assert_eq!(found.binding == bound, !waits, "{id}");
            let hold = store.holds(&ClusterId::new("cluster-1")).await.unwrap().remove(0);
            assert!(hold.keeps(Some(&differs), jiff::Timestamp::UNIX_EPOCH));
        }
        for approval in store.approvals(&ApprovalFilter::default()).await.unwrap() {
            let action = store.action(approval.action.as_str()).await.unwrap();
            assert_eq!((approval.binding, approval.plan), (action.binding, action.plan));
        }
        assert_eq!(store.last_good("registry").await.unwrap().unwrap().digest, "");
        seen.push(store.actions(&ActionFilter::default()).await.unwrap());
    }
    assert_eq!(seen[0], seen[1], "once");
    let after: Vec<String> = sqlx::query_scalar(TEXTS).fetch_all(&mut connection).await.unwrap();
    assert_eq!(left(&after), 0, "{after:#?}");
    let body = after.iter().find(|row| row.contains("target")).unwrap();
    assert!(!body.contains("group") && !body.contains("plan_id"), "{body}");
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename LIKE 'un%'")
            .fetch_one(&mut connection)
            .await
            .unwrap();
    assert_eq!(tables, 0, "nothing is left to wipe");
}
