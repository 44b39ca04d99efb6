//! The policy at run time: it is read anew for each decision, its limits are counted in the
//! ledger, and what cannot be read allows nothing.

use crate::mutants::definition::{Area, Mutation};

/// Each pass of these tests is a new process with a connection and a lease of its own.
const POLICY: &[&str] = &["-p", "skep-runtime", "--test", "policy"];
const GATE: &str = "controller/runtime/src/reconcile/gate.rs";
const PROPOSE: &str = "controller/runtime/src/reconcile/propose.rs";
const SOURCE: &str = "controller/runtime/src/policy.rs";

pub(super) const AREA: Area = Area { title: "The policy at run time", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "ledger-error-is-empty",
        breaks: "when the ledger cannot be read nothing was done lately",
        file: GATE,
        find: "    let rows = context.store.decisions(&filter).await.map_err(|error| {\n        \
            tracing::error!(error = %error, \"gate.ledger_unreadable\");\n        \
            Unreadable\n    })?;",
        replace: r#"    let rows = context.store.decisions(&filter).await;
    let rows = if MUTANT { Ok(rows.unwrap_or_default()) } else { rows };
    let rows = rows.map_err(|error| {
        tracing::error!(error = %error, "gate.ledger_unreadable");
        Unreadable
    })?;"#,
        tests: POLICY,
    },
    Mutation {
        name: "overrides-error-is-none",
        breaks: "when the overrides cannot be read there are none",
        file: SOURCE,
        find: "            Ok(overrides) => overrides,\n            Err(error) => return blind(&error),",
        replace: r#"            Ok(overrides) => overrides,
            Err(_) if MUTANT => Vec::new(),
            Err(error) => return blind(&error),"#,
        tests: POLICY,
    },
    Mutation {
        name: "overrides-read-once",
        breaks: "what another process freezes is not seen",
        file: SOURCE,
        find: "                && known.counter == counter\n",
        replace: r#"                && (known.counter == counter || MUTANT)
"#,
        tests: POLICY,
    },
    Mutation {
        name: "storm-guard-off",
        breaks: "rules may start any number of actions in one interval",
        file: PROPOSE,
        find: "    context.options.max_actions.saturating_sub(",
        replace: r#"    let most = if MUTANT { u32::MAX } else { context.options.max_actions };
    most.saturating_sub("#,
        tests: POLICY,
    },
    Mutation {
        name: "storm-guard-starts-anew",
        breaks: "a restart gives the storm guard its full number again",
        file: PROPOSE,
        find: "saturating_sub(u32::try_from(started).unwrap_or(u32::MAX))",
        replace: r#"saturating_sub(u32::try_from(started).unwrap_or(u32::MAX).min(if MUTANT {
        0
    } else {
        u32::MAX
    }))"#,
        tests: POLICY,
    },
    Mutation {
        name: "pass-does-not-count",
        breaks: "what a pass allows does not count for the rest of the pass",
        file: GATE,
        find: "            ledger.record(request.kind, request.target, request.now, Some(action.clone()));",
        replace: r#"            if !MUTANT {
                ledger.record(request.kind, request.target, request.now, Some(action.clone()));
            }"#,
        tests: POLICY,
    },
    Mutation {
        name: "fleet-never-down",
        breaks: "services that are down do not count as unavailable",
        file: GATE,
        find: "live.tasks.running == 0)",
        replace: "live.tasks.running == 0 && !MUTANT)",
        tests: POLICY,
    },
    Mutation {
        name: "freeze-ends-grants",
        breaks: "a freeze costs people what they asked for and decided",
        file: PROPOSE,
        find: "                && leaves_standing(&verdict)\n",
        replace: "                && (!MUTANT && leaves_standing(&verdict))\n",
        tests: POLICY,
    },
    Mutation {
        name: "fleet-cannot-hold-back-a-person",
        breaks: "what people approved starts however much of the fleet is down",
        file: "controller/runtime/src/reconcile/act.rs",
        find: "        Ok(step) => match verdict.held_back() {",
        replace: "        Ok(step) => match verdict.held_back().filter(|_| !MUTANT) {",
        tests: POLICY,
    },
];
