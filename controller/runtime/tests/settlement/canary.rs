//! Secrets are searched for in the store's files, in everything that can be read from it, and in
//! what `Debug` says of it, while a service that holds them is planned, approved, refused,
//! written, changed, killed, resumed and taken over.

use std::path::Path;

use skep_core::gate::{Facts, Request};
use skep_core::identity::{ClusterId, ObjectKey, ServiceName};
use skep_core::ports::Clock as _;
use skep_core::request::RequestVerb;
use skep_runtime::SystemClock;
use skep_store::conformance::protection;
use skep_store::{
    ActionFilter, Actions as _, ApprovalFilter, Approvals as _, Audit as _, AuditFilter,
    Containments as _, DeadLetters as _, DeliveryFilter, Intents as _, Ledger as _, LedgerFilter,
    LetterFilter, Outbox as _, RequestFilter, Requests as _, Revisions as _, Sources as _,
};
use skep_store_sqlite::{OpenOptions, SqliteStore};
use skep_swarm::fake::Fault;
use skep_testkit::canary::{Canaries, Search};

use crate::World;

const PLACES: &[&str] = &[
    "environment value",
    "unsuspicious value",
    "label",
    "value behind file",
    "argument behind its flag",
    "health check",
    "next value",
    "foreign value",
];

/// What can be read from the store, as `Debug` says it and, where it is served, as JSON.
async fn read(world: &World, search: &mut Search<'_>, when: &str) {
    let store = &world.store;
    let key = ObjectKey::service(&ClusterId::new("cluster1"), &ServiceName::new("a"));
    search.debug("debug", when, &store.actions(&ActionFilter::default()).await.unwrap());
    search.debug("debug", when, &store.approvals(&ApprovalFilter::default()).await.unwrap());
    search.debug("debug", when, &store.open_intents().await.unwrap());
    search.debug("debug", when, &store.revisions(&key, 0).await.unwrap());
    search.debug("debug", when, &store.requests(&RequestFilter::default()).await.unwrap());
    search.debug("debug", when, &store.contained(&key.cluster).await.unwrap());
    let registry = world.registry().display().to_string();
    search.debug("debug", when, &store.last_good(&registry).await.unwrap());
    let served = |value: serde_json::Value| value.to_string().into_bytes();
    let trail = store.audit(&AuditFilter::default()).await.unwrap();
    search.debug("trail", when, &trail);
    for (_, event) in trail {
        search.bytes("trail", when, &served(serde_json::to_value(event).unwrap()));
    }
    for letter in store.letters(&LetterFilter::default()).await.unwrap() {
        search.debug("letters", when, &letter);
        search.bytes("letters", when, &served(serde_json::to_value(letter).unwrap()));
    }
    for delivery in store.deliveries(&DeliveryFilter::default()).await.unwrap() {
        search.bytes("messages", when, &served(delivery.notice.body));
    }
    let all = LedgerFilter { since: jiff::Timestamp::UNIX_EPOCH, allowed_only: false };
    for row in store.decisions(&all).await.unwrap() {
        let facts: Option<Facts> = row.facts.clone();
        search.debug("ledger", when, &row);
        search.bytes("ledger", when, &served(serde_json::to_value(facts).unwrap()));
    }
}

/// What a process holds in its memory, as a stray `{:?}` would print it.
async fn held(world: &World, search: &mut Search<'_>, when: &str) {
    let planned = world.process().plan().await.unwrap();
    search.debug("debug", when, &planned.plan);
    search.debug("debug", when, &planned.desired);
    search.debug("debug", when, &planned.snapshot);
    search.debug("debug", when, &planned.contained);
    for step in &planned.plan.steps {
        let request = Request::for_step(step, world.mode, SystemClock.now());
        search.debug("debug", when, &request.parameters);
        search.debug("debug", when, &step.operation);
        search.bytes("plan", when, serde_json::to_string(&step.changes).unwrap().as_bytes());
    }
}

#[tokio::test]
async fn no_secret_is_in_the_store_or_in_debug_at_any_moment() {
    let kept = tempfile::tempdir().unwrap();
    let options = OpenOptions::new(protection()).creating();
    let store = SqliteStore::open(kept.path().join("skep.db"), options).await.unwrap();
    let world = World {
        store,
        policy: Some("version: 1\nrules: [{kind: \"*\", tier: approval_required}]\n"),
        ..World::new().await
    };
    let canaries = Canaries::plant(PLACES).unwrap();
    let value = |place: &str| canaries.value(place).to_owned();
    let mut search = canaries.search();
    let secret = world.folder.path().join("secret.txt");
    std::fs::write(&secret, value("value behind file")).unwrap();
    let declare = |token: &str| {
        world.declare(&format!(
            "host_port: 8200, env: {{TOKEN: {token}, MODE: {plain}, FILE: \"file:{file}\"}}, \
             labels: {{app.password: {label}}}, command: [serve, \"--password\", {argument}], \
             health: {{test: \"curl -u me:{health} http://127.0.0.1/\"}}",
            plain = value("unsuspicious value"),
            file = secret.display(),
            label = value("label"),
            argument = value("argument behind its flag"),
            health = value("health check"),
        ));
    };
    async fn look(world: &World, search: &mut Search<'_>, kept: &Path, when: &str) {
        search.files("files", kept, &[]).unwrap();
        read(world, search, when).await;
        held(world, search, when).await;
    }
    declare(&value("environment value"));
    world.pass().await;
    assert_eq!(world.pending().await.len(), 1);
    look(&world, &mut search, kept.path(), "while it is pending").await;
    world.attempt(&[Fault::ReplyLost]).await;
    look(&world, &mut search, kept.path(), "after a lost reply").await;
    world.swarm.clear_faults();
    world.pass().await;
    declare(&value("next value"));
    look(&world, &mut search, kept.path(), "while another value is declared").await;
    world.attempt(&[]).await;
    let live = world.swarm.service("a").unwrap().to_string();
    assert!(live.contains(&value("next value")), "it did not reach the swarm");
    let env = serde_json::json!([format!("TOKEN={}", value("foreign value"))]);
    world.swarm.meddle("a", "/TaskTemplate/ContainerSpec/Env", env);
    world.pass().await;
    look(&world, &mut search, kept.path(), "after somebody else's change").await;
    world.attempt(&[Fault::Refused(400)]).await;
    world.ask_to(RequestVerb::Restart).await;
    world.pass().await;
    look(&world, &mut search, kept.path(), "after a refusal").await;
    world.order(skep_core::containment::ContainmentVerb::Kill).await;
    world.contain().await;
    look(&world, &mut search, kept.path(), "while it is killed").await;
    world.order(skep_core::containment::ContainmentVerb::Resume).await;
    world.contain().await;
    let trail = world.store.audit(&AuditFilter::default()).await.unwrap();
    assert!(trail.len() > 8, "{trail:?}");
    look(&world, &mut search, kept.path(), "after it is resumed").await;
    world.store.close().await;
    search.files("files", kept.path(), &[]).unwrap();
    for channel in ["files", "debug", "trail", "ledger", "letters", "plan"] {
        assert!(search.searched(channel) > 0, "{channel} was silent: {search}");
    }
    assert!(search.hits().is_empty(), "\n{search}");
}
