//! Whether somebody between us and the server gives each transaction another server connection.
//!
//! A statement that was prepared under a name is then not there for the next transaction, or one of
//! somebody else's is. PgBouncer before 1.21 says so only when it goes wrong.

use skep_store::Result;
use sqlx::{Executor as _, PgConnection, Row as _};

use crate::connect::OPERATION;
use crate::error::IntoStoreError as _;

/// How often it is looked. A connection to the server that came free in between, such as one that
/// was used to sign in, may hide it once.
const LOOKS: usize = 4;

/// Looks whether two sessions share a connection to the server, or one session has two.
///
/// Not every pooler is noticed: one that has a connection for each of us looks like the server. A
/// server itself is never taken for one.
pub(crate) async fn is_between(
    first: &mut PgConnection,
    second: &mut PgConnection,
) -> Result<bool> {
    for _look in 0..LOOKS {
        if is_shared(first, second).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn is_shared(first: &mut PgConnection, second: &mut PgConnection) -> Result<bool> {
    let seen = server_process(first).await?;
    second.execute("BEGIN").await.during(OPERATION)?;
    // While this transaction lasts, its connection to the server is nobody else's; asking the
    // first session again would wait for ever where there is only one.
    let found = server_process(second).await? == seen || server_process(first).await? != seen;
    second.execute("ROLLBACK").await.during(OPERATION)?;
    Ok(found)
}

/// Without a prepared statement, which is what may not work.
async fn server_process(connection: &mut PgConnection) -> Result<i32> {
    let row = sqlx::raw_sql("SELECT pg_backend_pid()").fetch_one(connection).await;
    row.and_then(|row| row.try_get(0)).during(OPERATION)
}
