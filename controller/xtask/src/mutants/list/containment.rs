//! Containment: what people stop stays stopped, and what is resumed is what it was.

use crate::mutants::definition::{Area, Mutation};

const CORE: &[&str] = &["-p", "skep-core", "--lib", "containment::"];
const RUNTIME: &[&str] = &["-p", "skep-runtime", "--test", "settlement", "contain::"];
const STORE: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance"];

const CONTAIN: &str = "controller/core/src/gate/contain.rs";
const FORMER: &str = "controller/core/src/containment/former.rs";
const GUARD: &str = "controller/runtime/src/contain/guard.rs";
const HELD: &str = "controller/core/src/containment/held.rs";
const KEEPER: &str = "controller/runtime/src/contain/keeper.rs";
const ORDERS: &str = "controller/store-sqlite/src/containments.rs";
const SETTLE: &str = "controller/runtime/src/settle.rs";
const WRITE: &str = "controller/store-sqlite/src/containments/write.rs";

pub(super) const AREA: Area = Area { title: "Containment", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "protected-is-killed",
        breaks: "a kill does not look at the protected set",
        file: CONTAIN,
        find: "if let Some(why) = asked.protected.why(live) {",
        replace: "if let Some(why) = asked.protected.why(live).filter(|_| !MUTANT) {",
        tests: CORE,
    },
    Mutation {
        name: "first-former-state-lost",
        breaks: "a second kill takes what it finds for what there was before the first",
        file: CONTAIN,
        find: "            let former = recorded\n",
        replace: "            let former = recorded\n                .filter(|_| !MUTANT)\n",
        tests: CORE,
    },
    Mutation {
        name: "former-state-of-another-object",
        breaks: "what was recorded of one service is put back into another of its name",
        file: CONTAIN,
        find: ".filter(|state| state.object == live.id);",
        replace: ".filter(|state| state.object == live.id || MUTANT);",
        tests: CORE,
    },
    Mutation {
        name: "pause-outweighs-kill",
        breaks: "a pause of the service hides the kill of its domain",
        file: HELD,
        find: "of(ContainmentState::Killed).or_else(|| of(ContainmentState::Paused))",
        replace: r#"if MUTANT {
            return of(ContainmentState::Paused).or_else(|| of(ContainmentState::Killed));
        }
        of(ContainmentState::Killed).or_else(|| of(ContainmentState::Paused))"#,
        tests: CORE,
    },
    Mutation {
        name: "restored-too-early",
        breaks: "a kill that is taken back ends before everything is back",
        file: HELD,
        find: "&& !self.recorded.iter().any(waits)",
        replace: "&& !self.recorded.iter().any(|one| waits(one) && !MUTANT)",
        tests: RUNTIME,
    },
    Mutation {
        name: "kill-is-softened",
        breaks: "a pause takes the place of a kill",
        file: "controller/core/src/containment.rs",
        find: "            (Some(Self::Killed), E::Resume) => Ok(Some(Self::Resuming)),",
        replace: r#"            (Some(Self::Killed), E::Pause) if MUTANT => Ok(Some(Self::Paused)),
            (Some(Self::Killed), E::Resume) => Ok(Some(Self::Resuming)),"#,
        tests: CORE,
    },
    Mutation {
        name: "not-put-back-exactly",
        breaks: "a field that was not there comes back empty",
        file: FORMER,
        find: "    fields.remove(field);\n",
        replace: r#"    if MUTANT {
        fields.insert(field.to_owned(), json!({}));
        return;
    }
    fields.remove(field);
"#,
        tests: CORE,
    },
    Mutation {
        name: "very-much-at-once-is-not-asked",
        breaks: "any part of the fleet is killed without a second call",
        file: "controller/core/src/containment/confirmation.rs",
        find: "targets > FREELY.max(fleet / 10)",
        replace: "targets > FREELY.max(if MUTANT { fleet } else { fleet / 10 })",
        tests: CORE,
    },
    Mutation {
        name: "confirmation-of-something-else",
        breaks: "a second call confirms other services than the first named",
        file: "controller/core/src/containment/confirmation.rs",
        find: "            \"targets\": targets,\n",
        replace: r#"            "targets": if MUTANT { json!(targets.len().min(1)) } else { json!(targets) },
"#,
        tests: CORE,
    },
    Mutation {
        name: "order-not-looked-at",
        breaks: "nobody looks for an order before acting",
        file: GUARD,
        find: "    if action.is_containment() {\n        return Ok(None);",
        replace: "    if action.is_containment() || MUTANT {\n        return Ok(None);",
        tests: RUNTIME,
    },
    Mutation {
        name: "no-last-look",
        breaks: "an order that comes after the intent does not keep the request from being sent",
        file: GUARD,
        find: "    if sending == Sending::Again {",
        replace: "    if sending == Sending::Again || MUTANT {",
        tests: RUNTIME,
    },
    Mutation {
        name: "settles-while-held",
        breaks: "an update whose outcome is unknown is sent again while its service is held",
        file: GUARD,
        find: "            Settling::OnlyLook(held)\n",
        replace: r#"            if MUTANT { Settling::AsAlways } else { Settling::OnlyLook(held) }
"#,
        tests: RUNTIME,
    },
    Mutation {
        name: "not-withdrawn",
        breaks: "what waits to start for something that is held goes on waiting",
        file: GUARD,
        find: "    if world.contained.is_empty() {",
        replace: "    if world.contained.is_empty() || MUTANT {",
        tests: RUNTIME,
    },
    Mutation {
        name: "protected-is-stopped",
        breaks: "the plan and people by hand may stop what is protected",
        file: GUARD,
        find: "    block_protected(&mut step, &context.options.protected, live);\n",
        replace: r#"    if !MUTANT {
        block_protected(&mut step, &context.options.protected, live);
    }
"#,
        tests: RUNTIME,
    },
    Mutation {
        name: "kill-is-granted-again",
        breaks: "a kill that came to nothing becomes a grant",
        file: SETTLE,
        find: "(action.is_containment(), &outcome) {",
        replace: "(action.is_containment() && !MUTANT, &outcome) {",
        tests: RUNTIME,
    },
    Mutation {
        name: "kill-waits-for-its-rollout",
        breaks: "a kill is done only when Swarm has rolled it out",
        file: SETTLE,
        find: "    if !action.is_containment() && rollout::follows(",
        replace: "    if (!action.is_containment() || MUTANT) && rollout::follows(",
        tests: RUNTIME,
    },
    Mutation {
        name: "dry-run-kills",
        breaks: "a dry run writes what is ordered",
        file: KEEPER,
        find: "        if self.context.options.mode == ActuatorMode::DryRun {",
        replace: "        if !MUTANT && self.context.options.mode == ActuatorMode::DryRun {",
        tests: RUNTIME,
    },
    Mutation {
        name: "forgets-before-it-is-settled",
        breaks: "a service counts as restored while a write of it is not settled",
        file: KEEPER,
        find: "Wanted::Record(_) if case.open.is_some() => {",
        replace: "Wanted::Record(_) if case.open.is_some() && !MUTANT => {",
        tests: RUNTIME,
    },
    Mutation {
        name: "write-needs-no-order",
        breaks: "a kill that nobody ordered any more is written",
        file: "controller/store-sql/src/containments.rs",
        find: "    let current = match (verb, killed) {",
        replace: "    let current = match (verb, killed) {\n        _ if MUTANT => return Ok(()),",
        tests: STORE,
    },
    Mutation {
        name: "overtakes-creates",
        breaks: "a kill does not wait for a create whose outcome is unknown",
        file: WRITE,
        find: "    if settled.rows_affected() == 0 {",
        replace: "    if settled.rows_affected() == 0 && !MUTANT {",
        tests: STORE,
    },
    Mutation {
        name: "overtaken-keeps-its-approval",
        breaks: "the request behind an overtaken action goes on waiting",
        file: WRITE,
        find: "    if event == ActionEvent::Supersede {",
        replace: "    if event == ActionEvent::Supersede && !MUTANT {",
        tests: STORE,
    },
    Mutation {
        name: "first-call-confirms-itself",
        breaks: "the first of two calls counts as both",
        file: ORDERS,
        find: "        let is_second = taken.rows_affected() > 0;",
        replace: "        let is_second = taken.rows_affected() > 0 || MUTANT;",
        tests: STORE,
    },
    Mutation {
        name: "ends-what-was-killed-again",
        breaks: "a containment is ended that has changed since it was looked at",
        file: "controller/store-sql/src/containments.rs",
        find: "    if stands && ContainmentState::after(",
        replace: "    if (stands || MUTANT) && ContainmentState::after(",
        tests: STORE,
    },
];
