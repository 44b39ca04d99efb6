//! How a controller is told to behave. Defaults are inert: it plans and queues, and its actuator
//! is a dry run.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use skep_core::action::ActuatorMode;
use skep_core::approval::Clocks;
use skep_core::containment::Protected;
use skep_core::identity::{FleetName, ServiceName};
use skep_core::resolution::ResolveImage;
use skep_core::retry::Pace;
use skep_notify::Endpoint;

use crate::previews::{Comments, NoComments};
use crate::readiness::Probing;
use crate::wake::Wake;

/// Behaviour of a controller.
#[derive(Debug, Clone)]
pub struct Options {
    /// The fleet's name; goes into the label `dev.skep.fleet`.
    pub fleet: FleetName,
    /// How authorised steps are carried out.
    pub mode: ActuatorMode,
    /// False: observe and plan only; nothing is proposed and nothing is carried out.
    pub propose: bool,
    /// When the tags of images are resolved to digests.
    pub resolve_image: ResolveImage,
    /// How often registries are asked whether a tag that runs stands for something newer.
    pub image_updates: Duration,
    /// How often a pass runs when nothing wakes it; also the window of `max_actions`.
    pub interval: Duration,
    /// The storm guard: how many actions rules alone may start within one interval.
    pub max_actions: u32,
    /// How many actions run side by side.
    pub max_parallel: usize,
    /// What nobody may stop through Skep.
    pub protected: Protected,
    /// Where a kill without the store was written down.
    pub spool: Option<PathBuf>,
    /// Only these services, when given.
    pub only: Option<BTreeSet<ServiceName>>,
    /// True: file and carry out only what people asked for by hand.
    pub requests_only: bool,
    /// Who this process is, for people: host, process id, command.
    pub holder: String,
    /// How long requests and grants live.
    pub clocks: Clocks,
    /// How `serve` asks connectors whether they answer; `None`: it does not.
    pub probing: Option<Probing>,
    /// Who is told of what people should know, while `serve` leads.
    pub notify: Vec<Arc<Endpoint>>,
    /// What wakes the loop from outside, while this process leads.
    pub wake: Wake,
    /// What writes below pull requests what they would change.
    pub comments: Arc<dyn Comments>,
    /// Whether a pass by hand waits for the rollouts that it began.
    pub wait_for_rollouts: bool,
    /// How long a pass by hand waits for what its actions depend on to come up.
    pub patience: Duration,
    /// How long an action may execute or roll out: a rollout that takes longer has failed, a
    /// request whose outcome is unknown for longer is not tried again.
    pub action_timeout: Duration,
    /// How long failed attempts rest before they are made again.
    pub pace: Pace,
    /// How long a request of which nothing came is looked for before it counts as failed. Longer
    /// than the engine's own limit of 20 s for a write.
    pub conclude_after: Duration,
    /// This machine, for people.
    pub host: String,
    /// How long the lease is valid without renewal.
    pub lease_ttl: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fleet: FleetName::default(),
            mode: ActuatorMode::DryRun,
            propose: true,
            // As `docker stack deploy`, but a tag that did not change is left alone.
            resolve_image: ResolveImage::Changed,
            image_updates: Duration::from_secs(6 * 60 * 60),
            interval: Duration::from_secs(120),
            max_actions: 5,
            // More gains little: the managers apply writes one after another.
            max_parallel: 16,
            protected: Protected::default(),
            spool: None,
            only: None,
            requests_only: false,
            holder: "skep".to_owned(),
            clocks: Clocks::default(),
            probing: None,
            notify: Vec::new(),
            wake: Wake::default(),
            comments: Arc::new(NoComments),
            wait_for_rollouts: true,
            patience: Duration::from_secs(60),
            action_timeout: Duration::from_secs(30 * 60),
            pace: Pace::default(),
            conclude_after: Duration::from_secs(60),
            host: "localhost".to_owned(),
            // Renewed every quarter of it; long enough to survive a slow disk, short enough that
            // a crashed leader is replaced within seconds.
            lease_ttl: Duration::from_secs(6),
        }
    }
}
