//! Files of `NAME=value` lines, by docker's rules: nothing is unquoted and nothing expanded.

use super::variables::Variables;

/// What is wrong with a line, and which line it is, from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line, from 1.
    pub line: u32,
    /// What is wrong with it. Values are not repeated.
    pub message: &'static str,
}

/// Reads the lines in order; a name may come several times. Blanks before a name are passed over,
/// everything behind the first `=` is the value, a line that begins with `#` says nothing, and a
/// name alone takes its value from `variables`, or is left out when there is none.
///
/// # Errors
/// The first line that cannot be read.
pub fn parse(bytes: &[u8], variables: &Variables) -> Result<Vec<(String, String)>, BadLine> {
    let bytes = bytes.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(bytes);
    let mut out = Vec::new();
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let bad = |message| BadLine { line: u32::try_from(index + 1).unwrap_or(u32::MAX), message };
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = std::str::from_utf8(line).map_err(|_| bad("it is not UTF-8"))?;
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, value) = match line.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (line, None),
        };
        if name.is_empty() {
            return Err(bad("no name stands before the \"=\""));
        }
        if name.contains([' ', '\t', '\u{b}', '\u{c}']) {
            return Err(bad("the name has a blank in it"));
        }
        if let Some(value) = value.or_else(|| variables.get(name)) {
            out.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_docker_reads_them() {
        let variables: Variables = [("D".to_owned(), "d d".to_owned())].into_iter().collect();
        let text = "\u{feff}A=x\r\nB=\"q\"\n#c=1\n\n  C=1 2 \nD\nE\nF==\nA=y";
        let read = parse(text.as_bytes(), &variables).expect("lines");
        let pairs: Vec<(&str, &str)> =
            read.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected =
            [("A", "x"), ("B", "\"q\""), ("C", "1 2 "), ("D", "d d"), ("F", "="), ("A", "y")];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn bad_lines_are_told_without_their_values() {
        for (text, line) in [("A=1\n=secret", 2), ("A B=secret", 1), ("A \n", 1)] {
            let bad = parse(text.as_bytes(), &Variables::default()).expect_err("a bad line");
            assert_eq!(bad.line, line, "{text:?}");
            assert!(!bad.message.contains("secret"));
        }
        assert!(parse(b"A=\xff", &Variables::default()).is_err());
    }
}
