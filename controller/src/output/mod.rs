//! The one writer: data on stdout in the chosen form, everything else on stderr.

mod cell;
pub(crate) mod change;
pub(crate) mod plan;
mod style;
pub(crate) mod table;
#[cfg(test)]
mod tests;
mod yaml;

use std::cell::Cell;
use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

pub(crate) use self::cell::{first_line, plain, since, until};
pub(crate) use self::style::Style;
use crate::codes;
use crate::error::{Failure, Result};

/// How data is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For both.
    Yaml,
}

/// Whether there is colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A list in JSON and YAML: an object, so that something can be added beside the items later.
#[derive(Debug, Serialize)]
pub(crate) struct Items<T> {
    /// The items.
    pub(crate) items: Vec<T>,
}

/// Writes what a verb has to say.
#[derive(Debug)]
pub(crate) struct Printer {
    format: Format,
    color: Color,
    no_color: bool,
    quiet: bool,
    closed: Cell<bool>,
}

impl Printer {
    /// A writer for this process.
    pub(crate) fn new(format: Format, color: Color, no_color: bool, quiet: bool) -> Self {
        Self { format, color, no_color, quiet, closed: Cell::new(false) }
    }

    /// True when whoever read the data has gone away.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.get()
    }

    /// How data is written.
    pub(crate) fn format(&self) -> Format {
        self.format
    }

    fn colors(&self, terminal: bool) -> bool {
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !self.no_color,
        }
    }

    /// The style of stdout.
    pub(crate) fn style(&self) -> Style {
        Style::new(self.colors(io::stdout().is_terminal()))
    }

    /// Writes data: as it is for programs, or as the text that `table` makes of it.
    ///
    /// # Errors
    /// When stdout cannot be written; a reader that has gone away is no error.
    pub(crate) fn data<T: Serialize>(
        &self,
        data: &T,
        table: impl FnOnce(&T, Style) -> String,
    ) -> Result<()> {
        let text = match self.format {
            Format::Table => table(data, self.style()),
            Format::Json => {
                let mut text = serde_json::to_string_pretty(data).map_err(unserialisable)?;
                text.push('\n');
                text
            }
            Format::Yaml => yaml::to_string(data).map_err(unserialisable)?,
        };
        self.raw(&text)
    }

    /// Writes one record of a stream: a line for programs, or the text for people.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub(crate) fn record<T: Serialize>(&self, data: &T, text: &str) -> Result<()> {
        let text = match self.format {
            Format::Table => format!("{text}\n"),
            Format::Json => {
                format!("{}\n", serde_json::to_string(data).map_err(unserialisable)?)
            }
            Format::Yaml => format!("---\n{}", yaml::to_string(data).map_err(unserialisable)?),
        };
        self.raw(&text)
    }

    /// Writes text as it is.
    ///
    /// # Errors
    /// As [`Self::data`].
    pub(crate) fn raw(&self, text: &str) -> Result<()> {
        if self.closed.get() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // `skep plan | head`: whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed.set(true);
                Ok(())
            }
            Err(error) => Err(Failure::of(codes::OUTPUT_FAILED, &error)),
        }
    }

    /// Tells a person something beside the data.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            self.tell(&format!("{text}\n"));
        }
    }

    /// Warns; also when quiet.
    pub(crate) fn warn(&self, text: &str) {
        let style = Style::new(self.colors(io::stderr().is_terminal()));
        self.tell(&format!("{}: {text}\n", style.yellow("warning")));
    }

    /// Tells an error, in JSON when data is JSON.
    pub(crate) fn failure(&self, failure: &Failure) {
        let text = match self.format {
            Format::Json => failure.json(),
            Format::Table | Format::Yaml => failure.text(self.colors(io::stderr().is_terminal())),
        };
        self.tell(&text);
    }

    /// A stderr that has gone away is nothing to stop for.
    fn tell(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

fn unserialisable(error: impl std::fmt::Display) -> Failure {
    let mut failure = Failure::new(codes::INTERNAL, "the output cannot be written in this form");
    failure.push_cause(error.to_string());
    failure
}
