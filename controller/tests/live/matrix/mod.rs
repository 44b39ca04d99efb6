//! The field matrix: for every leaf of the service spec, in every mode, on the real engine, that
//! a plan names exactly what differs, that one write is enough, and that nothing else moves.

mod fields;
mod flags;
mod lab;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use skep_core::observed::{ApiVersion, ObservedService};
use skep_core::plan::{MASKED, Masked, NetworkNames, normalise};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::fields::{Field, Mode, fields};
use self::lab::{Lab, essence, put, without};

/// More at a time only make the engine's store wait for its disk.
const AT_ONCE: usize = 8;

/// Ports that no other test publishes, below the ephemeral ones.
const PORTS: u16 = 28_000;

/// Leaves without a row, and why.
const EXEMPT: &[(&str, &str)] = &[
    ("/Name", "the identity of a service, no field"),
    ("/TaskTemplate/PluginSpec", "another runtime; Skep declares containers"),
    ("/TaskTemplate/NetworkAttachmentSpec", "made by the engine, never by a client"),
    ("/TaskTemplate/Runtime", "another runtime; Skep declares containers"),
    ("/TaskTemplate/ForceUpdate", "belongs to whoever restarted last"),
    ("/TaskTemplate/Placement/Platforms", "written by image resolution"),
    ("/TaskTemplate/ContainerSpec/Secrets/*/SecretID", "bound late, from the name"),
    ("/TaskTemplate/ContainerSpec/Configs/*/ConfigID", "bound late, from the name"),
    ("/Networks", "the old place; see the test of its own"),
    ("/Mode/Global", "the mode itself: immutable"),
    ("/Mode/GlobalJob", "the mode itself: immutable"),
];

#[test]
fn every_leaf_of_the_engines_api_has_a_row_or_a_reason() {
    let leaves: BTreeSet<String> = serde_json::from_str(include_str!("leaves.json")).unwrap();
    let rows: BTreeSet<String> =
        fields("", [1, 2]).iter().map(|field| field.leaf.to_owned()).collect();
    let unknown: Vec<_> = rows.difference(&leaves).collect();
    assert!(unknown.is_empty(), "rows for what is no leaf: {unknown:?}");
    let is_exempt = |leaf: &str| {
        EXEMPT.iter().any(|(exempt, _)| {
            leaf.strip_prefix(exempt).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    };
    let missing: Vec<_> = leaves.difference(&rows).filter(|leaf| !is_exempt(leaf)).collect();
    assert!(missing.is_empty(), "nobody covers {missing:?}");
    let idle: Vec<_> = rows.iter().filter(|leaf| is_exempt(leaf)).collect();
    assert!(idle.is_empty(), "exempt, and there is a row: {idle:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_field_in_every_mode() {
    let lab = Lab::open("matrix").await;
    let places = Arc::new(Semaphore::new(AT_ONCE));
    let mut cells = JoinSet::new();
    let mut port = PORTS;
    for mode in Mode::ALL {
        let rows = fields(&lab.prefix, [0, 0]).len();
        for row in 0..rows {
            port += 2;
            let (lab, places) = (Arc::clone(&lab), Arc::clone(&places));
            cells.spawn(async move {
                let _place = places.acquire().await.unwrap();
                let field = fields(&lab.prefix, [port, port + 1]).swap_remove(row);
                if !field.modes.contains(&mode) {
                    return Ok(0);
                }
                let cell = Cell { lab: &lab, mode, row, field: &field };
                cell.check()
                    .await
                    .map_err(|why| format!("{mode:?} {} (row {row}): {why}", field.leaf))
            });
        }
    }
    let (mut checks, mut count, mut wrong) = (0, 0, Vec::new());
    for cell in cells.join_all().await {
        match cell {
            Ok(0) => {}
            Ok(done) => {
                checks += done;
                count += 1;
            }
            Err(why) => wrong.push(why),
        }
    }
    println!("{count} fields x modes, {checks} checks, {} differences", wrong.len());
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(count > 300, "only {count} cells");
}

struct Cell<'a> {
    lab: &'a Lab,
    mode: Mode,
    row: usize,
    field: &'a Field,
}

impl Cell<'_> {
    /// The declared spec without the field, or with its first or second value.
    fn spec(&self, name: &str, value: Option<&Value>) -> Value {
        let mut spec = json!({
            "Name": format!("{}{:?}-{}-{name}", self.lab.prefix, self.mode, self.row).to_lowercase(),
            "TaskTemplate": {"ContainerSpec": {"Image": "skep-test/mcp:1"}},
            "Mode": self.mode.spec(),
        });
        // No task ever starts.
        put(&mut spec, "/TaskTemplate/Placement/Constraints", json!(["node.labels.no==where"]));
        if self.field.at == "/TaskTemplate/Placement/Constraints" {
            put(&mut spec, "/TaskTemplate/Placement", json!({}));
        }
        if self.field.at.starts_with("/Mode/") {
            put(&mut spec, "/Mode", json!({format!("{:?}", self.mode): {}}));
        }
        for (pointer, value) in &self.field.with {
            put(&mut spec, pointer, value.clone());
        }
        if let Some(value) = value {
            put(&mut spec, &self.field.at, value.clone());
        }
        spec
    }

    fn masked(&self) -> Option<Masked> {
        let api = self.lab.engine.api_version();
        MASKED.iter().copied().find(|masked| {
            self.field.leaf.starts_with(masked.pointer)
                && masked.since.is_none_or(|since| api < since)
        })
    }

    async fn check(&self) -> Result<usize, String> {
        if self.masked().is_some() {
            return self.check_masked().await;
        }
        let [first, second] = &self.field.values;
        let [set, changed, unset] = &self.field.expected;
        let unset_spec = |name: &str| match self.field.at.as_str() {
            // A service needs one.
            "/TaskTemplate/ContainerSpec/Image" => self.spec(name, Some(&json!("skep-test/mcp:1"))),
            _ => self.spec(name, None),
        };
        let (s0, s1, s2) =
            (unset_spec("a"), self.spec("a", Some(first)), self.spec("a", Some(second)));

        // Set on create.
        let created = self.lab.create(&s1).await?;
        self.lab.settled(&s1, &created).map_err(|why| format!("created with it: {why}"))?;
        // Changed, unset, set.
        let mut live = created.clone();
        let mut checks = 1;
        if first != second {
            live = self.step(&live, &s2, changed, "changed").await?;
            checks += 1;
        }
        let back = if first == second { set } else { unset };
        live = self.step(&live, &s0, back, "unset").await?;
        live = self.step(&live, &s1, set, "set").await?;
        let names = NetworkNames::of(&self.lab.swarm);
        if normalise(&live.spec.value(), &names) != normalise(&created.spec.value(), &names) {
            return Err(format!(
                "set later {} and on create {}",
                live.spec.as_json(),
                created.spec.as_json()
            ));
        }
        // By way of S1 and directly.
        if first != second {
            live = self.step(&live, &s2, changed, "changed again").await?;
        }
        let by_way = essence(&live);
        for bad in &self.field.bad {
            self.check_bad(&live, bad).await.map_err(|why| format!("bad value {bad}: {why}"))?;
            live = self.lab.read(&live.id).await;
            checks += 1;
        }
        // It may hold a port that the other one needs.
        self.lab.remove(&live).await;
        let direct = self.lab.create(&unset_spec("b")).await?;
        let s2b = self.spec("b", Some(second));
        let plan = self.lab.plan(&s2b, Some(&direct));
        let direct = self.lab.apply(lab::only_step(&plan)?, Some(&direct)).await?;
        if by_way != essence(&direct) {
            return Err(format!("in two steps {by_way} and in one {}", direct.spec.as_json()));
        }
        self.lab.remove(&direct).await;
        Ok(checks + 3)
    }

    async fn step(
        &self,
        live: &ObservedService,
        spec: &Value,
        expected: &[String],
        what: &str,
    ) -> Result<ObservedService, String> {
        let after =
            self.lab.change(live, spec, expected).await.map_err(|why| format!("{what}: {why}"))?;
        let others = |of: &ObservedService| without(essence(of), &self.field.moved);
        if others(live) != others(&after) {
            return Err(format!(
                "{what}: something else moved: {} -> {}",
                live.spec.as_json(),
                after.spec.as_json()
            ));
        }
        Ok(after)
    }

    /// Refused, by us or by the engine, or kept in a way that leaves nothing to do.
    async fn check_bad(&self, live: &ObservedService, bad: &Value) -> Result<(), String> {
        let spec = self.spec("a", Some(bad));
        let plan = self.lab.plan(&spec, Some(live));
        let Some(step) = plan.steps.first() else {
            return Err("it is taken for what is there".to_owned());
        };
        if step.blocked.is_some() {
            return Ok(());
        }
        let Ok(after) = self.lab.apply(step, Some(live)).await else { return Ok(()) };
        self.lab.settled(&spec, &after)
    }

    /// A field that this engine does not have is left out and named.
    async fn check_masked(&self) -> Result<usize, String> {
        let spec = self.spec("a", Some(&self.field.values[0]));
        let plan = self.lab.plan(&spec, None);
        let codes = |plan: &skep_core::plan::Plan| {
            plan.waiting.iter().map(|waiting| waiting.code.clone()).collect::<Vec<_>>()
        };
        if codes(&plan) != ["FIELD_UNSUPPORTED"] {
            return Err(format!("no remark on create: {:?}", plan.waiting));
        }
        let live = self.lab.create(&spec).await?;
        self.lab.settled(&spec, &live)?;
        let plan = self.lab.plan(&spec, Some(&live));
        if codes(&plan) != ["FIELD_UNSUPPORTED"] || plan.summary.unchanged != 1 {
            return Err(format!("no remark: {:?}", plan.waiting));
        }
        let plain = self.lab.create(&self.spec("b", None)).await?;
        self.lab.remove(&live).await;
        self.lab.remove(&plain).await;
        Ok(3)
    }
}

/// What old clients wrote: networks beside the task. The engine refuses to change them there.
#[tokio::test(flavor = "multi_thread")]
async fn networks_in_the_old_place_are_compared_and_move_when_they_change() {
    let lab = Lab::open("legacy").await;
    let network = |which: usize| format!("{}{}", lab.prefix, lab::NETWORKS[which]);
    let id = |which: usize| lab.swarm.network_id(&network(which)).unwrap().as_str().to_owned();
    let spec = |networks: &[usize]| {
        let list: Vec<_> =
            networks.iter().map(|which| json!({"Target": network(*which)})).collect();
        json!({
            "Name": format!("{}old", lab.prefix),
            "TaskTemplate": {
                "ContainerSpec": {"Image": "skep-test/mcp:1"},
                "Networks": list,
            },
            "Mode": {"Replicated": {"Replicas": 0}},
        })
    };
    let mut old = spec(&[]);
    old["Networks"] = json!([{"Target": id(0)}]);
    let reply = lab.rig.call("POST", "/services/create", Some(&old)).unwrap();
    let made = skep_core::identity::SwarmId::new(reply["ID"].as_str().unwrap());
    let live = lab.read(&made).await;
    assert!(
        live.spec.value().get("Networks").is_some(),
        "the engine keeps the old place: {}",
        live.spec.as_json()
    );
    lab.settled(&spec(&[0]), &live).unwrap();
    let added = vec![format!("/TaskTemplate/Networks/{}", network(1))];
    let after = lab.change(&live, &spec(&[0, 1]), &added).await.unwrap();
    assert_eq!(after.spec.value().get("Networks"), None, "{}", after.spec.as_json());
}

/// A job has no rollout: the engine refuses the block, and the plan does not hide it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_of_a_job_is_refused() {
    let lab = Lab::open("jobs").await;
    for mode in [Mode::ReplicatedJob, Mode::GlobalJob] {
        let mut spec = json!({
            "Name": format!("{}{mode:?}", lab.prefix).to_lowercase(),
            "TaskTemplate": {
                "ContainerSpec": {"Image": "skep-test/mcp:1"},
                "Placement": {"Constraints": ["node.labels.no==where"]},
            },
            "Mode": mode.spec(),
        });
        let live = lab.create(&spec).await.unwrap();
        lab.settled(&spec, &live).unwrap();
        put(&mut spec, "/UpdateConfig/Parallelism", json!(1));
        let plan = lab.plan(&spec, Some(&live));
        let refusal = lab.apply(lab::only_step(&plan).unwrap(), Some(&live)).await.unwrap_err();
        assert!(refusal.contains("update config"), "{refusal}");
    }
}

/// The engine keeps "no init" apart from "not said". Docker's client always says `false`, so that
/// is no difference to a declaration that does not speak of it; one that does is carried out.
#[tokio::test(flavor = "multi_thread")]
async fn no_init_is_written_for_who_asks_and_left_alone_for_who_does_not() {
    let lab = Lab::open("init").await;
    let spec = |init: Option<bool>| {
        let mut spec = json!({
            "Name": format!("{}a", lab.prefix),
            "TaskTemplate": {"ContainerSpec": {"Image": "skep-test/mcp:1"}},
            "Mode": {"Replicated": {"Replicas": 0}},
        });
        if let Some(init) = init {
            put(&mut spec, INIT, json!(init));
        }
        spec
    };
    let init = vec![INIT.to_owned()];
    let live = lab.create(&spec(None)).await.unwrap();
    assert_eq!(live.spec.value().pointer(INIT), None);
    let live = lab.change(&live, &spec(Some(false)), &init).await.unwrap();
    assert_eq!(live.spec.value().pointer(INIT), Some(&json!(false)), "the engine keeps it");
    lab.settled(&spec(None), &live).unwrap();
    let live = lab.change(&live, &spec(Some(true)), &init).await.unwrap();
    lab.change(&live, &spec(None), &init).await.unwrap();
}

const INIT: &str = "/TaskTemplate/ContainerSpec/Init";

/// An engine that is spoken to in an older API drops what that version did not have. The plan for
/// such an engine leaves the same fields alone, so nothing is written again and again.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_older_api_drops_is_what_the_table_says() {
    let lab = Lab::open("older").await;
    let old = ApiVersion { major: 1, minor: 40 };
    let mut count = 0;
    for field in fields(&lab.prefix, [0, 0]) {
        let since = MASKED.iter().find(|row| field.leaf.starts_with(row.pointer));
        // What this engine has and that version did not.
        let is_dropped = since
            .and_then(|row| row.since)
            .is_some_and(|since| old < since && since <= lab.engine.api_version());
        let cell = Cell { lab: &lab, mode: Mode::Replicated, row: 0, field: &field };
        // References are completed before they are sent, and here nothing is.
        let is_reference = ["/Secrets/", "/Configs/"].iter().any(|list| field.leaf.contains(list));
        if !field.modes.contains(&Mode::Replicated) || is_reference {
            continue;
        }
        let spec = cell.spec("old", Some(&field.values[0]));
        let plan = lab.plan_for(old, &spec, None);
        let Ok(step) = lab::only_step(&plan) else { continue };
        // Sent with the field, in the older API: what comes back is what the engine keeps.
        let sent = lab.bound(step, &spec);
        let Ok(reply) = lab.rig.call("POST", "/v1.40/services/create", Some(&sent)) else {
            continue;
        };
        let id = skep_core::identity::SwarmId::new(reply["ID"].as_str().unwrap());
        let live = lab.read(&id).await;
        let plan = lab.plan_for(old, &spec, Some(&live));
        assert!(plan.steps.is_empty(), "{}: {:?}", field.leaf, plan.steps);
        let kept = lab.plan(&spec, Some(&live)).steps.is_empty();
        assert_eq!(kept, !is_dropped, "{}: {}", field.leaf, live.spec.as_json());
        lab.remove(&live).await;
        count += usize::from(is_dropped);
    }
    assert!(count >= 6, "only {count} fields are dropped");
}
