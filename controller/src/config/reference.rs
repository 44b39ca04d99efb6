//! The reference page of all settings, generated so that it cannot go stale.

use std::fmt::Write as _;

use super::table::SETTINGS;

/// The settings as a Markdown table.
pub(crate) fn markdown() -> String {
    let mut page = String::from(
        "| Key in the file | Environment | Flag | Default | Meaning |\n|---|---|---|---|---|\n",
    );
    for setting in SETTINGS {
        let code = |text: &str| format!("`{text}`");
        let variables: Vec<_> = setting.variables.iter().map(|name| code(name)).collect();
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            code(setting.key),
            variables.join(", "),
            setting.flag.map(code).unwrap_or_default(),
            setting.default.map(code).unwrap_or_default(),
            setting.doc.replace('|', "\\|"),
        );
    }
    page
}
