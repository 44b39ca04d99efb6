//! The resolved dependency graph, from `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::error::Error;
use crate::stage;

/// One package of the graph.
#[derive(Debug, Default, Clone)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The SPDX expression; empty when the manifest has none.
    pub(crate) licence: String,
    /// Part of this workspace.
    pub(crate) member: bool,
    /// Ids of normal and build dependencies (what ends up in, or makes, the
    /// package), not those of its tests.
    pub(crate) dependencies: BTreeSet<String>,
    /// Ids of dependencies of its tests.
    pub(crate) test_dependencies: BTreeSet<String>,
}

/// All packages by id.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    pub(crate) packages: BTreeMap<String, Package>,
}

impl Graph {
    /// Asks cargo, for the platform that this runs on.
    pub(crate) fn read() -> Result<Self, Error> {
        let failed = |problem: String| Error::Output { tool: "cargo metadata", problem };
        let output = stage::cargo(&["metadata", "--format-version", "1", "--locked"])
            .output()
            .map_err(|source| Error::Spawn { program: "cargo".to_owned(), source })?;
        if !output.status.success() {
            return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let metadata: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| failed(error.to_string()))?;
        Self::parse(&metadata).ok_or_else(|| failed("a field is missing".to_owned()))
    }

    fn parse(metadata: &Value) -> Option<Self> {
        let members: BTreeSet<_> = metadata
            .get("workspace_members")?
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let mut packages = BTreeMap::new();
        for package in metadata.get("packages")?.as_array()? {
            let text = |field: &str| package.get(field).and_then(Value::as_str).map(str::to_owned);
            let id = text("id")?;
            let member = members.contains(id.as_str());
            let package = Package {
                name: text("name")?,
                version: text("version")?,
                licence: text("license").unwrap_or_default(),
                member,
                ..Package::default()
            };
            packages.insert(id, package);
        }
        for node in metadata.pointer("/resolve/nodes")?.as_array()? {
            let package = packages.get_mut(node.get("id")?.as_str()?)?;
            for dependency in node.get("deps")?.as_array()? {
                let id = dependency.get("pkg")?.as_str()?.to_owned();
                let kinds = dependency.get("dep_kinds")?.as_array()?;
                let is_test =
                    |kind: &Value| kind.get("kind").and_then(Value::as_str) == Some("dev");
                if kinds.iter().any(|kind| !is_test(kind)) {
                    package.dependencies.insert(id.clone());
                }
                if kinds.iter().any(is_test) {
                    package.test_dependencies.insert(id);
                }
            }
        }
        Some(Self { packages })
    }

    /// The workspace members.
    pub(crate) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.values().filter(|package| package.member)
    }

    /// The names of the direct dependencies of `package`.
    pub(crate) fn direct<'a>(&'a self, package: &'a Package) -> impl Iterator<Item = &'a str> {
        package.dependencies.iter().filter_map(|id| Some(self.packages.get(id)?.name.as_str()))
    }

    /// A shortest way from the member `from` to a package named `to`, through
    /// what is built into it; empty when there is none.
    pub(crate) fn path(&self, from: &str, to: &str) -> Vec<&str> {
        let Some((start, _)) =
            self.packages.iter().find(|(_, package)| package.member && package.name == from)
        else {
            return Vec::new();
        };
        let mut came_from: BTreeMap<&str, &str> = BTreeMap::from([(start.as_str(), "")]);
        let mut next = std::collections::VecDeque::from([start.as_str()]);
        while let Some(id) = next.pop_front() {
            let Some(package) = self.packages.get(id) else { continue };
            if package.name == to && id != start {
                return self.names_back(&came_from, id);
            }
            for dependency in &package.dependencies {
                if !came_from.contains_key(dependency.as_str()) {
                    came_from.insert(dependency, id);
                    next.push_back(dependency);
                }
            }
        }
        Vec::new()
    }

    fn names_back<'a>(
        &'a self,
        came_from: &BTreeMap<&'a str, &'a str>,
        end: &'a str,
    ) -> Vec<&'a str> {
        let mut names = Vec::new();
        let mut id = end;
        while let Some(package) = self.packages.get(id) {
            names.push(package.name.as_str());
            id = came_from.get(id).copied().unwrap_or_default();
        }
        names.reverse();
        names
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A graph of members from `(name, dependencies)`.
    pub(crate) fn graph(packages: &[(&str, &[&str])]) -> Graph {
        let package = |(name, dependencies): &(&str, &[&str])| {
            let package = Package {
                name: (*name).to_owned(),
                member: true,
                dependencies: dependencies.iter().map(|id| (*id).to_owned()).collect(),
                ..Package::default()
            };
            ((*name).to_owned(), package)
        };
        Graph { packages: packages.iter().map(package).collect() }
    }

    #[test]
    fn the_way_to_a_dependency_is_named() {
        let graph = graph(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &[]), ("d", &[])]);
        assert_eq!(graph.path("a", "d"), ["a", "b", "d"]);
        assert!(graph.path("b", "c").is_empty());
        assert!(graph.path("a", "a").is_empty());
    }

    #[test]
    fn a_dependency_of_tests_is_not_built_in() {
        let metadata = serde_json::json!({
            "workspace_members": ["m"],
            "packages": [
                { "id": "m", "name": "m", "version": "1", "license": null },
                { "id": "x", "name": "x", "version": "2", "license": "MIT" },
            ],
            "resolve": { "nodes": [
                { "id": "m", "deps": [{ "pkg": "x", "dep_kinds": [{ "kind": "dev" }] }] },
                { "id": "x", "deps": [] },
            ] },
        });
        let graph = Graph::parse(&metadata).unwrap();
        assert!(graph.path("m", "x").is_empty());
        assert!(graph.packages["m"].test_dependencies.contains("x"));
        assert_eq!(graph.packages["x"].licence, "MIT");
    }
}
