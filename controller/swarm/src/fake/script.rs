//! Which fault meets which call: a queue for the next writes, a script for all calls.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::calls::{CallSite, Fault};

/// Says what happens to a call.
pub struct Script(Box<dyn FnMut(&CallSite) -> Fault + Send>);

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Script")
    }
}

/// How likely what is, in thousandths of all calls that it can happen to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chances {
    /// Reads that lag behind, by one to [`Self::lag`] changes.
    pub stale: u32,
    /// By how much at most.
    pub lag: usize,
    /// Writes that never arrive.
    pub lost: u32,
    /// Writes whose reply never arrives.
    pub reply_lost: u32,
    /// Writes that arrive after their connection has ended.
    pub lands_later: u32,
    /// Writes during which the leader changes.
    pub leader_lost: u32,
    /// Calls that take seconds.
    pub slow: u32,
    /// Calls that never reach the engine.
    pub unreachable: u32,
}

impl Script {
    /// This function decides.
    #[must_use]
    pub fn new(decide: impl FnMut(&CallSite) -> Fault + Send + 'static) -> Self {
        Self(Box::new(decide))
    }

    /// These calls, counted from the first one of the swarm's life, meet these faults.
    #[must_use]
    pub fn at(faults: BTreeMap<usize, Fault>) -> Self {
        Self::new(move |site| faults.get(&site.index).copied().unwrap_or(Fault::Passes))
    }

    /// Faults by chance; the same seed gives the same ones.
    #[must_use]
    pub fn by_seed(seed: u64, chances: Chances) -> Self {
        let mut random = Mixer(seed);
        Self::new(move |site| chances.pick(&mut random, site))
    }
}

impl Chances {
    fn pick(&self, random: &mut Mixer, site: &CallSite) -> Fault {
        let (mut roll, detail) = (random.below(1000), random.next());
        let mut hits = |share: u64| {
            let hit = roll < share;
            roll = roll.saturating_sub(share);
            // Once hit, nothing else can be.
            if hit {
                roll = u64::MAX;
            }
            hit
        };
        let seconds = Duration::from_millis(200 + detail % 4000);
        if hits(self.unreachable.into()) {
            return Fault::Unreachable;
        }
        if hits(self.slow.into()) {
            return Fault::Slow(seconds);
        }
        if !site.call.is_write() {
            let lag = usize::try_from(detail % 1000).unwrap_or(0) % self.lag.max(1) + 1;
            return if hits(self.stale.into()) { Fault::Stale(lag) } else { Fault::Passes };
        }
        for (share, fault) in [
            (self.lost, Fault::Lost),
            (self.reply_lost, Fault::ReplyLost),
            (self.lands_later, Fault::LandsLater(seconds)),
            (self.leader_lost, Fault::LeaderLost(detail % 2 == 0)),
        ] {
            if hits(share.into()) {
                return fault;
            }
        }
        Fault::Passes
    }
}

/// Random numbers that a seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub(super) struct Mixer(pub(super) u64);

impl Mixer {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }
}

/// The faults of the next writes, then what the script says.
#[derive(Default)]
pub(super) struct Faults {
    writes: VecDeque<Fault>,
    script: Option<Script>,
}

impl Faults {
    pub(super) fn push(&mut self, fault: Fault) {
        self.writes.push_back(fault);
    }

    pub(super) fn clear(&mut self) {
        self.writes.clear();
        self.script = None;
    }

    pub(super) fn replace(&mut self, script: Script) {
        self.script = Some(script);
    }

    pub(super) fn of(&mut self, site: &CallSite) -> Fault {
        if site.call.is_write()
            && let Some(fault) = self.writes.pop_front()
        {
            return fault;
        }
        self.script.as_mut().map_or(Fault::Passes, |script| (script.0)(site))
    }
}
