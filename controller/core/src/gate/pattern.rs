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

    proptest! {
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
