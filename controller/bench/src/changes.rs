//! Row 2: one service of many changes; how long until the request that puts it right, without the
//! time that the engine took for answers.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::rig::{Rig, engine_time, settle_down, wait};
use crate::table::Table;

pub(crate) fn run(rig: &Rig, services: usize, repeats: usize, table: &mut Table) -> Result<()> {
    let serve = rig.serve(true)?;
    wait("the first lists", || {
        rig.proxy.requests().iter().any(|request| request.endpoint() == "/tasks").then_some(())
    })?;
    std::thread::sleep(Duration::from_secs(2));
    let (mut own, mut whole) = (Vec::new(), Vec::new());
    let (mut writes, mut lists) = (0, 0);
    for repeat in 0..repeats {
        let name = format!("s{}", repeat * services / repeats);
        rig.proxy.clear();
        // The engine tells its events before it answers, or a moment later.
        let changed = disturb(rig, &name)?;
        let update = wait("the update", || {
            let mutations = rig.proxy.mutations();
            mutations.into_iter().find(|request| request.endpoint().ends_with("/update"))
        })?;
        let requests = rig.proxy.requests();
        let waited = update.arrived.saturating_duration_since(changed);
        let engine = engine_time(&requests, changed, update.arrived);
        own.push(waited.saturating_sub(engine));
        whole.push(waited);
        settle_down(&rig.proxy);
        writes += rig.proxy.mutations().len();
        lists += requests.iter().filter(|request| is_full_list(&request.path)).count();
    }
    drop(serve);
    #[allow(clippy::cast_precision_loss)]
    let each = |count: usize| count as f64 / repeats.max(1) as f64;
    table.note(2, "writes for one changed service", each(writes), "", Some(1.0));
    table.note(2, "full lists of services until the write", each(lists), "", Some(0.0));
    table.times(2, "own time from event to request", &own, Some(20.0));
    table.times(7, "drift by event: from the change to the request", &whole, Some(250.0));
    Ok(())
}

/// Changes a label from outside and says when the engine had it.
fn disturb(rig: &Rig, name: &str) -> Result<Instant> {
    let service = rig.engine.call("GET", &format!("/services/{name}"), None)?;
    let mut spec = service["Spec"].clone();
    spec["TaskTemplate"]["ContainerSpec"]["Env"]
        .as_array_mut()
        .ok_or("the service has no environment")?
        .push(Value::from("SNEAKED=in"));
    let path = format!(
        "/services/{}/update?version={}",
        service["ID"].as_str().unwrap_or_default(),
        service["Version"]["Index"]
    );
    rig.engine.call("POST", &path, Some(&spec))?;
    Ok(Instant::now())
}

fn is_full_list(path: &str) -> bool {
    path.ends_with("/services") || path.ends_with("/services?status=true")
}
