//! All rows of the database, for backups and moves.

use std::collections::BTreeMap;

use async_trait::async_trait;
use skep_store::{Error, Result};
use skep_store_sql::transfer::{
    Archive, Cell, Kind, Table, in_order, is_carried, is_carried_column,
};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _};

use crate::error::IntoStoreError as _;
use crate::session::Session;
use crate::{PostgresStore, connect};

const READ: &str = "read all records";
const WRITE: &str = "write all records";

/// Rows that are held in memory at once.
const BATCH: u32 = 500;

/// The database inside one transaction.
struct Opened {
    tx: Box<Session<'static>>,
    /// The table that the cursor stands in.
    reading: Option<String>,
    operation: &'static str,
}

impl PostgresStore {
    /// Opens the database for reading everything, as it is now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn archive(&self) -> Result<Box<dyn Archive>> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        let tx = connect::begin(self, BEGIN.to_owned(), READ).await?;
        Ok(Box::new(Opened { tx, reading: None, operation: READ }))
    }

    /// Opens the database for replacing everything in it. Others wait until it is done.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn archive_to_write(&self) -> Result<Box<dyn Archive>> {
        const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
                             SET LOCAL lock_timeout = '5s'";
        let tx = connect::begin(self, BEGIN.to_owned(), WRITE).await?;
        Ok(Box::new(Opened { tx, reading: None, operation: WRITE }))
    }
}

/// A name inside a statement. All of them come from the catalogue.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[async_trait]
impl Archive for Opened {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        let columns: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT c.table_name::text, c.column_name::text, c.data_type::text \
             FROM information_schema.columns AS c \
             JOIN information_schema.tables AS t USING (table_schema, table_name) \
             WHERE c.table_schema = current_schema() AND t.table_type = 'BASE TABLE'",
        )
        .fetch_all(&mut *self.tx)
        .await
        .during(self.operation)?;
        let references: Vec<(String, String)> = sqlx::query_as(
            "SELECT conrelid::regclass::text, confrelid::regclass::text FROM pg_constraint \
             WHERE contype = 'f' AND connamespace = current_schema()::regnamespace",
        )
        .fetch_all(&mut *self.tx)
        .await
        .during(self.operation)?;
        let mut tables: BTreeMap<String, Table> = BTreeMap::new();
        for (table, column, kind) in columns {
            if !is_carried(&table) || !is_carried_column(&table, &column) {
                continue;
            }
            let kind = match kind.as_str() {
                "bigint" | "integer" | "smallint" => Kind::Integer,
                "boolean" => Kind::Boolean,
                "bytea" => Kind::Bytes,
                _ => Kind::Text,
            };
            let refers_to = || {
                let own = references.iter().filter(|(from, _)| *from == table);
                own.map(|(_, to)| to.clone()).collect()
            };
            tables
                .entry(table.clone())
                .or_insert_with(|| Table {
                    name: table.clone(),
                    columns: BTreeMap::new(),
                    refers_to: refers_to(),
                })
                .columns
                .insert(column, kind);
        }
        in_order(tables.into_values().collect())
    }

    async fn read(&mut self, table: &Table) -> Result<Vec<Vec<Cell>>> {
        if self.reading.as_ref() != Some(&table.name) {
            let columns: Vec<_> = table
                .columns
                .iter()
                .map(|(name, kind)| match kind {
                    Kind::Integer => format!("{}::bigint", quoted(name)),
                    Kind::Boolean => format!("{}::integer::bigint", quoted(name)),
                    Kind::Text | Kind::Bytes => quoted(name),
                })
                .collect();
            let declare = format!(
                "DECLARE rows_of_a_table NO SCROLL CURSOR FOR SELECT {} FROM {}",
                columns.join(", "),
                quoted(&table.name)
            );
            sqlx::raw_sql(AssertSqlSafe(declare))
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
            self.reading = Some(table.name.clone());
        }
        let fetch = format!("FETCH {BATCH} FROM rows_of_a_table");
        let rows = sqlx::query(AssertSqlSafe(fetch))
            .persistent(false)
            .fetch_all(&mut *self.tx)
            .await
            .during(self.operation)?;
        if rows.is_empty() {
            self.reading = None;
            sqlx::raw_sql("CLOSE rows_of_a_table")
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        rows.iter().map(|row| cells(row, table)).collect()
    }

    async fn highest_number(&mut self, table: &Table) -> Result<Option<i64>> {
        let Some(sequence) = self.sequence(table).await? else { return Ok(None) };
        let read = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}");
        sqlx::query_scalar(AssertSqlSafe(read))
            .fetch_one(&mut *self.tx)
            .await
            .during(self.operation)
            .map(Some)
    }

    async fn prepare(&mut self, tables: &[Table]) -> Result<()> {
        let names: Vec<_> = tables.iter().map(|table| quoted(&table.name)).collect();
        let mut statements = vec![format!("LOCK TABLE {}", names.join(", "))];
        // The trail refuses to be emptied, and rows that were written before there were chains.
        let all = names.iter().map(|name| format!("ALTER TABLE {name} DISABLE TRIGGER USER"));
        statements.extend(all);
        statements.extend(names.iter().rev().map(|name| format!("DELETE FROM {name}")));
        sqlx::raw_sql(AssertSqlSafe(statements.join("; ")))
            .execute(&mut *self.tx)
            .await
            .during(self.operation)?;
        Ok(())
    }

    async fn write(&mut self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<()> {
        let names: Vec<_> = table.columns.keys().map(|name| quoted(name)).collect();
        let values: Vec<_> = (1..).zip(table.columns.values()).map(value_of).collect();
        let parameters: Vec<_> =
            (1..).zip(table.columns.values()).map(|(n, kind)| array_of(n, *kind)).collect();
        let aliases: Vec<_> = (1..=table.columns.len()).map(|n| format!("c{n}")).collect();
        let insert = format!(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM unnest({}) AS r({})",
            quoted(&table.name),
            names.join(", "),
            values.join(", "),
            parameters.join(", "),
            aliases.join(", ")
        );
        let arguments = arguments(table, rows)?;
        sqlx::query_with(AssertSqlSafe(insert), arguments)
            .persistent(false)
            .execute(&mut *self.tx)
            .await
            .during(self.operation)?;
        Ok(())
    }

    async fn continue_after(&mut self, table: &Table, number: i64) -> Result<()> {
        if let Some(sequence) = self.sequence(table).await? {
            let set = "SELECT setval($1::text::regclass, greatest($2, 1), $2 > 0)";
            sqlx::query(set)
                .bind(sequence)
                .bind(number)
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let tables = self.tables().await?;
        let statements: Vec<_> = tables
            .iter()
            .map(|table| format!("ALTER TABLE {} ENABLE TRIGGER USER", quoted(&table.name)))
            // Whoever looks for changes sees one.
            .chain(["UPDATE changes SET counter = counter + 1".to_owned()])
            .collect();
        sqlx::raw_sql(AssertSqlSafe(statements.join("; ")))
            .execute(&mut *self.tx)
            .await
            .during(self.operation)?;
        self.tx.commit().await.during(self.operation)
    }
}

impl Opened {
    /// The sequence behind the table's numbers.
    async fn sequence(&mut self, table: &Table) -> Result<Option<String>> {
        if !table.columns.contains_key("seq") {
            return Ok(None);
        }
        sqlx::query_scalar("SELECT pg_get_serial_sequence($1, 'seq')")
            .bind(quoted(&table.name))
            .fetch_one(&mut *self.tx)
            .await
            .during(self.operation)
    }
}

fn value_of((number, kind): (usize, &Kind)) -> String {
    match kind {
        Kind::Boolean => format!("c{number} <> 0"),
        Kind::Integer | Kind::Text | Kind::Bytes => format!("c{number}"),
    }
}

fn array_of(number: usize, kind: Kind) -> String {
    match kind {
        Kind::Integer | Kind::Boolean => format!("${number}::bigint[]"),
        Kind::Text => format!("${number}::text[]"),
        Kind::Bytes => format!("${number}::bytea[]"),
    }
}

fn cells(row: &PgRow, table: &Table) -> Result<Vec<Cell>> {
    let read = |(index, kind): (usize, &Kind)| {
        let cell = match kind {
            Kind::Integer | Kind::Boolean => {
                row.try_get::<Option<i64>, _>(index).map(|value| value.map(Cell::Integer))
            }
            Kind::Text => row.try_get::<Option<String>, _>(index).map(|v| v.map(Cell::Text)),
            Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(index).map(|v| v.map(Cell::Bytes)),
        };
        cell.during(READ).map(|cell| cell.unwrap_or(Cell::Null))
    };
    table.columns.values().enumerate().map(read).collect()
}

/// One array for each column.
fn arguments(table: &Table, rows: Vec<Vec<Cell>>) -> Result<PgArguments> {
    let unfit = || {
        let source = "a value of another kind than its column".into();
        Error::Corrupt { what: "row", source }
    };
    let mut columns: Vec<Vec<Cell>> =
        table.columns.keys().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, cell) in columns.iter_mut().zip(row) {
            column.push(cell);
        }
    }
    let mut arguments = PgArguments::default();
    for (cells, kind) in columns.into_iter().zip(table.columns.values()) {
        let added = match kind {
            Kind::Integer | Kind::Boolean => arguments.add(
                cells
                    .into_iter()
                    .map(|cell| match cell {
                        Cell::Null => Ok(None),
                        Cell::Integer(number) => Ok(Some(number)),
                        _ => Err(unfit()),
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
            Kind::Text => arguments.add(
                cells
                    .into_iter()
                    .map(|cell| match cell {
                        Cell::Null => Ok(None),
                        Cell::Text(text) => Ok(Some(text)),
                        _ => Err(unfit()),
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
            Kind::Bytes => arguments.add(
                cells
                    .into_iter()
                    .map(|cell| match cell {
                        Cell::Null => Ok(None),
                        Cell::Bytes(bytes) => Ok(Some(bytes)),
                        _ => Err(unfit()),
                    })
                    .collect::<Result<Vec<_>>>()?,
            ),
        };
        added.map_err(sqlx::Error::Encode).during(WRITE)?;
    }
    Ok(arguments)
}
