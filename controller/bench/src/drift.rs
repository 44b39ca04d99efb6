//! Row 7, second half: a task that dies is no event; how long until Skep has looked at the tasks.

use std::time::{Duration, Instant};

use skep_testkit::engine::{Variant, build_program};

use crate::Result;
use crate::rig::{Rig, wait};
use crate::table::Table;

pub(crate) fn run(rig: &Rig, repeats: usize, table: &mut Table) -> Result<()> {
    let program = build_program(&std::env::current_dir()?)?;
    rig.engine.build_mcp_image(
        &program,
        Variant { version: 1, health: false },
        &["bench/mcp:1".to_owned()],
    )?;
    std::fs::write(
        rig.path("registry.yml"),
        "version: 1\nservices:\n  - name: task\n    image: bench/mcp:1\n",
    )?;
    let serve = rig.serve(true)?;
    let container = || {
        let listed = rig.engine.docker(&["ps", "--quiet", "--filter", "name=task"]).ok()?;
        listed.split_whitespace().next().map(str::to_owned)
    };
    let mut times = Vec::new();
    for repeat in 0..repeats {
        let running = wait("a container", container)?;
        // At another point between two looks each time.
        let offset = u32::try_from(repeat * 7 % 20).unwrap_or(0);
        std::thread::sleep(Duration::from_secs(6) + Duration::from_millis(200) * offset);
        rig.proxy.clear();
        rig.engine.docker(&["kill", &running])?;
        let dead = Instant::now();
        let seen = wait("a look at the tasks", || {
            let requests = rig.proxy.requests();
            let looks = requests.iter().filter(|request| request.endpoint() == "/tasks");
            looks.filter(|look| look.arrived > dead).filter_map(|look| look.answered).min()
        })?;
        times.push(seen - dead);
    }
    drop(serve);
    table.times(7, "task drift: from a container's death to the look", &times, Some(5000.0));
    Ok(())
}
