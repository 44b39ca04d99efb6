//! The loop with I/O: it observes, plans, asks the gate, acts through the actuator and records.
//!
//! Decisions are made in `skep-core`; this crate fetches what they need and carries out what they
//! allow. A trigger (event, approval, timer, changed file) only wakes the loop; every pass looks
//! at the world again.

mod announcements;
mod attempts;
mod backoff;
mod contain;
mod controller;
mod disruption;
mod error;
pub mod history;
mod images;
mod leader;
mod metrics;
mod notify;
mod options;
mod policy;
mod previews;
mod rate;
mod readiness;
mod reconcile;
mod refusals;
mod report;
mod rollout;
mod serve;
mod settle;
mod sources;
mod stacks;
mod status;
mod survey;
mod system;
mod updates;
mod waits;
mod wake;
mod workers;

pub use self::announcements::is_of_stack;
pub use self::contain::{SpoolError, SpooledKill, WithoutStore};
pub use self::controller::{Controller, Parts, Planned};
pub use self::error::Error;
pub use self::images::ImageInUse;
pub use self::metrics::Metrics;
pub use self::options::Options;
pub use self::policy::PolicySource;
pub use self::previews::{Comments, NoComments};
pub use self::readiness::{Probing, ReadinessReport, ask, ask_all};
pub use self::report::{ActionReport, PassReport};
pub use self::sources::{NoRepositories, Repositories, SourceSet, StackOrigin};
pub use self::status::Status;
pub use self::survey::Survey;
pub use self::system::{SystemClock, SystemRandom};
pub use self::wake::Wake;
