//! The values that `${NAME}` stands for.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Variables by name. Any of them may be a secret, so `Debug` shows names only.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables {
    values: BTreeMap<String, String>,
    hidden: BTreeSet<String>,
}

impl Variables {
    /// The value of one; an empty one is a value.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Sets one; a later value wins.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.hidden.remove(&name);
        self.values.insert(name, value.into());
    }

    /// Sets one whose value came by reference: it may only stand where it can be kept out of plans
    /// and records, which is in the environment of services.
    pub fn set_hidden(&mut self, name: impl Into<String>, value: impl Into<String>) {
        let name = name.into();
        self.hidden.insert(name.clone());
        self.values.insert(name, value.into());
    }

    /// Whether the value of one came by reference.
    pub fn is_hidden(&self, name: &str) -> bool {
        self.hidden.contains(name)
    }

    /// Each name with its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.values.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        Self { values: variables.into_iter().collect(), hidden: BTreeSet::new() }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::{Files, Source, load};

    struct EnvironmentFile;

    impl Files for EnvironmentFile {
        fn read(&self, _: &str) -> Result<Vec<u8>, String> {
            Ok(b"PLAIN=x\nPASSWORD\n".to_vec())
        }
    }

    fn load_with(text: &str) -> Result<crate::stack::Loaded, skep_yaml::Problems> {
        let mut variables = Variables::default();
        variables.set("TAG", "1.27");
        variables.set_hidden("PASSWORD", "canary");
        let source = Source { name: "web.yml".into(), bytes: text.as_bytes().to_vec() };
        load(&[source], "/srv", &variables, &EnvironmentFile)
    }

    #[test]
    fn a_value_by_reference_is_known_wherever_it_stands_in_an_environment() {
        let loaded = load_with(
            "x-all: &all {URL: \"db:${PASSWORD}@h\"}
services:
  map: {image: \"a:${TAG}\", environment: {<<: *all, A: \"${PASSWORD}\", TAG: \"${TAG}\"}}
  list: {image: a, environment: [\"B=${NONE:-$PASSWORD}\", PASSWORD, \"C=${TAG}\"]}
  file: {image: a, env_file: e}
",
        )
        .unwrap_or_else(|problems| panic!("{problems}"));
        let expected = [("file", "PASSWORD"), ("list", "PASSWORD"), ("map", "A"), ("map", "URL")];
        let expected = expected.map(|(service, key)| (service.to_owned(), key.to_owned()));
        assert_eq!(loaded.hidden, expected.into());
    }

    #[test]
    fn a_value_by_reference_may_stand_nowhere_else() {
        for text in [
            "services: {web: {image: \"a:${PASSWORD}\"}}",
            "services: {web: {image: a, command: [\"--pw=${PASSWORD:?}\"]}}",
            "services: {web: {image: a, environment: [\"${PASSWORD}=x\"]}}",
            "services: {web: {image: a, labels: {k: \"x ${PASSWORD+set}\"}}}",
            "services: {web: {image: a, x-own: \"${PASSWORD}\"}}",
        ] {
            let problems = load_with(text).expect_err(text);
            let said = problems.to_string();
            assert!(problems.has("VARIABLE_BY_REFERENCE") && said.contains("web.yml:1:"), "{said}");
            assert!(!said.contains("canary"), "{said}");
        }
    }

    #[test]
    fn a_later_literal_value_is_not_hidden() {
        let mut variables = Variables::default();
        variables.set_hidden("A", "x");
        variables.set("A", "y");
        assert!(!variables.is_hidden("A"));
        assert!(!format!("{variables:?}").contains('y'));
    }
}
