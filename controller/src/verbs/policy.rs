//! What the policy would say. Neither engine nor store is asked.

use jiff::Timestamp;
use skep_core::gate::{self, Hypothesis, Policy};
use skep_crds::policy::{LenientPolicy, load_lenient, shipped_default};
use skep_sources::{MAX_FILE_BYTES, read_file};

use super::Session;
use crate::args::ExplainArgs;
use crate::codes;
use crate::config::table;
use crate::error::{Failure, Result, exit};
use crate::output::plain;
use crate::wiring;

/// `skep policy explain`.
pub(super) fn explain(session: &Session, args: &ExplainArgs) -> Result<u8> {
    let file = match session.config.path(table::POLICY) {
        None => shipped_default(),
        Some(path) => {
            let bytes = read_file(path, MAX_FILE_BYTES).map_err(|error| {
                Failure::of(codes::POLICY_INVALID, &error).next("check the path of --policy")
            })?;
            let LenientPolicy { policy, problems, .. } =
                load_lenient(&path.display().to_string(), &bytes);
            // What is broken is read as its safest meaning, as the running controller does.
            for problem in problems.iter() {
                session.printer.warn(&plain(&problem.to_string()));
            }
            policy
        }
    };
    let policy = Policy::compile(&file, Ok(&[]), wiring::policy_settings(&session.config));
    for problem in policy.problems() {
        session.printer.warn(&plain(&problem));
    }
    let hypothesis = Hypothesis {
        kind: &args.kind,
        target: &args.target,
        domain: &args.domain,
        source: &args.source,
        mode: session.config.mode(),
        parameters: &args.param,
        now: Timestamp::now(),
    };
    let explanation = gate::explain(&policy, &hypothesis)
        .map_err(|error| Failure::usage(format!("--param: {error}")))?;
    session.printer.data(&explanation, |explanation, style| {
        format!(
            "{}\n  tier:   {}\n  rule:   {}\n  reason: {}\n",
            style.bold(explanation.decision.as_str()),
            explanation.tier.as_str(),
            plain(&explanation.rule),
            plain(&explanation.reason),
        )
    })?;
    Ok(exit::OK)
}
