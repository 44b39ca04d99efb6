//! The mutations, one file for each part of the product.

mod approvals;
mod command_line;
mod containment;
mod crashes;
mod intents;
mod leases;
mod limits;
mod notifier;
mod policy;
mod retries;
mod stacks;
mod trail;

use super::definition::Area;

/// In the order of the page.
pub(super) const AREAS: &[Area] = &[
    leases::AREA,
    intents::AREA,
    approvals::AREA,
    policy::AREA,
    limits::AREA,
    containment::AREA,
    crashes::AREA,
    stacks::AREA,
    retries::AREA,
    trail::AREA,
    notifier::AREA,
    command_line::AREA,
];
