//! What would be declared if a proposal were merged. Reads nothing anew and keeps nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use skep_core::desired::{Desired, SourceState, SourceStatus};
use skep_core::plan::Masking;
use skep_core::push::PullRequest;
use skep_sources::{LoadedStack, StackSource};

use super::merge::Merge;
use super::repositories::Repositories;
use super::stack::source_name;
use super::{SourceSet, registry};

impl SourceSet {
    /// The stacks whose files would change if a proposal were merged.
    pub(crate) fn proposed_to(&self, proposal: &PullRequest) -> Vec<StackSource> {
        let stacks = self.stacks.all().filter(|stack| stack.is_proposed_to(proposal));
        stacks.map(|stack| stack.source().clone()).collect()
    }

    /// What reads repositories.
    pub(crate) fn repositories(&self) -> Arc<dyn Repositories> {
        self.stacks.repositories()
    }

    /// What is in force, with these stacks in the place of those of the same names; and which of
    /// them are refused, with the reason. `now` says how the other sources stand.
    pub(crate) fn desired_with(
        &self,
        masking: &Masking,
        proposed: &BTreeMap<String, LoadedStack>,
        now: Option<&Desired>,
    ) -> (Desired, BTreeMap<String, String>) {
        let mut merge = Merge::new(masking);
        if let Some(loaded) = self.registry.as_ref().and_then(registry::Registered::value) {
            registry::declare(&loaded.registry, masking, &mut merge);
        }
        for stack in self.stacks.all() {
            let name = stack.declaration().name.as_str();
            let kept = || stack.value().map(Arc::as_ref);
            let loaded = proposed.get(name).or_else(kept);
            let status = SourceStatus {
                name: source_name(name),
                state: SourceState::Ready,
                reason: None,
                commit: loaded.and_then(|one| one.commit()).map(|commit| commit.id.clone()),
            };
            stack.declare_as(status, loaded, &mut merge);
        }
        let mut desired = merge.into_desired();
        let of = |name: &str| {
            let name = source_name(name);
            desired.sources.iter().find(move |status| status.name == name).cloned()
        };
        let refused =
            proposed.keys().filter_map(|name| Some((name.clone(), of(name)?.reason?))).collect();
        // Nothing goes because a source that is not what it should be is taken for one that is.
        if let Some(now) = now {
            let is_proposed = |name: &str| proposed.keys().any(|one| source_name(one) == name);
            let others = now.sources.iter().filter(|status| !is_proposed(&status.name)).cloned();
            desired.sources.retain(|status| is_proposed(&status.name));
            desired.sources.extend(others);
        }
        (desired, refused)
    }
}
