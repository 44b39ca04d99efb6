//! Which crate may use what. The design rests on it: what is pure can be tested
//! without a world, and what can reach Docker is one crate.

use super::graph::Graph;

/// `(crate, what must not be built into it, why)`, also through others.
const BANNED: [(&str, &[&str], &str); 8] = [
    (
        "skep-core",
        &["tokio", "sqlx", "bollard", "axum", "hyper", "reqwest"],
        "the core decides without a world",
    ),
    (
        "skep-core",
        &["skep-swarm", "skep-sources", "skep-store", "skep-runtime"],
        "the core is below",
    ),
    (
        "skep-crds",
        &["skep-core", "tokio", "sqlx", "bollard", "axum"],
        "kinds are data that anybody can read",
    ),
    (
        "skep-http",
        &[
            "skep-swarm",
            "skep-runtime",
            "skep-sources",
            "skep-store-sql",
            "skep-store-sqlite",
            "skep-store-postgres",
            "bollard",
        ],
        "requests reach the loop through the core's ports",
    ),
    (
        "skep-probe",
        &["skep-core", "skep-crds", "skep-swarm", "skep-store", "reqwest", "axum"],
        "asking a server needs nothing of ours",
    ),
    (
        "skep-git",
        &["skep-swarm", "skep-store", "skep-runtime", "skep-http", "reqwest", "axum"],
        "a repository is read without knowing what is done with it",
    ),
    ("skep-store", &["sqlx", "bollard", "axum"], "repositories are traits"),
    (
        "skep-swarm",
        &["skep-store", "skep-runtime", "skep-http", "axum"],
        "the engine's side knows no state",
    ),
];

/// `(dependency, the only members that may name it, why)`.
const ONLY_IN: [(&str, &[&str], &str); 6] = [
    ("bollard", &["skep-swarm"], "one crate talks to the engine"),
    ("schemars", &["skep-crds"], "schemas are made from the kinds"),
    ("granit-parser", &["skep-yaml"], "one reader of YAML"),
    ("axum", &["skep-http"], "one HTTP surface"),
    (
        "sqlx",
        &["skep-store-sql", "skep-store-sqlite", "skep-store-postgres"],
        "databases are behind the traits",
    ),
    ("skep-testkit", &["skep-bench", "skep-xtask"], "the rig is not part of the product"),
];

/// Nothing may bring these in: one TLS implementation, none of it in C with a
/// system library.
const NOWHERE: [&str; 7] =
    ["openssl", "openssl-sys", "native-tls", "aws-lc-rs", "aws-lc-sys", "serde_yaml", "serde_yml"];

/// Every violation, with the way on which the dependency comes in.
pub(crate) fn check(graph: &Graph) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, banned, why) in BANNED {
        for dependency in banned {
            let path = graph.path(name, dependency);
            if !path.is_empty() {
                problems.push(format!(
                    "{name} must not use {dependency} ({why}): {}",
                    path.join(" > ")
                ));
            }
        }
    }
    for member in graph.members() {
        for (dependency, allowed, why) in ONLY_IN {
            if !allowed.contains(&member.name.as_str())
                && graph.direct(member).any(|name| name == dependency)
            {
                problems.push(format!(
                    "{} must not use {dependency}; only {} may ({why})",
                    member.name,
                    allowed.join(", ")
                ));
            }
        }
    }
    for package in graph.packages.values() {
        if NOWHERE.contains(&package.name.as_str()) {
            problems
                .push(format!("{} {} must not be used anywhere", package.name, package.version));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::graph::tests::graph;
    use super::*;

    #[test]
    fn a_dependency_that_comes_in_through_another_is_found() {
        let problems =
            check(&graph(&[("skep-core", &["helper"]), ("helper", &["tokio"]), ("tokio", &[])]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].ends_with("skep-core > helper > tokio"), "{problems:?}");
    }

    #[test]
    fn a_dependency_of_one_crate_is_refused_in_another() {
        let allowed = graph(&[("skep-swarm", &["bollard"]), ("bollard", &[])]);
        assert!(check(&allowed).is_empty());
        let refused = graph(&[("skep-runtime", &["bollard"]), ("bollard", &[])]);
        assert_eq!(check(&refused).len(), 1);
    }

    #[test]
    fn another_tls_library_is_refused_wherever_it_is() {
        assert_eq!(check(&graph(&[("openssl-sys", &[])])).len(), 1);
    }
}
