//! The reference of stack files, in Markdown.

use std::fmt::Write as _;

use skep_crds::stack::lint::RULES;
use skep_crds::stack::{Place, reference};

/// Every key and every rule.
pub(crate) fn markdown() -> String {
    let mut page = String::from("## Keys\n");
    for Place { path, keys } in reference() {
        let heading = if path.is_empty() { "The file".to_owned() } else { format!("`{path}`") };
        // Writing to a String cannot fail.
        let _ = write!(page, "\n### {heading}\n\n| Key | Since | Meaning |\n|---|---|---|\n");
        for key in keys {
            let _ = writeln!(page, "| `{}` | 3.{} | {} |", key.name, key.since, key.about);
        }
    }
    page.push_str(
        "\n## Rules of `skep stack lint`\n\n| Rule | Level | Asks for |\n|---|---|---|\n",
    );
    for rule in RULES {
        let _ = writeln!(page, "| `{}` | {} | {} |", rule.code, rule.level.as_str(), rule.asks);
    }
    page
}
