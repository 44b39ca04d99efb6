//! `command` and `entrypoint` as one text: words split as a shell splits them, without expansion.

/// Why a text has no words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfinished {
    /// A quote is not closed.
    Quote,
    /// Nothing follows a backslash.
    Escape,
}

/// Splits a text at blanks. Quotes keep blanks, a backslash takes the next character as it is
/// (within double quotes too), and `#` at the beginning of a word comments out the rest of the line.
pub(crate) fn split(text: &str) -> Result<Vec<String>, Unfinished> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = text.chars();
    while let Some(char) = rest.next() {
        match char {
            ' ' | '\t' | '\r' | '\n' => words.extend(word.take()),
            '#' if word.is_none() => {
                for skipped in rest.by_ref() {
                    if skipped == '\n' {
                        break;
                    }
                }
            }
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(Unfinished::Quote)? {
                        '\'' => break,
                        char => word.push(char),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match rest.next().ok_or(Unfinished::Quote)? {
                        '"' => break,
                        '\\' => word.push(rest.next().ok_or(Unfinished::Escape)?),
                        char => word.push(char),
                    }
                }
            }
            '\\' => {
                let next = rest.next().ok_or(Unfinished::Escape)?;
                word.get_or_insert_default().push(next);
            }
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_a_shell() {
        let table: [(&str, &[&str]); 9] = [
            ("bundle exec thin -p 3000", &["bundle", "exec", "thin", "-p", "3000"]),
            ("  a\tb\n c ", &["a", "b", "c"]),
            ("a 'b c' \"d e\"", &["a", "b c", "d e"]),
            ("a'b'\"c\"d", &["abcd"]),
            (r#"a\ b "c\"d" 'e\f'"#, &["a b", "c\"d", r"e\f"]),
            ("a '' \"\"", &["a", "", ""]),
            ("a # the rest\nb c#d", &["a", "b", "c#d"]),
            (r"\#a", &["#a"]),
            ("", &[]),
        ];
        for (text, words) in table {
            assert_eq!(split(text).expect("words"), words, "{text:?}");
        }
        for (text, why) in [
            ("a 'b", Unfinished::Quote),
            ("a \"b", Unfinished::Quote),
            ("a\\", Unfinished::Escape),
            ("\"a\\", Unfinished::Escape),
        ] {
            assert_eq!(split(text), Err(why), "{text:?}");
        }
    }
}
