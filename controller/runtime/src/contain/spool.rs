//! Killing while the store is out of reach: the one write that has no intent in it. What would
//! have been stored goes into a file on this machine first, and the next leader that finds the
//! file puts it on record.
//!
//! Without the store nobody knows what is on record as ours, so only services that carry the
//! fleet's own label are touched.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Error as IoError, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use skep_core::containment::{
    Contained, Containment, ContainmentState, ContainmentVerb, FormerState, Order, Protected,
    RecordedState, Scope,
};
use skep_core::digester::Digester;
use skep_core::gate::{Containing, Wanted, contain};
use skep_core::identity::{ActionId, ClusterId, FleetName, ObjectKey, ServiceName, SwarmId};
use skep_core::labels;
use skep_core::observed::ObservedService;
use skep_core::plan::bind_containment;
use skep_core::ports::Random;
use skep_core::seal::SealError;
use skep_store::{Fence, Store};
use skep_swarm::{Engine, Error as EngineError, observe};

use crate::Error;

/// How often a service is read again when somebody else was faster to write it.
const TRIES: usize = 5;

/// One kill as the file keeps it, from before it was sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Spooled {
    at: Timestamp,
    actor: String,
    reason: String,
    cluster: ClusterId,
    service: ServiceName,
    object: SwarmId,
    former: FormerState,
}

/// How services are killed without a store.
pub struct WithoutStore<'a> {
    /// The engine.
    pub engine: &'a dyn Engine,
    /// Random bits, for the label that says whose write it was.
    pub random: &'a dyn Random,
    /// The fleet whose label a service must carry.
    pub fleet: &'a FleetName,
    /// What nobody may stop.
    pub protected: &'a Protected,
    /// Where it is written down.
    pub spool: &'a Path,
    /// Who orders it.
    pub actor: &'a str,
    /// Why.
    pub reason: &'a str,
}

/// What became of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpooledKill {
    /// It is at zero, and written down.
    Killed,
    /// It was left alone.
    Skipped {
        /// A stable code.
        code: &'static str,
        /// Why.
        reason: String,
    },
}

/// What keeps a kill without a store from happening.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// It cannot be written down, so it is not done.
    #[error("{} cannot be written; nothing was sent to the engine", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: IoError,
    },
    /// The engine does not do it.
    #[error("the engine does not do it")]
    Engine(#[from] EngineError),
    /// No key can be made.
    #[error("no key can be made")]
    Key(#[from] SealError),
    /// Somebody else is faster each time.
    #[error("{service} changed each time before the kill arrived; try again")]
    Overtaken {
        /// The service.
        service: ServiceName,
    },
}

impl WithoutStore<'_> {
    /// Kills one service, now.
    ///
    /// # Errors
    /// [`SpoolError`]; what was written down is carried out by the next leader all the same.
    pub async fn kill(
        &self,
        name: &ServiceName,
        now: Timestamp,
    ) -> Result<SpooledKill, SpoolError> {
        let cluster = self.engine.info().await?.trusted_cluster()?;
        let containment = Containment {
            cluster: cluster.clone(),
            scope: Scope::Service(name.clone()),
            state: ContainmentState::Killed,
            actor: self.actor.to_owned(),
            reason: self.reason.to_owned(),
            since: now,
            revision: 1,
        };
        let contained = Contained::new(vec![containment], Vec::new());
        // The step is not kept, so nobody compares its digest; the store's key may be out of reach.
        let digester = Digester::ephemeral(self.random)?;
        let mut is_written_down = false;
        for _ in 0..TRIES {
            let live = match self.engine.inspect_service(name.as_str()).await {
                Ok(found) => observe::service(found)?,
                Err(EngineError::NotFound { .. }) => {
                    return Ok(skipped("NOT_FOUND", "there is none"));
                }
                Err(error) => return Err(error.into()),
            };
            if live.name != *name || !self.is_ours(&live) {
                let why = "it does not carry the label of this fleet, and without the store nothing \
                           else tells that it is ours";
                return Ok(skipped("NOT_OURS", why));
            }
            let protected = self.protected;
            let asked = Containing {
                contained: &contained,
                protected,
                cluster: &cluster,
                live: &live,
                domain: "default",
                digester: &digester,
            };
            let (step, former) = match contain(asked) {
                Wanted::Write { step, former, .. } => (Some(step), former),
                Wanted::Record(former) => (None, former),
                Wanted::Skipped { code, reason } => {
                    return Ok(SpooledKill::Skipped { code, reason });
                }
                Wanted::Forget | Wanted::Nothing => return Ok(SpooledKill::Killed),
            };
            if !is_written_down {
                self.write_down(&cluster, &live, former, now)?;
                is_written_down = true;
            }
            let Some(step) = step else { return Ok(SpooledKill::Killed) };
            let action = ActionId::generate(self.random);
            let Ok(bound) = bind_containment(step.get(), &live, &action, self.fleet) else {
                continue;
            };
            match self.engine.update_service(&live.id, live.version, bound.body.into(), None).await
            {
                Ok(_) => return Ok(SpooledKill::Killed),
                Err(EngineError::OutOfSequence { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(SpoolError::Overtaken { service: name.clone() })
    }

    fn is_ours(&self, live: &ObservedService) -> bool {
        let spec = live.spec.value();
        let label = spec.get("Labels").and_then(|own| own.get(labels::FLEET));
        label.and_then(Value::as_str) == Some(self.fleet.as_str())
    }

    fn write_down(
        &self,
        cluster: &ClusterId,
        live: &ObservedService,
        former: FormerState,
        at: Timestamp,
    ) -> Result<(), SpoolError> {
        let entry = Spooled {
            at,
            actor: self.actor.to_owned(),
            reason: self.reason.to_owned(),
            cluster: cluster.clone(),
            service: live.name.clone(),
            object: live.id.clone(),
            former,
        };
        append(self.spool, &entry)
            .map_err(|source| SpoolError::Write { path: self.spool.to_owned(), source })
    }
}

fn skipped(code: &'static str, reason: &str) -> SpooledKill {
    SpooledKill::Skipped { code, reason: reason.to_owned() }
}

/// On disk when it returns.
fn append(path: &Path, entry: &Spooled) -> Result<(), IoError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
    let mut line = serde_json::to_string(entry)?;
    line.push('\n');
    file.write_all(line.as_bytes())?;
    file.sync_all()
}

/// Puts on record what was killed without the store, before anything else is decided, and puts the
/// file aside. Entries about other swarms wait for their own leader.
pub(crate) async fn take_in(
    store: &dyn Store,
    fence: &Fence,
    cluster: &ClusterId,
    path: &Path,
    now: Timestamp,
) -> Result<(), Error> {
    let entries = match read(path) {
        Ok(entries) if entries.is_empty() => return Ok(()),
        Ok(entries) => entries,
        Err(error) => {
            tracing::error!(spool = %path.display(), error = %error, "contain.spool_unreadable");
            return Ok(());
        }
    };
    let contained = store.contained(cluster).await?;
    let mut others = Vec::new();
    for entry in entries {
        if entry.cluster != *cluster {
            others.push(entry);
            continue;
        }
        let order = Order {
            verb: ContainmentVerb::Kill,
            scope: Scope::Service(entry.service.clone()),
            actor: entry.actor.clone(),
            reason: entry.reason.clone(),
        };
        // Killed already is as good.
        store.order(cluster, &[order], entry.at).await?;
        if contained.recorded(&entry.service).is_none() {
            let recorded = RecordedState {
                key: ObjectKey::service(cluster, &entry.service),
                object: entry.object,
                domain: "default".to_owned(),
                former: entry.former,
                last: None,
            };
            store.record_former_state(fence, &recorded, now).await?;
        }
        tracing::warn!(
            service.name = %entry.service,
            actor = entry.actor,
            "contain.taken_in_from_the_spool"
        );
    }
    put_aside(path, &others, now);
    Ok(())
}

fn read(path: &Path) -> Result<Vec<Spooled>, IoError> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    for line in BufReader::new(file).lines() {
        match serde_json::from_str(&line?) {
            Ok(entry) => entries.push(entry),
            // A crash in the middle of a line: its kill was never sent.
            Err(error) => tracing::error!(error = %error, "contain.spool_line_unreadable"),
        }
    }
    Ok(entries)
}

/// The file is kept: it is part of the record of what happened.
fn put_aside(path: &Path, others: &[Spooled], now: Timestamp) {
    let aside = path.with_extension(format!("taken-in-{}", now.as_second()));
    let done = std::fs::rename(path, &aside)
        .and_then(|()| others.iter().try_for_each(|entry| append(path, entry)));
    if let Err(error) = done {
        // It would be taken in again at the next start, whatever was resumed meanwhile.
        tracing::error!(spool = %path.display(), error = %error, "contain.spool_not_put_aside");
    }
}
