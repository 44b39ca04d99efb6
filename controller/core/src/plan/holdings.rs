//! What is ours as a whole, beside its names and ids: what pruning and moves between sources are
//! decided with.

use std::collections::BTreeMap;

use crate::identity::ServiceName;

/// What is known of everything on record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// The most objects that were on record at once within the last day, see
    /// [`super::PruneMark`]. What is on record now counts as well, whatever stands here.
    pub most: usize,
    /// How many objects went in the last 24 hours because nobody wanted them any more. Earlier
    /// versions of what is still declared do not count.
    pub removed: usize,
    /// The stacks that took over what the labels on the swarm still say to be another stack's.
    pub stacks: BTreeMap<ServiceName, String>,
}

impl Holdings {
    /// Nothing is known: what is on record now is all that counts.
    pub const NONE: Self = Self { most: 0, removed: 0, stacks: BTreeMap::new() };

    /// The stack that an object of ours belongs to: by record, else by the label on the swarm.
    pub(super) fn stack<'a>(
        &'a self,
        target: &ServiceName,
        label: Option<&'a str>,
    ) -> Option<&'a str> {
        self.stacks.get(target).map(String::as_str).or(label)
    }
}
