//! What the gate counts in: the ledger of decisions, and the fleet as it stands.

use std::collections::BTreeSet;

use super::{LedgerView, Unreadable};

/// Everything that limits and budgets are counted in. What could not be read counts against the
/// action wherever a limit needs it, and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// What was allowed lately.
    pub ledger: Result<&'a LedgerView, Unreadable>,
    /// How large the fleet is and what of it is unavailable.
    pub fleet: Result<&'a FleetView, Unreadable>,
}

impl<'a> Evidence<'a> {
    /// Both views as they were read.
    #[must_use]
    pub fn of(
        ledger: &'a Result<LedgerView, Unreadable>,
        fleet: &'a Result<FleetView, Unreadable>,
    ) -> Self {
        Self { ledger: ledger.as_ref().map_err(|e| *e), fleet: fleet.as_ref().map_err(|e| *e) }
    }
}

/// A ledger without a fleet: enough for a policy without budgets of the fleet.
impl<'a> From<Result<&'a LedgerView, Unreadable>> for Evidence<'a> {
    fn from(ledger: Result<&'a LedgerView, Unreadable>) -> Self {
        Self { ledger, fleet: Err(Unreadable) }
    }
}

/// The fleet in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FleetView {
    services: u64,
    unavailable: BTreeSet<String>,
}

impl FleetView {
    /// A fleet of this many services, of which these are down or being changed.
    #[must_use]
    pub fn new(services: u64, unavailable: impl IntoIterator<Item = String>) -> Self {
        Self { services, unavailable: unavailable.into_iter().collect() }
    }

    /// Counts a service as unavailable: an action that disrupts it was allowed.
    pub fn disrupt(&mut self, target: &str) {
        self.unavailable.insert(target.to_owned());
    }

    /// How many services there are.
    #[must_use]
    pub fn services(&self) -> u64 {
        self.services
    }

    /// Whether this service is down or being changed.
    #[must_use]
    pub fn is_unavailable(&self, target: &str) -> bool {
        self.unavailable.contains(target)
    }

    /// How many services are unavailable.
    #[must_use]
    pub fn unavailable(&self) -> u64 {
        u64::try_from(self.unavailable.len()).unwrap_or(u64::MAX)
    }
}
