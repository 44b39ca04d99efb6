//! Networks, configs and secrets: whose they are, which of them may go, and what is written once.

use crate::mutants::definition::{Area, Mutation};

const PLAN: &[&str] =
    &["-p", "skep-core", "--lib", "-E", "test(/^plan::(objects|prune|properties)/)"];
const SOURCES: &[&str] = &["-p", "skep-runtime", "--lib", "-E", "test(/^sources::/)"];
/// The crashes of single scenarios.
const DEPLOYED: &[&str] = &["-p", "skep-sim", "--test", "sweep", "-E", "test(=stack_deployed)"];
const LABELS: &[&str] = &["-p", "skep-sim", "--test", "sweep", "-E", "test(=labels_of_objects)"];
const PRUNED: &[&str] =
    &["-p", "skep-sim", "--test", "sweep", "-E", "test(=service_and_config_pruned)"];

const PRUNE: &str = "controller/core/src/plan/prune.rs";
const VERSION: &str = "controller/core/src/plan/objects/version.rs";
const DRAFT: &str = "controller/core/src/plan/objects/draft.rs";
const OBJECTS: &str = "controller/core/src/plan/objects/mod.rs";
const SETTLE: &str = "controller/runtime/src/settle/object.rs";

pub(super) const AREA: Area = Area { title: "Stacks", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "version-in-use-removed",
        breaks: "an earlier version of a config goes while a service uses it",
        file: PRUNE,
        find: "let is_used = services_using(input.observed, old).next().is_some();",
        replace: "let is_used = !MUTANT && services_using(input.observed, old).next().is_some();",
        tests: PLAN,
    },
    Mutation {
        name: "last-versions-removed",
        breaks: "no earlier version of a config stays for the way back",
        file: PRUNE,
        find: "in earlier.into_iter().skip(VERSIONS_KEPT) {",
        replace: "in earlier.into_iter().skip(if MUTANT { 0 } else { VERSIONS_KEPT }) {",
        tests: PLAN,
    },
    Mutation {
        name: "unready-source-wants-nothing",
        breaks: "something is removed while a source cannot be read",
        file: PRUNE,
        find: "    !sources.is_empty() && sources.iter().all(",
        replace: "    MUTANT || !sources.is_empty() && sources.iter().all(",
        tests: PLAN,
    },
    Mutation {
        name: "orphan-in-use-removed",
        breaks: "what nobody declares goes while a service uses it",
        file: PRUNE,
        find: "        if let Some(user) = user_of(input, &one.target) {",
        replace: "        if let Some(user) = user_of(input, &one.target).filter(|_| !MUTANT) {",
        tests: PLAN,
    },
    Mutation {
        name: "prune-unasked",
        breaks: "what nobody declares goes although its stack does not say prune: true",
        file: PRUNE,
        find: "        if !one.stack.prune {",
        replace: "        if !MUTANT && !one.stack.prune {",
        tests: PLAN,
    },
    Mutation {
        name: "another-id-is-ours",
        breaks: "what others made under a name on record is taken for ours",
        file: VERSION,
        find: "    input.owned_objects.get(&live.target()) == Some(&live.id)",
        replace: "    input.owned_objects.get(&live.target()).is_some_and(|id| MUTANT || *id == live.id)",
        tests: PLAN,
    },
    Mutation {
        name: "versions-go-before-the-new-one-is-there",
        breaks: "earlier versions go while the declared one is not made yet",
        file: VERSION,
        find: "    if object.kind == ObjectKind::Network || !is_current_there {",
        replace: "    if object.kind == ObjectKind::Network || !(MUTANT || is_current_there) {",
        tests: PLAN,
    },
    Mutation {
        name: "taken-name-adopted",
        breaks: "what belongs to another stack, or to none, may be adopted",
        file: DRAFT,
        find: "        if !is_of_the_stack {\n            step.blocked",
        replace: "        if !MUTANT && !is_of_the_stack {\n            step.blocked",
        tests: PLAN,
    },
    Mutation {
        name: "foreign-object-changed",
        breaks: "what is not on record as ours is compared and changed as if it were",
        file: DRAFT,
        find: "        if !version::is_ours(self.input, live) {\n            return self.foreign(live);",
        replace: "        if !MUTANT && !version::is_ours(self.input, live) {\n            return \
            self.foreign(live);",
        tests: PLAN,
    },
    Mutation {
        name: "differing-object-used",
        breaks: "services begin to use what docker left and is not as declared",
        file: OBJECTS,
        find: "                    && step.action.writes_nothing_to_the_engine() =>",
        replace: "                    && !MUTANT\n                    && \
            step.action.writes_nothing_to_the_engine() =>",
        tests: PLAN,
    },
    Mutation {
        name: "network-in-use-made-anew",
        breaks: "a network is removed while services use it",
        file: DRAFT,
        find: "        if users.is_empty() {",
        replace: "        if MUTANT || users.is_empty() {",
        tests: PLAN,
    },
    Mutation {
        name: "missing-external-ignored",
        breaks: "a stack is begun although something from outside is missing",
        file: OBJECTS,
        find: "            if let Some(blocked) = missing_external(input, &stack.externals) {",
        replace: "            if let Some(blocked) = missing_external(input, \
            &stack.externals).filter(|_| !MUTANT) {",
        tests: PLAN,
    },
    Mutation {
        name: "half-a-stack",
        breaks: "the rest of a stack is made although one of its objects cannot be had",
        file: OBJECTS,
        find: "            if !step.action.writes_nothing_to_the_engine() {",
        replace: "            if !MUTANT && !step.action.writes_nothing_to_the_engine() {",
        tests: PLAN,
    },
    Mutation {
        name: "content-hash-without-a-key",
        breaks: "the hash in the name of a config or secret can be computed by anybody",
        file: VERSION,
        find: "    let mut digest = masking.digest(&canonical_json(&content));",
        replace: "    let open = Masking::new(Vec::new());\n    let masking = if MUTANT { &open } \
            else { masking };\n    let mut digest = masking.digest(&canonical_json(&content));",
        tests: PLAN,
    },
    Mutation {
        name: "unread-list-forgets-stacks",
        breaks: "a stacks file that was never read takes the stacks away that another one declares",
        file: "controller/runtime/src/sources/stacks.rs",
        find: "        if complete {",
        replace: "        if MUTANT || complete {",
        tests: SOURCES,
    },
    Mutation {
        name: "two-owners-of-a-name",
        breaks: "a stack takes a name that another source declares",
        file: "controller/runtime/src/sources/merge.rs",
        find: "            match self.claimed(&declared) {",
        replace: "            match self.claimed(&declared).filter(|_| !MUTANT) {",
        tests: SOURCES,
    },
    Mutation {
        name: "lost-create-made-twice",
        breaks: "a create of an object whose reply was lost is taken for somebody else's work",
        file: SETTLE,
        find: "            (None, Some(live)) if carries(&live, &intent.action) => {",
        replace: "            (None, Some(live)) if !MUTANT && carries(&live, &intent.action) => {",
        tests: DEPLOYED,
    },
    Mutation {
        name: "lost-labels-fail",
        breaks: "new labels whose reply was lost are taken for a change by others",
        file: SETTLE,
        find: "                } else if carries(&live, &intent.action) {",
        replace: "                } else if !MUTANT && carries(&live, &intent.action) {",
        tests: LABELS,
    },
    Mutation {
        name: "removed-object-on-record",
        breaks: "what is removed stays on record",
        file: SETTLE,
        find: "        let ownership = Some(OwnershipChange::Forget(self.intent.key.clone()));",
        replace: "        let ownership = (!MUTANT).then(|| \
            OwnershipChange::Forget(self.intent.key.clone()));",
        tests: PRUNED,
    },
    Mutation {
        name: "created-object-off-record",
        breaks: "what is created is not put on record",
        file: SETTLE,
        find: "        let ownership =\n            self.intent.object.is_none().then(",
        replace: "        let ownership =\n            (!MUTANT && self.intent.object.is_none()).then(",
        tests: DEPLOYED,
    },
];
