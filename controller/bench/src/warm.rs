//! A pass without a change as the running loop makes it: everything is read anew, and what was
//! compared before is not compared again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use skep_core::digester::Digester;
use skep_core::gate::Settings;
use skep_core::plan::Masking;
use skep_core::seal::Sealer;
use skep_images::{Credentials, Limits, Resolver};
use skep_runtime::{
    Controller, Options, Parts, PolicySource, SourceSet, SystemClock, SystemRandom,
};
use skep_store::Protection;
use skep_store_sqlite::{OpenOptions, SqliteStore};
use skep_swarm::{DockerEngine, Engine, EngineAddress};

use crate::Result;
use crate::rig::Rig;

/// How long each of some passes takes, after one that warms up.
pub(crate) fn passes(rig: &Rig, repeats: usize) -> Result<Vec<Duration>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let controller = controller(rig).await?;
        let mut passes = Vec::new();
        for number in 0..=repeats {
            let started = Instant::now();
            let planned = controller.plan().await?;
            if !planned.plan.summary.is_settled() {
                return Err("the fleet is not as declared".into());
            }
            if number > 0 {
                passes.push(started.elapsed());
            }
        }
        Ok(passes)
    })
}

async fn controller(rig: &Rig) -> Result<Controller> {
    let host = format!("unix://{}", rig.engine.socket().display());
    let address =
        EngineAddress::from_variables(&|name| (name == "DOCKER_HOST").then(|| host.clone()))?;
    let engine: Arc<dyn Engine> = Arc::new(DockerEngine::connect(&address).await?);
    let clock = Arc::new(SystemClock);
    let credentials = Arc::new(Credentials::none());
    let parts = Parts {
        images: Resolver::new(Arc::clone(&engine), credentials, clock.clone(), Limits::default()),
        engine,
        store: Arc::new(
            SqliteStore::open(
                &rig.path("skep.db"),
                OpenOptions::new(Protection::new(&[1; 32], Arc::new(SystemRandom))?),
            )
            .await?,
        ),
        sources: SourceSet::new(vec![rig.path("registry.yml")], None, Vec::new()),
        policy: PolicySource::shipped(Settings::default()),
        masking: Masking::new([1; 32]),
        digester: Digester::new(&[1; 32])?,
        sealer: Sealer::new(&[1; 32])?,
        clock,
        random: Arc::new(SystemRandom),
    };
    Ok(Controller::new(parts, Options::default()))
}
