//! Licences under which this project may ship a dependency with itself.

use super::graph::Graph;

const ALLOWED: [&str; 14] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// `(package, licence)` for what is used although its licence is not above.
/// CDLA: the certificates of Mozilla's root store are data.
const EXCEPTIONS: [(&str, &str); 2] =
    [("webpki-roots", "CDLA-Permissive-2.0"), ("webpki-root-certs", "CDLA-Permissive-2.0")];

/// Every package whose licence is not on the list.
pub(crate) fn check(graph: &Graph) -> Vec<String> {
    graph
        .packages
        .values()
        .filter(|package| !package.member)
        .filter(|package| {
            let excepted = EXCEPTIONS.contains(&(package.name.as_str(), package.licence.as_str()));
            !excepted && !allowed(&package.licence)
        })
        .map(|package| {
            let licence =
                if package.licence.is_empty() { "no licence" } else { package.licence.as_str() };
            format!("{} {}: {licence} is not allowed", package.name, package.version)
        })
        .collect()
}

/// Whether an SPDX expression can be satisfied with the allowed licences alone:
/// AND binds stronger than OR; older manifests write OR as a slash.
fn allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let mut words = spaced.split_whitespace().peekable();
    let satisfied = alternatives(&mut words);
    satisfied && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn alternatives(words: &mut Words<'_>) -> bool {
    let mut satisfied = conjunction(words);
    while words.next_if_eq(&"OR").is_some() {
        // Both sides are read: the words have to be consumed.
        let other = conjunction(words);
        satisfied = satisfied || other;
    }
    satisfied
}

fn conjunction(words: &mut Words<'_>) -> bool {
    let mut satisfied = term(words);
    while words.next_if_eq(&"AND").is_some() {
        let other = term(words);
        satisfied = satisfied && other;
    }
    satisfied
}

fn term(words: &mut Words<'_>) -> bool {
    match words.next() {
        Some("(") => {
            let satisfied = alternatives(words);
            words.next_if_eq(&")").is_some() && satisfied
        }
        Some(licence) => {
            let whole = match words.next_if_eq(&"WITH").and_then(|_| words.next()) {
                Some(exception) => format!("{licence} WITH {exception}"),
                None => licence.to_owned(),
            };
            ALLOWED.contains(&whole.as_str())
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_allowed_alternative_is_enough() {
        for expression in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0-only",
        ] {
            assert!(allowed(expression), "{expression}");
        }
    }

    #[test]
    fn everything_that_is_joined_must_be_allowed() {
        for expression in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND OpenSSL",
            "MIT WITH some-exception",
            "(MIT",
            "MIT)",
        ] {
            assert!(!allowed(expression), "{expression}");
        }
    }
}
