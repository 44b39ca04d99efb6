//! Services that run: rollouts that end well, go back or stop, and jobs that run again.

use serde_json::{Value, json};
use skep_core::identity::SwarmId;

use super::side::Side;

/// No node has it.
pub(super) const MISSING: &str = "skep-test/not-there:9";
pub(super) const NO_SUCH_IMAGE: &str = "No such image: skep-test/not-there:9";

pub(super) async fn run(side: &mut Side) {
    let id = rolls_out(side).await;
    goes_back(side, &id).await;
    stops(side, &id).await;
    job(side).await;
}

fn running(name: &str) -> Value {
    const MILLISECOND: u64 = 1_000_000;
    json!({
        "Name": name,
        "Labels": {"step": "1"},
        "Mode": {"Replicated": {"Replicas": 2}},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "skep-test/mcp:1", "StopGracePeriod": 200 * MILLISECOND},
        },
        "UpdateConfig": {"Parallelism": 1, "Monitor": 500 * MILLISECOND,
            "FailureAction": "rollback", "Order": "stop-first"},
        "RollbackConfig": {"Parallelism": 1, "Monitor": 300 * MILLISECOND,
            "FailureAction": "pause", "Order": "stop-first"},
    })
}

fn is_at(state: &'static str) -> impl Fn(&Value) -> bool {
    move |service| service["UpdateStatus"]["State"] == state
}

async fn rolls_out(side: &mut Side) -> SwarmId {
    let spec = running(&side.name("run"));
    let id = side.create("create one that runs", &spec).await.unwrap();
    side.until_running(&id, 2).await;
    side.look("it runs", &id).await;
    side.count_tasks("two run", &id).await;
    side.update("an image that works", &id, 0, |spec| {
        spec["Labels"]["step"] = json!("2");
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("skep-test/mcp:2");
    })
    .await;
    side.until(&id, is_at("completed")).await;
    side.look("it was rolled out", &id).await;
    side.count_tasks("two run again", &id).await;
    side.update("a label afterwards", &id, 0, |spec| spec["Labels"]["step"] = json!("3")).await;
    side.look("after a label", &id).await;
    side.update("one more", &id, 0, |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = json!(3);
    })
    .await;
    side.until_running(&id, 3).await;
    side.look("scaled up", &id).await;
    side.update("and less", &id, 0, |spec| {
        spec["Mode"]["Replicated"]["Replicas"] = json!(2);
    })
    .await;
    side.until_running(&id, 2).await;
    side.look("scaled down", &id).await;
    id
}

async fn goes_back(side: &mut Side, id: &SwarmId) {
    side.update("an image that is not there", id, 0, |spec| {
        spec["Labels"]["step"] = json!("bad");
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(MISSING);
    })
    .await;
    side.until(id, is_at("rollback_completed")).await;
    side.look("Swarm went back, labels and all", id).await;
    side.until_running(id, 2).await;
    side.count_tasks("what failed is remembered", id).await;
    side.update("a label after going back", id, 0, |spec| spec["Labels"]["step"] = json!("4"))
        .await;
    side.look("its status is gone", id).await;
}

async fn stops(side: &mut Side, id: &SwarmId) {
    side.update("an image that is not there, to pause", id, 0, |spec| {
        spec["UpdateConfig"]["FailureAction"] = json!("pause");
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!(MISSING);
    })
    .await;
    side.until(id, is_at("paused")).await;
    side.look("it stands half-way", id).await;
    side.update("back to what works", id, 0, |spec| {
        spec["TaskTemplate"]["ContainerSpec"]["Image"] = json!("skep-test/mcp:2");
    })
    .await;
    side.until_running(id, 2).await;
    side.until(id, is_at("completed")).await;
    side.look("mended", id).await;
    side.update("stop", id, 0, |spec| spec["Mode"]["Replicated"]["Replicas"] = json!(0)).await;
    side.until_running(id, 0).await;
    side.look("stopped", id).await;
}

async fn job(side: &mut Side) {
    let spec = json!({
        "Name": side.name("job"),
        "Mode": {"ReplicatedJob": {"TotalCompletions": 1}},
        "TaskTemplate": {
            "ContainerSpec": {"Image": "skep-test/mcp:1", "Env": ["EXIT_CODE=0"]},
            "RestartPolicy": {"Condition": "none"},
        },
    });
    let id = side.create("create a job that ends", &spec).await.unwrap();
    has_completed(side, &id, 1).await;
    side.look("it has run", &id).await;
    side.count_tasks("one has completed", &id).await;
    side.update("only a label", &id, 0, |spec| spec["Labels"]["a"] = json!("b")).await;
    has_completed(side, &id, 2).await;
    side.look("it ran again", &id).await;
    side.count_tasks("two have completed", &id).await;
    side.remove_job("remove the job", &id, "job").await;
}

async fn has_completed(side: &mut Side, id: &SwarmId, count: u32) {
    for _attempt in 0..2_000 {
        let ids = std::slice::from_ref(id);
        let read = skep_swarm::observe::read_services(&*side.engine, ids).await.unwrap();
        if read[0].tasks.completed == count && read[0].tasks.running == 0 {
            return;
        }
        side.pass(std::time::Duration::from_millis(50)).await;
    }
    panic!("the job did not complete {count} times");
}
