//! `skep object`: asking by hand about networks, configs and secrets.

use std::collections::BTreeSet;

use skep_core::identity::ServiceName;
use skep_core::plan::declaring_stack;
use skep_core::request::RequestVerb;

use super::Session;
use super::service::{Seen, ask_about, look};
use crate::args::ObjectVerb;
use crate::codes;
use crate::error::{Failure, Result};

/// `skep object`.
pub(super) async fn run(session: &Session, verb: &ObjectVerb) -> Result<u8> {
    let args = verb.args();
    let seen = look(session, &args.ask.fleet).await?;
    let targets: Vec<ServiceName> = args.targets.iter().map(|target| target.0.clone()).collect();
    for target in &targets {
        find(&seen, target)?;
    }
    let asked = match verb {
        ObjectVerb::Adopt(_) => {
            let desired = &seen.planned.desired;
            for target in targets.iter().filter(|it| declaring_stack(desired, it).is_none()) {
                session.printer.warn(&format!(
                    "no source declares {target}: it will be on record and otherwise left alone"
                ));
            }
            RequestVerb::Adopt
        }
        ObjectVerb::Release(_) => RequestVerb::Release,
    };
    let wanted = targets.into_iter().map(|target| (target, asked.clone())).collect();
    ask_about(session, &args.ask, &seen, wanted, BTreeSet::new()).await
}

fn find(seen: &Seen, target: &ServiceName) -> Result<()> {
    let there = &seen.planned.snapshot.objects;
    if there.contains_key(target) {
        return Ok(());
    }
    let (kind, name) = (target.kind().as_str(), target.bare());
    let failure =
        Failure::new(codes::NOT_FOUND, format!("there is no {kind} {name:?} on the swarm"));
    let names = there.keys().map(|name| name.as_str());
    Err(failure.next(match skep_yaml::did_you_mean(target.as_str(), names) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("docker {kind} ls"),
    }))
}
