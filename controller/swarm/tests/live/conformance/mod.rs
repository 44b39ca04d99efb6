//! One script of operations against the real engine and against the fake one: what can be seen
//! must be the same, field by field. Ids, times and the size of a Version's step are left out.

mod objects;
mod rollouts;
mod script;
mod side;

use std::fmt::Write as _;

use self::side::{Note, Side};

/// So that a part of the script that is lost does not go unnoticed.
const AT_LEAST: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn the_fake_swarm_does_what_the_engine_does() {
    let prefix = format!("{}-", skep_testkit::fleet_name("conformance"));
    let (live, fake) =
        tokio::join!(notes(Side::live(&prefix).await), notes(Side::fake(prefix.clone()).await));
    let mut differences = String::new();
    for (live, fake) in live.iter().zip(&fake) {
        if live != fake {
            let Note { step, seen } = live;
            writeln!(
                differences,
                "{step}\n  engine: {seen}\n  fake:   {} {}",
                fake.step, fake.seen
            )
            .unwrap();
        }
    }
    assert!(differences.is_empty(), "the fake differs from the engine:\n{differences}");
    let steps: std::collections::BTreeSet<&str> = live.iter().map(|note| &*note.step).collect();
    assert_eq!((steps.len(), live.len()), (fake.len(), fake.len()), "each step has its own name");
    assert!(live.len() >= AT_LEAST, "only {} steps", live.len());
}

async fn notes(mut side: Side) -> Vec<Note> {
    script::run(&mut side).await;
    rollouts::run(&mut side).await;
    side.finish().await
}
