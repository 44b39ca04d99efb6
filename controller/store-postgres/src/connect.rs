//! Opening: the server, the connections, the schema.

use std::time::Duration;

use skep_store::{Error, Protection, Result};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, PgPool};

use crate::address::shown;
use crate::error::{Cause, IntoStoreError as _, from_sqlx};
use crate::lanes::Trail;
use crate::session::Session;
use crate::{Address, ClockShift, PostgresStore, pooler, schema};

/// What every failure here is a failure of.
pub(crate) const OPERATION: &str = "open the database";

/// How to open a database.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// At most this many connections to the server.
    pub max_connections: u32,
    /// The keys that belong to the database.
    pub protection: Protection,
    /// Who writes, for whoever reads the audit trail: host and process id.
    pub writer: String,
}

impl OpenOptions {
    /// With these keys, as this process. Ten connections: our transactions take milliseconds, and
    /// servers allow a hundred for all.
    #[must_use]
    pub fn new(protection: Protection) -> Self {
        Self { max_connections: 10, protection, writer: format!("pid {}", std::process::id()) }
    }
}

/// How long the server may take to let us in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a call waits for a connection of its own process: longer than a statement may take.
pub(crate) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(15);

/// How long finding out why there is no connection may take.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) async fn open(
    address: &Address,
    options: OpenOptions,
    clock: ClockShift,
) -> Result<PostgresStore> {
    let connect = address.options();
    // Not through the pool, which tries for long and then only says that it took too long.
    let mut first = connect_once(&connect, CONNECT_TIMEOUT, OPERATION).await?;
    let is_pooled = address.is_pooled() || is_pooled(&mut first, &connect).await?;
    if is_pooled {
        tracing::debug!("store.pooler_found");
    }
    let prepared = schema::prepare(&mut first, is_pooled, &options.protection).await;
    let _ended_either_way = first.close().await;
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_lazy_with(connect);
    let (installation_id, is_read_only) = prepared?;
    let trail = Trail::new(&options.protection, options.writer, options.max_connections.max(1));
    let protection = options.protection;
    Ok(PostgresStore { pool, clock, installation_id, is_read_only, is_pooled, protection, trail })
}

pub(crate) async fn is_new(address: &Address) -> Result<bool> {
    let mut connection = connect_once(&address.options(), CONNECT_TIMEOUT, OPERATION).await?;
    // Whether a pooler stands between does not matter for one statement.
    let mut tx = Session::new(connection.begin().await.during(OPERATION)?, true);
    let is_new = schema::is_new(&mut tx).await;
    drop(tx);
    let _ended_either_way = connection.close().await;
    is_new
}

async fn is_pooled(first: &mut PgConnection, options: &PgConnectOptions) -> Result<bool> {
    // A server that has no connection left for us says so later, to whoever needs one.
    let Ok(mut second) = connect_once(options, CONNECT_TIMEOUT, OPERATION).await else {
        return Ok(false);
    };
    let is_pooled = pooler::is_between(first, &mut second).await;
    let _ended_either_way = second.close().await;
    is_pooled
}

async fn connect_once(
    options: &PgConnectOptions,
    limit: Duration,
    operation: &'static str,
) -> Result<PgConnection> {
    let unreachable = |source| {
        let cause = Cause::Unreachable { address: shown(options), source };
        Error::Unavailable { operation, source: cause.into() }
    };
    match tokio::time::timeout(limit, options.connect()).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error @ sqlx::Error::Io(_))) => Err(unreachable(error)),
        Ok(Err(error)) => Err(from_sqlx(error, operation)),
        Err(_elapsed) => Err(unreachable(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
    }
}

/// Begins a transaction with these statements.
pub(crate) async fn begin(
    store: &PostgresStore,
    statements: String,
    operation: &'static str,
) -> Result<Box<Session<'static>>> {
    let pool = &store.pool;
    let begun = pool.begin_with(AssertSqlSafe(statements)).await;
    match begun.map(|tx| Session::new(tx, store.is_pooled)) {
        Err(sqlx::Error::PoolTimedOut) => Err(diagnose(pool, operation).await),
        Err(error @ sqlx::Error::Io(_)) => {
            let cause =
                Cause::Unreachable { address: shown(&pool.connect_options()), source: error };
            Err(cause).during(operation)
        }
        result => result.during(operation),
    }
}

/// Why the pool gave no connection: it does not say whether all are in use or none can be made.
async fn diagnose(pool: &PgPool, operation: &'static str) -> Error {
    match connect_once(&pool.connect_options(), DIAGNOSIS_TIMEOUT, operation).await {
        Err(error) => error,
        Ok(connection) => {
            let _ended_either_way = connection.close().await;
            Error::Busy(sqlx::Error::PoolTimedOut.into())
        }
    }
}
