//! All rows of the database, for backups and moves.

use std::collections::BTreeMap;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use async_trait::async_trait;
use skep_store::{Error, Result};
use skep_store_sql::transfer::{
    Archive, Cell, Kind, Table, in_order, is_carried, is_carried_column,
};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments as _, AssertSqlSafe, Row as _, Sqlite, Transaction};

use crate::SqliteStore;
use crate::error::{Cause, IntoStoreError as _};

const READ: &str = "read all records";
const WRITE: &str = "write all records";
const BACKUP: &str = "write a backup";

/// Rows that are held in memory at once.
const BATCH: i64 = 500;

/// The database inside one transaction.
struct Opened {
    tx: Transaction<'static, Sqlite>,
    /// The table that is read, and the last row of it that was.
    reading: Option<(String, i64)>,
    /// The rules that are put back at the end.
    triggers: Vec<String>,
    operation: &'static str,
}

impl SqliteStore {
    /// Opens the database for reading everything, as it is now.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn archive(&self) -> Result<Box<dyn Archive>> {
        let tx = self.readers.begin().await.during(READ)?;
        Ok(Box::new(Opened { tx, reading: None, triggers: Vec::new(), operation: READ }))
    }

    /// Opens the database for replacing everything in it. Others wait until it is done.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn archive_to_write(&self) -> Result<Box<dyn Archive>> {
        let tx = self.writer.begin_with("BEGIN IMMEDIATE").await.during(WRITE)?;
        Ok(Box::new(Opened { tx, reading: None, triggers: Vec::new(), operation: WRITE }))
    }

    /// Writes a consistent copy of the database to a new file, for this user only. Others go on
    /// reading and writing meanwhile.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the file exists or cannot be written; nothing is left of it.
    pub async fn back_up(&self, path: &Path) -> Result<()> {
        let create =
            std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        create.map_err(|source| Cause::Create { path: path.to_owned(), source }).during(BACKUP)?;
        let written = self.vacuum_into(path).await;
        if written.is_err() {
            // It holds half of the records.
            let _stays_if_it_must = std::fs::remove_file(path);
        }
        written
    }

    async fn vacuum_into(&self, path: &Path) -> Result<()> {
        let unnamed = || Error::Unavailable {
            operation: BACKUP,
            source: format!("{} is no path that SQLite can open", path.display()).into(),
        };
        let name = path.to_str().ok_or_else(unnamed)?;
        // A reader refuses to write, also into another file.
        sqlx::query("VACUUM INTO ?").bind(name).execute(&self.writer).await.during(BACKUP)?;
        std::fs::File::open(path)
            .and_then(|file| file.sync_all())
            .map_err(|source| Cause::Create { path: path.to_owned(), source })
            .during(BACKUP)
    }

    /// Reads every page and every reference; gives what is wrong, none when all is well.
    ///
    /// # Errors
    /// Those of the database, also when it is too damaged to be read at all.
    pub async fn check(&self) -> Result<Vec<String>> {
        const OPERATION: &str = "check the database";
        let mut tx = self.readers.begin().await.during(OPERATION)?;
        let mut found: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(20)")
            .fetch_all(&mut *tx)
            .await
            .during(OPERATION)?;
        found.retain(|line| line != "ok");
        let broken: Vec<SqliteRow> =
            sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut *tx).await.during(OPERATION)?;
        for row in broken.iter().take(20) {
            let (table, parent): (String, String) =
                (row.try_get(0).during(OPERATION)?, row.try_get(2).during(OPERATION)?);
            found.push(format!("a row of {table} refers to a row of {parent} that is not there"));
        }
        Ok(found)
    }
}

/// A name inside a statement. All of them come from the schema.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[async_trait]
impl Archive for Opened {
    async fn tables(&mut self) -> Result<Vec<Table>> {
        let columns: Vec<(String, String, String)> = sqlx::query_as(
            "SELECT m.name, c.name, c.type FROM sqlite_schema AS m \
             JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table'",
        )
        .fetch_all(&mut *self.tx)
        .await
        .during(self.operation)?;
        let references: Vec<(String, String)> = sqlx::query_as(
            "SELECT m.name, f.\"table\" FROM sqlite_schema AS m \
             JOIN pragma_foreign_key_list(m.name) AS f WHERE m.type = 'table'",
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
                "INTEGER" => Kind::Integer,
                "BLOB" => Kind::Bytes,
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
        let after = match &self.reading {
            Some((name, after)) if *name == table.name => *after,
            _ => i64::MIN,
        };
        let columns: Vec<_> = table.columns.keys().map(|name| quoted(name)).collect();
        let select = format!(
            "SELECT {}, rowid FROM {} WHERE rowid > ? ORDER BY rowid LIMIT {BATCH}",
            columns.join(", "),
            quoted(&table.name)
        );
        let rows = sqlx::query(AssertSqlSafe(select))
            .persistent(false)
            .bind(after)
            .fetch_all(&mut *self.tx)
            .await
            .during(self.operation)?;
        self.reading = match rows.last() {
            Some(last) => {
                let last = last.try_get(table.columns.len()).during(self.operation)?;
                Some((table.name.clone(), last))
            }
            None => None,
        };
        rows.iter().map(|row| cells(row, table)).collect()
    }

    async fn highest_number(&mut self, table: &Table) -> Result<Option<i64>> {
        if !table.columns.contains_key("seq") {
            return Ok(None);
        }
        let number = sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = ?")
            .bind(&table.name)
            .fetch_optional(&mut *self.tx)
            .await
            .during(self.operation)?;
        Ok(Some(number.unwrap_or(0)))
    }

    async fn prepare(&mut self, tables: &[Table]) -> Result<()> {
        // The trail refuses to be emptied, and rows that were written before there were chains.
        let triggers: Vec<(String, String)> =
            sqlx::query_as("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
                .fetch_all(&mut *self.tx)
                .await
                .during(self.operation)?;
        let mut statements = Vec::new();
        for (name, sql) in triggers {
            statements.push(format!("DROP TRIGGER {}", quoted(&name)));
            self.triggers.push(sql);
        }
        let names = tables.iter().rev().map(|table| quoted(&table.name));
        statements.extend(names.map(|name| format!("DELETE FROM {name}")));
        for statement in statements {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        Ok(())
    }

    async fn write(&mut self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<()> {
        let names: Vec<_> = table.columns.keys().map(|name| quoted(name)).collect();
        let marks: Vec<_> = names.iter().map(|_| "?").collect();
        let insert = format!(
            "INSERT INTO {} ({}) VALUES ({})",
            quoted(&table.name),
            names.join(", "),
            marks.join(", ")
        );
        for row in rows {
            let mut arguments = SqliteArguments::default();
            for cell in row {
                let added = match cell {
                    Cell::Null => arguments.add(None::<i64>),
                    Cell::Integer(number) => arguments.add(number),
                    Cell::Text(text) => arguments.add(text),
                    Cell::Bytes(bytes) => arguments.add(bytes),
                };
                added.map_err(sqlx::Error::Encode).during(self.operation)?;
            }
            sqlx::query_with(AssertSqlSafe(insert.clone()), arguments)
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        Ok(())
    }

    async fn continue_after(&mut self, table: &Table, number: i64) -> Result<()> {
        if !table.columns.contains_key("seq") {
            return Ok(());
        }
        for statement in [
            "DELETE FROM sqlite_sequence WHERE name = ?1 AND ?2 IS NOT NULL",
            "INSERT INTO sqlite_sequence (name, seq) VALUES (?1, ?2)",
        ] {
            sqlx::query(statement)
                .bind(&table.name)
                .bind(number)
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        for trigger in std::mem::take(&mut self.triggers) {
            sqlx::raw_sql(AssertSqlSafe(trigger))
                .execute(&mut *self.tx)
                .await
                .during(self.operation)?;
        }
        self.tx.commit().await.during(self.operation)
    }
}

fn cells(row: &SqliteRow, table: &Table) -> Result<Vec<Cell>> {
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
