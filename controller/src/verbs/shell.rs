//! What a shell and a bug report need.

use clap::CommandFactory as _;
use serde::Serialize;

use crate::args::{Cli, Shell};
use crate::error::{Result, exit};
use crate::output::Printer;

/// `skep completions`.
pub(super) fn completions(printer: &Printer, shell: Shell) -> Result<u8> {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "skep", &mut script);
    printer.raw(&String::from_utf8_lossy(&script))?;
    Ok(exit::OK)
}

/// The commit that the binary was built from, when the build says so.
pub(super) const COMMIT: Option<&str> = option_env!("SKEP_COMMIT");
/// The version of the binary.
pub(super) const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Serialize)]
struct Version {
    name: &'static str,
    version: &'static str,
    commit: Option<&'static str>,
}

/// `skep version`.
pub(super) fn version(printer: &Printer) -> Result<u8> {
    let version = Version { name: "skep", version: VERSION, commit: COMMIT };
    printer.data(&version, |version, _| {
        let commit = version.commit.map(|commit| format!(" ({commit})")).unwrap_or_default();
        format!("{} {}{commit}\n", version.name, version.version)
    })?;
    Ok(exit::OK)
}
