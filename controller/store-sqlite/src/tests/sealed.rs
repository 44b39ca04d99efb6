//! What is sealed for one row opens in no other: whoever has the database and not the key can
//! neither read what stands there nor put it elsewhere.

use skep_core::identity::{ActionId, ClusterId, IntentId, ObjectKey, ServiceName};
use skep_store::conformance::protection;
use skep_store::{Actions as _, Error, Intent, Intents as _, Sources as _};

use super::{content, fence, in_memory, insert_action};
use crate::SqliteStore;

async fn execute(store: &SqliteStore, statement: String) {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&store.writer).await.unwrap();
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn the_step_of_an_action_opens_in_no_other_action() {
    let store = in_memory().await;
    let step = include_str!("step.json");
    for (id, name) in [("a", "one"), ("b", "two")] {
        sqlx::query(insert_action(id, name, step)).execute(&store.writer).await.unwrap();
        store.action(id).await.unwrap();
    }
    let moved = "UPDATE actions SET step = (SELECT step FROM actions WHERE id = 'a') \
                 WHERE id = 'b'";
    execute(&store, moved.to_owned()).await;
    store.action("a").await.unwrap();
    let error = store.action("b").await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn the_content_of_a_source_opens_as_that_of_no_other() {
    let store = in_memory().await;
    let fence = fence(&store).await;
    for source in ["registry", "extra"] {
        let mut kept = content(16);
        kept.source = source.to_owned();
        store.put_last_good(&fence, &kept).await.unwrap();
        assert_eq!(store.last_good(source).await.unwrap().unwrap().content, kept.content);
    }
    let moved = "UPDATE source_contents SET content = \
                 (SELECT content FROM source_contents WHERE source = 'extra') \
                 WHERE source = 'registry'";
    execute(&store, moved.to_owned()).await;
    let error = store.last_good("registry").await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

/// A body that was moved would be sent for another service.
#[tokio::test]
async fn the_body_of_an_intent_opens_in_no_other_intent() {
    let store = in_memory().await;
    let key = |name: &str| ObjectKey::service(&ClusterId::new("c"), &ServiceName::new(name));
    for (id, action, name) in [("i", "a", "one"), ("j", "b", "two")] {
        let step = include_str!("step.json");
        sqlx::query(insert_action(action, name, step)).execute(&store.writer).await.unwrap();
        let key = key(name);
        let context = Intent::body_context(&IntentId::new(id), &ActionId::new(action), &key);
        let body = protection().seal("intent", &context, name.as_bytes()).unwrap();
        let (tenant, kind, body) = (key.tenant.as_str(), key.kind.as_str(), hex(&body));
        let insert = format!(
            "INSERT INTO intents (id, action_id, tenant, cluster, object_kind, object_name, \
             phase, body, outcome, detail, created_at) VALUES ('{id}', '{action}', '{tenant}', \
             'c', '{kind}', '{name}', 'write', x'{body}', 'unknown', '', 0)"
        );
        execute(&store, insert).await;
    }
    let bodies = async || {
        let open = store.open_intents().await.unwrap();
        open.into_iter().map(|one| (one.id.to_string(), one.body)).collect::<Vec<_>>()
    };
    let (one, two) = (("i".to_owned(), b"one".to_vec()), ("j".to_owned(), b"two".to_vec()));
    assert_eq!(bodies().await, [one.clone(), two]);
    let moved = "UPDATE intents SET body = (SELECT body FROM intents WHERE id = 'i') \
                 WHERE id = 'j'";
    execute(&store, moved.to_owned()).await;
    assert_eq!(bodies().await, [one], "it is left out, and nobody sends it");
}
