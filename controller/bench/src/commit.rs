//! Row 9: a stack in a git repository, of which a commit changes one image: what Skep writes, and
//! what `docker stack deploy` writes of the same change.

use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::rig::Rig;
use crate::table::{Table, ms};

/// The stack and its folder.
const STACK: &str = "commit";

/// The service that changes.
const CHANGED: usize = 7;

/// More passes than a new stack takes.
const PASSES: usize = 10;

pub(crate) fn run(rig: &Rig, services: usize, table: &mut Table) -> Result<()> {
    git(rig, &["init", "--quiet", "--initial-branch", "main", STACK])?;
    let declared = format!(
        "stacks:\n- {{name: {STACK}, files: [web.yml], rollout: at_once, source: {{git: {{url: \"file://{}\", branch: \
         main}}}}}}\n",
        rig.path(STACK).display()
    );
    std::fs::write(rig.path("stacks.yml"), declared)?;
    commit(rig, services, "1.2.3")?;
    let (mut before, mut left) = (0, PASSES);
    while before < services + 1 {
        let Some(fewer) = left.checked_sub(1) else { return Err("not everything was made".into()) };
        left = fewer;
        pass(rig)?;
        before = rig.proxy.mutations().iter().filter(|one| one.status == Some(201)).count();
    }

    commit(rig, services, "1.2.4")?;
    rig.proxy.clear();
    let skep = pass(rig)?;
    let (written, asked) = (rig.proxy.mutations().len(), rig.proxy.requests().len());
    commit(rig, services, "1.2.5")?;
    rig.proxy.clear();
    let docker = deploy(rig)?;
    let (docker_written, docker_asked) = (rig.proxy.mutations().len(), rig.proxy.requests().len());

    #[allow(clippy::cast_precision_loss)]
    let count = |count: usize| count as f64;
    let what = format!("one image of a stack of {services} changed by a commit: writes");
    table.note(9, what, count(written), "", Some(1.0));
    table.note(9, "… by docker stack deploy", count(docker_written), "", None);
    table.note(9, "requests of any kind", count(asked), "", None);
    table.note(9, "… by docker stack deploy", count(docker_asked), "", None);
    table.note(9, "a pass as a process of its own, from commit to written", ms(skep), "ms", None);
    table.note(9, "docker stack deploy of the same file", ms(docker), "ms", None);
    Ok(())
}

/// A new commit, with the image of one service at this tag.
fn commit(rig: &Rig, services: usize, tag: &str) -> Result<()> {
    let mut text = String::from("services:\n");
    for number in 0..services {
        let tag = if number == CHANGED { tag } else { "1.2.3" };
        writeln!(
            text,
            "  s{number}: {{image: \"example/s{number}:{tag}\", deploy: {{replicas: 0}}, \
             environment: {{LOG: info, REGION: eu, NUMBER: \"{number}\"}}}}"
        )?;
    }
    std::fs::write(rig.path(STACK).join("web.yml"), text)?;
    git(rig, &["-C", STACK, "add", "web.yml"])?;
    git(rig, &["-C", STACK, "commit", "--quiet", "--message", "Change an image"])
}

fn git(rig: &Rig, arguments: &[&str]) -> Result<()> {
    let status = Command::new("git")
        .args(["-c", "user.name=Bench", "-c", "user.email=bench@example.com"])
        .args(arguments)
        .current_dir(rig.path(""))
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("git {arguments:?}: {status}").into()) }
}

/// One pass, and how long it took.
fn pass(rig: &Rig) -> Result<Duration> {
    let started = Instant::now();
    let output = rig
        .skep(&["reconcile", "--once", "--no-wait", "--stacks", "stacks.yml"])
        .env_remove("CONNECTOR_REGISTRY_PATH")
        .env("ACTION_POLICY_PATH", rig.path("policy.yml"))
        .env("FLEET_RESOLVE_IMAGE", "never")
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(started.elapsed())
}

/// `docker stack deploy` of the file, through the proxy, and how long it took.
fn deploy(rig: &Rig) -> Result<Duration> {
    let started = Instant::now();
    let status = Command::new("docker")
        .env("DOCKER_HOST", rig.proxy.host())
        .args(["stack", "deploy", "--detach=true", "--resolve-image", "never", "-c"])
        .arg(rig.path(STACK).join("web.yml"))
        .arg(STACK)
        .stdout(Stdio::null())
        .status()?;
    if status.success() { Ok(started.elapsed()) } else { Err("docker stack deploy failed".into()) }
}
