//! Running programs: always without the caller's Docker settings, always with
//! the output in the error.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use crate::Error;

/// Whether this process may create namespaces and install packages.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The folders that hold system programs but are missing from the `PATH` of
/// many non-login shells.
const SYSTEM_FOLDERS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// Looks for `program` in `PATH` and in the system folders.
#[must_use]
pub fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}

/// A command that inherits neither a Docker host, context or configuration nor
/// the terminal's input.
pub(crate) fn isolated(program: &str) -> Command {
    let mut command = Command::new(find_program(program).unwrap_or_else(|| PathBuf::from(program)));
    command.stdin(Stdio::null());
    remove_docker_settings(&mut command);
    command
}

/// Removes every `DOCKER_*` variable that the child would inherit.
pub(crate) fn remove_docker_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOCKER_") {
            command.env_remove(name);
        }
    }
}

/// Runs to the end and returns standard output.
pub(crate) fn output(command: &mut Command) -> Result<String, Error> {
    let Output { status, stdout, stderr } =
        command.output().map_err(|source| Error::Spawn { program: program(command), source })?;
    let stdout = String::from_utf8_lossy(&stdout).into_owned();
    if status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&stderr);
    let output = if stderr.trim().is_empty() { stdout.as_str() } else { &*stderr };
    Err(Error::Failed {
        command: line(command),
        status: status.to_string(),
        output: output.trim().to_owned(),
    })
}

pub(crate) fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_carries_the_command_and_what_it_said() {
        let mut command = isolated("sh");
        command.args(["-c", "echo why >&2; exit 3"]);
        let message = output(&mut command).unwrap_err().to_string();
        assert!(message.contains("why") && message.contains("exit 3"), "{message}");
    }

    #[test]
    fn a_program_that_does_not_exist_is_not_found() {
        assert!(find_program("sh").is_some());
        assert_eq!(find_program("no-such-program-anywhere"), None);
    }
}
