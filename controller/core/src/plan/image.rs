//! Images by digest in a plan: which services need their tag resolved, and how a finding goes into
//! a step.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::diff::{Difference, IMAGE};
use super::pointer::{self, is_within};
use super::{Change, Edit, Note, Operation, PlanInput, Step};
use crate::desired::DesiredService;
use crate::identity::ServiceName;
use crate::image::ImageReference;
use crate::observed::ObservedService;
use crate::resolution::{Resolution, ResolveImage, Resolved};

/// Where an image can run; written together with its digest.
pub(crate) const PLATFORMS: &str = "/TaskTemplate/Placement/Platforms";

/// The code of the note on a step whose tag could not be resolved.
pub const IMAGE_UNRESOLVED: &str = "image_unresolved";

/// The tags that have to be resolved before planning, by service. A declared digest never is, and
/// what is left alone (foreign, in a rollout, ignored) needs none.
#[must_use]
pub fn needs_resolution(input: &PlanInput<'_>) -> BTreeMap<ServiceName, ImageReference> {
    let mode = input.images.mode;
    if mode == ResolveImage::Never {
        return BTreeMap::new();
    }
    let wanted = |name: &ServiceName| input.only.is_none_or(|only| only.contains(name));
    let services = input.desired.services.values().filter(|service| wanted(&service.name));
    services
        .filter_map(|service| {
            let tag = declared_tag(service)?;
            let needs = match input.live(&service.name) {
                None => service.running,
                Some(live) if input.owned.get(&service.name) != Some(&live.id) => false,
                Some(live) if live.update.as_ref().is_some_and(|update| update.is_rolling()) => {
                    false
                }
                Some(live) => {
                    mode == ResolveImage::Always
                        || live_image(live).is_none_or(|live| !tag.is_met_by(&live))
                }
            };
            needs.then(|| (service.name.clone(), tag))
        })
        .collect()
}

/// The tag that a service declares, unless it declares a digest or leaves the image to others.
#[must_use]
pub fn declared_tag(service: &DesiredService) -> Option<ImageReference> {
    let image = ImageReference::parse(service.spec.image()?);
    let is_ignored = service.ignore.iter().any(|ignored| is_within(IMAGE, ignored));
    (image.digest.is_none() && !is_ignored).then_some(image)
}

fn live_image(live: &ObservedService) -> Option<ImageReference> {
    live.spec.image().map(ImageReference::parse)
}

/// What is known about the tag of a service.
pub(super) fn resolution<'a>(
    input: &'a PlanInput<'_>,
    service: &DesiredService,
) -> Option<&'a Resolution> {
    input.images.of(&service.name, &declared_tag(service)?)
}

/// The finding for a service that runs the declared tag with another digest, when tags are always
/// resolved.
pub(super) fn moved<'a>(
    input: &'a PlanInput<'_>,
    service: &DesiredService,
    live: &ObservedService,
) -> Option<&'a Resolved> {
    if input.images.mode != ResolveImage::Always {
        return None;
    }
    let resolved = resolution(input, service)?.resolved()?;
    let live = live_image(live)?;
    (resolved.reference.is_met_by(&live) && live.digest.as_ref() != Some(&resolved.digest))
        .then_some(resolved)
}

/// Puts the digest into a new service's spec.
pub(super) fn pin_spec(spec: &mut Value, resolved: &Resolved) {
    pointer::set(spec, IMAGE, json!(resolved.pinned().to_string()));
    if let Some(platforms) = resolved.platforms_value() {
        pointer::set(spec, PLATFORMS, platforms);
    }
}

/// Puts the digest into a difference that is about the image; any other stays as it is.
pub(super) fn pin(difference: &mut Difference, resolved: &Resolved) {
    let Some(edit) = difference.edits.iter_mut().find(|edit| edit.pointer == IMAGE) else { return };
    let pinned = json!(resolved.pinned().to_string());
    edit.value = Some(pinned.clone());
    for change in difference.changes.iter_mut().filter(|change| change.path == IMAGE) {
        change.after = pinned.clone();
    }
    let platforms = Edit { pointer: PLATFORMS.to_owned(), value: resolved.platforms_value() };
    difference.edits.push(platforms);
    difference.edits.sort_by(|a, b| a.pointer.cmp(&b.pointer));
}

/// The same change without what a registry said: another digest for the tag that is declared is
/// the same difference. Where the tag has moved the digest *is* the difference.
pub(super) fn as_declared(change: &Change) -> Change {
    let image = |value: &Value| value.as_str().map(ImageReference::parse);
    match (image(&change.before), image(&change.after)) {
        (before, Some(after))
            if change.path == IMAGE
                && before.as_ref().is_none_or(|before| before.unpinned() != after.unpinned()) =>
        {
            Change { after: json!(after.unpinned().to_string()), ..change.clone() }
        }
        _ => change.clone(),
    }
}

/// What a person should know about the image of a step.
pub(super) fn note(step: &Step, resolution: Option<&Resolution>) -> Option<Note> {
    let writes_the_image = match &step.operation {
        Operation::Create { .. } => true,
        Operation::Update { edits } | Operation::Replace { edits } => {
            edits.iter().any(|edit| edit.pointer == IMAGE)
        }
        Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        | Operation::ReturnStack { .. }
        | Operation::Remove => false,
    };
    match resolution {
        Some(Resolution::Unresolved { reason }) if writes_the_image => {
            Some(Note { code: IMAGE_UNRESOLVED.to_owned(), message: reason.clone() })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
