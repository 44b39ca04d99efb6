//! What a running controller says about itself.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use skep_core::containment::Containment;
use skep_core::desired::SourceStatus;

use crate::images::ImageInUse;
use crate::readiness::ReadinessReport;
use crate::report::PassReport;

/// The state of a running controller. Cheap to clone, replaced as a whole.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// True while this process leads.
    pub leader: bool,
    /// The epoch of its leadership.
    pub epoch: Option<i64>,
    /// Who leads, when it is somebody else.
    pub holder: Option<String>,
    /// When the last pass ended.
    pub last_pass_at: Option<Timestamp>,
    /// What it found and did.
    pub last_pass: Option<PassReport>,
    /// Why the last pass failed, when it did.
    pub last_error: Option<String>,
    /// Images of ours whose tag stands for another digest than the one that runs.
    pub image_updates: Vec<ImageInUse>,
    /// When registries were last asked about them.
    pub images_checked_at: Option<Timestamp>,
    /// What people paused and killed, as far as this process leads.
    pub containments: Vec<Containment>,
    /// How each source stands.
    pub sources: Vec<SourceStatus>,
    /// Whether the connectors answer; `None` until that was looked at.
    #[serde(skip)]
    pub readiness: Option<Arc<ReadinessReport>>,
    /// When the swarm was last read.
    pub observed_at: Option<Timestamp>,
    /// Why the picture of the swarm is not fresh, when it is not.
    pub stale_reason: Option<String>,
}
