use super::*;
use crate::action::ActuatorMode;
use crate::approval::{Clocks, Proposal, granted};
use crate::gate::fixtures::{create, noon, policy, update, verdict};
use crate::identity::{ActionId, ClusterId, ObjectKey, PlanId};
use crate::plan::Note;

const DIGEST: &str = "sha256:2222222222222222222222222222222222222222222222222222222222222222";

fn platform(os: &str, architecture: &str) -> Platform {
    Platform { os: os.to_owned(), architecture: architecture.to_owned() }
}

fn tag() -> ImageReference {
    ImageReference::parse("example/web:2")
}

#[test]
fn platforms_are_kept_as_docker_keeps_them() {
    let raw = vec![
        platform("linux", "amd64"),
        platform("unknown", "unknown"),
        platform("linux", "arm"),
        platform("linux", "ARM"),
        platform("linux", "arm64"),
        platform("linux", "amd64"),
    ];
    let resolved = Resolved::new(tag(), DIGEST.to_owned(), raw);
    let kept = [platform("linux", "amd64"), platform("linux", ""), platform("linux", "arm64")];
    assert_eq!(resolved.platforms, kept);
    assert_eq!(Resolved::new(tag(), DIGEST.to_owned(), vec![]).platforms_value(), None);
}

/// The newest action of a service, in this state, for this step.
fn action(step: &Step, state: ActionState) -> Action {
    let policy = policy("rules: [{tier: auto}]");
    let proposal = Proposal {
        id: &ActionId::new("action1"),
        key: &ObjectKey::service(&ClusterId::new("cluster1"), &step.target),
        plan: &PlanId::new("plan1"),
        step,
        verdict: &verdict(&policy, step, ActuatorMode::Swarm, noon()),
        mode: ActuatorMode::Swarm,
        actor: "reconciler@host",
        now: noon(),
    };
    Action { state, ..granted(&proposal, &Clocks::default()).unwrap() }
}

fn pinned() -> Step {
    let platforms = json!([{"Architecture": "amd64", "OS": "linux"}]);
    update(
        "web",
        &[(IMAGE, Some(json!(format!("example/web:2@{DIGEST}")))), (PLATFORMS, Some(platforms))],
    )
}

fn unpinned() -> Step {
    let mut step =
        create("web", json!({"TaskTemplate": {"ContainerSpec": {"Image": "example/web:2"}}}));
    let message = "the registry is away".to_owned();
    step.notes = vec![Note { code: IMAGE_UNRESOLVED.to_owned(), message }];
    step
}

fn resolved() -> Resolved {
    Resolved::new(tag(), DIGEST.to_owned(), vec![platform("linux", "amd64")])
}

#[test]
fn a_step_tells_what_it_was_made_with() {
    assert_eq!(of_step(&pinned(), &tag()), Some(Resolution::Resolved(resolved())));
    let reason = "the registry is away".to_owned();
    assert_eq!(of_step(&unpinned(), &tag()), Some(Resolution::Unresolved { reason }));
    let other = ImageReference::parse("example/web:3");
    assert_eq!((of_step(&pinned(), &other), of_step(&unpinned(), &other)), (None, None));
    assert_eq!(of_step(&update("web", &[("/Labels/a", None)]), &tag()), None);
    let created = create(
        "web",
        json!({
            "TaskTemplate": {"ContainerSpec": {"Image": format!("example/web:2@{DIGEST}")}},
        }),
    );
    let without = Resolved { platforms: Vec::new(), ..resolved() };
    assert_eq!(of_step(&created, &tag()), Some(Resolution::Resolved(without)));
}

#[test]
fn an_open_action_keeps_its_finding_unless_tags_are_always_resolved() {
    use ActionState as S;
    let holds = Earlier::Holds(Resolution::Resolved(resolved()));
    let unless = Earlier::Unless(resolved());
    for (state, changed, always) in [
        (S::Pending, &holds, &unless),
        (S::Granted, &holds, &unless),
        (S::Executing, &holds, &unless),
        (S::Rehearsed, &unless, &unless),
        (S::Denied, &unless, &unless),
        (S::Failed, &unless, &unless),
        (S::Succeeded, &unless, &unless),
        (S::Superseded, &Earlier::SaysNothing, &Earlier::SaysNothing),
        (S::Expired, &Earlier::SaysNothing, &Earlier::SaysNothing),
    ] {
        let newest = action(&pinned(), state);
        assert_eq!(&earlier(ResolveImage::Changed, &tag(), Some(&newest)), changed, "{state}");
        assert_eq!(&earlier(ResolveImage::Always, &tag(), Some(&newest)), always, "{state}");
        let other = ImageReference::parse("example/web:3");
        let says = earlier(ResolveImage::Changed, &other, Some(&newest));
        assert_eq!(says, Earlier::SaysNothing, "{state}");
    }
    assert_eq!(earlier(ResolveImage::Changed, &tag(), None), Earlier::SaysNothing);
}

#[test]
fn a_request_without_a_digest_is_replaced_until_somebody_has_decided() {
    use ActionState as S;
    for (state, is_kept) in [
        (S::Pending, false),
        (S::Granted, true),
        (S::Executing, true),
        (S::Denied, false),
        (S::Failed, false),
    ] {
        let says = earlier(ResolveImage::Changed, &tag(), Some(&action(&unpinned(), state)));
        assert_eq!(
            matches!(says, Earlier::Holds(Resolution::Unresolved { .. })),
            is_kept,
            "{state}"
        );
        assert_eq!(says == Earlier::SaysNothing, !is_kept, "{state}");
    }
}
