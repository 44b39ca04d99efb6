//! Waves at execution: a service starts when all that it comes after, however far, is done and
//! healthy.

use std::collections::{BTreeMap, BTreeSet};

use crate::desired::{Desired, DesiredStack};
use crate::identity::ServiceName;

/// Why something that is allowed has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// A stable code such as `DEPENDENCY`.
    pub code: &'static str,
    /// For what, in one sentence.
    pub reason: String,
    /// True when it may end by itself soon, false when somebody has to do something first.
    pub ends_soon: bool,
}

/// The code of what waits for another service.
pub const DEPENDENCY: &str = "DEPENDENCY";

/// What every service comes after, with answers that are looked up once.
pub struct Order<'a, F> {
    desired: &'a Desired,
    state: F,
    known: BTreeMap<&'a ServiceName, Option<Wait>>,
}

impl<'a, F> Order<'a, F>
where
    F: FnMut(&ServiceName) -> Option<(String, bool)>,
{
    /// The order of what is declared. `state` says what keeps a service from being done and
    /// healthy, as the end of a sentence that begins with its name, and whether that may end by
    /// itself soon.
    pub fn new(desired: &'a Desired, state: F) -> Self {
        Self { desired, state, known: BTreeMap::new() }
    }

    /// What a service has to wait for.
    pub fn wait(&mut self, name: &ServiceName) -> Option<Wait> {
        let (name, service) = self.desired.services.get_key_value(name)?;
        // What comes after itself, in whichever way, waits for nobody: nothing would ever start.
        let mut path = BTreeSet::from([name]);
        service.depends_on.iter().find_map(|before| self.of(before, &mut path))
    }

    /// What somebody who comes after a service has to wait for: for that one, or for what it comes
    /// after itself.
    fn of(&mut self, name: &ServiceName, path: &mut BTreeSet<&'a ServiceName>) -> Option<Wait> {
        let (name, service) = self.desired.services.get_key_value(name)?;
        if let Some(known) = self.known.get(name) {
            return known.clone();
        }
        if !path.insert(name) {
            return None;
        }
        let own = (self.state)(name).map(|(what, ends_soon)| Wait {
            code: DEPENDENCY,
            reason: format!("waits for {name}, which {what}"),
            ends_soon,
        });
        let wait =
            own.or_else(|| service.depends_on.iter().find_map(|before| self.of(before, path)));
        path.remove(name);
        self.known.insert(name, wait.clone());
        wait
    }
}

/// How many services of the same stack each of its services comes after, at most: 0 for those that
/// come first. Steps that are done do not change it.
#[must_use]
pub fn levels<'a>(desired: &'a Desired, stack: &'a DesiredStack) -> BTreeMap<&'a ServiceName, u32> {
    let mut levels = BTreeMap::new();
    for name in &stack.services {
        level(desired, stack, name, &mut levels, &mut BTreeSet::new());
    }
    levels
}

fn level<'a>(
    desired: &'a Desired,
    stack: &'a DesiredStack,
    name: &'a ServiceName,
    levels: &mut BTreeMap<&'a ServiceName, u32>,
    path: &mut BTreeSet<&'a ServiceName>,
) -> u32 {
    if let Some(level) = levels.get(name) {
        return *level;
    }
    if !path.insert(name) {
        return 0;
    }
    let before = desired.services.get(name).map(|service| service.depends_on.as_slice());
    let own = before
        .unwrap_or_default()
        .iter()
        .filter(|before| stack.services.contains(*before))
        .map(|before| level(desired, stack, before, levels, path).saturating_add(1))
        .max()
        .unwrap_or(0);
    path.remove(name);
    levels.insert(name, own);
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::fixtures::desired;

    fn chain(edges: &[(&str, &[&str])]) -> Desired {
        let mut all = Desired::default();
        for (name, after) in edges {
            let mut service = desired(name);
            service.depends_on = after.iter().map(|name| ServiceName::new(*name)).collect();
            all.services.insert(service.name.clone(), service);
        }
        all
    }

    fn wait(desired: &Desired, name: &str, busy: &[&str]) -> Option<String> {
        let state = |name: &ServiceName| {
            busy.contains(&name.as_str()).then(|| ("is not there yet".to_owned(), true))
        };
        Order::new(desired, state).wait(&ServiceName::new(name)).map(|wait| wait.reason)
    }

    #[test]
    fn what_lies_behind_something_that_is_done_still_counts() {
        let desired = chain(&[("a", &[]), ("b", &["a"]), ("c", &["b"])]);
        assert_eq!(
            wait(&desired, "c", &["a"]).as_deref(),
            Some("waits for a, which is not there yet")
        );
        assert_eq!(wait(&desired, "a", &["a", "b", "c"]), None);
        assert_eq!(wait(&desired, "c", &["c"]), None, "nobody waits for itself");
    }

    #[test]
    fn a_circle_waits_for_no_end() {
        let desired = chain(&[("a", &["b"]), ("b", &["a"])]);
        assert!(wait(&desired, "a", &["b"]).is_some());
        assert_eq!(wait(&desired, "a", &["a"]), None);
        assert_eq!(wait(&desired, "a", &[]), None);
    }

    #[test]
    fn levels_count_what_is_of_the_same_stack() {
        let mut desired = chain(&[("x", &[]), ("a", &["x"]), ("b", &["a"]), ("c", &["a", "b"])]);
        let stack = crate::plan::fixtures::stack("web", &["a", "b", "c"]);
        desired.stacks.insert("web".to_owned(), stack.clone());
        let levels = levels(&desired, &stack);
        let of = |name: &str| levels[&ServiceName::new(name)];
        assert_eq!((of("a"), of("b"), of("c")), (0, 1, 2));
    }
}
