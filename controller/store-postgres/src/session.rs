//! A transaction, and how its statements are prepared.
//!
//! The driver prepares each statement under a name and keeps it with the connection. Behind a
//! pooler the next transaction of that connection runs in another session of the server, which
//! knows none of these names, or knows them from somebody else.

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{
    Describe, Either, Error, Execute, Executor, PgConnection, Postgres, SqlStr, Transaction,
};

/// A transaction. All its statements run in one session of the server, whatever pooler stands
/// between. Dropping it takes everything back.
#[derive(Debug)]
pub(crate) struct Session<'c> {
    tx: Transaction<'c, Postgres>,
    is_pooled: bool,
}

impl<'c> Session<'c> {
    /// With names for its statements, unless sessions of the server are shared.
    pub(crate) fn new(tx: Transaction<'c, Postgres>, is_pooled: bool) -> Box<Self> {
        Box::new(Self { tx, is_pooled })
    }

    /// The connection, for what prepares its own statements.
    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Whether sessions of the server are shared.
    pub(crate) fn is_pooled(&self) -> bool {
        self.is_pooled
    }

    pub(crate) async fn commit(self: Box<Self>) -> Result<(), Error> {
        self.tx.commit().await
    }
}

/// A statement that may be prepared without a name.
struct Statement<E> {
    inner: E,
    is_pooled: bool,
}

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Statement<E> {
    fn sql(self) -> SqlStr {
        self.inner.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        self.inner.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, sqlx::error::BoxDynError> {
        self.inner.take_arguments()
    }

    fn persistent(&self) -> bool {
        self.inner.persistent() && !self.is_pooled
    }
}

impl<'c> Executor<'c> for &'c mut Session<'_> {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(
        self,
        query: E,
    ) -> BoxStream<'e, Result<Either<PgQueryResult, PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        (&mut *self.tx).fetch_many(Statement { inner: query, is_pooled: self.is_pooled })
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        (&mut *self.tx).fetch_optional(Statement { inner: query, is_pooled: self.is_pooled })
    }

    fn prepare_with<'e>(
        self,
        sql: SqlStr,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement, Error>>
    where
        'c: 'e,
    {
        (&mut *self.tx).prepare_with(sql, parameters)
    }

    fn describe<'e>(self, sql: SqlStr) -> BoxFuture<'e, Result<Describe<Postgres>, Error>>
    where
        'c: 'e,
    {
        (&mut *self.tx).describe(sql)
    }
}
