//! `skep kill NAME… --without-store`: when the database is out of reach.

use jiff::Timestamp;
use skep_core::action::ActuatorMode;
use skep_core::containment::ContainmentVerb;
use skep_core::identity::{FleetName, ServiceName};
use skep_runtime::{SpoolError, SpooledKill, SystemRandom, WithoutStore};

use super::answer::Answer;
use super::targets::Skipped;
use crate::args::ContainArgs;
use crate::config::table;
use crate::error::{Failure, Result};
use crate::verbs::Session;
use crate::{codes, identity, wiring};

/// Kills what carries this fleet's label, and writes it down on this machine.
pub(super) async fn kill(session: &Session, args: &ContainArgs) -> Result<u8> {
    if args.domain.is_some() {
        return Err(Failure::usage(
            "--without-store needs names: domains are not known without it",
        ));
    }
    let mut answer = Answer::new(ContainmentVerb::Kill, None);
    let names: Vec<ServiceName> =
        args.names.iter().map(|name| ServiceName::new(name.as_str())).collect();
    if session.config.mode() == ActuatorMode::DryRun {
        answer.dry_run = true;
        answer.apply(names, "kill_rehearsed");
        return answer.tell(session);
    }
    let Some(spool) = session.config.path(table::SPOOL) else {
        return Err(Failure::new(codes::CONFIG_INVALID, "no spool is named, and there is no HOME")
            .next("name a file: FLEET_CONTAINMENT_SPOOL"));
    };
    let engine = wiring::connect(&session.config, &session.environment).await?;
    let protected = wiring::protected(&session.config)?;
    let fleet = FleetName::new(session.config.text(table::FLEET).unwrap_or("default"));
    let actor = identity::actor_from(&session.environment, &args.operator);
    let work = WithoutStore {
        engine: engine.as_ref(),
        random: &SystemRandom,
        fleet: &fleet,
        protected: &protected,
        spool,
        actor: &actor,
        reason: args.reason.as_deref().unwrap_or_default(),
    };
    let mut failed: Option<Failure> = None;
    for name in names {
        match work.kill(&name, Timestamp::now()).await {
            Ok(SpooledKill::Killed) => answer.apply(vec![name], "killed"),
            Ok(SpooledKill::Skipped { code, reason }) => answer.skipped.push(Skipped {
                name: name.to_string(),
                code: code.to_owned(),
                reason,
            }),
            // One that fails keeps no other from being stopped.
            Err(error) => failed = Some(failure(&name, &error)),
        }
    }
    if let Some(failure) = failed {
        session.printer.failure(&failure);
        answer.has_failed = true;
    }
    session.printer.note(&format!(
        "written down in {}; the next leader on this machine puts it on record",
        spool.display()
    ));
    answer.tell(session)
}

fn failure(name: &ServiceName, error: &SpoolError) -> Failure {
    let code = match error {
        SpoolError::Write { .. } => codes::STORE_UNAVAILABLE,
        SpoolError::Engine(_) | SpoolError::Overtaken { .. } => codes::ENGINE_ERROR,
        SpoolError::Key(_) => codes::KEY_UNAVAILABLE,
    };
    Failure::of(code, error).next(format!("docker service scale {name}=0"))
}
