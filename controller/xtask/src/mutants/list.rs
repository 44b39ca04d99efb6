//! The mutations: a text that stands in a file exactly once, and what takes its place.

/// One way to break the product.
pub(super) struct Mutation {
    /// A short name.
    pub(super) name: &'static str,
    /// What no longer holds, for people.
    pub(super) breaks: &'static str,
    /// The file, from the root.
    pub(super) file: &'static str,
    pub(super) find: &'static str,
    pub(super) replace: &'static str,
    /// The tests that are run: arguments of `cargo nextest run`.
    pub(super) tests: &'static [&'static str],
}

impl Mutation {
    /// The mutated text; `None` when the definition does not fit exactly once.
    pub(super) fn applied_to(&self, text: &str) -> Option<String> {
        let mut parts = text.split(self.find);
        let (before, after) = (parts.next()?, parts.next()?);
        parts.next().is_none().then(|| format!("{before}{}{after}", self.replace))
    }
}

const STORE: &[&str] = &["-p", "skep-store-sqlite"];
const APPROVAL: &[&str] = &["-p", "skep-core", "approval"];
const SETTLEMENT: &[&str] = &["-p", "skep-runtime", "--test", "settlement"];
/// The simulated world, in the scenarios that are quickest.
const SIM: &[&str] = &[
    "-p",
    "skep-sim",
    "-E",
    "binary(paused) or test(=create) or test(=update_of_a_label) or test(=replacement) or \
     test(=dry_run) or test(=swarm_goes_back) or test(=declared_anew_before_the_answer)",
];
const PAUSED: &[&str] = &["-p", "skep-sim", "--test", "paused"];

const FENCE: &str = "controller/store-sqlite/src/fence.rs";
const LEASES: &str = "controller/store-sqlite/src/leases.rs";
const LEADER: &str = "controller/runtime/src/leader.rs";
const ACT: &str = "controller/runtime/src/reconcile/act.rs";
const SETTLE: &str = "controller/runtime/src/settle.rs";
const WRITE: &str = "controller/runtime/src/settle/write.rs";
const REDEEM: &str = "controller/core/src/approval/redeem.rs";
const TRANSITION: &str = "controller/store-sqlite/src/transition.rs";

pub(super) const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "fence-not-checked",
        breaks: "epoch and term are not compared before the leader writes",
        file: FENCE,
        find: "holder.ok_or(Error::Fenced { epoch: fence.epoch })",
        replace: "Ok(holder.unwrap_or_default())",
        tests: STORE,
    },
    Mutation {
        name: "epoch-not-raised",
        breaks: "a takeover keeps the epoch of the leader before",
        file: LEASES,
        find: "held.holder.epoch.saturating_add(1)",
        replace: "held.holder.epoch",
        tests: STORE,
    },
    Mutation {
        name: "term-not-compared",
        breaks: "whoever asks gets the lease that somebody holds",
        file: LEASES,
        find: "let again = held.term.as_ref() == Some(&request.term);",
        replace: "let again = held.term.is_some();",
        tests: STORE,
    },
    Mutation {
        name: "trusted-for-ever",
        breaks: "a leader trusts itself after its lease has run out",
        file: LEADER,
        find: "!self.lost.load(Ordering::Acquire) && Instant::now() < *self.trusted_until.borrow()",
        replace: "!self.lost.load(Ordering::Acquire)",
        tests: PAUSED,
    },
    Mutation {
        name: "intent-not-stored",
        breaks: "the request is sent without an intent",
        file: ACT,
        find: "match context.store.begin(leadership.fence(), action.revision, &intent, now).await {",
        replace: "match Ok::<(), skep_store::Error>(()) {",
        tests: SIM,
    },
    Mutation {
        name: "intent-after-the-send",
        breaks: "the intent is stored when the request has been sent",
        file: ACT,
        find: "    match context.store.begin(leadership.fence(), action.revision, &intent, now).await {",
        replace: "    let early: Vec<u8> = intent.body.clone();\n    \
            match (&intent.object, intent.version) {\n        (Some(id), Some(version)) => {\n            \
            drop(context.engine.update_service(id, version, early.into(), None).await);\n        }\n        \
            _ => drop(context.engine.create_service(early.into(), None).await),\n    }\n    \
            match context.store.begin(leadership.fence(), action.revision, &intent, now).await {",
        tests: SIM,
    },
    Mutation {
        name: "outcome-before-the-send",
        breaks: "the outcome is recorded before the request is sent",
        file: SETTLE,
        find: "    let error = match send(context, intent).await {",
        replace: "    let id = intent.object.clone().unwrap_or_else(|| SwarmId::new(\"early\"));\n    \
            let early = IntentOutcome::Done {\n        detail: String::new(),\n        \
            effects: effects(context, action, intent, &id),\n    };\n    \
            store(context, leadership, action, intent, early).await?;\n    \
            let error = match send(context, intent).await {",
        tests: SIM,
    },
    Mutation {
        name: "fresh-version",
        breaks: "an update is sent again with the Version that the service has now",
        file: SETTLE,
        find: "        (Some(id), Some(version)) => {\n            let updated =",
        replace: "        (Some(id), Some(version)) => {\n            let version = \
            by_id(context, id).await?.map_or(version, |live| live.version);\n            \
            let updated =",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "other-bytes",
        breaks: "an update is sent again with other bytes",
        file: SETTLE,
        find: "    let body = intent.body.clone().into();",
        replace: "    let mut other: Value = serde_json::from_slice(&intent.body).unwrap_or_default();\n    \
            if context.asking_since(&intent.id).elapsed() < std::time::Duration::from_secs(3600)\n        \
            && let Some(Value::Object(own)) = other.get_mut(\"Labels\")\n    {\n        \
            own.insert(\"again\".to_owned(), Value::from(intent.id.as_str()));\n    }\n    \
            let body = other.to_string().into();",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "label-ignored",
        breaks: "the label of the action in the live service proves nothing",
        file: SETTLE,
        find: "    label.and_then(Value::as_str) == Some(intent.action.as_str())",
        replace: "    label.and_then(Value::as_str) == Some(\"nobody\")",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "absence-is-proof",
        breaks: "a lost reply is taken for a request that never arrived",
        file: SETTLE,
        find: "        _ if error.may_have_had_effect() => return Ok(unknown(intent, &error)),",
        replace: "        _ if error.may_have_had_effect() => Ok(IntentOutcome::Retry {\n            \
            detail: error.to_string(),\n            attempt: None,\n        }),",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "swarms-rollback-ignored",
        breaks: "an update that Swarm took back is taken for one that never arrived",
        file: WRITE,
        find: "if rollout::has_gone_back(&action.step, &service) => {",
        replace: "if rollout::has_gone_back(&action.step, &service) && false => {",
        tests: SIM,
    },
    Mutation {
        name: "late-create-is-foreign",
        breaks: "a create that lands late is taken for somebody else's service",
        file: "controller/runtime/src/settle/landed.rs",
        find: "    is_create && action.mode",
        replace: "    false && is_create && action.mode",
        tests: SIM,
    },
    Mutation {
        name: "digest-not-compared",
        breaks: "what was approved need not be what is planned now",
        file: REDEEM,
        find: "    if granted.digest != fresh.digest {",
        replace: "    if false && granted.digest != fresh.digest {",
        tests: APPROVAL,
    },
    Mutation {
        name: "binding-not-compared",
        breaks: "the rule that an approval is bound to may move",
        file: REDEEM,
        find: "    (action.binding != binding(fresh, verdict.rule(), mode))",
        replace: "    (false && action.binding != binding(fresh, verdict.rule(), mode))",
        tests: APPROVAL,
    },
    Mutation {
        name: "mode-not-compared",
        breaks: "what was approved for a rehearsal is done for real",
        file: REDEEM,
        find: "    if action.mode != mode {",
        replace: "    if false && action.mode != mode {",
        tests: APPROVAL,
    },
    Mutation {
        name: "object-not-compared",
        breaks: "an approval holds for another service of the same name",
        file: REDEEM,
        find: "    if granted.object != fresh.object {",
        replace: "    if false && granted.object != fresh.object {",
        tests: APPROVAL,
    },
    Mutation {
        name: "deadline-ignored",
        breaks: "a grant may start at any time",
        file: REDEEM,
        find: "    if now > deadline {",
        replace: "    if false && now > deadline {",
        tests: APPROVAL,
    },
    Mutation {
        name: "revision-not-compared",
        breaks: "a change of state does not look at the revision that was seen",
        file: TRANSITION,
        find: "        if self.revision == seen {",
        replace: "        if self.revision == seen || true {",
        tests: STORE,
    },
    Mutation {
        name: "two-open-actions",
        breaks: "a key that has an open action gets another one",
        file: "controller/store-sqlite/src/actions.rs",
        find: "            if let Some(busy) = open_action(&mut tx, &action.key, OPERATION).await? {",
        replace: "            if let Some(busy) =\n                \
            open_action(&mut tx, &action.key, OPERATION).await?.filter(|_| false)\n            {",
        tests: STORE,
    },
    Mutation {
        name: "open-intents-are-not-busy",
        breaks: "a key with an open intent is planned for",
        file: "controller/runtime/src/reconcile/mod.rs",
        find: "    busy.extend(open.iter().map(|intent| intent.key.clone()));",
        replace: "    busy.extend(open.iter().take(0).map(|intent| intent.key.clone()));",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "removed-whatever-it-is-now",
        breaks: "a replacement removes a service that has moved since it was decided",
        file: "controller/runtime/src/settle/replace.rs",
        find: "        if Some(service.version) != self.intent.version {",
        replace: "        if false && Some(service.version) != self.intent.version {",
        tests: SETTLEMENT,
    },
    Mutation {
        name: "dry-run-settles-by-writing",
        breaks: "a dry run sends what a live actuator left open",
        file: SETTLE,
        find: "    if context.options.mode == ActuatorMode::DryRun {",
        replace: "    if false && context.options.mode == ActuatorMode::DryRun {",
        tests: SETTLEMENT,
    },
];
