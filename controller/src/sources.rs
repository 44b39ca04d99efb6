//! What the settings and flags declare, as sources of the controller.

use std::path::PathBuf;
use std::sync::Arc;

use skep_crds::stack::Variables;
use skep_crds::value::Name;
use skep_runtime::SourceSet;
use skep_sources::StackSource;

use crate::config::{Config, Environment, table};
use crate::error::{Failure, Result};
use crate::git::GitRepositories;

/// What a command says when no setting names a source.
pub(crate) const NOTHING_DECLARED: &str =
    "nothing is declared: add --registry FILE, or --stacks FILE";

/// Whether the settings name any source.
pub(crate) fn are_named(config: &Config) -> bool {
    [table::REGISTRY, table::STACKS].iter().any(|key| !config.paths(key).is_empty())
}

/// The sources that the settings name, and these stacks.
pub(crate) fn of(config: &Config, environment: &Environment, local: Vec<StackSource>) -> SourceSet {
    let search_path = environment.text("PATH").unwrap_or_default().into();
    let kept = config.path(table::REPOSITORIES).cloned().unwrap_or_else(std::env::temp_dir);
    let repositories = Arc::new(GitRepositories::new(search_path, kept));
    SourceSet::new(
        config.paths(table::REGISTRY).to_vec(),
        config.path(table::OVERLAY).cloned(),
        config.words(table::PROFILES).to_vec(),
    )
    .with_stacks(config.paths(table::STACKS).to_vec(), repositories)
    .with_local_stacks(local)
}

/// The stacks that `NAME=FILE` arguments name; files of one name add to each other.
///
/// # Errors
/// When an argument is not of that form.
pub(crate) fn local(arguments: &[String], variables: &Variables) -> Result<Vec<StackSource>> {
    let mut stacks: Vec<(Name, Vec<PathBuf>)> = Vec::new();
    for argument in arguments {
        let form = || {
            Failure::usage(format!("--stack {argument}: expected NAME=FILE"))
                .next("skep plan --stack web=web.yml")
        };
        let (name, file) = argument.split_once('=').ok_or_else(form)?;
        if file.is_empty() {
            return Err(form());
        }
        let name = Name::parse(name)
            .map_err(|why| Failure::usage(format!("--stack {name}: not a valid name: {why}")))?;
        match stacks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, files)) => files.push(file.into()),
            None => stacks.push((name, vec![file.into()])),
        }
    }
    let source =
        |(name, files): (Name, Vec<PathBuf>)| StackSource::local(name, &files, variables.clone());
    Ok(stacks.into_iter().map(source).collect())
}
