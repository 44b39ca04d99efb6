//! What the policy would say about an action. The engine is not asked.

use jiff::Timestamp;
use skep_core::gate::{self, Hypothesis};

use super::{compiled, overrides, policy_file};
use crate::args::ExplainArgs;
use crate::error::{Failure, Result, exit};
use crate::output::plain;
use crate::verbs::Session;

/// `skep policy explain`.
pub(in crate::verbs) async fn explain(session: &Session, args: &ExplainArgs) -> Result<u8> {
    let now = args.at.unwrap_or_else(Timestamp::now);
    let file = policy_file(session)?;
    // As at every decision: without them nothing can be said, one may be a freeze.
    let policy = compiled(session, &file, &overrides(session, now).await?);
    let hypothesis = Hypothesis {
        kind: &args.kind,
        target: &args.target,
        domain: &args.domain,
        source: &args.source,
        mode: session.config.mode(),
        parameters: &args.param,
        now,
    };
    let explanation = gate::explain(&policy, &hypothesis)
        .map_err(|error| Failure::usage(format!("--param: {error}")))?;
    session.printer.data(&explanation, |explanation, style| {
        let mut text = format!(
            "{}\n  tier:   {}\n  rule:   {}\n  reason: {}\n",
            style.bold(explanation.decision.as_str()),
            explanation.tier.as_str(),
            plain(&explanation.rule),
            plain(&explanation.reason),
        );
        for remark in &explanation.remarks {
            text.push_str(&format!("  {}: {}\n", remark.mode.as_str(), plain(&remark.to_string())));
        }
        text
    })?;
    Ok(exit::OK)
}
