//! Failed attempts and dead letters: tried three times at most, what destroys once, and nothing
//! fails unnoticed or comes back past the gate.

use crate::mutants::definition::{Area, Mutation};

const CORE: &[&str] = &["-p", "skep-core", "--lib", "retry::"];
const STORE: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance"];
const RUNTIME: &[&str] = &["-p", "skep-runtime", "--test", "settlement", "letters::"];

const LETTERS: &str = "controller/store-sqlite/src/letters.rs";
const RETRY: &str = "controller/core/src/retry.rs";

pub(super) const AREA: Area = Area { title: "Retries and dead letters", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "destructive-is-retried",
        breaks: "what takes something away is tried as often as anything else",
        file: RETRY,
        find: "    if is_destructive(step) { 1 } else { RETRIES + 1 }",
        replace: "    if is_destructive(step) && !MUTANT { 1 } else { RETRIES + 1 }",
        tests: CORE,
    },
    Mutation {
        name: "zero-is-no-stop",
        breaks: "scaling to zero is not taken for a stop",
        file: RETRY,
        find: ".any(|change| change.after == 0),",
        replace: ".any(|change| change.after == 0 && !MUTANT),",
        tests: CORE,
    },
    Mutation {
        name: "no-limit-of-attempts",
        breaks: "a failed attempt is made again any number of times",
        file: RETRY,
        find: "    let may_retry = failed < attempts_allowed(step);",
        replace: "    let may_retry = failed < attempts_allowed(step) || MUTANT;",
        tests: CORE,
    },
    Mutation {
        name: "overdue-is-retried",
        breaks: "an action is tried again after its time",
        file: RETRY,
        find: "Failure::EngineError | Failure::NoReply if overdue =>",
        replace: "Failure::EngineError | Failure::NoReply if overdue && !MUTANT =>",
        tests: CORE,
    },
    Mutation {
        name: "pause-does-not-grow",
        breaks: "the last attempt meets the first",
        file: RETRY,
        find: "let factor = 3_i32.saturating_pow(failed.saturating_sub(1));",
        replace: "let factor = 3_i32.saturating_pow(if MUTANT { 0 } else { failed.saturating_sub(1) });",
        tests: CORE,
    },
    Mutation {
        name: "moved-destruction-goes-on",
        breaks: "what would take something away goes on under the same grant when it has moved",
        file: RETRY,
        find: "        Failure::Moved if is_destructive(step) => Next::AskAgain,\n",
        replace: r#"        Failure::Moved if is_destructive(step) && !MUTANT => Next::AskAgain,
"#,
        tests: CORE,
    },
    Mutation {
        name: "failure-without-a-letter",
        breaks: "an action fails and nobody is told",
        file: LETTERS,
        find: "    insert(tx, &letter, operation).await\n}\n\n/// Marks",
        replace: r#"    if MUTANT {
        return Ok(());
    }
    insert(tx, &letter, operation).await
}

/// Marks"#,
        tests: STORE,
    },
    Mutation {
        name: "requeued-twice",
        breaks: "a letter that was handled is proposed again",
        file: "controller/store-sqlite/src/letters.rs",
        find: "            return Ok(LetterAnswer::Already(letter));\n        }\n        letters::check_requeue",
        replace: "            if !MUTANT {\n                return Ok(LetterAnswer::Already(letter));\n            }\n        }\n        letters::check_requeue",
        tests: STORE,
    },
    Mutation {
        name: "requeue-of-another-object",
        breaks: "a letter brings back something that it is not about",
        file: "controller/store-sql/src/letters.rs",
        find: ".is_some_and(|object| object != key) {",
        replace: ".is_some_and(|object| object != key && !MUTANT) {",
        tests: STORE,
    },
    Mutation {
        name: "dropped-without-a-reason",
        breaks: "a letter is put away and nobody says why",
        file: "controller/store-sql/src/letters.rs",
        find: "    if wish.why.trim().is_empty() {",
        replace: "    if wish.why.trim().is_empty() && !MUTANT {",
        tests: STORE,
    },
    Mutation {
        name: "attempts-start-anew",
        breaks: "a process does not look how often an action was tried before",
        file: "controller/runtime/src/settle.rs",
        find: "    let earlier = context.store.attempts(&action.id).await?;",
        replace: "    let earlier = context.store.attempts(&action.id).await?.filter(|_| !MUTANT);",
        tests: RUNTIME,
    },
    Mutation {
        name: "count-of-attempts-ignored",
        breaks: "each attempt counts as the first",
        file: "controller/runtime/src/attempts.rs",
        find: "    Ok(earlier.map_or(0, |earlier| earlier.failed))",
        replace: "    Ok(earlier.filter(|_| !MUTANT).map_or(0, |earlier| earlier.failed))",
        tests: RUNTIME,
    },
    Mutation {
        name: "absence-concluded-at-once",
        breaks: "after the last attempt nobody waits for one that arrives late",
        file: "controller/runtime/src/attempts.rs",
        find: "    context.options.conclude_after.checked_sub(waited)",
        replace: r#"    let after = context.options.conclude_after;
    let after = if MUTANT { std::time::Duration::ZERO } else { after };
    after.checked_sub(waited)"#,
        tests: RUNTIME,
    },
    Mutation {
        name: "requeue-bypasses-the-gate",
        breaks: "what is asked for by hand, or again, is not asked of the policy",
        file: "controller/runtime/src/reconcile/requests.rs",
        find: "                let verdict = gate.ask(&now);",
        replace: r#"                let mut free = now.clone();
                if MUTANT {
                    free.kind = "observe";
                }
                let verdict = gate.ask(&free);"#,
        tests: RUNTIME,
    },
];
