//! Row 6: a process that has nothing to do, and how soon it is ready.

use std::time::{Duration, Instant};

use crate::Result;
use crate::planning::kib;
use crate::rig::{Rig, get, wait};
use crate::table::Table;

/// How often a process is started.
const STARTS: usize = 10;
/// Long enough for the first pass and for what it allocated to be given back.
const REST: Duration = Duration::from_secs(3);

pub(crate) fn run(rig: &Rig, table: &mut Table) -> Result<()> {
    rig.registry(1)?;
    let mut times = Vec::new();
    let mut resident = 0;
    for start in 0..STARTS {
        let started = Instant::now();
        let serve = rig.serve(false)?;
        wait("readiness", || {
            get(serve.port, "/readyz").ok().filter(|reply| reply.contains(" 200 "))
        })?;
        times.push(started.elapsed());
        if start + 1 == STARTS {
            std::thread::sleep(REST);
            let status = std::fs::read_to_string(format!("/proc/{}/status", serve.child.id()))?;
            resident = kib(&status, "VmRSS:");
        }
    }
    table.times(6, "start until ready on SQLite", &times, Some(200.0));
    #[allow(clippy::cast_precision_loss)]
    table.note(6, "resident when idle", resident as f64 / 1024.0, "MiB", Some(30.0));
    Ok(())
}
