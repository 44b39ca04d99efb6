//! Everything that a store holds, as plain rows: for backups, for a move to the other kind of
//! database, and for the proof that nothing was lost on the way.
//!
//! Tables and columns are read from the databases themselves. What a later migration adds is
//! carried along without a change here; what only one of the two has is refused, not left out.

use std::collections::BTreeMap;

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};
use skep_store::{Error, Result};

/// One value. Not `Debug`: rows hold values of the environment.
#[derive(Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// A number; also a yes or no.
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Numbers.
    Integer,
    /// Yes or no, where the database has a type for it; otherwise a number.
    Boolean,
    /// Texts.
    Text,
    /// Bytes.
    Bytes,
}

/// A table to be carried over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its columns, by name.
    pub columns: BTreeMap<String, Kind>,
    /// The tables that it refers to.
    pub refers_to: Vec<String>,
}

/// The number of rows of a table, and a sum over their contents that does not depend on their
/// order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Content {
    /// How many.
    pub rows: u64,
    sum: u128,
}

impl Content {
    /// Adds rows whose cells stand in the order of the columns' names.
    pub fn add(&mut self, rows: &[Vec<Cell>]) {
        for row in rows {
            let mut hash = Sha256::new();
            for cell in row {
                let (tag, bytes): (u8, &[u8]) = match cell {
                    Cell::Null => (0, &[]),
                    Cell::Integer(number) => (1, &number.to_be_bytes()),
                    Cell::Text(text) => (2, text.as_bytes()),
                    Cell::Bytes(bytes) => (3, bytes),
                };
                hash.update([tag]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(bytes);
            }
            let hash = hash.finalize();
            let half = hash.first_chunk().copied().unwrap_or_default();
            self.rows += 1;
            self.sum = self.sum.wrapping_add(u128::from_be_bytes(half));
        }
    }
}

/// One database, open for a transfer: a transaction that sees one state, or writes all or nothing.
#[async_trait]
pub trait Archive: Send {
    /// The tables, those that are referred to before those that refer to them.
    async fn tables(&mut self) -> Result<Vec<Table>>;

    /// The next rows of a table, with their cells in the order of the columns' names; none when
    /// there are no more. Each table is read from its beginning to its end.
    async fn read(&mut self, table: &Table) -> Result<Vec<Vec<Cell>>>;

    /// The largest number that the table has given to a row, also to one that is gone; `None` for
    /// a table that gives none.
    async fn highest_number(&mut self, table: &Table) -> Result<Option<i64>>;

    /// Takes away what is there, and keeps the rules from refusing rows that come out of order
    /// until [`Archive::finish`].
    async fn prepare(&mut self, tables: &[Table]) -> Result<()>;

    /// Adds rows, with their numbers.
    async fn write(&mut self, table: &Table, rows: Vec<Vec<Cell>>) -> Result<()>;

    /// Goes on counting after this number.
    async fn continue_after(&mut self, table: &Table, number: i64) -> Result<()>;

    /// Puts the rules back and commits.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// Tables that belong to the database itself.
#[must_use]
pub fn is_carried(table: &str) -> bool {
    !matches!(
        table,
        "_sqlx_migrations" | "schema_versions" | "changes" | "unsealed_steps" | "unkeyed_digests"
    ) && !table.starts_with("sqlite_")
}

/// Columns that belong to the database itself.
#[must_use]
pub fn is_carried_column(table: &str, column: &str) -> bool {
    (table, column) != ("audit", "written_in")
}

/// Orders tables so that each comes after those that it refers to.
///
/// # Errors
/// [`Error::Corrupt`] when they refer to each other in a circle.
pub fn in_order(mut tables: Vec<Table>) -> Result<Vec<Table>> {
    tables.sort_by(|a, b| a.name.cmp(&b.name));
    let mut ordered: Vec<Table> = Vec::with_capacity(tables.len());
    while !tables.is_empty() {
        let waits = |table: &Table| {
            table.refers_to.iter().any(|other| {
                *other != table.name && !ordered.iter().any(|done| done.name == *other)
            })
        };
        let Some(next) = tables.iter().position(|table| !waits(table)) else {
            let source = "its tables refer to each other in a circle".into();
            return Err(Error::Corrupt { what: "database", source });
        };
        ordered.push(tables.remove(next));
    }
    Ok(ordered)
}

/// What was carried over, by table.
pub type Contents = BTreeMap<String, Content>;

/// Replaces what `target` holds with what `source` holds, in one transaction of each. `progress`
/// is told the table and the number of its rows so far.
///
/// # Errors
/// [`Error::Refused`] when the two do not have the same tables; the errors of both databases. The
/// target is then as it was.
pub async fn carry(
    mut source: Box<dyn Archive>,
    mut target: Box<dyn Archive>,
    mut progress: impl FnMut(&str, u64),
) -> Result<Contents> {
    let tables = source.tables().await?;
    let there = target.tables().await?;
    same(&tables, &there)?;
    target.prepare(&there).await?;
    let mut contents = Contents::new();
    for table in &there {
        // The same columns, each in the type that its database has for it.
        let Some(from) = tables.iter().find(|from| from.name == table.name) else { continue };
        let mut content = Content::default();
        loop {
            let rows = source.read(from).await?;
            if rows.is_empty() {
                break;
            }
            content.add(&rows);
            progress(&table.name, content.rows);
            target.write(table, rows).await?;
        }
        if let Some(number) = source.highest_number(from).await? {
            target.continue_after(table, number).await?;
        }
        contents.insert(table.name.clone(), content);
    }
    target.finish().await?;
    Ok(contents)
}

/// What a database holds now.
///
/// # Errors
/// Those of the database.
pub async fn contents(
    mut archive: Box<dyn Archive>,
    mut progress: impl FnMut(&str, u64),
) -> Result<Contents> {
    let mut contents = Contents::new();
    for table in archive.tables().await? {
        let mut content = Content::default();
        loop {
            let rows = archive.read(&table).await?;
            if rows.is_empty() {
                break;
            }
            content.add(&rows);
            progress(&table.name, content.rows);
        }
        contents.insert(table.name, content);
    }
    Ok(contents)
}

/// A yes or no is a number where the database has no type for it.
fn same(source: &[Table], target: &[Table]) -> Result<()> {
    let shape = |tables: &[Table]| -> BTreeMap<String, Vec<(String, Kind)>> {
        let plain = |kind: Kind| if kind == Kind::Boolean { Kind::Integer } else { kind };
        let columns = |table: &Table| {
            table.columns.iter().map(|(name, kind)| (name.clone(), plain(*kind))).collect()
        };
        tables.iter().map(|table| (table.name.clone(), columns(table))).collect()
    };
    let (source, target) = (shape(source), shape(target));
    let differs =
        source.keys().chain(target.keys()).find(|name| source.get(*name) != target.get(*name));
    match differs {
        None => Ok(()),
        Some(table) => {
            let why = "the two databases do not have the same columns for it; open both with this \
                       version first";
            Err(Error::Refused { what: "table", id: table.clone(), why })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, refers_to: &[&str]) -> Table {
        let refers_to = refers_to.iter().map(|name| (*name).to_owned()).collect();
        Table { name: name.to_owned(), columns: BTreeMap::new(), refers_to }
    }

    #[test]
    fn tables_come_after_those_that_they_refer_to() {
        let tables =
            vec![table("a", &["b"]), table("b", &["c", "b"]), table("c", &[]), table("d", &["a"])];
        let names: Vec<_> = in_order(tables).unwrap().into_iter().map(|table| table.name).collect();
        assert_eq!(names, ["c", "b", "a", "d"]);
        assert!(in_order(vec![table("a", &["b"]), table("b", &["a"])]).is_err());
    }

    #[test]
    fn a_content_depends_on_every_cell_and_not_on_the_order() {
        let of = |rows: &[Vec<Cell>]| {
            let mut content = Content::default();
            content.add(rows);
            content
        };
        let (a, b) =
            (vec![Cell::Integer(1), Cell::Text("x".into())], vec![Cell::Integer(2), Cell::Null]);
        assert_eq!(of(&[a.clone(), b.clone()]), of(&[b.clone(), a.clone()]));
        for other in [
            vec![Cell::Integer(1), Cell::Text("y".into())],
            vec![Cell::Integer(1), Cell::Bytes(b"x".to_vec())],
            vec![Cell::Integer(1), Cell::Null],
            vec![Cell::Text("x".into()), Cell::Integer(1)],
        ] {
            assert_ne!(of(&[other, b.clone()]), of(&[a.clone(), b.clone()]));
        }
        assert_ne!(of(std::slice::from_ref(&a)), of(&[a.clone(), a.clone()]));
    }
}
