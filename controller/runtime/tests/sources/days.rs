//! A declaration that shrinks by a fifth again and again: within a day no more goes by itself than
//! the budget, whoever leads, whenever the process restarts, and however the clock is set.

use jiff::SignedDuration;
use skep_core::action::ActionState;

use crate::world::{World, services};

const DAY: SignedDuration = SignedDuration::from_hours(24);

async fn gone(world: &World) -> usize {
    let removals = world.removals().await;
    removals.iter().filter(|(_, state)| *state == ActionState::Succeeded).count()
}

async fn fleet(count: usize) -> World {
    let world = World::new();
    world.write("stacks.yml", "stacks:\n- {name: web, files: [web.yml], prune: true}\n");
    world.write("web.yml", &services(0..count));
    world.settle().await;
    assert_eq!(world.recorded().await.len(), count + 1, "and a network");
    world
}

#[tokio::test]
async fn shrinking_again_and_again_removes_a_days_budget_and_asks_for_the_rest() {
    let world = fleet(40).await;
    let mut left = 40;
    let mut days = Vec::new();
    for day in 0..3 {
        let before = gone(&world).await;
        for hour in 0..8 {
            // By 19 %: below every limit that looks at one step alone.
            left -= left * 19 / 100;
            world.write("web.yml", &services(0..left));
            let report = world.pass().await;
            let asked = world.asked().await;
            assert_eq!(gone(&world).await, (day + 1) * 3, "day {day}, hour {hour}: {report:#?}");
            assert!(asked.iter().all(|why| why.contains("would go within a day")));
            world.later(SignedDuration::from_hours(1));
            // Nobody answers, and nobody leads for long.
            world.pass().await;
        }
        days.push(gone(&world).await - before);
        // The requests of the day lapse with it.
        world.later(DAY + SignedDuration::from_mins(1));
    }
    assert_eq!(days, [3, 3, 3]);
    assert_eq!(world.swarm.removals(), 9);
    // A person says yes to what is asked: then it goes, all of it.
    let left = left + 1;
    world.settle().await;
    assert_eq!(world.recorded().await.len(), left);
}

#[tokio::test]
async fn a_clock_that_is_set_back_begins_no_new_day() {
    let world = fleet(20).await;
    world.write("web.yml", &services(0..10));
    world.pass().await;
    assert_eq!(gone(&world).await, 3);
    for back in [1, 25, 24 * 40] {
        world.later(SignedDuration::from_hours(-back));
        world.write("web.yml", &services(0..9));
        world.pass().await;
        world.pass().await;
        assert_eq!(gone(&world).await, 3, "{back} hours back");
    }
}

#[tokio::test]
async fn what_is_made_again_is_no_new_budget() {
    let world = fleet(20).await;
    world.write("web.yml", &services(0..17));
    world.pass().await;
    assert_eq!(gone(&world).await, 3);
    // The record is as large as before.
    world.write("web.yml", &services(0..20));
    world.settle().await;
    world.write("web.yml", &services(0..17));
    world.pass().await;
    assert_eq!((gone(&world).await, world.pending().await.len()), (3, 3));
}

#[tokio::test]
async fn what_vanishes_in_another_way_counts_as_gone() {
    let world = fleet(20).await;
    // Released by the thousand, or lost with a database: what is on record shrinks.
    let store = world.store().await;
    let cluster = skep_store::Ownership::owned_clusters(&store).await.unwrap().remove(0);
    let owned = skep_store::Ownership::owned(&store, &cluster).await.unwrap();
    assert_eq!(owned.len(), 21);
    let mark = skep_store::Prunes::prune_mark(&store, &cluster).await.unwrap().unwrap();
    assert_eq!((mark.most, mark.left_at), (21, None));
    sqlx::query("DELETE FROM ownership WHERE object_name IN ('web_s18', 'web_s19')")
        .execute(&sqlx::SqlitePool::connect(world.path("skep.db").to_str().unwrap()).await.unwrap())
        .await
        .unwrap();
    world.write("web.yml", &services(0..15));
    world.pass().await;
    assert_eq!((gone(&world).await, world.pending().await.len()), (1, 2));
}

#[tokio::test]
async fn a_small_fleet_always_asks() {
    let world = fleet(3).await;
    world.write("web.yml", &services(0..2));
    for _ in 0..3 {
        world.pass().await;
        world.later(SignedDuration::from_hours(20));
    }
    assert_eq!((gone(&world).await, world.pending().await.len()), (0, 1));
    world.later(SignedDuration::from_hours(-1));
    world.settle().await;
    assert_eq!(gone(&world).await, 1);
}
