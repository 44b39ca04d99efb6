//! Chance: two controllers on one store and one swarm, people who approve and change their minds,
//! others who meddle, and everything between them unreliable. A seed decides all of it.
//!
//! Whatever happens, no action has its effect twice and no write comes from nowhere; and when the
//! faults end, the swarm becomes what is declared.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use skep_core::request::RequestVerb;
use skep_runtime::{Options, Status};
use skep_store::{ActionFilter, Actions as _, Decision};
use skep_swarm::fake::{Chances, EventFault, Quorum, Script};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::files::{Files, SECRET};
use crate::soundness::{is_sound, once_each};
use crate::sweep::live;
use crate::tap::Process;
use crate::time::Seeded;
use crate::world::{ALL_ALLOWED, World};

/// How many things happen before the faults end.
const TURNS: u64 = 24;
/// How long the world may take to become what is declared once nothing disturbs it any more.
const PATIENCE: Duration = Duration::from_secs(600);
const NAMES: [&str; 3] = ["a", "b", "c"];

/// What a life saw.
#[derive(Debug, Default, Clone, Copy)]
pub struct Lived {
    /// Writes that had an effect.
    pub effects: usize,
    /// Processes that were killed.
    pub kills: usize,
    /// Processes that were stopped for a while.
    pub stops: usize,
    /// How long it took until all was as declared, in virtual milliseconds.
    pub converged_after: u128,
}

/// One life.
///
/// # Errors
/// What went wrong, for a person.
pub fn life_of(seed: u64) -> Result<Lived, String> {
    live(life(seed))
}

/// A controller that runs beside others.
struct Server {
    process: Arc<Process>,
    status: watch::Receiver<Status>,
    task: JoinHandle<()>,
}

impl Server {
    fn start(world: &mut World, holder: &str) -> Self {
        let process = world.process();
        let holder = holder.to_owned();
        let controller = world.controller(&process, |options| Options {
            holder,
            interval: Duration::from_secs(10),
            ..options
        });
        let status = controller.status();
        let task = tokio::spawn(async move {
            let _ended = controller.serve(CancellationToken::new()).await;
        });
        Self { process, status, task }
    }

    async fn kill(self) {
        self.task.abort();
        // A process that was stopped dies all the same.
        self.process.resume();
        let _cancelled = self.task.await;
    }
}

/// Half of the lives also have a stack.
const fn has_stack(seed: u64) -> bool {
    seed % 2 == 1
}

/// Declares a stack by chance: what its files hold, or files that cannot be used. What is declared
/// under a mark can be used, and differs from all before: nobody has refused it yet.
fn declare_stack(files: &Files, random: &Seeded, mark: Option<&str>) {
    let last = mark.is_some();
    let mark = mark.unwrap_or_default();
    files.put("stacks.yml", "stacks:\n- {name: web, files: [web.yml], prune: true}\n");
    files.put("page", &format!("page {}{mark}", random.below(5)));
    files.put("token", &format!("{SECRET} {}{mark}", random.below(3)));
    if !last && random.below(6) == 0 {
        return files.put("web.yml", ["services: [", "", "services: {app: {}}"][index(random, 3)]);
    }
    let image = if !last && random.below(8) == 0 { "bad" } else { "good" };
    let (version, team) = (random.below(3), random.below(2));
    let mut text = format!(
        "services:\n  app:\n    image: \"example/{image}:{version}\"\n    networks: [front]\n    \
         configs: [page]\n    secrets: [token]\n    deploy: {{update_config: {{monitor: 100ms}}}}\n"
    );
    // What is declared last leaves something behind that is not.
    if last || random.below(3) > 0 {
        writeln!(
            text,
            "  side: {{image: \"example/good:1\", networks: [front], configs: [more], deploy: \
             {{labels: {{mark: \"{mark}\"}}}}}}"
        )
        .unwrap();
    }
    write!(
        text,
        "networks: {{front: {{}}}}\nconfigs:\n  page: {{file: page, labels: {{team: \"t{team}{mark}\"}}}}\n  \
         more: {{file: page}}\nsecrets: {{token: {{file: token, labels: {{team: \"t{team}{mark}\"}}}}}}\n"
    )
    .unwrap();
    files.put("web.yml", &text);
}

fn index(random: &Seeded, of: usize) -> usize {
    usize::try_from(random.below(u64::try_from(of).unwrap())).unwrap()
}

fn registry(random: &Seeded, last: Option<u64>) -> String {
    let mut text = String::new();
    for (number, name) in NAMES.iter().enumerate() {
        // What is declared last is there in any case, and differs from all before.
        if last.is_none() && random.below(6) == 0 && number > 0 {
            continue;
        }
        let image = if last.is_none() && random.below(8) == 0 { "bad" } else { "good" };
        let version = random.below(3);
        let replicas = 1 + random.below(3);
        let team = last.unwrap_or_else(|| random.below(4));
        writeln!(
            text,
            "  - {{name: {name}, image: \"example/{image}:{version}\", host_port: {}, replicas: \
             {replicas}, labels: {{team: \"t{team}\"}}, update: {{monitor: 100ms}}, rollback: \
             {{monitor: 100ms}}}}",
            8200 + number
        )
        .unwrap();
    }
    text
}

async fn life(seed: u64) -> Result<Lived, String> {
    let random = Seeded::new(seed);
    let mut world = World::new(seed, Files::new()).await;
    let mut lived = Lived::default();
    for version in 0..3 {
        world.swarm.break_image(&format!("example/bad:{version}"), "No such image");
    }
    if random.below(2) == 0 {
        world.files.policy(ALL_ALLOWED);
    }
    world.files.declare(&registry(&random, None));
    if has_stack(seed) {
        declare_stack(&world.files, &random, Some(" first"));
    }
    world.swarm.script(Script::by_seed(seed, CHANCES));
    let events = Seeded::new(seed ^ 0xe7e7);
    world.swarm.events_meet(move |_| match events.below(12) {
        0 => Some(EventFault::Lost),
        1 => Some(EventFault::Doubled),
        2 => Some(EventFault::Late(Duration::from_millis(events.below(3000)))),
        3 => Some(if events.below(4) == 0 { EventFault::Silent } else { EventFault::Ends }),
        _ => None,
    });
    let swarm = Arc::clone(&world.swarm);
    let time = tokio::spawn(async move { swarm.run().await });
    let mut servers = vec![Server::start(&mut world, "one"), Server::start(&mut world, "two")];
    for _turn in 0..TURNS {
        if has_stack(seed) && random.below(3) == 0 {
            declare_stack(&world.files, &random, None);
        }
        turn(&mut world, &random, &mut servers, &mut lived).await;
        tokio::time::sleep(Duration::from_millis(200 + random.below(4000))).await;
        if random.below(3) > 0 {
            world.decide(Decision::Approve).await;
        }
    }
    let converged = calm_down(&mut world, &random, &servers, seed).await;
    for server in servers {
        server.kill().await;
    }
    time.abort();
    lived.effects = world.swarm.journal().len();
    let result = match converged {
        Ok(after) => from_somewhere(&world).await.map(|()| after.as_millis()),
        Err(problem) => Err(problem),
    };
    world.database.close().await;
    lived.converged_after = result?;
    Ok(lived)
}

const CHANCES: Chances = Chances {
    stale: 80,
    lag: 4,
    lost: 40,
    reply_lost: 60,
    lands_later: 50,
    leader_lost: 40,
    slow: 20,
    unreachable: 20,
};

async fn turn(world: &mut World, random: &Seeded, servers: &mut [Server], lived: &mut Lived) {
    let name = NAMES[usize::try_from(random.below(3)).unwrap()];
    let chosen = usize::try_from(random.below(2)).unwrap();
    match random.below(14) {
        0..=2 => world.files.declare(&registry(random, None)),
        3 => world.swarm.meddle(name, "/Labels/team", json!("theirs")),
        4 => {
            let image = "/TaskTemplate/ContainerSpec/Image";
            world.swarm.meddle(name, image, json!("example/theirs:1"));
        }
        5 => world.swarm.change_leader(),
        6 => {
            let lost = if random.below(2) == 0 { Quorum::Losing } else { Quorum::Lost };
            world.swarm.quorum(lost);
            tokio::time::sleep(Duration::from_millis(random.below(8000))).await;
            world.swarm.quorum(Quorum::Kept);
        }
        7 => world.ask(name, RequestVerb::Restart).await,
        8 => world.ask(name, RequestVerb::Scale { replicas: 1 + random.below(4) }).await,
        9 => world.decide(Decision::Deny).await,
        10 | 11 => {
            // Longer than a lease lasts, or shorter.
            servers[chosen].process.stop();
            tokio::time::sleep(Duration::from_millis(random.below(14_000))).await;
            servers[chosen].process.resume();
            lived.stops += 1;
        }
        _ => {
            let holder = format!("after {} kills", lived.kills);
            let fresh = Server::start(world, &holder);
            std::mem::replace(&mut servers[chosen], fresh).kill().await;
            lived.kills += 1;
        }
    }
}

/// No more faults, one last declaration, and a person who approves what comes.
async fn calm_down(
    world: &mut World,
    random: &Seeded,
    servers: &[Server],
    seed: u64,
) -> Result<Duration, String> {
    world.swarm.clear_faults();
    world.swarm.events_meet(|_| None);
    world.swarm.quorum(Quorum::Kept);
    servers.iter().for_each(|server| server.process.resume());
    // What was on its way has arrived by then.
    tokio::time::sleep(Duration::from_secs(20)).await;
    world.files.declare(&registry(random, Some(1000 + seed % 1000)));
    if has_stack(seed) {
        declare_stack(&world.files, random, Some(" last"));
    }
    let started = tokio::time::Instant::now();
    let onlooker = Arc::new(Process::new(None));
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await;
        world.decide(Decision::Approve).await;
        if world.is_busy().await {
            if started.elapsed() > PATIENCE {
                return Err(format!("still busy: {}", told(world, servers).await));
            }
            continue;
        }
        let controller = world.controller(&onlooker, |options| options);
        let planned = controller.plan().await.map_err(|error| error.to_string())?;
        if planned.plan.steps.is_empty() {
            return Ok(started.elapsed());
        }
        if started.elapsed() > PATIENCE {
            let steps: Vec<_> = planned.plan.steps.iter().map(|step| &step.reason).collect();
            let waiting = &planned.plan.waiting;
            return Err(format!(
                "not as declared: {steps:?} {waiting:?} {}",
                told(world, servers).await
            ));
        }
    }
}

async fn told(world: &World, servers: &[Server]) -> String {
    let actions = world.store().actions(&ActionFilter::default()).await.unwrap();
    let told = actions.iter().take(8).map(|one| {
        let wait = one.wait.as_ref().map(|wait| format!("waits: {} {}", wait.code, wait.reason));
        let wait = wait.unwrap_or_default();
        format!("\n  {} {} {}: {}{wait}", one.key.name, one.kind, one.state, one.detail)
    });
    let of_servers = servers.iter().map(|server| {
        let status = server.status.borrow();
        format!("\n  leads: {}, last error: {:?}", status.leader, status.last_error)
    });
    told.chain(of_servers).collect()
}

/// Every write has an action on record and had its effect once.
async fn from_somewhere(world: &World) -> Result<(), String> {
    once_each(world)?;
    is_sound(world).await?;
    let journal = world.swarm.journal();
    let actions = world.store().actions(&ActionFilter::default()).await.unwrap();
    for effect in journal.iter().filter_map(|effect| effect.action.as_ref()) {
        if !actions.iter().any(|action| action.id.as_str() == effect) {
            return Err(format!("a write by {effect}, which is not on record"));
        }
    }
    Ok(())
}
