//! Images by digest, with I/O: what tags stand for when a plan is made, and which images run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use skep_core::action::Action;
use skep_core::identity::ServiceName;
use skep_core::image::ImageReference;
use skep_core::observed::Snapshot;
use skep_core::plan::needs_resolution;
use skep_core::resolution::{Earlier, Resolution, Resolutions, earlier};
use skep_images::{Ask, Resolver};
use skep_store::ActionFilter;

use crate::Error;
use crate::controller::Context;
use crate::reconcile::World;

/// What the tags that planning needs stand for. Without such a tag nothing is read or asked.
pub(crate) async fn resolutions(context: &Context, world: &World) -> Result<Resolutions, Error> {
    let mode = context.options.resolve_image;
    let mut known = Resolutions { mode, services: BTreeMap::new() };
    let needed = needs_resolution(&world.input(context));
    if needed.is_empty() {
        return Ok(known);
    }
    let newest = newest_actions(context, world, &needed).await?;
    let mut fallbacks = BTreeMap::new();
    let mut open = BTreeMap::new();
    for (name, tag) in needed {
        match earlier(mode, &tag, newest.get(&name)) {
            Earlier::Holds(resolution) => drop(known.services.insert(name, resolution)),
            Earlier::Unless(resolved) => {
                fallbacks.insert(name.clone(), resolved);
                open.insert(name, tag);
            }
            Earlier::SaysNothing => drop(open.insert(name, tag)),
        }
    }
    let answers = context.images.resolve(&open.values().cloned().collect(), Ask::Remembered).await;
    for (name, tag) in open {
        let Some(answer) = answers.get(&tag) else { continue };
        let answer = match fallbacks.remove(&name) {
            Some(earlier) if answer.resolved().is_none() => Resolution::Resolved(earlier),
            Some(_) | None => answer.clone(),
        };
        known.services.insert(name, answer);
    }
    Ok(known)
}

/// The newest action of each service whose tag is needed.
async fn newest_actions(
    context: &Context,
    world: &World,
    needed: &BTreeMap<ServiceName, ImageReference>,
) -> Result<BTreeMap<ServiceName, Action>, Error> {
    let filter = ActionFilter { latest_per_key: true, ..ActionFilter::default() };
    let actions = context.store.actions(&filter).await?;
    let ours = actions.into_iter().filter(|action| action.key.cluster == world.snapshot.cluster);
    let named = ours.map(|action| (ServiceName::new(action.key.name.as_str()), action));
    Ok(named.filter(|(name, _)| needed.contains_key(name)).collect())
}

/// An image that services run, and what its tag stands for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageInUse {
    /// The image as its tag says.
    pub image: String,
    /// The services that run it, in order.
    pub services: Vec<ServiceName>,
    /// The digest that they are pinned to; `None` when they follow the tag.
    pub running: Option<String>,
    /// What the tag stands for now; `None` when nobody asked or nobody knows.
    pub newest: Option<String>,
    /// Whether the two differ, when both are known.
    pub update_available: Option<bool>,
    /// Why the newest digest is not known, when it was asked for.
    pub problem: Option<String>,
    #[serde(skip)]
    reference: ImageReference,
}

/// The images of some services, each tag and digest once.
pub(crate) fn in_use(
    snapshot: &Snapshot,
    is_meant: impl Fn(&ServiceName) -> bool,
) -> Vec<ImageInUse> {
    let mut images: BTreeMap<(ImageReference, Option<String>), Vec<ServiceName>> = BTreeMap::new();
    for service in snapshot.services.values().filter(|service| is_meant(&service.name)) {
        if let Some(image) = service.spec.image().map(ImageReference::parse) {
            let key = (image.unpinned(), image.digest);
            images.entry(key).or_default().push(service.name.clone());
        }
    }
    let in_use = |((image, running), services): ((ImageReference, _), _)| ImageInUse {
        image: image.familiar(),
        services,
        running,
        newest: None,
        update_available: None,
        problem: None,
        reference: image,
    };
    images.into_iter().map(in_use).collect()
}

/// Asks for each tag what it stands for now. An image without a tag cannot have moved.
pub(crate) async fn look_up(resolver: &Resolver, images: &mut [ImageInUse]) {
    let tag_of =
        |image: &ImageInUse| image.reference.tag.is_some().then(|| image.reference.clone());
    let tags: BTreeSet<ImageReference> = images.iter().filter_map(tag_of).collect();
    let answers = resolver.resolve(&tags, Ask::Anew).await;
    for image in images {
        match tag_of(image).and_then(|tag| answers.get(&tag)) {
            Some(Resolution::Resolved(resolved)) => {
                let newest = &resolved.digest;
                image.update_available = image.running.as_ref().map(|running| running != newest);
                image.newest = Some(newest.clone());
            }
            Some(Resolution::Unresolved { reason }) => image.problem = Some(reason.clone()),
            None => {}
        }
    }
}
