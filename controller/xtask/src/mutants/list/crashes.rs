//! What only the simulated world shows: crashes in the middle of a containment.

use crate::mutants::definition::{Area, Mutation};

/// The crashes of one scenario.
const KILL: &[&str] = &["-p", "skep-sim", "--test", "sweep", "-E", "test(=kill_and_resume)"];
const LOOP: &[&str] = &["-p", "skep-sim", "--test", "sweep", "-E", "test(=kill_in_the_loop)"];

pub(super) const AREA: Area = Area { title: "Crashes", mutations: MUTATIONS };

const MUTATIONS: &[Mutation] = &[
    Mutation {
        name: "kill-not-settled-first",
        breaks: "a kill whose outcome is unknown is written anew instead of being settled",
        file: "controller/runtime/src/contain/write.rs",
        find: "            if action.is_containment() {\n",
        replace: "            if action.is_containment() && !MUTANT {\n",
        tests: KILL,
    },
    Mutation {
        name: "former-state-not-stored",
        breaks: "a kill is begun without what was there before",
        file: "controller/store-sqlite/src/containments/write.rs",
        find: "        put_former_state(&mut tx, &write.recorded, now, OPERATION).await?;\n",
        replace: "        if !MUTANT {\n            put_former_state(&mut tx, &write.recorded, now, \
            OPERATION).await?;\n        }\n",
        tests: KILL,
    },
    Mutation {
        name: "old-picture-is-news",
        breaks: "a picture of the swarm that is older than our own write is put down as a change by \
            others",
        file: "controller/runtime/src/history.rs",
        find: "revision.version = intent.version.map(|before| before.saturating_add(1));",
        replace: "revision.version = intent.version.filter(|_| !MUTANT).map(|v| v.saturating_add(1));",
        tests: LOOP,
    },
];
