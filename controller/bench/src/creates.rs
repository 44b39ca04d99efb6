//! Row 3: many approved creates, against plain ones and `docker stack deploy`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;
use crate::rig::{Rig, wait};
use crate::table::{Table, ms};

/// As many as Skep runs side by side.
const PARALLEL: usize = 16;

pub(crate) fn run(rig: &Rig, count: usize, table: &mut Table) -> Result<()> {
    let raw = plain(rig, count)?;
    clear(rig)?;
    let stack = rig.stack_deploy(count)?;
    clear(rig)?;
    let (acting, since_approval) = approved(rig, count)?;
    table.note(3, format!("{count} plain creates, {PARALLEL} at once"), ms(raw), "ms", None);
    table.note(3, format!("docker stack deploy of {count}"), ms(stack), "ms", None);
    table.note(
        3,
        format!("{count} approved creates, first to last request"),
        ms(acting),
        "ms",
        None,
    );
    table.note(3, "… from the start of `approvals approve --all`", ms(since_approval), "ms", None);
    let ratio = acting.as_secs_f64() / raw.as_secs_f64();
    table.note(3, "… against plain creates", ratio, "×", Some(1.5));
    let ratio = acting.as_secs_f64() / stack.as_secs_f64();
    table.note(3, "… against docker stack deploy", ratio, "×", Some(1.0));
    Ok(())
}

fn plain(rig: &Rig, count: usize) -> Result<Duration> {
    let next = AtomicUsize::new(0);
    let started = Instant::now();
    let failed = std::thread::scope(|scope| {
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return true;
                }
                let spec = json!({
                    "Name": format!("plain{number}"),
                    "TaskTemplate": {"ContainerSpec": {
                        "Image": format!("example/s{number}:1.2.3"),
                        "Env": ["HOST=0.0.0.0", "PORT=8000", "LOG=info", "REGION=eu"],
                    }},
                    "Mode": {"Replicated": {"Replicas": 0}},
                });
                if rig.engine.call("POST", "/services/create", Some(&spec)).is_err() {
                    return false;
                }
            }
        };
        let workers: Vec<_> = (0..PARALLEL).map(|_| scope.spawn(work)).collect();
        workers.into_iter().any(|worker| !worker.join().unwrap_or(false))
    });
    if failed {
        return Err("a plain create failed".into());
    }
    Ok(started.elapsed())
}

fn clear(rig: &Rig) -> Result<()> {
    rig.engine.remove_services_with_prefix("")?;
    Ok(())
}

fn approved(rig: &Rig, count: usize) -> Result<(Duration, Duration)> {
    rig.registry(count)?;
    let serve = rig.serve(false)?;
    wait("requests", || {
        let listed = rig.skep(&["approvals", "list", "-o", "json"]).output().ok()?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).ok()?;
        (listed["items"].as_array()?.len() == count).then_some(())
    })?;
    rig.proxy.clear();
    let started = Instant::now();
    let approved = rig.skep(&["approvals", "approve", "--all"]).output()?;
    if !approved.status.success() {
        return Err(String::from_utf8_lossy(&approved.stderr).into_owned().into());
    }
    let creates = || {
        let mut creates = rig.proxy.mutations();
        creates.retain(|request| request.answered.is_some());
        creates
    };
    wait("creates", || (creates().len() >= count).then_some(()))?;
    // The outcome of each is stored after it was read back: the last one is in the store when
    // nothing is under way any more.
    wait("outcomes", || {
        let states = ["actions", "list", "--state", "succeeded", "--limit", "0", "-o", "json"];
        let listed = rig.skep(&states).output().ok()?;
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).ok()?;
        (listed["items"].as_array()?.len() == count).then_some(())
    })?;
    drop(serve);
    let creates = creates();
    let first = creates.iter().map(|request| request.arrived).min().unwrap_or(started);
    let last = creates.iter().filter_map(|request| request.answered).max().unwrap_or(started);
    let failed = creates.iter().filter(|request| request.status != Some(201)).count();
    if failed > 0 {
        return Err(format!("{failed} creates were refused").into());
    }
    Ok((last - first, last - started))
}
