//! Reading the command line, and telling what is wrong with it in the same form as every error.

use std::ffi::OsString;
use std::io::Write as _;

use clap::Parser as _;
use clap::error::ErrorKind;

use crate::args::Cli;
use crate::codes;
use crate::error::{Failure, exit};

/// The command line, or the exit code after help or an error has been written.
pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, u8> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let error = match Cli::try_parse_from(&arguments) {
        Ok(cli) => return Ok(cli),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A reader that has gone away is nothing to complain about.
            let _ = error.print();
            Err(exit::OK)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let _ = error.print();
            Err(exit::USAGE)
        }
        _ => {
            let text = error.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text).trim_end();
            let shown = if wants_json(&arguments) {
                Failure::usage(text).next("skep help").json()
            } else {
                format!("error[{}]: {text}\n", codes::USAGE)
            };
            let _ = std::io::stderr().lock().write_all(shown.as_bytes());
            Err(exit::USAGE)
        }
    }
}

/// The arguments could not be read, so this looks only for the usual spellings.
fn wants_json(arguments: &[OsString]) -> bool {
    let texts: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    texts.iter().any(|text| matches!(text.as_ref(), "-ojson" | "-o=json" | "--output=json"))
        || texts.windows(2).any(|pair| match pair {
            [flag, value] => matches!(flag.as_ref(), "-o" | "--output") && value == "json",
            _ => false,
        })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn json_is_recognised_in_every_spelling() {
        let asks =
            |words: &[&str]| wants_json(&words.iter().map(OsString::from).collect::<Vec<_>>());
        assert!(asks(&["skep", "-o", "json"]) && asks(&["--output=json"]) && asks(&["-ojson"]));
        assert!(!asks(&["skep", "-o", "table"]) && !asks(&["json"]));
    }
}
