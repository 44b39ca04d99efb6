//! The page about the command line: what `--help` says, verb by verb.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crate::error::Error;
use crate::program::Program;

/// The help of the program and of every verb, outer ones first.
pub(super) fn page(program: &Program) -> Result<String, Error> {
    let outermost = program.output(&["--help"])?;
    let shared: Vec<String> =
        blocks(&outermost).into_iter().filter(|text| is_flags(text)).collect();
    let mut page = String::from(
        "# Command line\n\nWhat `--help` says. Flags that go with every verb are shown once, with \
         `skep` itself.\n",
    );
    let mut waiting: VecDeque<Vec<String>> = VecDeque::from([Vec::new()]);
    while let Some(verb) = waiting.pop_front() {
        let mut arguments: Vec<&str> = verb.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = program.output(&arguments)?;
        let name = std::iter::once("skep").chain(verb.iter().map(String::as_str));
        let name = name.collect::<Vec<_>>().join(" ");
        let mut shown = blocks(&help);
        if !verb.is_empty() {
            shown.retain(|block| !shared.contains(block));
        }
        // Writing to a String cannot fail.
        let _ = write!(page, "\n## `{name}`\n\n```text\n{}\n```\n", shown.join("\n\n"));
        // Depth first: the verbs of a verb come right after it.
        for inner in verbs(&help).into_iter().rev() {
            let mut path = verb.clone();
            path.push(inner);
            waiting.push_front(path);
        }
    }
    Ok(page)
}

/// The parts of a help: each begins with a line that is not indented, after an empty one. Blanks
/// at the ends of lines, which editors remove, are not kept.
fn blocks(help: &str) -> Vec<String> {
    let mut blocks: Vec<String> = Vec::new();
    let mut after_a_gap = true;
    for line in help.lines().map(str::trim_end) {
        match blocks.last_mut() {
            Some(block) if !after_a_gap || line.is_empty() || line.starts_with(' ') => {
                block.push('\n');
                block.push_str(line);
            }
            _ => blocks.push(line.to_owned()),
        }
        after_a_gap = line.is_empty();
    }
    blocks.iter().map(|block| block.trim_end().to_owned()).collect()
}

/// Whether a part of a help lists flags under a heading of their own; `Options:` differs by verb.
fn is_flags(block: &str) -> bool {
    let mut lines = block.lines();
    let heading = lines.next().is_some_and(|line| line.ends_with(':') && line != "Options:");
    heading && lines.any(|line| line.trim_start().starts_with('-'))
}

/// The names under `Commands:`. Each begins a line after two blanks; the lines of a long
/// description begin further to the right.
fn verbs(help: &str) -> Vec<String> {
    help.lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_read_from_help() {
        let help = "About.\n\nUsage: skep [OPTIONS] <COMMAND>\n\nCommands:\n  serve      Run the \
                    loop\n               and go on\n  approvals  Requests\n  help       Print \
                    this\n\nOptions:\n  -h, --help  Print help\n";
        assert_eq!(verbs(help), ["serve", "approvals"]);
        assert!(verbs("Usage: skep version\n\nOptions:\n  -h, --help\n").is_empty());
    }

    #[test]
    fn a_help_falls_into_parts() {
        let help = "About.\n\nUsage: skep\n\nLogs:\n  -o, --output\n          How \n\n          \
                    Values\n\n  -q\n          Quiet\n\nExamples:\n  skep\n";
        let parts = blocks(help);
        assert_eq!(parts.len(), 4, "{parts:?}");
        assert_eq!(
            parts[2],
            "Logs:\n  -o, --output\n          How\n\n          Values\n\n  -q\n          Quiet"
        );
        assert_eq!(
            parts.iter().map(|part| is_flags(part)).collect::<Vec<_>>(),
            [false, false, true, false]
        );
    }
}
