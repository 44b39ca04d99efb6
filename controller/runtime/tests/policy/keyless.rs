//! What was filed before digests had a key: nothing of it runs, and everything is asked anew.

use skep_core::action::{Action, ActionState};
use skep_core::approval::{FROM_BEFORE_KEYS, is_keyless, keyless};
use skep_core::digester::{Digester, Purpose};
use skep_store::{Actions as _, Sources as _};
use sqlx::{Connection as _, SqliteConnection};

use crate::world::World;

const ASK: &str = "rules: [{tier: approval_required}]";

async fn execute(world: &World, statement: &'static str, value: &str) {
    let location = format!("sqlite:{}", world.database().display());
    let mut connection = SqliteConnection::connect(&location).await.unwrap();
    sqlx::query(statement).bind(value).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

/// As the upgrade leaves what is open.
async fn take_the_key_away(world: &World) {
    let open = "UPDATE actions SET binding = ? WHERE state IN ('pending', 'granted')";
    execute(world, open, keyless().as_str()).await;
}

async fn actions(world: &World) -> Vec<Action> {
    world.store().await.actions(&Default::default()).await.unwrap()
}

#[tokio::test]
async fn an_approval_from_before_digests_had_a_key_is_superseded_and_asked_anew() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    assert_eq!(world.approve().await, 1);
    take_the_key_away(&world).await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 0, "what was approved then does not run");
    let found = actions(&world).await;
    let states: Vec<_> = found.iter().map(|action| action.state).collect();
    assert_eq!(states, [ActionState::Pending, ActionState::Superseded]);
    assert!(found[1].detail.contains(FROM_BEFORE_KEYS), "{}", found[1].detail);
    assert!(!is_keyless(&found[0].binding));
    assert_eq!(found[0].step.digest, found[1].step.digest, "it is the same step");
    world.approve().await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
}

#[tokio::test]
async fn a_request_from_before_digests_had_a_key_is_superseded_before_anybody_decides() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    take_the_key_away(&world).await;
    world.pass().await;
    let found = actions(&world).await;
    let states: Vec<_> = found.iter().map(|action| action.state).collect();
    assert_eq!(states, [ActionState::Pending, ActionState::Superseded]);
    assert!(found[1].detail.contains(FROM_BEFORE_KEYS), "{}", found[1].detail);
    world.pass().await;
    assert_eq!(actions(&world).await.len(), 2, "once");
}

#[tokio::test]
async fn what_was_asked_for_by_hand_before_digests_had_a_key_has_to_be_asked_again() {
    let world = World::new("rules: [{tier: auto}]", &["a"]);
    world.pass().await;
    world.policy(ASK);
    world.ask_for_restart("a").await;
    world.pass().await;
    take_the_key_away(&world).await;
    world.approve().await;
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1, "only the deployment");
    let (states, detail) = world.states().await;
    assert_eq!(states, [ActionState::Superseded, ActionState::Succeeded]);
    assert!(detail.contains(FROM_BEFORE_KEYS), "{detail}");
}

#[tokio::test]
async fn what_a_source_says_is_known_by_a_keyed_digest() {
    let world = World::new(ASK, &["a"]);
    world.pass().await;
    let name = world.database().with_file_name("registry.yml").display().to_string();
    let digester = Digester::new(&[7; 32]).unwrap();
    for _ in 0..2 {
        let kept = world.store().await.last_good(&name).await.unwrap().unwrap();
        let keyed = digester.digest_bytes(Purpose::Content, &kept.content);
        assert_eq!(kept.digest, keyed.as_str());
        // As the upgrade leaves it.
        execute(&world, "UPDATE source_contents SET digest = ?", "").await;
        world.pass().await;
    }
}
