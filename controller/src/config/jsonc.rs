//! The configuration file's syntax: one flat JSON object, with `//` and `/* */` comments.
//!
//! Only the keys' lines are needed beside the values, so a small scanner finds them and
//! `serde_json` reads the rest.

use serde_json::{Map, Value};

/// What is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub(crate) struct SyntaxError {
    /// Line, from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) message: String,
}

/// One key of the file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Its line, from 1.
    pub(crate) line: usize,
    /// Its value.
    pub(crate) value: Value,
}

/// Reads the keys in the order of the file.
///
/// # Errors
/// When it is no JSON object, or a key is given twice.
pub(crate) fn read(text: &str) -> Result<Vec<Entry>, SyntaxError> {
    let plain = without_comments(text)?;
    let mut map: Map<String, Value> = serde_json::from_str(&plain).map_err(|error| {
        let message = error.to_string();
        // The place is already in front.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        SyntaxError { line: error.line(), message }
    })?;
    let mut entries = Vec::new();
    for (key, line) in keys(&plain) {
        match map.remove(&key) {
            Some(value) => entries.push(Entry { key, line, value }),
            None => return Err(SyntaxError { line, message: format!("{key:?} is given twice") }),
        }
    }
    Ok(entries)
}

/// Replaces comments by spaces, so that every line and column stays where it is.
fn without_comments(text: &str) -> Result<String, SyntaxError> {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    let (mut line, mut in_string) = (1, false);
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match (c, chars.peek()) {
            ('\\', _) if in_string => {
                plain.push(c);
                plain.extend(chars.next());
            }
            ('"', _) => {
                in_string = !in_string;
                plain.push(c);
            }
            ('/', Some('/')) if !in_string => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                    plain.push(' ');
                }
            }
            ('/', Some('*')) if !in_string => {
                let opened = line;
                let mut previous = ' ';
                chars.next();
                loop {
                    let Some(c) = chars.next() else {
                        let message = "this comment has no end".to_owned();
                        return Err(SyntaxError { line: opened, message });
                    };
                    if previous == '*' && c == '/' {
                        break;
                    }
                    line += usize::from(c == '\n');
                    plain.push(if c == '\n' { '\n' } else { ' ' });
                    previous = c;
                }
            }
            _ => plain.push(c),
        }
    }
    Ok(plain)
}

/// The keys of the outermost object with their lines. The text is valid JSON.
fn keys(plain: &str) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let (mut line, mut depth) = (1, 0_usize);
    // A string at the outermost level is a key when a colon follows.
    let mut last: Option<(String, usize)> = None;
    let mut chars = plain.char_indices();
    while let Some((start, c)) = chars.next() {
        match c {
            '\n' => line += 1,
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            '"' => {
                let mut end = start;
                while let Some((at, c)) = chars.next() {
                    end = at;
                    match c {
                        '\\' => drop(chars.next()),
                        '"' => break,
                        _ => {}
                    }
                }
                let literal = plain.get(start..=end).unwrap_or_default();
                last = serde_json::from_str(literal).ok().map(|key| (key, line));
            }
            ':' if depth == 1 => found.extend(last.take()),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn comments_are_skipped_and_lines_kept() {
        let text = "\u{feff}// top\n{\n  /* a\n b */ \"one\": 1, // \"no\": 2\n  \"url\": \"http://x/*y*/\",\n\
                    \"list\": [\"a\", {\"in\": 1}],\n\t\"q\\\"q\": \"\\\\\"\n}\n";
        let entries = read(text).unwrap();
        let seen: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.line, &e.value)).collect();
        assert_eq!(
            seen,
            [
                ("one", 4, &json!(1)),
                ("url", 5, &json!("http://x/*y*/")),
                ("list", 6, &json!(["a", {"in": 1}])),
                ("q\"q", 7, &json!("\\")),
            ]
        );
    }

    #[test]
    fn faults_name_their_line() {
        let line = |text| read(text).unwrap_err().line;
        assert_eq!(line("{\n\"a\": 1,\n\"b\": }"), 3);
        assert_eq!(line("{\n/* no end"), 2);
        assert_eq!(line("[1]"), 1);
        assert_eq!(line(""), 1);
        let twice = read("{\"a\": 1,\n\"b\": 2,\n\"a\": 3}").unwrap_err();
        assert_eq!((twice.line, twice.message.as_str()), (3, "\"a\" is given twice"));
    }

    #[test]
    fn any_text_is_read_or_refused() {
        for text in ["/", "/*", "\"", "{\"", "{\"a\\", "{:}", "{\"a\":\"//\"}", "//", "{}//"] {
            let _ = read(text);
        }
        assert_eq!(read("{}//").unwrap(), []);
    }
}
