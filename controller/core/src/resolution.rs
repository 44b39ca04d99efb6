//! Which digest an image's tag stands for: what was found out, and when an earlier finding is used
//! again instead of asking the registry.
//!
//! A registry that comes and goes must not make people decide twice about the same change, and
//! what was approved must be what runs. Both follow from one rule: a finding belongs to the step
//! that was made with it, and an open action keeps its finding.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::action::{Action, ActionState, words};
use crate::identity::ServiceName;
use crate::image::ImageReference;
use crate::plan::{IMAGE, IMAGE_UNRESOLVED, Operation, PLATFORMS, Step};

words! {
    /// When a tag is resolved, as `docker stack deploy --resolve-image` has it.
    ResolveImage {
        /// Every time: a tag that was moved is a difference.
        Always = "always",
        /// When the service is new or another tag is declared than the one that runs.
        Changed = "changed",
        /// Not at all: the tag is written as it is declared.
        Never = "never",
    }
}

/// A platform that an image was built for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Platform {
    /// Go's word for the processor, for example `amd64`; empty for any.
    #[serde(default)]
    pub architecture: String,
    /// Go's word for the system, for example `linux`.
    #[serde(rename = "OS", default)]
    pub os: String,
}

/// A tag and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The tag.
    pub reference: ImageReference,
    /// What it stands for, `sha256:…`.
    pub digest: String,
    /// Where it can run, in the form in which docker writes it into a service.
    pub platforms: Vec<Platform>,
}

impl Resolved {
    /// Keeps of the registry's platforms what docker keeps (docker/cli,
    /// `client/service_create.go`): attestations have the platform `unknown`; nodes do not name
    /// their variant of arm, so it would match none; and variants of one architecture become
    /// equal by that.
    #[must_use]
    pub fn new(reference: ImageReference, digest: String, platforms: Vec<Platform>) -> Self {
        let mut kept: Vec<Platform> = Vec::new();
        for mut platform in platforms {
            if platform.os == "unknown" || platform.architecture == "unknown" {
                continue;
            }
            if platform.architecture.eq_ignore_ascii_case("arm") {
                platform.architecture.clear();
            }
            if !kept.contains(&platform) {
                kept.push(platform);
            }
        }
        Self { reference, digest, platforms: kept }
    }

    /// The tag with its digest.
    #[must_use]
    pub fn pinned(&self) -> ImageReference {
        self.reference.pinned_to(&self.digest)
    }

    /// The value of `Placement.Platforms`; `None` when the registry named none.
    pub(crate) fn platforms_value(&self) -> Option<Value> {
        (!self.platforms.is_empty()).then(|| json!(self.platforms))
    }
}

/// What is known about a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// What it stands for.
    Resolved(Resolved),
    /// It could not be found out; the tag is written as it is.
    Unresolved {
        /// Why, in one sentence.
        reason: String,
    },
}

impl Resolution {
    /// The finding, when there is one.
    #[must_use]
    pub fn resolved(&self) -> Option<&Resolved> {
        match self {
            Self::Resolved(resolved) => Some(resolved),
            Self::Unresolved { .. } => None,
        }
    }
}

/// What planning knows about tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolutions {
    /// When tags are resolved.
    pub mode: ResolveImage,
    /// Only services that need it, see [`crate::plan::needs_resolution`].
    pub services: BTreeMap<ServiceName, Resolution>,
}

impl Resolutions {
    /// Tags are written as they are declared.
    pub const NEVER: Self = Self { mode: ResolveImage::Never, services: BTreeMap::new() };

    /// What is known about the tag that a service declares.
    #[must_use]
    pub fn of(&self, service: &ServiceName, declared: &ImageReference) -> Option<&Resolution> {
        self.services.get(service).filter(|known| match known {
            Resolution::Resolved(resolved) => resolved.reference == *declared,
            Resolution::Unresolved { .. } => true,
        })
    }
}

/// What the newest action of a service means for the question which digest a tag stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Earlier {
    /// The finding that its step was made with is used again; nobody is asked.
    Holds(Resolution),
    /// The registry is asked; if it does not answer, this is used again.
    Unless(Resolved),
    /// The registry is asked.
    SaysNothing,
}

/// Whether a finding that the newest action of a service was made with is used again for `tag`.
#[must_use]
pub fn earlier(mode: ResolveImage, tag: &ImageReference, newest: Option<&Action>) -> Earlier {
    let Some(action) = newest else { return Earlier::SaysNothing };
    let Some(found) = of_step(&action.step, tag) else { return Earlier::SaysNothing };
    let is_decided = matches!(action.state, ActionState::Granted | ActionState::Executing);
    let is_settled = matches!(
        action.state,
        ActionState::Rehearsed | ActionState::Denied | ActionState::Failed | ActionState::Succeeded
    );
    match found {
        // Somebody has decided about the tag as it is; that decision is not taken back because
        // the registry is there again.
        Resolution::Unresolved { .. } if is_decided => Earlier::Holds(found),
        Resolution::Unresolved { .. } => Earlier::SaysNothing,
        Resolution::Resolved(_) if action.state.is_open() && mode == ResolveImage::Changed => {
            Earlier::Holds(found)
        }
        // With `always` a moved tag is another change, and a silent registry is none. The same
        // holds for a change that was denied, rehearsed, failed or undone: silence is no reason to
        // ask a person again.
        Resolution::Resolved(resolved) if action.state.is_open() || is_settled => {
            Earlier::Unless(resolved)
        }
        Resolution::Resolved(_) => Earlier::SaysNothing,
    }
}

/// What the step was made with, if it writes this tag.
#[must_use]
pub fn of_step(step: &Step, tag: &ImageReference) -> Option<Resolution> {
    let (image, platforms) = match &step.operation {
        Operation::Create { spec } => (spec.pointer(IMAGE), spec.pointer(PLATFORMS)),
        Operation::Update { edits } | Operation::Replace { edits } => {
            let value = |pointer: &str| {
                edits
                    .iter()
                    .find(|edit| edit.pointer == pointer)
                    .and_then(|edit| edit.value.as_ref())
            };
            (value(IMAGE), value(PLATFORMS))
        }
        Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        | Operation::ReturnStack { .. }
        | Operation::Remove => return None,
    };
    let written = ImageReference::parse(image?.as_str()?);
    if written.unpinned() != *tag {
        return None;
    }
    let Some(digest) = written.digest else {
        let note = step.notes.iter().find(|note| note.code == IMAGE_UNRESOLVED)?;
        return Some(Resolution::Unresolved { reason: note.message.clone() });
    };
    let platforms = match platforms {
        Some(platforms) => serde_json::from_value(platforms.clone()).ok()?,
        None => Vec::new(),
    };
    Some(Resolution::Resolved(Resolved { reference: tag.clone(), digest, platforms }))
}

#[cfg(test)]
mod tests;
