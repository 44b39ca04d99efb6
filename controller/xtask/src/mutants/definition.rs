//! What a mutation is: a text that stands in a file exactly once, and what takes its place.

use std::path::Path;

/// Stands in a replacement for whether the mutation is switched on: an expression of type `bool`.
/// Such a mutation can be built together with all others of its kind, each switched off, so that a
/// build serves many of them.
const SWITCH: &str = "MUTANT";

/// One way to break the product.
#[derive(Debug)]
pub(super) struct Mutation {
    /// A short name, used once.
    pub(super) name: &'static str,
    /// What no longer holds, for people.
    pub(super) breaks: &'static str,
    /// The file, from the root.
    pub(super) file: &'static str,
    /// What stands there, exactly once.
    pub(super) find: &'static str,
    /// What stands there instead. `MUTANT` in it is true while the mutation is switched on;
    /// without it, the mutation is on as soon as it is built.
    pub(super) replace: &'static str,
    /// The tests that are run: arguments of `cargo nextest run`, beginning with `-p` and the
    /// package.
    pub(super) tests: &'static [&'static str],
}

impl Mutation {
    /// The mutated text; `None` when the definition does not fit exactly once. `switch` is the file
    /// that holds the name of the mutation that is on.
    pub(super) fn applied_to(&self, text: &str, switch: &Path) -> Option<String> {
        let mut parts = text.split(self.find);
        let (before, after) = (parts.next()?, parts.next()?);
        // A file and no variable: tests start programs with variables of their own.
        let is_on = format!("std::fs::read({switch:?}).is_ok_and(|on| on == b{:?})", self.name);
        let replaced = self.replace.replace(SWITCH, &is_on);
        parts.next().is_none().then(|| format!("{before}{replaced}{after}"))
    }

    /// Whether it can be built without being on.
    pub(super) fn has_switch(&self) -> bool {
        self.replace.contains(SWITCH)
    }

    /// The package whose tests are run.
    pub(super) fn package(&self) -> &'static str {
        self.tests.get(1).copied().unwrap_or_default()
    }
}

/// The mutations of one part of the product.
#[derive(Debug)]
pub(super) struct Area {
    /// A heading.
    pub(super) title: &'static str,
    pub(super) mutations: &'static [Mutation],
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mutation(replace: &'static str) -> Mutation {
        Mutation { name: "it", breaks: "", file: "", find: "a", replace, tests: &[] }
    }

    #[test]
    fn a_text_that_is_there_twice_is_no_definition() {
        let (mutation, switch) = (mutation("b"), Path::new("/on"));
        assert_eq!(mutation.applied_to("xay", switch).as_deref(), Some("xby"));
        assert!(mutation.applied_to("aa", switch).is_none());
        assert!(mutation.applied_to("x", switch).is_none());
    }

    #[test]
    fn a_switch_asks_for_the_name_of_its_own_mutation() {
        let mutation = mutation("a && !MUTANT");
        let text = mutation.applied_to("if a {}", Path::new("/t/on")).unwrap();
        let switch = r#"std::fs::read("/t/on").is_ok_and(|on| on == b"it")"#;
        assert_eq!(text, format!("if a && !{switch} {{}}"));
        assert!(mutation.has_switch());
    }
}
