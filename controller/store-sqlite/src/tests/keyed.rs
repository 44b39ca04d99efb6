//! Digests from before they had a key: what is stored gets one, and nothing of the old is left.

use std::path::Path;

use serde_json::{Value, json};
use skep_core::action::{ActionState, ActuatorMode};
use skep_core::approval::{binding_by, is_keyless};
use skep_core::canonical::Digest;
use skep_core::digester::Purpose;
use skep_core::identity::ClusterId;
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Holds as _, Sources as _,
    content_context, step_context,
};

use super::upgrade::{contains, files, of_the_first_schema, raw};
use crate::{OpenOptions, SqliteStore};

const ACTIONS: [&str; 4] = ["done", "failed", "asked", "running"];

/// What the step of an action does: a value that is short enough to be guessed is in it.
fn content(action: &str) -> Value {
    json!({"action": action, "desired": {"Env": ["PIN=1234"]}})
}

fn difference(action: &str) -> Value {
    json!({"difference": action, "desired": {"Env": ["PIN=1234"]}})
}

/// Every digest that the database had in the clear, or sealed and shown.
fn plain() -> Vec<String> {
    let of = |content: Value| Digest::of_json(&content).to_string();
    ACTIONS
        .iter()
        .flat_map(|action| {
            [of(content(action)), of(difference(action)), of(json!({"binding": action}))]
        })
        .chain([of(json!("content"))])
        .collect()
}

/// A database as the seventh schema left it.
async fn of_the_seventh_schema(path: &Path) {
    of_the_first_schema(path).await;
    let mut connection = raw(path).await;
    let migrator = sqlx::migrate!("./migrations");
    migrator.run_direct(Some(7), &mut connection, false).await.unwrap();
    for action in ACTIONS {
        let digest = Digest::of_json(&content(action));
        let mut step: Value = serde_json::from_str(include_str!("step.json")).unwrap();
        step["id"] = json!(format!("{}-caddy", digest.short(8)));
        step["digest"] = json!(digest);
        step["difference"] = json!(Digest::of_json(&difference(action)));
        let sealed = protection()
            .seal("action", &step_context(action), step.to_string().as_bytes())
            .unwrap();
        let binding = Digest::of_json(&json!({"binding": action}));
        sqlx::query("UPDATE actions SET step = ?, plan_id = ?, binding = ? WHERE id = ?")
            .bind(sealed)
            .bind(digest.short(16))
            .bind(binding.as_str())
            .bind(action)
            .execute(&mut connection)
            .await
            .unwrap();
        sqlx::query("UPDATE approvals SET plan_id = ?, binding = ? WHERE action_id = ?")
            .bind(digest.short(16))
            .bind(binding.as_str())
            .bind(action)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    let sealed =
        protection().seal("source content", &content_context("registry"), &[0, 255]).unwrap();
    sqlx::query("UPDATE source_contents SET content = ?")
        .bind(sealed)
        .execute(&mut connection)
        .await
        .unwrap();
    let (one, two) = (Digest::of_json(&content("done")), Digest::of_json(&content("asked")));
    let moved = json!({"fields": [
        {"field": "digest", "approved": one.short(16), "now": two.short(16)},
        {"field": "rule", "approved": "a", "now": "b"},
    ]});
    let message = json!({"type": "x", "data": {"group": one.short(16), "plan_id": two.short(16)}});
    for statement in [
        "PRAGMA journal_mode = WAL".to_owned(),
        "DROP TABLE unsealed_steps".to_owned(),
        format!("UPDATE actions SET moved = '{moved}' WHERE id = 'failed'"),
        format!(
            "INSERT INTO holds VALUES ('default', 'cluster-1', 'service', 'one', 'accepted', \
             '{}', NULL, 'alice', 'known', 1000000)",
            Digest::of_json(&difference("done"))
        ),
        format!("INSERT INTO outbox (id, kind, body, at) VALUES ('m', 'x', '{message}', 1)"),
        format!("UPDATE source_contents SET digest = '{}'", Digest::of_json(&json!("content"))),
        // Rows that come and go leave their content in free pages.
        format!("CREATE TABLE gone AS SELECT '{}{one}' AS text", "x".repeat(9_000)),
        "DROP TABLE gone".to_owned(),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(statement)).execute(&mut connection).await.unwrap();
    }
    sqlx::Connection::close(connection).await.unwrap();
}

async fn opened(path: &Path) -> SqliteStore {
    SqliteStore::open(path, OpenOptions::new(protection())).await.unwrap()
}

#[tokio::test]
async fn every_digest_from_before_becomes_that_of_the_same_content() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    of_the_seventh_schema(&path).await;
    let store = opened(&path).await;
    let protection = protection();
    let digester = protection.digester();
    for action in ACTIONS {
        let found = store.action(action).await.unwrap();
        assert_eq!(found.step.digest, digester.digest(Purpose::Step, &content(action)));
        let differs = digester.digest(Purpose::Difference, &difference(action));
        assert_eq!(found.step.difference, Some(differs));
        assert_eq!(
            found.step.id.as_str(),
            format!("{}-caddy", found.step.digest.short(8)),
            "{action}"
        );
        assert_ne!(found.step.group.as_str(), "");
        // What was asked or allowed before is asked anew; what has begun or ended goes on.
        if found.state == ActionState::Pending {
            assert!(is_keyless(&found.binding), "{action}");
        } else {
            assert_eq!(
                found.binding,
                binding_by(&found.step, &found.rule, ActuatorMode::Swarm),
                "{action}"
            );
        }
    }
    for approval in store.approvals(&ApprovalFilter::default()).await.unwrap() {
        let action = store.action(approval.action.as_str()).await.unwrap();
        assert_eq!((approval.binding, approval.plan), (action.binding, action.plan));
    }
    let hold = store.holds(&ClusterId::new("cluster-1")).await.unwrap().remove(0);
    let of = |action| digester.digest(Purpose::Difference, &difference(action));
    assert!(hold.keeps(Some(&of("done")), jiff::Timestamp::UNIX_EPOCH), "not lost");
    assert!(!hold.keeps(Some(&of("asked")), jiff::Timestamp::UNIX_EPOCH), "not wider");
    let moved = store.action("failed").await.unwrap().moved.unwrap();
    assert_eq!(moved.fields.len(), 2);
    assert_ne!(moved.fields[0].approved, moved.fields[0].now, "it still says that it moved");
    assert_eq!(moved.fields[1].approved, "a");
    let kept = store.last_good("registry").await.unwrap().unwrap();
    assert_eq!((kept.content.as_slice(), kept.digest.as_str()), (&[0, 255][..], ""));
}

#[tokio::test]
async fn a_digest_without_a_key_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    of_the_seventh_schema(&path).await;
    let found = |when: &str| {
        let mut found = Vec::new();
        for (name, bytes) in files(folder.path()) {
            // The first half is what plans, groups and moved digests are shown by.
            for digest in plain() {
                if contains(&bytes, &digest.as_bytes()[..16]) {
                    found.push(format!("{when}: {digest} in {name}"));
                }
            }
        }
        found
    };
    assert!(found("before").len() >= 7, "otherwise this test proves nothing");
    let store = opened(&path).await;
    assert_eq!(found("open"), [""; 0]);
    store.close().await;
    assert_eq!(found("closed"), [""; 0]);
}

#[tokio::test]
async fn digests_get_their_key_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    of_the_seventh_schema(&path).await;
    let mut seen = Vec::new();
    for _ in 0..3 {
        let store = opened(&path).await;
        let actions = store.actions(&ActionFilter::default()).await.unwrap();
        seen.push((actions, store.holds(&ClusterId::new("cluster-1")).await.unwrap()));
        store.close().await;
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[1], seen[2]);
}

/// One damaged row keeps nobody from the others.
#[tokio::test]
async fn a_step_that_cannot_be_opened_permits_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("skep.db");
    of_the_seventh_schema(&path).await;
    let mut connection = raw(&path).await;
    sqlx::query("UPDATE actions SET step = x'01' WHERE id = 'failed'")
        .execute(&mut connection)
        .await
        .unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let store = opened(&path).await;
    store.action("failed").await.unwrap_err();
    assert_eq!(store.action("done").await.unwrap().state, ActionState::Succeeded);
    let binding: String = sqlx::query_scalar("SELECT binding FROM actions WHERE id = 'failed'")
        .fetch_one(&store.writer)
        .await
        .unwrap();
    assert!(is_keyless(&Digest::from_stored(binding)));
}
