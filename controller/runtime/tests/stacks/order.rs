//! Waves and batches: what comes later starts when what comes before is healthy, and not at all
//! when that has failed.

use jiff::SignedDuration;
use skep_core::action::ActionState;
use skep_swarm::fake::EffectKind::{Create, Update};

use crate::world::World;

const START: SignedDuration = SignedDuration::from_secs(10);
const ONE: &str = "- {name: web, files: [web.yml]}\n";
const TWO: &str = "- {name: web, files: [web.yml]}\n\
                   - {name: front, files: [front.yml], depends_on: [web]}\n";

fn eight() -> Vec<(&'static str, &'static str, Option<&'static str>)> {
    ["a", "b", "c", "d", "e", "f", "g", "h"].map(|name| (name, "1", None)).to_vec()
}

#[tokio::test]
async fn a_large_first_rollout_goes_one_then_five_then_the_rest_whoever_leads() {
    let world = World::new(ONE).await;
    world.declare("web", &eight());
    for expected in [1, 6, 8] {
        // As long as nothing becomes healthy, nothing more is started.
        for _ in 0..3 {
            world.pass().await;
        }
        assert_eq!(world.written(Create).len(), expected);
        world.later(START);
    }
    assert_eq!(world.written(Create)[0], "web_a");
    world.settle().await;
    assert!(world.waiting().await.is_empty(), "{:?}", world.waiting().await);
}

#[tokio::test]
async fn a_batch_that_does_not_get_healthy_stops_the_rest_and_says_so() {
    let world = World::new(ONE).await;
    world.declare("web", &eight());
    world.swarm.break_image("x/a:1", "no such image");
    for _ in 0..3 {
        world.pass().await;
        world.later(START);
    }
    assert_eq!(world.written(Create), ["web_a"]);
    let report = world.pass().await;
    let waiting = report
        .waiting
        .iter()
        .find(|one| one.target.as_ref().is_some_and(|name| name.as_str() == "web_h"));
    let waiting = waiting.unwrap_or_else(|| panic!("{:?}", report.waiting));
    let wait = world.newest("web_h").await.unwrap().wait.unwrap();
    assert_eq!((&waiting.code, &waiting.reason), (&wait.code, &wait.reason));
    assert!(wait.reason.contains("web_a") && wait.reason.contains("no such image"), "{wait:?}");

    world.swarm.mend_image("x/a:1");
    world.retry("web_a").await;
    world.settle().await;
    assert_eq!(world.written(Create).len(), 8);
}

#[tokio::test]
async fn at_once_means_at_once() {
    let world = World::new("- {name: web, files: [web.yml], rollout: at_once}\n").await;
    world.declare("web", &eight());
    world.pass().await;
    world.pass().await;
    assert_eq!(world.written(Create).len(), 8);
}

#[tokio::test]
async fn services_that_are_added_to_a_stack_of_long_ago_are_staged_among_themselves() {
    let world = World::new(ONE).await;
    world.declare("web", &[("x", "1", None)]);
    world.settle().await;
    world.swarm.fail_task("web_x", "it has been down for ages");
    world.later(SignedDuration::from_hours(48));
    let all: Vec<_> = eight().into_iter().chain([("x", "1", None)]).collect();
    world.declare("web", &all);
    world.pass().await;
    assert_eq!(world.written(Create).len(), 2, "the old one neither counts nor holds back");
    world.later(START);
    world.pass().await;
    assert_eq!(world.written(Create).len(), 7);
}

#[tokio::test]
async fn the_next_wave_starts_when_the_one_before_is_healthy_and_not_when_it_is_created() {
    let world = World::new(TWO).await;
    world.declare("web", &[("db", "1", None), ("web", "1", Some("db"))]);
    world.declare("front", &[("ui", "1", None)]);
    for expected in [&["web_db"][..], &["web_db", "web_web"], &["web_db", "web_web", "front_ui"]] {
        for _ in 0..3 {
            world.pass().await;
        }
        assert_eq!(world.written(Create), expected);
        world.later(START);
    }
}

#[tokio::test]
async fn a_failed_wave_stops_the_rest_of_its_stack_and_of_those_after_it_until_it_is_corrected() {
    let mut world = World::new(TWO).await;
    world.failure_action = "rollback";
    let declare = |db: &str, tag: &str| {
        world.declare("web", &[("db", db, None), ("web", tag, Some("db"))]);
        world.declare("front", &[("ui", tag, None)]);
    };
    declare("1", "1");
    world.settle().await;
    world.swarm.break_image("x/db:2", "no such image");
    declare("2", "2");
    world.settle().await;
    assert_eq!(world.newest("web_db").await.unwrap().state, ActionState::Failed);
    assert_eq!(world.written(Update), ["web_db"]);
    for service in ["web_web", "front_ui"] {
        let action = world.newest(service).await.unwrap();
        assert_eq!(action.state, ActionState::Granted);
        let wait = action.wait.unwrap();
        assert_eq!(wait.code, "STACK_STOPPED");
        for part in ["web_db", "no such image", "skep service retry web_db", "skep stack rollback"]
        {
            assert!(wait.reason.contains(part), "{}", wait.reason);
        }
        assert_eq!(world.why(service).await.unwrap(), (wait.code, wait.reason));
    }

    // A person may let one of them go on all the same.
    world.retry("web_web").await;
    world.settle().await;
    assert_eq!(world.written(Update), ["web_db", "web_web"]);

    // Another declaration of what failed lets the rest go on.
    declare("3", "2");
    world.settle().await;
    assert_eq!(world.written(Update), ["web_db", "web_web", "web_db", "front_ui"]);
    assert!(world.waiting().await.is_empty(), "{:?}", world.waiting().await);
}

#[tokio::test]
async fn what_nobody_has_decided_yet_says_what_it_would_wait_for() {
    let world = World::new(ONE).await;
    let declare = |tag: &str| {
        world.declare("web", &[("db", tag, None), ("web", tag, Some("db"))]);
    };
    declare("1");
    world.settle().await;
    world.swarm.break_image("x/db:2", "no such image");
    // Only the one that comes after is asked about.
    let asks = "rules:\n- {kind: '*', target: web_web, tier: approval_required}";
    world.policy(&crate::world::ASKS_ABOUT_STACKS.replace("rules:", asks));
    declare("2");
    world.settle().await;
    let asked = world.newest("web_web").await.unwrap();
    assert_eq!(asked.state, ActionState::Pending);
    assert_eq!(asked.wait.unwrap().code, "STACK_STOPPED");
    world.swarm.mend_image("x/db:2");
    world.declare("web", &[("db", "3", None), ("web", "2", Some("db"))]);
    world.settle().await;
    assert_eq!(world.newest("web_web").await.unwrap().wait, None);
}
