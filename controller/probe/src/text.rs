//! Text that a server chose, made fit for logs and terminals.

/// Longer names are cut: whoever needs more asks the server.
const LONGEST: usize = 120;

/// The text without control characters and without those that change the direction or are not
/// seen, blanks joined, at most [`LONGEST`] characters.
pub(crate) fn clean(text: &str) -> String {
    // No more is looked at than could be shown: the rest may be long.
    let shown =
        text.chars().take(LONGEST * 4).filter(|char| char.is_whitespace() || !hidden(*char));
    let words: String = shown.collect();
    let mut joined = words.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((cut, _)) = joined.char_indices().nth(LONGEST) {
        joined.truncate(cut);
        joined.push('…');
    }
    joined
}

fn hidden(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_gone() {
        assert_eq!(clean("\u{1b}[31mred\u{7}\r\n name\u{202e}x"), "[31mred namex");
        assert_eq!(clean(&"a".repeat(1000)).chars().count(), LONGEST + 1);
    }

    proptest! {
        #[test]
        fn nothing_hidden_and_nothing_long_comes_through(text in any::<String>()) {
            let cleaned = clean(&text);
            prop_assert!(cleaned.chars().count() <= LONGEST + 1);
            prop_assert!(!cleaned.chars().any(hidden));
            prop_assert_eq!(clean(&cleaned), cleaned.clone());
        }
    }
}
