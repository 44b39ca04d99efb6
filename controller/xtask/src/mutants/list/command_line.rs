//! The command line: exit codes that scripts can trust, and no slip that becomes a destructive
//! default.

use crate::mutants::definition::{Area, Mutation};

const APPROVALS: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^(fleet|approvals)::/)"];
const AUDIT: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^audit::/)"];
const CONTAIN: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^contain::/)"];
const DLQ: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^dlq::/)"];
const ERRORS: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^errors::/)"];
const FLEET: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^fleet::/)"];
const FREEZE: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^freeze::/)"];
const BACKUP: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/backup_is/)"];
const CONFIG: &[&str] = &["-p", "skep", "--test", "cli", "-E", "test(/^config::/)"];

const ERROR: &str = "controller/src/error.rs";
const RESTORE: &str = "controller/src/verbs/store/restore.rs";
const VERIFY: &str = "controller/src/verbs/audit/verify.rs";

pub(super) const AREA: Area = Area { title: "The command line", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "usage-is-failure",
        breaks: "a wrong command line ends like any failure",
        file: ERROR,
        find: "Self { exit: exit::USAGE, ..",
        replace: "Self { exit: if MUTANT { exit::FAILED } else { exit::USAGE }, ..",
        tests: ERRORS,
    },
    Mutation {
        name: "failure-exits-with-zero",
        breaks: "a command that failed ends as if it had worked",
        file: ERROR,
        find: "next: None, exit: exit::FAILED }",
        replace: "next: None, exit: if MUTANT { exit::OK } else { exit::FAILED } }",
        tests: ERRORS,
    },
    Mutation {
        name: "pending-exits-with-zero",
        breaks: "with --detailed-exitcode what is to be done looks like nothing to do",
        file: "controller/src/verbs/plan.rs",
        find: "args.detailed_exitcode && pending { exit::PENDING }",
        replace: "args.detailed_exitcode && pending && !MUTANT { exit::PENDING }",
        tests: FLEET,
    },
    Mutation {
        name: "broken-trail-exits-with-zero",
        breaks: "a trail that is not whole verifies",
        file: VERIFY,
        find: "    if report.ok {",
        replace: "    if report.ok || MUTANT {",
        tests: AUDIT,
    },
    Mutation {
        name: "forged-export-is-trusted",
        breaks: "an export is taken for genuine whoever signed it",
        file: VERIFY,
        find: "    head.check(key).map_err(|error| {",
        replace: r#"    let checked = head.check(key);
    let checked = if MUTANT { Ok(()) } else { checked };
    checked.map_err(|error| {"#,
        tests: AUDIT,
    },
    Mutation {
        name: "cut-export-is-whole",
        breaks: "rows may be missing from an export",
        file: VERIFY,
        find: "    if let Some(damage) = digest.compare(&head) {",
        replace: "    if let Some(damage) = digest.compare(&head).filter(|_| !MUTANT) {",
        tests: AUDIT,
    },
    Mutation {
        name: "export-overwrites",
        breaks: "an export takes the place of another file",
        file: "controller/src/verbs/audit/export.rs",
        find: "else { fs::hard_link(beside, path) };",
        replace: "else if MUTANT { fs::rename(beside, path) } else { fs::hard_link(beside, path) };",
        tests: AUDIT,
    },
    Mutation {
        name: "all-dropped-unasked",
        breaks: "all dead letters are put away without a yes",
        file: "controller/src/verbs/dlq/drop.rs",
        find: "    if args.yes || letters.is_empty() {",
        replace: "    if args.yes || letters.is_empty() || MUTANT {",
        tests: DLQ,
    },
    Mutation {
        name: "failed-letter-exits-with-zero",
        breaks: "a letter that is not there counts as handled",
        file: "controller/src/verbs/dlq.rs",
        find: "        matches!(self.outcome, \"not-found\" | \"ambiguous\" |",
        replace: "        !MUTANT && matches!(self.outcome, \"not-found\" | \"ambiguous\" |",
        tests: DLQ,
    },
    Mutation {
        name: "domain-killed-unasked",
        breaks: "a whole domain is killed by one command",
        file: "controller/src/verbs/contain.rs",
        find: "                && !answer.dry_run\n            {",
        replace: "                && !answer.dry_run\n                && !MUTANT\n            {",
        tests: CONTAIN,
    },
    Mutation {
        name: "dry-run-order-holds",
        breaks: "a kill under a dry run is stored as an order",
        file: "controller/src/verbs/contain.rs",
        find: ".partition(|order| mode == ActuatorMode::Swarm || !self.writes(&order.scope));",
        replace: ".partition(|order| mode == ActuatorMode::Swarm || !self.writes(&order.scope) || MUTANT);",
        tests: CONTAIN,
    },
    Mutation {
        name: "misspelt-exception-ignored",
        breaks: "an exception that names nothing decides about everything",
        file: "controller/src/verbs/approvals/choose.rs",
        find: "        if targets.clone().any(|target| target == name) {",
        replace: "        if targets.clone().any(|target| target == name) || MUTANT {",
        tests: APPROVALS,
    },
    Mutation {
        name: "restore-overwrites",
        breaks: "a backup takes the place of records without --force",
        file: RESTORE,
        find: "        if !args.force {\n            return Err(not_empty(named, \"add --force to replace it; the",
        replace: r#"        if !args.force && !MUTANT {
            return Err(not_empty(named, "add --force to replace it; the"#,
        tests: BACKUP,
    },
    Mutation {
        name: "damaged-backup-restored",
        breaks: "a damaged backup takes the place of the store",
        file: RESTORE,
        find: "backup.check().await?.first() {",
        replace: "backup.check().await?.first().filter(|_| !MUTANT) {",
        tests: BACKUP,
    },
    Mutation {
        name: "restored-under-a-leader",
        breaks: "a store is replaced while somebody leads on it",
        file: "controller/src/verbs/store.rs",
        find: "    match database.store().lease_holder().await? {",
        replace: "    match database.store().lease_holder().await?.filter(|_| !MUTANT) {",
        tests: BACKUP,
    },
    Mutation {
        name: "misspelt-actuator-writes",
        breaks: "an actuator that nobody knows changes the swarm",
        file: "controller/src/config/value.rs",
        find: "        _ => Value::Actuator(ActuatorMode::DryRun, Some(text.to_owned())),",
        replace: r#"        _ if MUTANT => Value::Actuator(ActuatorMode::Swarm, Some(text.to_owned())),
        _ => Value::Actuator(ActuatorMode::DryRun, Some(text.to_owned())),"#,
        tests: CONFIG,
    },
    Mutation {
        name: "writes-by-default",
        breaks: "without a setting the swarm is changed",
        file: "controller/src/config/mod.rs",
        find: "            Some(Value::Actuator(mode, _)) => *mode,",
        replace: "            Some(Value::Actuator(ActuatorMode::DryRun, None)) if MUTANT => {\n                \
            ActuatorMode::Swarm\n            }\n            Some(Value::Actuator(mode, _)) => *mode,",
        tests: FLEET,
    },
    Mutation {
        name: "secret-setting-shown",
        breaks: "a secret setting is shown",
        file: "controller/src/config/resolve.rs",
        find: "    if setting.secret { Secret::parse(&text).shown()",
        replace: "    if setting.secret && !MUTANT { Secret::parse(&text).shown()",
        tests: CONFIG,
    },
    Mutation {
        name: "freeze-not-told",
        breaks: "nobody is told that what they look at is frozen",
        file: "controller/src/verbs/freeze.rs",
        find: "    for freeze in freezes {\n        let text =",
        replace: r#"    for freeze in freezes.iter().filter(|_| !MUTANT) {
        let text ="#,
        tests: FREEZE,
    },
];
