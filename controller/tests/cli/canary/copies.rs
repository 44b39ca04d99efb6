//! What leaves with the database: backups, exports, copies on either kind of database, and every
//! column of every table.

use skep_testkit::Postgres;

use super::scene::Scene;

/// A change with secrets is sent and refused, so that each table has something to hide.
fn fill(scene: &Scene, store: &str) {
    let policy = scene.home.path("inputs/policy.yml").display().to_string();
    let more = [("STATE_DB_URI", store), ("ACTION_POLICY_PATH", policy.as_str())];
    let run = |arguments: &[&str]| scene.run_as("json", arguments, &more);
    assert_eq!(run(&["service", "adopt", "alpha", "--approve"]).code(), 0);
    run(&["reconcile", "--once"]);
    assert!(!scene.engine.writes().is_empty(), "nothing was sent");
    run(&["reconcile", "--once"]);
    run(&["service", "accept-drift", "alpha", "--for", "2h"]);
    run(&["service", "restart", "alpha"]);
    run(&["freeze", "--for", "1h", "--reason", "release week"]);
}

#[test]
fn no_secret_is_in_backups_exports_and_copies() {
    let scene = Scene::new();
    fill(&scene, &scene.store());
    let path = |name: &str| scene.home.path(name).display().to_string();
    let done = |arguments: &[&str]| {
        let run = scene.run_as("json", arguments, &[]);
        assert_eq!(run.code(), 0, "{arguments:?}: {run}");
    };
    done(&["store", "backup", &path("state/backup.db")]);
    done(&["audit", "export", "--to", &path("state/trail.jsonl")]);
    let copy = format!("sqlite:{}", path("state/copy.db"));
    done(&["store", "copy", "--to", &copy, "--keep-source"]);
    for file in ["state/backup.db", "state/trail.jsonl", "state/copy.db"] {
        assert!(scene.home.path(file).metadata().unwrap().len() > 1000, "{file} is empty");
    }
    scene.assert_clean(&["files", "output", "traces"]);
}

#[test]
fn no_secret_is_in_any_column_of_a_postgres_database() {
    let scene = Scene::new();
    let cluster = Postgres::shared().unwrap();
    let store = cluster.fresh_database().unwrap();
    fill(&scene, &store);
    keep_tables(&scene, &cluster, &store);
    // And in one that was made from files.
    fill(&scene, &scene.store());
    let copied = cluster.fresh_database().unwrap();
    let run = scene.run_as("json", &["store", "copy", "--to", &copied], &[]);
    assert_eq!(run.code(), 0, "{run}");
    keep_tables(&scene, &cluster, &copied);
    scene.assert_clean(&["columns", "output", "traces"]);
}

/// Every row of every table as text: bytes come out as hexadecimal digits.
fn keep_tables(scene: &Scene, cluster: &Postgres, store: &str) {
    let tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'";
    let tables = cluster.query(store, tables).unwrap();
    let mut filled = Vec::new();
    for table in tables.lines() {
        let rows = cluster.query(store, &format!("SELECT t::text FROM \"{table}\" t")).unwrap();
        if !rows.is_empty() {
            filled.push(table);
        }
        scene.keep("columns", &format!("of {table}"), rows.as_bytes());
    }
    for table in ["actions", "decisions", "audit", "revisions", "dead_letters", "outbox", "intents"]
    {
        assert!(filled.contains(&table), "{table} is empty, which proves nothing: {filled:?}");
    }
}
