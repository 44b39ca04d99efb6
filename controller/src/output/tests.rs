//! The readable plan, as it is reviewed.

use jiff::Timestamp;
use serde_json::{Value, json};
use skep_core::action::{ActionKind, Source};
use skep_core::canonical::Digest;
use skep_core::desired::Provenance;
use skep_core::hold::{Hold, HoldKind};
use skep_core::identity::{ClusterId, GroupKey, ObjectKey, PlanId, ServiceName, StepId, SwarmId};
use skep_core::plan::{
    Blocked, Change, DriftClass, Edit, Note, Operation, Plan, Risk, Step, Summary, Waiting,
};

use super::Style;
use super::plan::PlanView;

/// A value that a spec may hold and that nobody may see.
const CANARY: &str = "canary-in-the-operation";

fn step(target: &str, action: ActionKind, class: DriftClass) -> Step {
    Step {
        id: StepId::new(format!("11111111-{target}")),
        action,
        target: ServiceName::new(target),
        object: Some(SwarmId::new("svc1")),
        class,
        reason: "the image differs".to_owned(),
        wave: 1,
        risk: Risk::Medium,
        changes: Vec::new(),
        operation: Operation::Update {
            edits: vec![Edit { pointer: "/x".to_owned(), value: Some(json!(CANARY)) }],
        },
        blocked: None,
        notes: Vec::new(),
        confirm: None,
        source: Source::Registry,
        domain: "default".to_owned(),
        provenance: Some(Provenance {
            source: Source::Registry,
            file: "registry.yml".to_owned(),
            line: 12,
            column: 5,
            commit: None,
            author: None,
        }),
        observed_at: None,
        request: None,
        difference: None,
        digest: Digest::from_stored("22".repeat(32)),
        group: GroupKey::default(),
        stack: None,
    }
}

fn change(path: &str, before: Value, after: Value) -> Change {
    Change { path: path.to_owned(), before, after }
}

fn plan() -> Plan {
    let mut create = step("caddy-mcp", ActionKind::DeployService, DriftClass::Missing);
    create.object = None;
    create.risk = Risk::Low;
    create.reason = "declared at registry.yml:12:5 and not on the swarm".to_owned();
    create.notes = vec![Note {
        code: "image_unresolved".to_owned(),
        message: "ghcr.io cannot be reached: connection refused".to_owned(),
    }];
    create.operation = Operation::Create { spec: json!({ "Secret": CANARY }) };
    create.changes = vec![
        change("/TaskTemplate/ContainerSpec/Image", Value::Null, json!("example/caddy-mcp:latest")),
        change("/Mode/Replicated/Replicas", Value::Null, json!(1)),
        change("/EndpointSpec/Ports/8000~1tcp->8206", Value::Null, json!({"TargetPort": 8000})),
    ];
    let mut update = step("gitlab-mcp", ActionKind::DeployService, DriftClass::Image);
    update.changes = vec![
        change("/TaskTemplate/ContainerSpec/Image", json!("a:1"), json!("a:2")),
        change(
            "/TaskTemplate/ContainerSpec/Env/TOKEN",
            json!("(masked 0a1b2c3d)"),
            json!("(masked 4e5f6071)"),
        ),
        change("/TaskTemplate/Placement/Constraints/0", Value::Null, json!("node.role==worker")),
    ];
    if let Some(from) = &mut update.provenance {
        from.commit = Some("f3a382100ab1c9d8e7f60123456789abcdef0123".to_owned());
        from.author = Some("Ada \u{1b}[2J<ada@example.com>".to_owned());
    }
    update.confirm = Some("the swarm has another id than before".to_owned());
    let mut adopt = step("portainer-mcp", ActionKind::AdoptService, DriftClass::Foreign);
    adopt.reason = "a service of this name exists and is not ours\u{1b}[2J".to_owned();
    adopt.operation = Operation::Adopt;
    adopt.risk = Risk::Low;
    let mut blocked = step("kafka-mcp", ActionKind::DeployService, DriftClass::Foreign);
    blocked.object = None;
    blocked.wave = 2;
    blocked.blocked = Some(Blocked {
        code: "PORT_TAKEN".to_owned(),
        message: "port 8221/tcp is published by old-kafka, which is not ours".to_owned(),
        hint: "adopt old-kafka under this name or free the port".to_owned(),
    });
    Plan {
        plan_id: PlanId::new("3333333333333333"),
        digest: Digest::from_stored("33".repeat(32)),
        cluster_id: ClusterId::new("cluster1"),
        summary: Summary { create: 1, update: 1, remove: 0, adopt: 1, unchanged: 64, blocked: 1 },
        steps: vec![create, update, adopt, blocked],
        waiting: vec![
            Waiting {
                target: Some(ServiceName::new("jena-mcp")),
                code: "ROLLOUT_RUNNING".to_owned(),
                reason: "Swarm is busy with a rollout (updating); it is left alone".to_owned(),
            },
            Waiting {
                target: None,
                code: "SOURCE_INVALID".to_owned(),
                reason: "registry.yml: its last good content stays in force".to_owned(),
            },
        ],
    }
}

#[test]
fn a_plan_reads_like_a_code_review() {
    insta::assert_snapshot!(PlanView::new(&plan(), &[]).text(Style::new(false)));
}

#[test]
fn a_plan_for_programs_has_exactly_the_agreed_fields() {
    let plan = plan();
    let view = serde_json::to_value(PlanView::new(&plan, &[])).unwrap();
    let keys = |value: &Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys.join(" ")
    };
    assert_eq!(keys(&view), "cluster_id digest plan_id steps summary waiting");
    assert_eq!(
        keys(&view["steps"][0]),
        "action asked blocked changes class confirm digest domain id notes object provenance reason \
         risk source target wave"
    );
    assert_eq!(keys(&view["steps"][1]["changes"][0]), "after before path");
    assert_eq!(keys(&view["waiting"][0]), "code reason target");
    assert_eq!(view["summary"]["unchanged"], 64);
    assert_eq!(view["steps"][0]["action"], "deploy_service");
    assert_eq!(view["steps"][1]["changes"][1]["path"], "/TaskTemplate/ContainerSpec/Env/TOKEN");
}

#[test]
fn a_held_step_says_who_holds_it_and_is_not_offered() {
    let mut plan = plan();
    plan.steps.truncate(1);
    plan.steps[0].blocked = None;
    plan.steps[0].difference = Some(Digest::of_bytes(b"1"));
    let key = ObjectKey::service(&plan.cluster_id, &plan.steps[0].target);
    let hold = |difference: &[u8]| Hold {
        key: key.clone(),
        kind: HoldKind::Manual,
        difference: Some(Digest::of_bytes(difference)),
        until: None,
        actor: "alice".to_owned(),
        reason: "asked for by hand".to_owned(),
        placed_at: Timestamp::UNIX_EPOCH,
    };
    let (about_it, other) = ([hold(b"1")], [hold(b"2")]);
    let held = PlanView::new(&plan, &[]).with_holds(&plan, &about_it, Timestamp::UNIX_EPOCH);
    assert!(!held.has_unasked());
    let text = held.text(Style::new(false));
    assert!(text.contains("HELD by alice: asked for by hand"), "{text}");
    let free = PlanView::new(&plan, &[]).with_holds(&plan, &other, Timestamp::UNIX_EPOCH);
    assert!(free.has_unasked());
    assert!(!free.text(Style::new(false)).contains("HELD"));
}

#[test]
fn nothing_shows_the_operation_or_controls_the_terminal() {
    let plan = plan();
    let view = PlanView::new(&plan, &[]);
    let json = serde_json::to_string(&view).unwrap();
    let text = view.text(Style::new(false));
    let yaml = super::yaml::to_string(&view).unwrap();
    for output in [&json, &text, &yaml] {
        assert!(!output.contains(CANARY), "{output}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
}

#[test]
fn colour_changes_nothing_but_colour() {
    let plan = plan();
    let view = PlanView::new(&plan, &[]);
    let coloured = view.text(Style::new(true));
    assert!(coloured.contains('\u{1b}'));
    let mut without = String::new();
    let mut rest = coloured.as_str();
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        without.push_str(before);
        rest = after.split_once('m').unwrap().1;
    }
    without.push_str(rest);
    assert_eq!(without, view.text(Style::new(false)));
}

#[test]
fn the_totals_are_the_last_line() {
    let text = PlanView::new(&plan(), &[]).text(Style::new(false));
    let last = text.lines().last().unwrap();
    assert!(last.starts_with("Plan 3333333333333333: 1 to create, "), "{last}");
}

#[test]
fn yaml_holds_what_json_holds() {
    let data = json!({
        "text": "yes", "number": "1.10", "null": "null", "empty": "", "colon": "a: b # c",
        "lines": "a\nb\n", "list": [], "map": {}, "deep": [{"a": [1, 2.5, true, null]}], "-": "- x",
        "tab": "\tx", "esc": "\u{1b}[31m", "date": "2026-01-01", "tilde": "~", "nl": "\u{85}",
        "hex": "0x1F", "octal": "012", "score": "1_000", "sixty": "1:30", "on": "on", "inf": ".inf",
    });
    let yaml = super::yaml::to_string(&data).unwrap();
    let parsed = skep_yaml::parse("out.yml", yaml.as_bytes());
    assert!(parsed.problems.is_empty(), "{yaml}\n{}", parsed.problems);
    insta::assert_snapshot!(yaml);
}
