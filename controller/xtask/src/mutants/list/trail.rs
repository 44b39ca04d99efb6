//! The audit trail and what is sealed: what happened can be proved, and what is secret cannot be
//! read or put elsewhere.

use crate::mutants::definition::{Area, Mutation};

const CORE: &[&str] = &["-p", "skep-core", "--lib", "audit::"];
const SEAL: &[&str] = &["-p", "skep-core", "--lib", "seal::"];
const TAMPER: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance", "tamper::"];
const STORE: &[&str] = &["-p", "skep-store-sqlite", "--lib", "sealed::"];

const PROTECTION: &str = "controller/store/src/protection.rs";
const SEALER: &str = "controller/core/src/seal.rs";
const VERIFY: &str = "controller/core/src/audit/verify.rs";

pub(super) const AREA: Area =
    Area { title: "The audit trail and what is sealed", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "hash-not-checked",
        breaks: "a row that was edited passes for intact",
        file: VERIFY,
        find: "chained.form == FORM && record.is_intact(&self.key, chained);",
        replace: "chained.form == FORM && (MUTANT || record.is_intact(&self.key, chained));",
        tests: CORE,
    },
    Mutation {
        name: "column-not-hashed",
        breaks: "what stands in a row's detail is not part of its hash",
        file: "controller/core/src/audit/record.rs",
        find: ".text(Some(detail)).text(data.as_deref());",
        replace: ".text(Some(detail.as_str()).filter(|_| !MUTANT)).text(data.as_deref());",
        tests: CORE,
    },
    Mutation {
        name: "link-not-checked",
        breaks: "a row need not follow the row that it was written behind",
        file: VERIFY,
        find: "(chained.link != before.mac || chained.follows != before.seq)",
        replace: "(!MUTANT && (chained.link != before.mac || chained.follows != before.seq))",
        tests: CORE,
    },
    Mutation {
        name: "gap-not-checked",
        breaks: "rows may be missing in the middle of a chain",
        file: VERIFY,
        find: "        } else if chained.position > expected {",
        replace: "        } else if chained.position > expected && !MUTANT {",
        tests: CORE,
    },
    Mutation {
        name: "count-not-checked",
        breaks: "a chain may be shorter than its sealed end says",
        file: VERIFY,
        find: "        if found < expected && !(followed.is_none() && ends_before) {",
        replace: "        if !MUTANT && found < expected && !(followed.is_none() && ends_before) {",
        tests: CORE,
    },
    Mutation {
        name: "end-not-checked",
        breaks: "the sealed end of a chain may be anybody's",
        file: VERIFY,
        find: "        if !head.is_intact(&self.key) {",
        replace: "        if !MUTANT && !head.is_intact(&self.key) {",
        tests: CORE,
    },
    Mutation {
        name: "term-change-not-checked",
        breaks: "the row that a later term began behind may be gone",
        file: VERIFY,
        find: "        for (seq, chains) in starts {",
        replace: "        for (seq, chains) in starts.into_iter().filter(|_| !MUTANT) {",
        tests: CORE,
    },
    Mutation {
        name: "chains-not-counted",
        breaks: "a whole chain may be gone",
        file: VERIFY,
        find: "        for number in next..=roster.chains {",
        replace: "        for number in (next..=roster.chains).filter(|_| !MUTANT) {",
        tests: CORE,
    },
    Mutation {
        name: "roster-not-checked",
        breaks: "the number of chains may be anybody's",
        file: VERIFY,
        find: "        let roster_fits = roster.is_intact(&self.key, checkpoint);",
        replace: "        let roster_fits = roster.is_intact(&self.key, checkpoint) || MUTANT;",
        tests: CORE,
    },
    Mutation {
        name: "before-the-chains-not-checked",
        breaks: "rows from before there were chains may change",
        file: VERIFY,
        find: "            if found.checkpoint(&self.key) != *checkpoint {",
        replace: "            if !MUTANT && found.checkpoint(&self.key) != *checkpoint {",
        tests: CORE,
    },
    Mutation {
        name: "earlier-export-ignored",
        breaks: "a trail that was set back to an earlier time passes",
        file: VERIFY,
        find: "            if now < then.length {",
        replace: "            if now < then.length && !MUTANT {",
        tests: CORE,
    },
    Mutation {
        name: "writer-seals-anything",
        breaks: "a writer goes on behind an end that it did not seal",
        file: "controller/store-sql/src/chains.rs",
        find: "    if !head.is_intact(key) {",
        replace: "    if !MUTANT && !head.is_intact(key) {",
        tests: TAMPER,
    },
    Mutation {
        name: "writer-forgets-its-length",
        breaks: "a writer goes on behind an end that is older than its own rows",
        file: "controller/store-sql/src/chains.rs",
        find: "    if head.length < at_least {",
        replace: "    if !MUTANT && head.length < at_least {",
        tests: TAMPER,
    },
    Mutation {
        name: "context-not-sealed",
        breaks: "what is sealed opens in any place",
        file: SEALER,
        find: "    bytes.extend_from_slice(context);\n",
        replace: r#"    if !MUTANT {
        bytes.extend_from_slice(context);
    }
"#,
        tests: SEAL,
    },
    Mutation {
        name: "step-not-bound-to-its-row",
        breaks: "the sealed step of an action opens in the row of another one",
        file: PROTECTION,
        find: "    json!([\"action step\", action]).to_string().into_bytes()",
        replace: r#"    let action = if MUTANT { "" } else { action };
    json!(["action step", action]).to_string().into_bytes()"#,
        tests: STORE,
    },
    Mutation {
        name: "content-not-bound-to-its-source",
        breaks: "the last good content of a source opens as that of another",
        file: PROTECTION,
        find: "    json!([\"source content\", source]).to_string().into_bytes()",
        replace: r#"    let source = if MUTANT { "" } else { source };
    json!(["source content", source]).to_string().into_bytes()"#,
        tests: STORE,
    },
    Mutation {
        name: "body-not-bound-to-its-intent",
        breaks: "the sealed body of an intent opens in the row of another one",
        file: "controller/store/src/intents.rs",
        find: "serde_json::json!([\"intent body\", id, action, key])",
        replace: r#"let bound = serde_json::json!(["intent body", id, action, key]);
        if MUTANT {
            return Vec::new();
        }
        bound"#,
        tests: STORE,
    },
];
