//! Lists for people: columns without borders, as wide as the terminal at most.

use std::io;

use comfy_table::{ContentArrangement, Table, presets};

use super::{Style, plain};

/// A list.
#[derive(Debug)]
pub(crate) struct Columns {
    header: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Columns {
    /// A list with these columns.
    pub(crate) fn new<const N: usize>(header: [&'static str; N]) -> Self {
        Self { header: header.into(), rows: Vec::new() }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = impl AsRef<str>>) {
        self.rows.push(cells.into_iter().map(|cell| plain(cell.as_ref())).collect());
    }

    /// The list as text, with `empty` in its place when it has no rows.
    pub(crate) fn text(self, style: Style, empty: &str) -> String {
        self.text_within(style, empty, terminal_width())
    }

    fn text_within(self, style: Style, empty: &str, width: Option<u16>) -> String {
        if self.rows.is_empty() {
            return format!("{empty}\n");
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING).set_header(self.header);
        table.add_rows(self.rows);
        match width {
            Some(width) => {
                table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
            }
            // Into a file or a pipe: one line per row, whatever its length.
            None => {
                table.set_content_arrangement(ContentArrangement::Disabled);
            }
        }
        let text = table.to_string();
        let mut lines = text.lines().map(|line| line.trim_end().strip_prefix(' ').unwrap_or(line));
        let header = style.bold(lines.next().unwrap_or_default());
        let rows: String = lines.map(|line| format!("{}\n", line.trim_end())).collect();
        format!("{header}\n{rows}")
    }
}

/// The width of the terminal that stdout is, when it is one.
fn terminal_width() -> Option<u16> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    // Narrower than this, wrapping helps nobody.
    (size.ws_col > 0).then(|| size.ws_col.max(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns() -> Columns {
        let mut columns = Columns::new(["NAME", "REASON"]);
        columns.row(["a", "declared and not there"]);
        columns.row(["b\u{1b}[31m", "x"]);
        columns
    }

    #[test]
    fn cells_cannot_paint_the_terminal() {
        let text = columns().text_within(Style::new(false), "none", None);
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert!(text.contains("b\\u{1b}[31m"), "{text:?}");
        assert_eq!(text.lines().count(), 3);
        assert!(text.starts_with("NAME"), "{text:?}");
    }

    #[test]
    fn a_narrow_terminal_wraps_and_a_pipe_does_not() {
        let long = |width| {
            let mut columns = Columns::new(["NAME", "REASON"]);
            columns.row(["a".to_owned(), "word ".repeat(40)]);
            columns.text_within(Style::new(false), "none", width)
        };
        assert_eq!(long(None).lines().count(), 2);
        assert!(long(Some(60)).lines().count() > 2);
        assert!(long(Some(60)).lines().all(|line| line.chars().count() <= 60));
    }

    #[test]
    fn an_empty_list_says_so() {
        assert_eq!(Columns::new(["A"]).text(Style::new(false), "no approvals"), "no approvals\n");
    }
}
