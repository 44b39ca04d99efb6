//! Reading everything, and saying what is there and what is wrong.

use serde::Serialize;
use skep_store_sql::transfer;

use super::{TableView, in_force, progress, views};
use crate::database::{Access, Database};
use crate::error::{Result, exit};
use crate::output::table::Columns;
use crate::verbs::Session;
use crate::wiring;

#[derive(Debug, Serialize)]
struct CheckView {
    store: String,
    installation_id: String,
    read_only: bool,
    /// Who leads.
    leader: Option<String>,
    tables: Vec<TableView>,
    problems: Vec<String>,
}

pub(super) async fn run(session: &Session) -> Result<u8> {
    let (named, place) = in_force(session)?;
    // A missing or a wrong key is found out here.
    let key = named.keyed(place.as_ref(), &session.environment).await?;
    let database = named.open(Access::Any, &wiring::protection(&key)?).await?;
    let problems = match &database {
        Database::Sqlite(store) => store.check().await?,
        // A server checks its own pages as it reads them, and its references as they change.
        Database::Postgres(_) => Vec::new(),
    };
    let contents =
        transfer::contents(database.archive().await?, progress(session, "reading")).await?;
    let store = database.store();
    let view = CheckView {
        store: named.to_string(),
        installation_id: store.installation_id().to_owned(),
        read_only: store.is_read_only(),
        leader: store.lease_holder().await?.map(|holder| holder.holder),
        tables: views(&contents),
        problems,
    };
    session.printer.data(&view, |view, style| {
        let mut columns = Columns::new(["TABLE", "ROWS"]);
        for table in &view.tables {
            columns.row([table.name.clone(), table.rows.to_string()]);
        }
        let mode = if view.read_only { "read-only" } else { "can be written" };
        let leader = view.leader.as_deref().unwrap_or("nobody");
        let mut text = format!("{}\n", columns.text(style, "").trim_end());
        text.push_str(&format!(
            "\n{}: installation {}, {mode}; {leader} leads\n",
            view.store, view.installation_id
        ));
        match view.problems.as_slice() {
            [] => text.push_str("nothing is wrong with it\n"),
            problems => problems.iter().for_each(|line| text.push_str(&format!("wrong: {line}\n"))),
        }
        text
    })?;
    Ok(if view.problems.is_empty() { exit::OK } else { exit::FAILED })
}
