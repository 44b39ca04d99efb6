//! Sealing what an earlier version left in the clear.

use async_trait::async_trait;
use skep_core::identity::{ActionId, IntentId};
use skep_store::{Intent, Protection, Result, content_context, step_context};

use crate::columns::key;

/// The body of an open intent as the first schema kept it. Not `Debug`: it holds values of the
/// environment.
#[derive(sqlx::FromRow)]
#[allow(missing_docs, reason = "the columns, under their names")]
pub struct ClearBody {
    pub id: String,
    pub action_id: String,
    pub tenant: String,
    pub cluster: String,
    pub object_kind: String,
    pub object_name: String,
    pub body: Vec<u8>,
}

/// The rows of a database that are in the clear, while they are sealed.
#[async_trait]
pub trait ClearRows: Send {
    /// The numbers and ids of the actions whose steps are in the clear.
    async fn steps(&mut self) -> Result<Vec<(i64, String)>>;

    /// One step, as JSON text.
    async fn step(&mut self, seq: i64) -> Result<String>;

    /// Puts a sealed step in its place.
    async fn put_step(&mut self, seq: i64, sealed: Vec<u8>) -> Result<()>;

    /// The names and contents of all sources.
    async fn contents(&mut self) -> Result<Vec<(String, Vec<u8>)>>;

    /// Puts a sealed content in its place.
    async fn put_content(&mut self, source: &str, sealed: Vec<u8>) -> Result<()>;

    /// The open intents whose bodies are in the clear.
    async fn bodies(&mut self) -> Result<Vec<ClearBody>>;

    /// Puts a sealed body in its place.
    async fn put_body(&mut self, intent: &str, sealed: Vec<u8>) -> Result<()>;
}

/// Seals the steps of actions, the contents of sources and the bodies of open intents; gives how
/// many there were.
///
/// # Errors
/// Those of the database, and of a key that does not work.
pub async fn seal_clear_rows(rows: &mut dyn ClearRows, protection: &Protection) -> Result<usize> {
    // Steps are read one by one: a fleet's history does not have to fit into memory.
    let steps = rows.steps().await?;
    for (seq, id) in &steps {
        let clear = rows.step(*seq).await?;
        let sealed = protection.seal("action", &step_context(id), clear.as_bytes())?;
        rows.put_step(*seq, sealed).await?;
    }
    let contents = rows.contents().await?;
    for (source, clear) in &contents {
        let sealed = protection.seal("source content", &content_context(source), clear)?;
        rows.put_content(source, sealed).await?;
    }
    // One that was open during the upgrade is settled like any other.
    let bodies = rows.bodies().await?;
    let count = steps.len() + contents.len() + bodies.len();
    for clear in bodies {
        const WHAT: &str = "intent";
        let key = key(clear.tenant, clear.cluster, &clear.object_kind, clear.object_name, WHAT)?;
        let (intent, action) = (IntentId::new(clear.id), ActionId::new(clear.action_id));
        let context = Intent::body_context(&intent, &action, &key);
        let sealed = protection.seal(WHAT, &context, &clear.body)?;
        rows.put_body(intent.as_str(), sealed).await?;
    }
    Ok(count)
}
