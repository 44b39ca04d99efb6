//! Budgets of the fleet as a whole. None holds unless a file sets it.

use serde::Serialize;

/// What may happen to the fleet by itself, whatever single rules allow.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Budgets {
    /// Different services changed within the window. Removals count here only while `removed` is
    /// not set.
    pub changed: Option<FleetBudget>,
    /// Different services removed within the window.
    pub removed: Option<FleetBudget>,
    /// Services that may be unavailable at once: what is down now and what is being changed.
    pub unavailable: Option<Share>,
}

/// A share of the fleet within a sliding window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FleetBudget {
    /// How many services.
    #[serde(flatten)]
    pub share: Share,
    /// Sliding window in seconds.
    pub window_s: u64,
}

/// A number of services, a percentage of the fleet, or the smaller of both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Share {
    /// At most this many.
    pub max: Option<u32>,
    /// At most this percentage of the fleet, rounded down: of 19 services 5 % are none.
    pub percent: Option<u32>,
}

impl Share {
    /// Nothing: what a share that cannot be read is taken for.
    pub const NOTHING: Self = Self { max: Some(0), percent: None };

    /// How many services of a fleet of this size; nothing when neither number is given.
    pub fn of(self, services: u64) -> u64 {
        let part = self.percent.map(|percent| {
            // Wide enough for any fleet, so that nothing is cut off.
            let part = u128::from(services) * u128::from(percent) / 100;
            u64::try_from(part).unwrap_or(u64::MAX)
        });
        match (self.max.map(u64::from), part) {
            (Some(max), Some(part)) => max.min(part),
            (Some(most), None) | (None, Some(most)) => most,
            (None, None) => 0,
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.max, self.percent) {
            (Some(max), Some(percent)) => write!(f, "{max} or {percent} % of the fleet"),
            (Some(max), None) => write!(f, "{max}"),
            (None, Some(percent)) => write!(f, "{percent} % of the fleet"),
            (None, None) => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_rounded_down_and_the_smaller_one_holds() {
        let percent = |percent| Share { max: None, percent: Some(percent) };
        assert_eq!(percent(5).of(19), 0);
        assert_eq!(percent(5).of(20), 1);
        assert_eq!(percent(100).of(u64::MAX), u64::MAX);
        assert_eq!(Share { max: Some(3), percent: Some(10) }.of(100), 3);
        assert_eq!(Share { max: Some(3), percent: Some(10) }.of(20), 2);
        assert_eq!(Share::NOTHING.of(1000), 0);
        assert_eq!(Share::default().of(1000), 0);
    }
}
