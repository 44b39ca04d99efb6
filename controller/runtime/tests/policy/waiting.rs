//! What was granted and has to wait, over the end of the process that granted it: through the
//! loop itself, which nothing but the store and the swarm outlives.

use std::time::Duration;

use jiff::SignedDuration;
use skep_core::action::ActionState;
use skep_store::Actions as _;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

impl World {
    /// Runs the loop of a new process until the store says what is asked, then ends it as a
    /// supervisor does.
    async fn serve_until(&self, what: &str, reached: impl AsyncFn(&Self) -> bool) {
        let (process, shutdown) = (self.process().await, CancellationToken::new());
        let serving = tokio::spawn({
            let shutdown = shutdown.clone();
            async move { process.serve(shutdown).await }
        });
        let waiting = async {
            while !reached(self).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let done = tokio::time::timeout(PATIENCE, waiting).await;
        shutdown.cancel();
        serving.await.unwrap().unwrap();
        assert!(done.is_ok(), "waited in vain for {what}: {:?}", self.states().await);
    }

    /// What the newest action waits for.
    async fn waits_for(&self) -> Option<String> {
        let actions = self.store().await.actions(&Default::default()).await.unwrap();
        actions.first()?.wait.as_ref().map(|wait| wait.code.clone())
    }

    async fn newest(&self) -> Option<ActionState> {
        self.states().await.0.first().copied()
    }
}

/// The clock of these tests begins at noon.
const AT_NIGHT: &str = "rules: [{tier: approval_required, maintenance_window: '22:00-23:00'}]";

#[tokio::test]
async fn a_grant_outside_its_window_waits_over_a_restart_and_starts_inside() {
    let world = World::new(AT_NIGHT, &["a"]);
    world.serve_until("a request", async |world| world.pending().await.len() == 1).await;
    assert_eq!(world.approve().await, 1);
    let waits = async |world: &World| world.waits_for().await.as_deref() == Some("OUTSIDE_WINDOW");
    world.serve_until("the wait to be on record", waits).await;
    // Ten times as long as a grant may take to start.
    world.later(SignedDuration::from_mins(100));
    world.serve_until("the next process to know it", waits).await;
    assert_eq!((world.newest().await, world.swarm.effects()), (Some(ActionState::Granted), 0));
    let to_the_window = SignedDuration::from_hours(10) + SignedDuration::from_mins(1);
    world.later(to_the_window - SignedDuration::from_mins(100));
    let done = async |world: &World| world.newest().await == Some(ActionState::Succeeded);
    world.serve_until("it to be carried out", done).await;
    assert_eq!(world.swarm.effects(), 1);
}

#[tokio::test]
async fn a_rate_limit_holds_over_a_restart_and_ends_with_its_time() {
    let world = World::new("rules: [{tier: auto, rate_limit: {max: 1}}]", &["a"]);
    let done = async |world: &World| world.newest().await == Some(ActionState::Succeeded);
    world.serve_until("the create", done).await;
    world.declare(&["a"], "2");
    let refusals = async |world: &World| {
        world.decisions().await.iter().filter(|row| row.cause == "rate_limit").count()
    };
    // Each process puts on record once what it is refused.
    world.serve_until("a refusal", async |world| refusals(world).await == 1).await;
    world.serve_until("the next one's", async |world| refusals(world).await == 2).await;
    assert_eq!(world.swarm.effects(), 1, "a restart is no new beginning");
    world.later(SignedDuration::from_secs(3601));
    world.serve_until("the update", async |world| world.tag("a") == "2").await;
    assert_eq!(world.swarm.effects(), 2);
}

/// The policy says whether a person is asked; who asked may also be the one who decides: names
/// are claims until people sign in, so that a rule about two persons would promise too much.
#[tokio::test]
async fn what_a_person_asks_for_is_judged_by_the_policy_and_may_be_approved_by_the_same_person() {
    let world = World::new("rules: [{tier: auto}]", &["a"]);
    world.pass().await;
    assert_eq!(world.swarm.effects(), 1);
    world.policy("rules: [{kind: restart_service, tier: approval_required}]");
    world.ask_for_restart("a").await;
    world.pass().await;
    let pending = world.pending().await;
    assert_eq!((pending.len(), world.swarm.effects()), (1, 1), "asking is not approving");
    let asked = world.store().await.actions(&Default::default()).await.unwrap().remove(0);
    assert_eq!(asked.actor, "alice");
    world.decide_as("alice").await.unwrap();
    world.pass().await;
    assert_eq!((world.newest().await, world.swarm.effects()), (Some(ActionState::Succeeded), 2));

    // Where the policy says no, nobody's yes helps.
    world.policy("rules: [{kind: restart_service, tier: forbidden}]");
    world.ask_for_restart("a").await;
    world.pass().await;
    assert_eq!((world.pending().await.len(), world.swarm.effects()), (0, 2));

    // What a machine proposed is decided by nobody under the machine's own name.
    world.policy("rules: [{tier: approval_required}]");
    world.declare(&["a"], "2");
    world.pass().await;
    let proposer = world.store().await.actions(&Default::default()).await.unwrap()[0].actor.clone();
    let refused = world.decide_as(&proposer).await.unwrap_err().to_string();
    assert!(refused.contains("does not decide"), "{refused}");
    assert_eq!(world.pending().await.len(), 1);
}
