use serde_json::{Value, json};

use super::*;
use crate::action::ActionKind;
use crate::plan::fixtures::{World, set};
use crate::plan::{DriftClass, Finding, plan, plan_key};
use crate::resolution::{Platform, Resolutions};

const OLD: &str = "sha256:1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn name(text: &str) -> ServiceName {
    ServiceName::new(text)
}

fn platform(architecture: &str) -> Platform {
    Platform { architecture: architecture.to_owned(), os: "linux".to_owned() }
}

fn found(tag: &str, digest: &str) -> Resolution {
    let tag = ImageReference::parse(tag);
    Resolution::Resolved(Resolved::new(tag, digest.to_owned(), vec![platform("amd64")]))
}

fn unresolved() -> Resolution {
    Resolution::Unresolved { reason: "the registry is away".to_owned() }
}

fn knowing(mode: ResolveImage, known: &[(&str, Resolution)]) -> Resolutions {
    let services = known.iter().map(|(service, known)| (name(service), known.clone())).collect();
    Resolutions { mode, services }
}

/// `web` is declared with `example/web:2` and runs `image`.
fn running(image: &str) -> World {
    let mut world = World::new();
    set(&mut world.declare("web").spec, IMAGE, json!("example/web:2"));
    let live = world.deploy("web");
    set(&mut live.spec, IMAGE, json!(image));
    world
}

fn step(world: &World) -> Option<Step> {
    plan_key(&world.input(), &name("web")).into_step()
}

fn edit<'a>(step: &'a Step, pointer: &str) -> Option<&'a Value> {
    let Operation::Update { edits } = &step.operation else { panic!("no update: {step:?}") };
    edits.iter().find(|edit| edit.pointer == pointer).and_then(|edit| edit.value.as_ref())
}

#[test]
fn a_new_service_gets_the_digest_and_the_platforms() {
    let mut world = World::new();
    world.declare("web");
    world.images = knowing(ResolveImage::Changed, &[("web", found("example/web:latest", NEW))]);
    let step = step(&world).unwrap();
    let Operation::Create { spec } = &step.operation else { panic!("{step:?}") };
    assert_eq!(spec.pointer(IMAGE).unwrap(), &json!(format!("example/web:latest@{NEW}")));
    assert_eq!(
        spec.pointer(PLATFORMS).unwrap(),
        &json!([{"Architecture": "amd64", "OS": "linux"}])
    );
    let shown = step.changes.iter().find(|change| change.path == IMAGE).unwrap();
    assert_eq!(shown.after, json!(format!("example/web:latest@{NEW}")));
    assert!(step.notes.is_empty());
    let other = {
        let mut world = world;
        world.images = knowing(ResolveImage::Changed, &[("web", found("example/web:latest", OLD))]);
        self::step(&world).unwrap()
    };
    assert_ne!(step.digest, other.digest, "an approval holds for one digest");
}

#[test]
fn what_cannot_be_resolved_is_written_as_it_is_with_a_note() {
    for image in ["example/web:1", ""] {
        let mut world = running(image);
        if image.is_empty() {
            world.observed.services = crate::observed::Services::default();
            world.owned.clear();
        }
        world.images = Resolutions { mode: ResolveImage::Changed, ..Resolutions::NEVER };
        let silent = step(&world).unwrap();
        world.images = knowing(ResolveImage::Changed, &[("web", unresolved())]);
        let step = step(&world).unwrap();
        assert_eq!(step.notes.len(), 1, "{image}");
        assert_eq!(step.notes[0].code, IMAGE_UNRESOLVED);
        assert_eq!(step.operation, silent.operation);
        assert_eq!(step.digest, silent.digest, "a note decides nothing");
    }
}

#[test]
fn another_tag_is_pinned_and_the_reason_is_short() {
    let mut world = running(&format!("example/web:1@{OLD}"));
    world.images = knowing(ResolveImage::Changed, &[("web", found("example/web:2", NEW))]);
    let step = step(&world).unwrap();
    assert_eq!((step.action, step.class), (ActionKind::DeployService, DriftClass::Image));
    assert_eq!(edit(&step, IMAGE), Some(&json!(format!("example/web:2@{NEW}"))));
    assert_eq!(edit(&step, PLATFORMS), Some(&json!([{"Architecture": "amd64", "OS": "linux"}])));
    assert_eq!(
        step.reason,
        "image example/web:1@sha256:111111111111 -> example/web:2@sha256:222222222222"
    );
}

#[test]
fn the_same_digest_under_another_tag_is_still_another_image() {
    for mode in [ResolveImage::Changed, ResolveImage::Always] {
        let mut world = running(&format!("example/web:1@{NEW}"));
        world.images = knowing(mode, &[("web", found("example/web:2", NEW))]);
        assert_eq!(
            edit(&step(&world).unwrap(), IMAGE),
            Some(&json!(format!("example/web:2@{NEW}"))),
            "{mode}"
        );
    }
}

#[test]
fn a_moved_tag_is_a_difference_only_when_tags_are_always_resolved() {
    let mut world = running(&format!("example/web:2@{OLD}"));
    let known = [("web", found("example/web:2", NEW))];
    for mode in [ResolveImage::Changed, ResolveImage::Never] {
        world.images = knowing(mode, &known);
        assert_eq!(step(&world), None, "{mode}");
    }
    world.images = knowing(ResolveImage::Always, &known);
    let moved = step(&world).unwrap();
    assert_eq!(moved.class, DriftClass::Image);
    assert_eq!(edit(&moved, IMAGE), Some(&json!(format!("example/web:2@{NEW}"))));
    world.images = knowing(ResolveImage::Always, &[("web", found("example/web:2", OLD))]);
    assert_eq!(step(&world), None);
    // Nobody knows whether it moved: nothing is done, and the plan says so.
    world.images = knowing(ResolveImage::Always, &[("web", unresolved())]);
    let plan = plan(&world.input());
    assert!(plan.steps.is_empty());
    assert_eq!(plan.waiting[0].code, "IMAGE_UNRESOLVED");
    assert!(plan.waiting[0].reason.contains("the registry is away"));
}

#[test]
fn a_finding_about_another_tag_or_a_change_elsewhere_pins_nothing() {
    let mut world = running("example/web:1");
    world.images = knowing(ResolveImage::Changed, &[("web", found("example/web:3", NEW))]);
    assert_eq!(edit(&step(&world).unwrap(), IMAGE), Some(&json!("example/web:2")));
    let mut world = running(&format!("example/web:2@{OLD}"));
    world.images = knowing(ResolveImage::Changed, &[("web", found("example/web:2", NEW))]);
    let live = world.observed.services.get_mut(&name("web")).unwrap();
    set(&mut live.spec, "/Labels/team", json!("b"));
    let elsewhere = step(&world).unwrap();
    assert_eq!((edit(&elsewhere, IMAGE), edit(&elsewhere, PLATFORMS)), (None, None));
}

#[test]
fn only_what_may_be_written_is_asked_for() {
    let mut world = running("example/web:1");
    world.declare("same");
    world.deploy("same");
    world.declare("new");
    world.declare("stopped").running = false;
    world.declare("foreign");
    world.put_foreign("foreign");
    set(&mut world.declare("pinned").spec, IMAGE, json!(format!("example/pinned:1@{NEW}")));
    world.declare("ignored").ignore = vec![IMAGE.to_owned()];
    let asked = |world: &World| {
        needs_resolution(&world.input())
            .into_keys()
            .map(|name| name.to_string())
            .collect::<Vec<_>>()
    };
    assert!(asked(&world).is_empty(), "never");
    world.images.mode = ResolveImage::Changed;
    assert_eq!(asked(&world), ["new", "web"]);
    world.images.mode = ResolveImage::Always;
    assert_eq!(asked(&world), ["new", "same", "web"]);
    let live = world.observed.services.get_mut(&name("web")).unwrap();
    live.update = Some(crate::observed::UpdateStatus {
        state: "updating".to_owned(),
        message: String::new(),
        started_at: None,
    });
    assert_eq!(asked(&world), ["new", "same"]);
    assert!(matches!(plan_key(&world.input(), &name("web")), Finding::Waiting(_)));
}

#[test]
fn adopting_shows_no_digest_as_a_difference() {
    let mut world = World::new();
    world.declare("web");
    let live = world.put_foreign("web");
    set(&mut live.spec, IMAGE, json!(format!("example/web:latest@{OLD}")));
    world.images = knowing(ResolveImage::Always, &[("web", found("example/web:latest", NEW))]);
    let step = step(&world).unwrap();
    assert_eq!((step.action, step.changes.len()), (ActionKind::AdoptService, 0));
}

#[test]
fn what_a_registry_says_makes_no_other_difference_unless_the_tag_has_moved() {
    let difference = |world: &World| step(world).unwrap().difference.unwrap();
    let mut world = running(&format!("example/web:1@{OLD}"));
    let mut seen = Vec::new();
    for known in [found("example/web:2", OLD), found("example/web:2", NEW), unresolved()] {
        world.images = knowing(ResolveImage::Changed, &[("web", known)]);
        seen.push(difference(&world));
    }
    seen.dedup();
    assert_eq!(seen.len(), 1, "what a person holds back stays held back");
    let mut world = running(&format!("example/web:2@{OLD}"));
    world.images = knowing(ResolveImage::Always, &[("web", found("example/web:2", NEW))]);
    let moved = difference(&world);
    let again = NEW.replace('2', "3");
    world.images = knowing(ResolveImage::Always, &[("web", found("example/web:2", &again))]);
    assert_ne!(difference(&world), moved);
}
