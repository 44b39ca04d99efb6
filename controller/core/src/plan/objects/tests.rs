//! Plans of networks, configs and secrets.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::action::{ActionKind, Source};
use crate::desired::{DesiredObject, DesiredStack, External, Provenance};
use crate::identity::{ActionId, FleetName, ObjectKind, ServiceName, SwarmId};
use crate::labels;
use crate::observed::ObservedObject;
use crate::plan::fixtures::{World, set};
use crate::plan::{
    BindError, BoundRequest, DriftClass, Finding, Late, Operation, Plan, PlanInput, Step, bind,
    plan, plan_key, resolved,
};

use ObjectKind::{Config, Network, Secret};

mod driver;
mod prune;

const CANARY: &str = "canary-in-the-data";

fn place() -> Provenance {
    Provenance {
        source: Source::Gitops,
        file: "web.yml".to_owned(),
        line: 3,
        column: 5,
        commit: None,
        author: None,
    }
}

impl World {
    fn stack(&mut self) -> &mut DesiredStack {
        let stack = DesiredStack {
            name: "web".to_owned(),
            provenance: place(),
            domain: "edge".to_owned(),
            prune: false,
            on_failure: skep_crds::stacks::OnFailure::Stop,
            rollout: skep_crds::stacks::FirstRollout::Staged,
            after: std::collections::BTreeSet::new(),
            externals: Vec::new(),
            services: [ServiceName::new("web_a")].into(),
            taken_at: None,
            asked_at: None,
            rewritten: None,
        };
        self.desired.stacks.entry("web".to_owned()).or_insert(stack)
    }

    fn object(&mut self, kind: ObjectKind, name: &str, data: &str) -> &mut DesiredObject {
        self.stack();
        let labels = json!({"com.docker.stack.namespace": "web"});
        let mut request = json!({"Name": name, "Labels": labels});
        if kind == Network {
            request["Driver"] = json!("overlay");
        }
        let object = DesiredObject {
            kind,
            name: name.to_owned(),
            stack: "web".to_owned(),
            provenance: place(),
            request,
            data: None,
        };
        let object = match kind {
            Network => object,
            _ => object.with_data(data.as_bytes(), &self.masking, &mut self.desired.secrets),
        };
        self.desired.objects.insert((kind, name.to_owned()), object);
        self.desired.objects.get_mut(&(kind, name.to_owned())).unwrap()
    }

    /// A service of the stack that uses all three.
    fn user(&mut self) {
        let service = self.declare("web_a");
        set(&mut service.spec, "/TaskTemplate/Networks", json!([{"Target": "web_net"}]));
        let file = |key: &str, name: &str| json!([{key: name, "File": {"Name": "/f", "UID": "0", "GID": "0", "Mode": 292}}]);
        set(
            &mut service.spec,
            "/TaskTemplate/ContainerSpec/Configs",
            file("ConfigName", "web_app"),
        );
        set(
            &mut service.spec,
            "/TaskTemplate/ContainerSpec/Secrets",
            file("SecretName", "web_token"),
        );
    }

    fn whole() -> Self {
        let mut world = Self::new();
        world.object(Network, "web_net", "");
        world.object(Config, "web_app", CANARY);
        world.object(Secret, "web_token", CANARY);
        world.user();
        world
    }

    fn resolved_plan(&self) -> Plan {
        let input = self.input();
        match resolved(&input) {
            Some(desired) => plan(&PlanInput { desired: &desired, ..input }),
            None => plan(&input),
        }
    }

    /// What is on the swarm under this name, as the engine reports it.
    fn put(&mut self, kind: ObjectKind, name: &str, mut spec: Value) -> SwarmId {
        spec["Name"] = json!(name);
        let id = SwarmId::new(format!("id-of-{name}"));
        let now = self.now;
        let object = ObservedObject {
            kind,
            id: id.clone(),
            name: name.to_owned(),
            version: 4,
            spec,
            created_at: now,
            updated_at: now,
        };
        let target = object.target();
        self.observed = self.observed.with_object(&target, Some(object));
        id
    }

    fn own(&mut self, kind: ObjectKind, name: &str, spec: Value) {
        let id = self.put(kind, name, spec);
        self.owned_objects.insert(ServiceName::object(kind, name), id);
    }

    /// Carries a step out as the engine would.
    fn carry_out(&mut self, step: &Step) {
        let name = step.target.bare().to_owned();
        match &step.operation {
            Operation::Adopt => {
                let id = self.observed.objects[&step.target].id.clone();
                self.owned_objects.insert(step.target.clone(), id);
            }
            Operation::Remove => {
                self.observed = self.observed.with_object(&step.target, None);
                self.owned_objects.remove(&step.target);
            }
            _ => {
                let mut spec = self.bound(step).unwrap().1;
                if step.target.kind() == Network {
                    spec["Scope"] = json!("swarm");
                }
                if step.target.kind() == Secret {
                    spec.as_object_mut().unwrap().remove("Data");
                }
                self.own(step.target.kind(), &name, spec);
            }
        }
    }

    fn bound(&self, step: &Step) -> Result<(BoundRequest, Value), BindError> {
        let request = bind(
            step,
            Late {
                snapshot: &self.observed,
                live: None,
                object: self.observed.objects.get(&step.target).map(Arc::as_ref),
                secrets: &self.desired.secrets,
                action: &ActionId::new("act1"),
                fleet: &FleetName::new("default"),
            },
        )?;
        let body = serde_json::from_slice(&request.body).unwrap_or_default();
        Ok((request, body))
    }

    fn carry_out_objects(&mut self) -> usize {
        let plan = self.resolved_plan();
        let steps: Vec<_> = plan
            .steps
            .iter()
            .filter(|step| step.target.kind() != ObjectKind::Service && step.blocked.is_none())
            .collect();
        steps.iter().for_each(|step| self.carry_out(step));
        steps.len()
    }
}

fn actions(plan: &Plan) -> Vec<(&'static str, &str, u32)> {
    plan.steps.iter().map(|step| (step.action.as_str(), step.target.as_str(), step.wave)).collect()
}

#[test]
fn what_services_use_is_made_first_and_is_equal_afterwards() {
    let mut world = World::whole();
    let plan = world.resolved_plan();
    assert_eq!(
        actions(&plan),
        [
            ("create_config", "config/web_app", 1),
            ("create_network", "network/web_net", 1),
            ("create_secret", "secret/web_token", 1),
            ("deploy_service", "web_a", 2),
        ]
    );
    assert!(plan.steps.iter().all(|step| step.blocked.is_none()), "{plan:?}");
    assert_eq!(plan.summary.create, 4);
    let deploy = plan.steps[3].digest.clone();
    assert_eq!(world.carry_out_objects(), 3);
    let plan = world.resolved_plan();
    assert_eq!(actions(&plan), [("deploy_service", "web_a", 1)]);
    assert_eq!(plan.steps[0].digest, deploy, "who approved it before need not do so again");
    assert_eq!(plan.summary.unchanged, 3);
}

#[test]
fn data_is_in_no_step_and_in_the_request_only() {
    let world = World::whole();
    let plan = world.resolved_plan();
    let text = format!("{plan:?} {}", serde_json::to_string(&plan).unwrap());
    for hidden in [CANARY.to_owned(), STANDARD.encode(CANARY)] {
        assert!(!text.contains(&hidden), "{hidden} in {text}");
    }
    let step = plan.steps.iter().find(|step| step.action == ActionKind::CreateSecret).unwrap();
    let (request, body) = world.bound(step).unwrap();
    assert_eq!(body["Data"], json!(STANDARD.encode(CANARY)));
    assert_eq!(body["Labels"]["dev.skep.action"], "act1");
    assert_eq!(body["Labels"]["com.docker.stack.namespace"], "web");
    assert!(!format!("{request:?}").contains(CANARY));
    let mut without = World::whole();
    without.desired.secrets = crate::desired::SecretValues::default();
    let error = without.bound(step).map(drop).unwrap_err();
    assert!(matches!(error, BindError::ReferenceUnresolved(_)), "{error:?}");
    let plan = without.resolved_plan();
    let codes: Vec<_> =
        plan.steps.iter().map(|step| step.blocked.as_ref().map(|b| &*b.code)).collect();
    assert_eq!(codes.len(), 4);
    assert!(codes.iter().all(Option::is_some), "nothing of the stack may be written: {codes:?}");
}

#[test]
fn what_docker_left_is_adopted_and_nothing_else() {
    let mut world = World::whole();
    let labels = json!({"com.docker.stack.namespace": "web"});
    let data = STANDARD.encode(CANARY);
    world.put(Config, "web_app", json!({"Labels": labels, "Data": data}));
    world.put(Secret, "web_token", json!({"Labels": labels}));
    world.put(
        Network,
        "web_net",
        json!({"Labels": labels, "Scope": "swarm", "Driver": "overlay",
            "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097"},
            "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.0.1.0/24"}]}}),
    );
    let plan = world.resolved_plan();
    let adoptions: Vec<_> = plan.steps.iter().filter(|step| step.action.is_adoption()).collect();
    assert_eq!(adoptions.len(), 3, "{plan:?}");
    for step in adoptions {
        assert_eq!(
            (step.changes.len(), &step.blocked, step.class),
            (0, &None, DriftClass::Foreign)
        );
    }
    assert_eq!(world.carry_out_objects(), 3);
    let plan = world.resolved_plan();
    assert_eq!(actions(&plan), [("deploy_service", "web_a", 1)], "the secret counts as equal");
}

#[test]
fn what_docker_left_otherwise_is_used_by_nothing_before_it_is_adopted() {
    let labels = json!({"com.docker.stack.namespace": "web"});
    let network =
        json!({"Labels": labels, "Scope": "swarm", "Driver": "overlay", "Internal": true});
    let config = json!({"Labels": labels, "Data": STANDARD.encode("another")});
    let labelled = json!({"Labels": {"com.docker.stack.namespace": "web", "team": "x"},
        "Data": STANDARD.encode(CANARY)});
    for (kind, name, spec, code) in [
        (Network, "web_net", network, Some("OBJECT_DIFFERS")),
        (Config, "web_app", config, Some("OBJECT_DIFFERS")),
        (Config, "web_app", labelled, None),
    ] {
        let mut world = World::whole();
        world.put(kind, name, spec);
        let plan = world.resolved_plan();
        let of =
            |is_meant: fn(&Step) -> bool| plan.steps.iter().find(|step| is_meant(step)).unwrap();
        assert_eq!(of(|step| step.action.is_adoption()).blocked, None);
        let service = of(|step| step.action == ActionKind::DeployService);
        assert_eq!(service.blocked.as_ref().map(|blocked| blocked.code.as_str()), code, "{name}");
    }
}

#[test]
fn a_name_that_somebody_else_holds_holds_the_stack_back() {
    for labels in [json!({"com.docker.stack.namespace": "other"}), json!(null)] {
        for kind in [Config, Secret, Network] {
            let name = match kind {
                Config => "web_app",
                Secret => "web_token",
                _ => "web_net",
            };
            let mut world = World::whole();
            world.declare("apart");
            world.put(kind, name, json!({"Labels": labels, "Scope": "swarm"}));
            let plan = world.resolved_plan();
            for step in &plan.steps {
                let code = step.blocked.as_ref().map(|blocked| blocked.code.as_str());
                let expected = match step.target.as_str() {
                    "apart" => None,
                    target if target.ends_with(name) => Some("NAME_TAKEN"),
                    _ => Some("STACK_BLOCKED"),
                };
                assert_eq!(code, expected, "{kind:?} {}", step.target);
            }
            assert_eq!(plan.steps.len(), 5);
        }
    }
}

#[test]
fn a_missing_external_holds_the_stack_back_and_nobody_else() {
    let mut world = World::whole();
    world.declare("apart");
    let external = External { kind: Config, name: "shared".to_owned(), provenance: place() };
    world.stack().externals.push(external);
    let plan = world.resolved_plan();
    for step in &plan.steps {
        let code = step.blocked.as_ref().map(|blocked| blocked.code.as_str());
        let expected = (step.target.as_str() != "apart").then_some("EXTERNAL_MISSING");
        assert_eq!(code, expected, "{}", step.target);
    }
    world.put(Config, "shared", json!({}));
    let plan = world.resolved_plan();
    assert!(plan.steps.iter().all(|step| step.blocked.is_none()));
}

#[test]
fn changed_content_is_a_new_object_and_rolls_the_service() {
    for (kind, name, key) in [
        (Config, "web_app", "/TaskTemplate/ContainerSpec/Configs/0/ConfigName"),
        (Secret, "web_token", "/TaskTemplate/ContainerSpec/Secrets/0/SecretName"),
    ] {
        let mut world = World::whole();
        world.carry_out_objects();
        world.deploy("web_a");
        assert_eq!(actions(&world.resolved_plan()), []);
        world.object(kind, name, "another content");
        let plan = world.resolved_plan();
        assert_eq!(plan.steps.len(), 2, "{plan:?}");
        let (create, roll) = (&plan.steps[0], &plan.steps[1]);
        let target = create.target.bare().to_owned();
        assert!(target.starts_with(&format!("{name}_")), "{target}");
        assert_eq!((create.class, create.wave, roll.wave), (DriftClass::Immutable, 1, 2));
        assert_eq!(roll.action, ActionKind::DeployService);
        assert_eq!(world.carry_out_objects(), 1);
        let desired = resolved(&world.input()).unwrap();
        let spec = desired.services[&ServiceName::new("web_a")].spec.value();
        assert_eq!(spec.pointer(key), Some(&json!(target)), "it names the new one");
        // The same content again has the same name, whatever docker did to the labels.
        let plain = world.observed.objects[&ServiceName::object(kind, name)].as_ref().clone();
        let mut stripped = plain.spec.clone();
        stripped["Labels"] = json!({"com.docker.stack.namespace": "web"});
        world.own(kind, name, stripped);
        let object = resolved(&world.input()).expect("still the later one");
        let spec = object.services[&ServiceName::new("web_a")].spec.value();
        assert_eq!(spec.pointer(key), Some(&json!(target)));
    }
}

#[test]
fn content_that_comes_back_uses_what_is_there() {
    let mut world = World::whole();
    world.carry_out_objects();
    world.object(Config, "web_app", "two");
    world.carry_out_objects();
    world.object(Config, "web_app", CANARY);
    assert!(resolved(&world.input()).is_none(), "the plain name holds the first content");
    assert_eq!(world.carry_out_objects(), 0);
}

#[test]
fn labels_are_written_in_place_and_ours_do_not_count() {
    let mut world = World::whole();
    world.carry_out_objects();
    for kind in [Config, Secret] {
        let name = if kind == Config { "web_app" } else { "web_token" };
        world.desired.objects.get_mut(&(kind, name.to_owned())).unwrap().request["Labels"]["a"] =
            json!("b");
    }
    let plan = world.resolved_plan();
    let updates: Vec<_> = plan
        .steps
        .iter()
        .filter(|step| matches!(step.operation, Operation::UpdateLabels { .. }))
        .collect();
    assert_eq!(updates.len(), 2, "{plan:?}");
    for step in updates {
        assert_eq!(step.changes.len(), 1);
        assert_eq!(step.changes[0].path, "/Labels/a");
        let (request, body) = world.bound(step).unwrap();
        assert_eq!(request.update.map(|(_, version)| version), Some(4));
        assert_eq!(body["Labels"]["a"], "b");
        let is_secret = step.target.kind() == Secret;
        assert_eq!(body["Labels"].get(labels::CONTENT).is_some(), is_secret, "still true");
        assert_eq!(body.get("Data").is_some(), !is_secret, "the rest goes back as it came");
    }
    assert_eq!(world.carry_out_objects(), 2);
    assert_eq!(actions(&world.resolved_plan()), [("deploy_service", "web_a", 1)]);
}

#[test]
fn a_changed_network_is_made_anew_only_while_nobody_uses_it() {
    let mut world = World::whole();
    world.carry_out_objects();
    let network = world.desired.objects.get_mut(&(Network, "web_net".to_owned())).unwrap();
    network.request["Internal"] = json!(true);
    let plan = world.resolved_plan();
    let step = plan.steps.iter().find(|step| step.action == ActionKind::RemoveNetwork).unwrap();
    assert!(step.confirm.is_some() && step.blocked.is_none());
    assert_eq!(step.changes[0].path, "/Internal");
    let user = plan.steps.iter().find(|step| step.target.as_str() == "web_a").unwrap();
    assert_eq!(user.blocked.as_ref().unwrap().code, "OBJECT_REPLACED");
    let (request, _) = world.bound(step).unwrap();
    assert_eq!(request.update.map(|(id, _)| id), Some(SwarmId::new("id-of-web_net")));

    let live = world.deploy("web_a");
    set(&mut live.spec, "/TaskTemplate/Networks", json!([{"Target": "id-of-web_net"}]));
    let plan = world.resolved_plan();
    let step = plan.steps.iter().find(|step| step.action == ActionKind::RemoveNetwork).unwrap();
    let blocked = step.blocked.as_ref().unwrap();
    assert_eq!(blocked.code, "NETWORK_IN_USE");
    assert!(blocked.message.contains("web_a"), "{}", blocked.message);
}

#[test]
fn labels_of_a_network_are_told_and_left() {
    let mut world = World::whole();
    world.carry_out_objects();
    let network = world.desired.objects.get_mut(&(Network, "web_net".to_owned())).unwrap();
    network.request["Labels"]["a"] = json!("b");
    let plan = world.resolved_plan();
    assert_eq!(actions(&plan), [("deploy_service", "web_a", 1)]);
    assert!(plan.waiting.iter().any(|waiting| waiting.code == "LABELS_FIXED"), "{plan:?}");
}

#[test]
fn a_step_planned_alone_is_the_step_of_the_plan() {
    let mut world = World::whole();
    for _round in 0..2 {
        let plan = world.resolved_plan();
        for step in plan.steps.iter().filter(|step| step.target.kind() != ObjectKind::Service) {
            let alone = plan_key(&world.input(), &step.target).into_step().unwrap();
            assert_eq!(alone.digest, step.digest);
        }
        let gone = ServiceName::object(Config, "nobody-declares-it");
        assert_eq!(plan_key(&world.input(), &gone), Finding::Unchanged);
        world.object(Config, "web_app", "another content");
    }
}
