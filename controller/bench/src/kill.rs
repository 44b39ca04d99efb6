//! Row 8: the kill switch; how long from the command until the request that scales to zero.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Instant;

use skep_testkit::engine::{Variant, build_program};

use crate::Result;
use crate::rig::{Rig, settle_down, wait};
use crate::table::Table;

const VICTIM: &str = "victim";

pub(crate) fn run(rig: &Rig, services: usize, repeats: usize, table: &mut Table) -> Result<()> {
    let program = build_program(&std::env::current_dir()?)?;
    rig.engine.build_mcp_image(
        &program,
        Variant { version: 1, health: false },
        &["bench/mcp:1".to_owned()],
    )?;
    rig.registry(services)?;
    let mut registry = OpenOptions::new().append(true).open(rig.path("registry.yml"))?;
    writeln!(registry, "  - {{name: {VICTIM}, image: \"bench/mcp:1\"}}")?;
    let serve = rig.serve(true)?;
    let created = || rig.proxy.mutations().iter().filter(|made| made.status == Some(201)).count();
    wait("all services", || (created() > services).then_some(()))?;
    let mut times = Vec::new();
    for _ in 0..repeats {
        settle_down(&rig.proxy);
        rig.proxy.clear();
        let ordered = Instant::now();
        order(rig, "kill")?;
        times.push(written(rig)?.saturating_duration_since(ordered));
        settle_down(&rig.proxy);
        rig.proxy.clear();
        order(rig, "resume")?;
        written(rig)?;
    }
    drop(serve);
    let what = "kill: from the command to the request that scales to zero";
    table.times(8, what, &times, Some(2000.0));
    Ok(())
}

fn order(rig: &Rig, verb: &str) -> Result<()> {
    let status = rig.skep(&[verb, VICTIM]).stdout(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { Err(format!("skep {verb} failed: {status}").into()) }
}

/// When the update of the victim reached the engine.
fn written(rig: &Rig) -> Result<Instant> {
    wait("the update", || {
        let mutations = rig.proxy.mutations().into_iter();
        mutations
            .filter(|request| request.endpoint().ends_with("/update"))
            .map(|one| one.arrived)
            .min()
    })
}
