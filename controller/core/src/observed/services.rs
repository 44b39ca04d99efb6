//! The services of a snapshot: sorted by name, shared between snapshots.
//!
//! The next snapshot differs in one service of thousands. Runs of services are shared by pointer,
//! so that a changed snapshot costs one run, and what differs between two snapshots is found
//! without looking at the runs that they share.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use super::ObservedService;
use crate::identity::ServiceName;

/// The most services in one run: a change copies as many pointers, and a snapshot of 100,000
/// services clones some hundred.
const LONGEST_RUN: usize = 256;

type Run = Vec<Arc<ObservedService>>;

/// Services by name. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Services {
    /// Never empty ones, in order.
    runs: Vec<Arc<Run>>,
    len: usize,
}

impl Services {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The service of this name.
    #[must_use]
    pub fn get(&self, name: &ServiceName) -> Option<&ObservedService> {
        self.shared(name).map(Arc::as_ref)
    }

    /// The service of this name, to be shared.
    #[must_use]
    pub fn shared(&self, name: &ServiceName) -> Option<&Arc<ObservedService>> {
        let run = self.runs.get(self.run_of(name)?)?;
        run.get(position(run, name).ok()?)
    }

    /// True when there is one of this name.
    #[must_use]
    pub fn contains_key(&self, name: &ServiceName) -> bool {
        self.get(name).is_some()
    }

    /// All in the order of their names.
    pub fn values(&self) -> impl Iterator<Item = &ObservedService> + Clone {
        self.all().map(Arc::as_ref)
    }

    /// All names in order.
    pub fn keys(&self) -> impl Iterator<Item = &ServiceName> + Clone {
        self.values().map(|service| &service.name)
    }

    /// All in the order of their names, to be shared.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ObservedService>> + Clone {
        self.runs.iter().flat_map(|run| run.iter())
    }

    /// The service of this name, to be changed; not its name. Copies it if it is shared.
    pub fn get_mut(&mut self, name: &ServiceName) -> Option<&mut ObservedService> {
        let index = self.run_of(name)?;
        let run = self.runs.get_mut(index)?;
        let position = position(run, name).ok()?;
        Arc::make_mut(run).get_mut(position).map(Arc::make_mut)
    }

    /// All in the order of their names, to be changed.
    #[cfg(test)]
    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut ObservedService> {
        let runs = self.runs.iter_mut().map(Arc::make_mut);
        runs.flat_map(|run| run.iter_mut()).map(Arc::make_mut)
    }

    /// Puts the service in the place of the one of its name, if there is one.
    pub fn insert(&mut self, service: impl Into<Arc<ObservedService>>) {
        let service = service.into();
        let Some(index) = self.run_of(&service.name) else {
            self.runs.push(Arc::new(vec![service]));
            self.len += 1;
            return;
        };
        let Some(run) = self.runs.get_mut(index) else { return };
        let run = Arc::make_mut(run);
        match position(run, &service.name) {
            Ok(position) => {
                if let Some(slot) = run.get_mut(position) {
                    *slot = service;
                }
                return;
            }
            Err(position) => run.insert(position, service),
        }
        self.len += 1;
        if run.len() > LONGEST_RUN {
            let upper = run.split_off(LONGEST_RUN / 2);
            self.runs.insert(index + 1, Arc::new(upper));
        }
    }

    /// Takes the service of this name out.
    pub fn remove(&mut self, name: &ServiceName) -> Option<Arc<ObservedService>> {
        let index = self.run_of(name)?;
        let run = self.runs.get_mut(index)?;
        let position = position(run, name).ok()?;
        let removed = Arc::make_mut(run).remove(position);
        if run.is_empty() {
            self.runs.remove(index);
        }
        self.len -= 1;
        Some(removed)
    }

    /// The names of services that are not one and the same object here and there: created,
    /// removed, or read anew with another content.
    #[must_use]
    pub fn differing(&self, other: &Self) -> BTreeSet<ServiceName> {
        let mut differing = BTreeSet::new();
        let shared: BTreeSet<*const Run> = other.runs.iter().map(Arc::as_ptr).collect();
        let both: BTreeSet<*const Run> =
            self.runs.iter().map(Arc::as_ptr).filter(|run| shared.contains(run)).collect();
        // A run that both have holds the same names in the same place of the order.
        let rest = |services: &'_ Self| -> Vec<Arc<ObservedService>> {
            let own = services.runs.iter().filter(|run| !both.contains(&Arc::as_ptr(run)));
            own.flat_map(|run| run.iter().cloned()).collect()
        };
        let (ours, theirs) = (rest(self), rest(other));
        let (mut ours, mut theirs) = (ours.iter().peekable(), theirs.iter().peekable());
        loop {
            let order = match (ours.peek(), theirs.peek()) {
                (None, None) => return differing,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(one), Some(other)) => one.name.cmp(&other.name),
            };
            let one = if order.is_le() { ours.next() } else { None };
            let other = if order.is_ge() { theirs.next() } else { None };
            if let (Some(one), Some(other)) = (one, other)
                && (Arc::ptr_eq(one, other) || one == other)
            {
                continue;
            }
            differing.extend(one.or(other).map(|service| service.name.clone()));
        }
    }

    /// The run in which this name is or would be; none when there is no run.
    fn run_of(&self, name: &ServiceName) -> Option<usize> {
        let after = self.runs.partition_point(|run| {
            run.first().is_some_and(|first| first.name.as_str() <= name.as_str())
        });
        (!self.runs.is_empty()).then(|| after.saturating_sub(1))
    }
}

fn position(run: &Run, name: &ServiceName) -> Result<usize, usize> {
    run.binary_search_by(|service| service.name.cmp(name))
}

impl FromIterator<Arc<ObservedService>> for Services {
    /// Of several with one name the last one stays.
    fn from_iter<I: IntoIterator<Item = Arc<ObservedService>>>(services: I) -> Self {
        let mut sorted: Run = services.into_iter().collect();
        sorted.reverse();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        sorted.dedup_by(|later, earlier| later.name == earlier.name);
        let len = sorted.len();
        // Half full, so that an insertion has room.
        let runs = sorted.chunks(LONGEST_RUN / 2).map(|run| Arc::new(run.to_vec())).collect();
        Self { runs, len }
    }
}

impl FromIterator<ObservedService> for Services {
    fn from_iter<I: IntoIterator<Item = ObservedService>>(services: I) -> Self {
        services.into_iter().map(Arc::new).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use jiff::Timestamp;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::identity::SwarmId;
    use crate::observed::TaskSummary;

    fn service(number: u16, version: u64) -> ObservedService {
        ObservedService {
            id: SwarmId::new(format!("id-{number}")),
            name: ServiceName::new(format!("s{number}")),
            version,
            spec: json!({}).into(),
            ports: Vec::new(),
            update: None,
            tasks: TaskSummary::default(),
            updated_at: Timestamp::UNIX_EPOCH,
            returns_to: Vec::new(),
        }
    }

    #[test]
    fn of_one_name_the_last_one_stays() {
        let services: Services = [service(1, 1), service(1, 2)].into_iter().collect();
        assert_eq!((services.len(), services.get(&"s1".into()).unwrap().version), (1, 2));
    }

    proptest! {
        /// Whatever is done to it, it is a map; and the difference to where it started is exact.
        #[test]
        fn it_is_a_sorted_map(
            first in prop::collection::vec(0_u16..900, 0..900),
            changes in prop::collection::vec((0_u16..900, 0_u8..3), 0..300),
        ) {
            let before: Services = first.iter().map(|number| service(*number, 1)).collect();
            let old: BTreeMap<ServiceName, u64> =
                before.values().map(|one| (one.name.clone(), one.version)).collect();
            let (mut services, mut expected) = (before.clone(), old.clone());
            for (number, what) in changes {
                let changed = service(number, 2);
                let name = changed.name.clone();
                match what {
                    0 => {
                        services.insert(changed);
                        expected.insert(name, 2);
                    }
                    1 => {
                        let removed = services.remove(&name).map(|one| one.version);
                        prop_assert_eq!(removed, expected.remove(&name));
                    }
                    _ => {
                        if let Some(found) = services.get_mut(&name) {
                            found.version = 3;
                        }
                        expected.entry(name).and_modify(|version| *version = 3);
                    }
                }
            }
            let found: Vec<_> =
                services.values().map(|one| (one.name.clone(), one.version)).collect();
            prop_assert_eq!(&found, &expected.clone().into_iter().collect::<Vec<_>>());
            prop_assert_eq!(services.len(), expected.len());
            for (name, version) in &expected {
                prop_assert_eq!(services.get(name).map(|one| one.version), Some(*version));
            }
            let names = old.keys().chain(expected.keys());
            let differing: BTreeSet<_> =
                names.filter(|name| old.get(*name) != expected.get(*name)).cloned().collect();
            prop_assert_eq!(services.differing(&before), differing.clone());
            prop_assert_eq!(before.differing(&services), differing);
        }
    }
}
