//! The program under development, asked about itself.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::Error;
use crate::stage::{self, cargo};
use crate::workspace;

/// So wide is its help on a page; without a terminal it asks this variable.
const WIDTH: (&str, &str) = ("COLUMNS", "100");

/// The built program.
pub(crate) struct Program {
    path: PathBuf,
}

impl Program {
    /// Builds it first.
    ///
    /// # Errors
    /// When it does not compile.
    pub(crate) fn build() -> Result<Self, Error> {
        stage::run(&mut cargo(&["build", "--quiet", "--package", "skep"]))?;
        Ok(Self::built())
    }

    /// As an earlier stage has built it.
    pub(crate) fn built() -> Self {
        Self { path: workspace::target().join("debug/skep") }
    }

    /// What it prints. It gets no environment but the width, so that the answer is the same on
    /// every machine, and no terminal, so that there is no colour.
    ///
    /// # Errors
    /// When it cannot be started, fails, or prints something else than text.
    pub(crate) fn output(&self, arguments: &[&str]) -> Result<String, Error> {
        let output = Command::new(&self.path)
            .args(arguments)
            .current_dir(workspace::root())
            .env_clear()
            .env(WIDTH.0, WIDTH.1)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Spawn { program: self.path.display().to_string(), source })?;
        if !output.status.success() {
            let problem = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            eprintln!("{problem}");
            let line = format!("skep {}", arguments.join(" "));
            return Err(Error::Child { line, status: output.status });
        }
        String::from_utf8(output.stdout)
            .map_err(|error| Error::Output { tool: "skep", problem: error.to_string() })
    }
}
