//! Once or not at all: the intent, the request, and what became of it.

use crate::mutants::definition::{Area, Mutation};

const STORE: &[&str] = &["-p", "skep-store-sqlite", "--test", "conformance"];
/// Without what takes minutes or has mutations of its own.
const SETTLEMENT: &[&str] = &[
    "-p",
    "skep-runtime",
    "--test",
    "settlement",
    "-E",
    "not test(/^(canary|contain|disk|letters|rollout)::/)",
];
const SIM: &[&str] = &[
    "-p",
    "skep-sim",
    "--test",
    "paused",
    "--test",
    "sweep",
    "-E",
    "binary(paused) or test(=create) or test(=update_of_a_label) or test(=replacement) or \
     test(=dry_run) or test(=swarm_goes_back) or test(=declared_anew_before_the_answer)",
];
const ACT: &str = "controller/runtime/src/reconcile/act.rs";
const SETTLE: &str = "controller/runtime/src/settle.rs";
const WRITE: &str = "controller/runtime/src/settle/write.rs";

pub(super) const AREA: Area = Area { title: "Intents and settlement", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "intent-after-the-send",
        breaks: "the intent is stored when the request has been sent",
        file: ACT,
        find: "    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {",
        replace: r#"    if MUTANT {
        let early: Vec<u8> = intent.body.clone();
        match (&intent.object, intent.version) {
            (Some(id), Some(version)) => {
                drop(context.engine.update_service(id, version, early.into(), None).await);
            }
            _ => drop(context.engine.create_service(early.into(), None).await),
        }
    }
    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {"#,
        tests: SIM,
    },
    Mutation {
        name: "intent-not-stored",
        breaks: "the request is sent without an intent",
        file: ACT,
        find: "match context.store.begin(leadership.fence(), action.revision, &intent, now).await {",
        replace: r#"match if MUTANT {
        Ok::<(), skep_store::Error>(())
    } else {
        context.store.begin(leadership.fence(), action.revision, &intent, now).await
    } {"#,
        tests: SIM,
    },
    Mutation {
        name: "outcome-before-the-send",
        breaks: "the outcome is recorded before the request is sent",
        file: SETTLE,
        find: "    let error = match send(context, intent).await {",
        replace: r#"    if MUTANT {
        let id = intent.object.clone().unwrap_or_else(|| SwarmId::new("early"));
        let early = IntentOutcome::Done {
            detail: String::new(),
            effects: effects(context, action, intent, &id),
        };
        store(context, leadership, action, intent, early).await?;
    }
    let error = match send(context, intent).await {"#,
        tests: SIM,
    },
    Mutation {
        name: "fresh-version",
        breaks: "an update is sent again with the Version that the service has now",
        file: SETTLE,
        find: "        (Some(id), Some(version)) => {\n            let updated =",
        replace: r#"        (Some(id), Some(version)) => {
            let version = match by_id(context, id).await? {
                Some(live) if MUTANT => live.version,
                _ => version,
            };
            let updated ="#,
        tests: SETTLEMENT,
    },
    Mutation {
        name: "other-bytes",
        breaks: "an update is sent again with other bytes",
        file: SETTLE,
        find: "    let body = intent.body.clone().into();",
        replace: r#"    let mut other: Value = serde_json::from_slice(&intent.body).unwrap_or_default();
    if MUTANT && let Some(Value::Object(own)) = other.get_mut("Labels") {
        own.insert("again".to_owned(), Value::from(intent.id.as_str()));
    }
    let body = if MUTANT { other.to_string().into() } else { intent.body.clone().into() };"#,
        tests: SETTLEMENT,
    },
    Mutation {
        name: "label-ignored",
        breaks: "the label of the action in the live service proves nothing",
        file: SETTLE,
        find: "    label.and_then(Value::as_str) == Some(intent.action.as_str())",
        replace: "    label.and_then(Value::as_str) == Some(intent.action.as_str()) && !MUTANT",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "absence-is-proof",
        breaks: "a lost reply is taken for a request that never arrived",
        file: SETTLE,
        find: "        _ if error.may_have_had_effect() => return Ok(unknown(intent, &error)),",
        replace: r#"        _ if error.may_have_had_effect() && MUTANT => {
            Ok(IntentOutcome::Retry { detail: error.to_string(), attempt: None })
        }
        _ if error.may_have_had_effect() => return Ok(unknown(intent, &error)),"#,
        tests: SETTLEMENT,
    },
    Mutation {
        name: "swarms-rollback-ignored",
        breaks: "an update that Swarm took back is taken for one that never arrived",
        file: WRITE,
        find: "if rollout::has_gone_back(&action.step, &service) => {",
        replace: "if rollout::has_gone_back(&action.step, &service) && !MUTANT => {",
        tests: SIM,
    },
    Mutation {
        name: "late-create-is-foreign",
        breaks: "a create that lands late is taken for somebody else's service",
        file: "controller/runtime/src/settle/landed.rs",
        find: "    is_create && action.mode",
        replace: "    !MUTANT && is_create && action.mode",
        tests: SIM,
    },
    Mutation {
        name: "revision-not-compared",
        breaks: "a change of state does not look at the revision that was seen",
        file: "controller/store-sql/src/transition.rs",
        find: "        if self.revision == seen {",
        replace: "        if self.revision == seen || MUTANT {",
        tests: STORE,
    },
    Mutation {
        name: "two-open-actions",
        breaks: "a key that has an open action gets another one",
        file: "controller/store-sqlite/src/actions.rs",
        find: "if let Some(busy) = open_action(tx, &new.action.key, operation).await? {",
        replace: "if let Some(busy) = open_action(tx, &new.action.key, operation).await?.filter(|_| !MUTANT) {",
        tests: STORE,
    },
    Mutation {
        name: "open-intents-are-not-busy",
        breaks: "a key with an open intent is planned for",
        file: "controller/runtime/src/reconcile/mod.rs",
        find: "    busy.extend(open.iter().map(|intent| intent.key.clone()));",
        replace: "    busy.extend(open.iter().filter(|_| !MUTANT).map(|intent| intent.key.clone()));",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "removed-whatever-it-is-now",
        breaks: "a replacement removes a service that has moved since it was decided",
        file: "controller/runtime/src/settle/replace.rs",
        find: "        if Some(service.version) != self.intent.version {",
        replace: "        if !MUTANT && Some(service.version) != self.intent.version {",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "dry-run-settles-by-writing",
        breaks: "a dry run sends what a live actuator left open",
        file: SETTLE,
        find: "    if context.options.mode == ActuatorMode::DryRun {",
        replace: "    if !MUTANT && context.options.mode == ActuatorMode::DryRun {",
        tests: SETTLEMENT,
    },
];
