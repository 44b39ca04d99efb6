//! `cargo xtask statements`: asks the databases about every statement of the store crates, and
//! writes down what they said (`.sqlx/`), so that a build needs none.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use skep_testkit::{Postgres, find_program};

use crate::error::Error;
use crate::stage::{self, cargo};
use crate::workspace;

/// A crate with statements, and the variable of its `sqlx.toml`.
struct Checked {
    package: &'static str,
    folder: &'static str,
    variable: &'static str,
}

const SQLITE: Checked = Checked {
    package: "skep-store-sqlite",
    folder: "controller/store-sqlite",
    variable: "SKEP_SQLITE_DATABASE_URL",
};

const POSTGRES: Checked = Checked {
    package: "skep-store-postgres",
    folder: "controller/store-postgres",
    variable: "SKEP_POSTGRES_DATABASE_URL",
};

pub(crate) fn run() -> Result<ExitCode, Error> {
    let scratch = tempfile::tempdir().map_err(file("create a folder in", std::env::temp_dir()))?;
    let database = scratch.path().join("check.db");
    run_sqlite(&database, &SQLITE.migrations()?)?;
    let counted = SQLITE.write(&format!("sqlite://{}", database.display()))?;
    println!("{}: {counted} statements", SQLITE.package);

    let cluster = Postgres::start()?;
    cluster.query(&cluster.url(), &POSTGRES.migrations()?)?;
    let counted = POSTGRES.write(&cluster.url())?;
    println!("{}: {counted} statements", POSTGRES.package);
    Ok(ExitCode::SUCCESS)
}

impl Checked {
    fn path(&self) -> PathBuf {
        workspace::root().join(self.folder)
    }

    /// All migrations, in order, as one text.
    fn migrations(&self) -> Result<String, Error> {
        let folder = self.path().join("migrations");
        let entries = std::fs::read_dir(&folder).map_err(file("read", &folder))?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let texts =
            paths.iter().map(|path| std::fs::read_to_string(path).map_err(file("read", path)));
        texts.collect::<Result<Vec<_>, _>>().map(|texts| texts.join("\n"))
    }

    /// Compiles the crate against the database, and takes over what that wrote. What was there
    /// stays when a statement is wrong.
    fn write(&self, url: &str) -> Result<usize, Error> {
        let written = workspace::target().join("statements").join(self.package);
        let _absent_the_first_time = std::fs::remove_dir_all(&written);
        std::fs::create_dir_all(&written).map_err(file("create", &written))?;
        // Cargo does not see that the environment has changed.
        let lib = self.path().join("src/lib.rs");
        std::fs::File::options()
            .append(true)
            .open(&lib)
            .and_then(|lib| lib.set_modified(std::time::SystemTime::now()))
            .map_err(file("touch", &lib))?;
        let mut check = cargo(&["check", "--quiet", "--package", self.package]);
        check.env(self.variable, url).env("SQLX_OFFLINE_DIR", &written);
        stage::run(&mut check)?;
        let kept = self.path().join(".sqlx");
        let _absent_in_a_new_crate = std::fs::remove_dir_all(&kept);
        std::fs::create_dir_all(&kept).map_err(file("create", &kept))?;
        let mut count = 0;
        for entry in std::fs::read_dir(&written).map_err(file("read", &written))?.flatten() {
            let target = kept.join(entry.file_name());
            std::fs::copy(entry.path(), &target).map_err(file("write", &target))?;
            count += 1;
        }
        Ok(count)
    }
}

/// Runs statements in a new SQLite file.
fn run_sqlite(database: &Path, statements: &str) -> Result<(), Error> {
    let Some(program) = find_program("sqlite3") else {
        return Err(Error::Rig(skep_testkit::Error::Missing {
            programs: vec!["sqlite3".to_owned()],
            command: "apt-get install --yes --no-install-recommends sqlite3".to_owned(),
        }));
    };
    let mut shell = Command::new(program);
    // As a file: the shell takes an argument that begins with a comment for an option.
    let script = database.with_extension("sql");
    std::fs::write(&script, statements).map_err(file("write", &script))?;
    shell.arg("-bail").arg(database).arg(format!(".read {}", script.display()));
    stage::run(&mut shell)
}

fn file<'a>(
    action: &'static str,
    path: impl AsRef<Path> + 'a,
) -> impl FnOnce(std::io::Error) -> Error + 'a {
    move |source| Error::File { action, path: path.as_ref().to_owned(), source }
}
