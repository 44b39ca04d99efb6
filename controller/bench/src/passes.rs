//! Row 1: a pass over a fleet that is as declared, against the plain lists that it needs and
//! against `docker stack deploy` of the same services.

use std::time::Instant;

use crate::Result;
use crate::rig::{Rig, raw};
use crate::table::{Table, at, ms};

/// What a pass reads.
const LISTS: [&str; 6] = ["/services", "/tasks", "/networks", "/nodes", "/secrets", "/configs"];

pub(crate) fn run(rig: &Rig, services: usize, repeats: usize, table: &mut Table) -> Result<()> {
    let (mut lists, mut passes, mut own) = (Vec::new(), Vec::new(), Vec::new());
    let mut writes = 0;
    for _ in 0..repeats {
        let started = Instant::now();
        let all_read = std::thread::scope(|scope| {
            let read = |path| move || raw(rig.engine.socket(), path).is_ok();
            let reads = LISTS.map(|path| scope.spawn(read(path)));
            reads.into_iter().all(|read| read.join().unwrap_or(false))
        });
        if !all_read {
            return Err("a list could not be read".into());
        }
        lists.push(started.elapsed());
        rig.proxy.clear();
        let started = Instant::now();
        let registry = rig.path("registry.yml");
        let registry = registry.display().to_string();
        let pass = rig.skep(&["reconcile", "--once", "--registry", &registry]).output()?;
        let took = started.elapsed();
        if !pass.status.success() {
            return Err(String::from_utf8_lossy(&pass.stderr).into_owned().into());
        }
        writes += rig.proxy.mutations().len();
        let requests = rig.proxy.requests();
        let engine = crate::rig::engine_time(&requests, started, started + took);
        passes.push(took);
        own.push(took.saturating_sub(engine));
    }
    #[allow(clippy::cast_precision_loss)]
    table.note(1, "writes of a pass without a change", writes as f64, "", Some(0.0));
    table.note(1, format!("plain lists of {services} services"), at(&lists, 0.5), "ms", None);
    table.note(1, "pass as a process of its own", at(&passes, 0.5), "ms", None);
    table.note(1, "… of it not waiting for the engine", at(&own, 0.5), "ms", None);
    let ratio = at(&passes, 0.5) / at(&lists, 0.5);
    table.note(1, "… against the plain lists", ratio, "×", None);
    let warm = crate::warm::passes(rig, repeats)?;
    table.note(1, "pass of a process that runs, reading everything", at(&warm, 0.5), "ms", None);
    let ratio = at(&warm, 0.5) / at(&lists, 0.5);
    table.note(1, "… against the plain lists", ratio, "×", Some(1.25));
    // Last: afterwards the swarm holds everything twice.
    rig.stack_deploy(services)?;
    let stack = rig.stack_deploy(services)?;
    table.note(1, "docker stack deploy without a change", ms(stack), "ms", None);
    let share = |passes: &[std::time::Duration]| at(passes, 0.5) / ms(stack);
    table.note(1, "a process of its own against it", share(&passes), "×", None);
    table.note(1, "a process that runs against it", share(&warm), "×", Some(1.0 / 15.0));
    Ok(())
}
