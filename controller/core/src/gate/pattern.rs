//! Shell globs as policy files mean them: `*` also crosses `/`, upper and lower case differ, the
//! whole text has to match.

/// One glob of a rule.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// A glob that can be matched.
    Valid(glob::Pattern),
    /// Text that is no glob, and why.
    Invalid(String),
}

impl Pattern {
    pub(crate) fn new(text: &str) -> Self {
        match glob::Pattern::new(&collapsed(text)) {
            Ok(pattern) => Self::Valid(pattern),
            Err(error) => Self::Invalid(error.msg.to_owned()),
        }
    }

    /// Whether the text matches; `None` when the glob cannot be read.
    pub(crate) fn matches(&self, text: &str) -> Option<bool> {
        match self {
            Self::Valid(pattern) => Some(pattern.matches(text)),
            Self::Invalid(_) => None,
        }
    }

    /// Whether every text matches.
    pub(super) fn matches_everything(&self) -> bool {
        matches!(self, Self::Valid(pattern) if pattern.as_str() == "*")
    }

    pub(crate) fn problem(&self) -> Option<&str> {
        match self {
            Self::Valid(_) => None,
            Self::Invalid(why) => Some(why),
        }
    }
}

/// Whether every text that `narrow` matches is also matched by `wide`. Never true by mistake; a
/// few pairs that cover each other in a roundabout way are not seen.
pub(super) fn covers(wide: &str, narrow: &str) -> bool {
    if Pattern::new(wide).problem().is_some() || Pattern::new(narrow).problem().is_some() {
        return false;
    }
    let (wide, narrow) = (tokens(&collapsed(wide)), tokens(&collapsed(narrow)));
    covered(&wide, &narrow)
}

/// One part of a glob.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// `*`
    Any,
    /// `?`
    One,
    /// `[…]`, as written.
    Class(String),
    /// A character.
    Is(char),
}

fn tokens(glob: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = glob.chars();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => {
                let mut class = String::new();
                if rest.as_str().starts_with('!') {
                    class.extend(rest.next());
                }
                class.extend(rest.next());
                class.extend(rest.by_ref().take_while(|c| *c != ']'));
                Token::Class(class)
            }
            c => Token::Is(c),
        });
    }
    tokens
}

/// Matches the narrower glob as if it were a text of tokens: for each rest of the wide one,
/// shortest first, which rests of the narrow one it covers.
fn covered(wide: &[Token], narrow: &[Token]) -> bool {
    let mut covers_rest: Vec<bool> = vec![false; narrow.len()];
    covers_rest.push(true);
    for token in wide.iter().rev() {
        let mut longer: Vec<bool> = Vec::with_capacity(covers_rest.len());
        // From the end of the narrow one, where nothing is left, to its beginning.
        let shorter = covers_rest.iter().rev();
        let after = std::iter::once(false).chain(covers_rest.iter().rev().copied());
        let parts = std::iter::once(None).chain(narrow.iter().rev().map(Some));
        for ((same, after), part) in shorter.zip(after).zip(parts) {
            longer.push(match token {
                Token::Any => *same || longer.last().copied().unwrap_or(false),
                token => after && part.is_some_and(|part| fits(token, part)),
            });
        }
        longer.reverse();
        covers_rest = longer;
    }
    covers_rest.first().copied().unwrap_or(false)
}

/// Whether one part that is no `*` matches whatever the other one does.
fn fits(one: &Token, other: &Token) -> bool {
    match (one, other) {
        (_, Token::Any) => false,
        (Token::One, _) => true,
        (Token::Class(class), Token::Is(c)) => {
            Pattern::new(&format!("[{class}]")).matches(&c.to_string()) == Some(true)
        }
        (one, other) => one == other,
    }
}

/// Runs of `*` become one: to the matcher `**` is a path wildcard, to a policy it is `*` twice.
/// Inside `[…]` a star is a plain character and stays.
fn collapsed(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    let mut last = None;
    while let Some(c) = rest.next() {
        if c == '[' {
            out.push(c);
            // The first character of a class is part of it even when it is a `]`.
            let mut inside = rest.clone();
            let mut class = String::new();
            if inside.as_str().starts_with('!') {
                class.extend(inside.next());
            }
            class.extend(inside.next());
            let closed = inside.by_ref().any(|c| {
                class.push(c);
                c == ']'
            });
            if closed {
                out.push_str(&class);
                rest = inside;
            }
        } else if c != '*' || last != Some('*') {
            out.push(c);
        }
        last = Some(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).matches(text).expect("a valid glob")
    }

    #[test]
    fn globs_mean_what_a_shell_means() {
        for (pattern, text) in [
            ("*", ""),
            ("*", "a/b"),
            ("**", "a/b"),
            ("a***b", "a/x/b"),
            ("a**", "abc"),
            ("caddy-*", "caddy-mcp"),
            ("?addy", "caddy"),
            ("[a-c]x", "bx"),
            ("[!a-c]x", "dx"),
            ("[]x]", "]"),
            ("[**]", "*"),
            ("secret.*", "secret.set"),
            (".*", ".hidden"),
            ("*", ".hidden"),
        ] {
            assert!(matches(pattern, text), "{pattern} should match {text}");
        }
        for (pattern, text) in [
            ("caddy-*", "Caddy-mcp"),
            ("caddy", "caddy-mcp"),
            ("caddy", "my-caddy"),
            ("?", ""),
            ("[!a]", "a"),
            ("secret.*", "secretxset"),
        ] {
            assert!(!matches(pattern, text), "{pattern} should not match {text}");
        }
    }

    #[test]
    fn a_star_inside_a_class_stays_a_character() {
        assert!(matches("[(-**]", "*"));
        assert!(matches("[(-**]", ")"));
        assert_eq!(collapsed("a**[!**]**b"), "a*[!**]*b");
    }

    #[test]
    fn an_unclosed_class_is_no_glob() {
        for bad in ["[", "a[b", "[]", "[!]", "a**[b**"] {
            assert_eq!(Pattern::new(bad).matches("a"), None, "{bad}");
            assert!(Pattern::new(bad).problem().is_some(), "{bad}");
        }
    }

    /// The textbook matcher, for patterns of letters, `*` and `?`.
    fn reference(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|n| reference(rest, &text[n..])),
            Some((c, rest)) => text
                .split_first()
                .is_some_and(|(t, tail)| (*c == '?' || c == t) && reference(rest, tail)),
        }
    }

    #[test]
    fn a_wider_glob_covers_a_narrower_one() {
        for (wide, narrow) in [
            ("*", "a*[bc]?"),
            ("a*", "ab*"),
            ("a?", "ab"),
            ("a?", "a[bc]"),
            ("[a-c]*", "bx*"),
            ("[ab]", "[ab]"),
            ("*-mcp", "caddy-*-mcp"),
            ("", ""),
        ] {
            assert!(covers(wide, narrow), "{wide} covers {narrow}");
        }
        for (wide, narrow) in [
            ("a*", "*"),
            ("?", "*"),
            ("a", "?"),
            ("[ab]", "?"),
            ("[a-c]", "[ab]x"),
            ("a[", "a"),
            ("a", "["),
        ] {
            assert!(!covers(wide, narrow), "{wide} does not cover {narrow}");
        }
    }

    proptest! {
        /// What is covered is matched, whatever the text.
        #[test]
        fn no_glob_is_covered_by_mistake(
            wide in "[ab*?]{0,4}", narrow in "[ab*?]{0,4}", text in "[ab]{0,5}"
        ) {
            if covers(&wide, &narrow) && matches(&narrow, &text) {
                prop_assert!(matches(&wide, &text), "{wide} does not match {text}");
            }
        }

        #[test]
        fn stars_and_question_marks_agree_with_the_textbook(
            pattern in "[ab/*?]{0,8}", text in "[ab/]{0,8}"
        ) {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(Pattern::new(&pattern).matches(&text), Some(reference(&p, &t)));
        }

        #[test]
        fn any_text_is_read_without_a_panic(pattern in ".{0,24}", text in ".{0,24}") {
            let _ = Pattern::new(&pattern).matches(&text);
        }
    }
}
