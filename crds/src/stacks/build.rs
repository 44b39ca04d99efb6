//! From the stacks file as written to stacks that fit together.

use std::collections::{BTreeMap, BTreeSet};

use skep_yaml::{Location, Parsed, Problem, Problems, did_you_mean};

use super::document::{GitDocument, OriginDocument, StackDocument, StacksDocument};
use super::{
    GitComments, GitCredentials, GitOrigin, GitSigners, Origin, Revision, StackDeclaration,
    StackVariables, Stacks,
};
use crate::format::{Spanned, read_document};
use crate::registry::DEFAULT_DOMAIN;
use crate::value::{Duration, Name};

/// How often a repository is asked unless the stack says otherwise.
const DEFAULT_INTERVAL: Duration = Duration::from_nanos(120_000_000_000);
/// More often would be a burden for the server; a webhook is the way to be quick.
const SHORTEST_INTERVAL: Duration = Duration::from_nanos(1_000_000_000);

pub(super) fn stacks(parsed: Parsed) -> Result<Stacks, Problems> {
    let document = read_document::<StacksDocument>(parsed)?;
    let mut problems = Problems::new();
    let mut first: BTreeMap<&str, &Location> = BTreeMap::new();
    for stack in &document.stacks {
        let name = &stack.value.name;
        if let Some(place) = first.get(name.value.as_str()) {
            let message = format!("the stack \"{}\" is declared already at {place}", name.value);
            problems.push(problem(&name.location, "DUPLICATE_NAME", message, None));
            continue;
        }
        first.insert(name.value.as_str(), &name.location);
        if stack.value.files.is_empty() {
            let message = format!("the stack \"{}\" has no files", name.value);
            let hint = Some("write files: [STACK.yml]".to_owned());
            problems.push(problem(&stack.location, "MISSING_KEY", message, hint));
        }
        if let Some(interval) = &stack.value.interval
            && interval.value < SHORTEST_INTERVAL
        {
            let message = format!("the shortest interval is {SHORTEST_INTERVAL}");
            problems.push(problem(&interval.location, "OUT_OF_RANGE", message, None));
        }
    }
    dependencies(&document.stacks, &mut problems);
    if !problems.is_empty() {
        problems.sort();
        return Err(problems);
    }
    let waves: Vec<(Name, u32)> = document
        .stacks
        .iter()
        .map(|stack| (stack.value.name.value.clone(), stack.value.wave.unwrap_or(0)))
        .collect();
    let mut stacks: Vec<StackDeclaration> =
        document.stacks.into_iter().map(|stack| declaration(stack, &waves)).collect();
    stacks.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Stacks { stacks })
}

fn problem(at: &Location, code: &'static str, message: String, hint: Option<String>) -> Problem {
    Problem { location: at.clone(), path: String::new(), code, message, hint }
}

/// Names that no stack has, and circles. A wave is a dependency on every stack of a lower one.
fn dependencies(stacks: &[Spanned<StackDocument>], problems: &mut Problems) {
    let names = || stacks.iter().map(|stack| stack.value.name.value.as_str());
    let mut before: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for stack in stacks {
        let own = stack.value.name.value.as_str();
        let mut edges = BTreeSet::new();
        for wanted in stack.value.depends_on.iter().flatten() {
            let name = wanted.value.as_str();
            if names().any(|known| known == name) {
                edges.insert(name);
                continue;
            }
            let message =
                format!("the stack \"{own}\" depends on \"{name}\", which is not declared");
            let hint = did_you_mean(name, names()).map(|word| format!("did you mean \"{word}\"?"));
            problems.push(problem(&wanted.location, "UNKNOWN_STACK", message, hint));
        }
        let wave = stack.value.wave.unwrap_or(0);
        let lower = stacks.iter().filter(|other| other.value.wave.unwrap_or(0) < wave);
        edges.extend(lower.map(|other| other.value.name.value.as_str()));
        before.insert(own, edges);
    }
    // What depends on nothing that is left is taken away again and again; a circle stays.
    loop {
        let free: Vec<&str> = before
            .iter()
            .filter(|(_, edges)| edges.iter().all(|edge| !before.contains_key(edge)))
            .map(|(name, _)| *name)
            .collect();
        if free.is_empty() {
            break;
        }
        for name in free {
            before.remove(name);
        }
    }
    // What only leads into a circle is no part of it.
    loop {
        let leading: Vec<&str> = before
            .keys()
            .filter(|name| !before.values().any(|edges| edges.contains(*name)))
            .copied()
            .collect();
        if leading.is_empty() {
            break;
        }
        for name in leading {
            before.remove(name);
        }
    }
    let circle = stacks.iter().find(|stack| before.contains_key(stack.value.name.value.as_str()));
    if let Some(stack) = circle {
        let names: Vec<&str> = before.keys().copied().collect();
        let message = format!("stacks depend on each other in a circle: {}", names.join(", "));
        let hint = Some("remove one of these depends_on, or change a wave".to_owned());
        problems.push(problem(&stack.value.name.location, "DEPENDENCY_CYCLE", message, hint));
    }
}

fn declaration(stack: Spanned<StackDocument>, waves: &[(Name, u32)]) -> StackDeclaration {
    let Spanned { value: stack, location } = stack;
    let wave = stack.wave.unwrap_or(0);
    let lower = waves.iter().filter(|(_, other)| *other < wave).map(|(name, _)| name.clone());
    let mut depends_on: Vec<Name> =
        stack.depends_on.into_iter().flatten().map(|name| name.value).chain(lower).collect();
    depends_on.sort();
    depends_on.dedup();
    let variables = stack.variables.map_or_else(StackVariables::default, |read| StackVariables {
        files: read.files.unwrap_or_default(),
        values: read.values.unwrap_or_default(),
    });
    StackDeclaration {
        name: stack.name.value,
        files: stack.files.into_iter().map(|file| file.value).collect(),
        source: origin(stack.source),
        variables,
        prune: stack.prune.unwrap_or(false),
        domain: stack.domain.map_or_else(|| DEFAULT_DOMAIN.to_owned(), |name| name.to_string()),
        depends_on,
        on_failure: stack.on_failure.unwrap_or_default(),
        rollout: stack.rollout.unwrap_or_default(),
        lint: stack.lint,
        interval: stack.interval.map_or(DEFAULT_INTERVAL, |interval| interval.value),
        location,
    }
}

fn origin(read: Option<OriginDocument>) -> Origin {
    match read {
        Some(OriginDocument { git: Some(git), .. }) => Origin::Git(Box::new(repository(git))),
        Some(OriginDocument { path: Some(path), .. }) => Origin::Folder(path),
        Some(OriginDocument { path: None, git: None }) | None => Origin::Folder(".".to_owned()),
    }
}

fn repository(git: GitDocument) -> GitOrigin {
    let revision = match (git.branch, git.tag, git.commit) {
        (_, _, Some(commit)) => Revision::Commit(commit),
        (_, Some(tag), None) => Revision::Tag(tag),
        (Some(branch), None, None) => Revision::Branch(branch),
        (None, None, None) => Revision::Head,
    };
    GitOrigin {
        url: git.url,
        revision,
        folder: git.path.unwrap_or_default(),
        credentials: git.credentials.map(|read| GitCredentials {
            username: read.username,
            password: read.password,
            ssh_key: read.ssh_key,
            known_hosts: read.known_hosts,
        }),
        allowed_hosts: git.allowed_hosts.unwrap_or_default(),
        allowed_networks: git.allowed_networks.unwrap_or_default(),
        signers: git.signers.map(|read| GitSigners { ssh: read.ssh, openpgp: read.openpgp }),
        comments: git.comments.map(|read| GitComments { token: read.token, api: read.api }),
    }
}
