//! Random histories through the whole act path: people approve, deny, take back and change what is
//! declared; others meddle; the policy, a freeze, the actuator and the clock move; two leaders pass
//! over it, are stopped in any call, outlived, killed and resumed. An oracle of its own
//! ([`oracle`]) says of each write what covers it.

mod history;
mod oracle;
mod truth;

pub use self::history::history_of;

/// What a history came to.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Told {
    /// Writes that had an effect.
    pub executions: usize,
    /// Actions that a dry run carried out.
    pub rehearsals: usize,
    /// Intents that were stored.
    pub intents: usize,
    /// Creates that arrived after what they were decided for had gone back to the queue: the
    /// engine's create takes no Version.
    pub residual: usize,
    /// What happened, line by line: the same for the same seed.
    pub trace: Vec<String>,
    /// What should not have happened.
    pub wrong: Vec<String>,
}
