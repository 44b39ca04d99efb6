//! Which steps are one group.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::digester;
use crate::gate::fixtures::{create, restart, update};
use crate::plan::{DriftClass, Edit};

fn group_key(step: &Step) -> GroupKey {
    super::group_key(&digester::for_tests(), step)
}

const TAG: &str = "/TaskTemplate/ContainerSpec/Image";

fn change(path: &str, before: Value, after: Value) -> Change {
    Change { path: path.to_owned(), before, after }
}

fn changed(target: &str, changes: Vec<Change>) -> Step {
    let edits: Vec<_> = changes.iter().map(|c| (c.path.as_str(), Some(c.after.clone()))).collect();
    let mut step = update(target, &edits);
    step.changes = changes;
    step
}

fn image(target: &str, before: &str, after: &str) -> Step {
    changed(target, vec![change(TAG, json!(before), json!(after))])
}

#[test]
fn thirty_services_from_one_tag_to_another_are_one_group() {
    let keys: std::collections::BTreeSet<_> = (0..30)
        .map(|n| {
            let digest = |tag| format!("example/mcp-{n}-api:{tag}@sha256:{n:064}{tag}");
            group_key(&image(&format!("mcp-{n}"), &digest("1.2"), &digest("1.3")))
        })
        .collect();
    assert_eq!(keys.len(), 1);
    let another =
        image("mcp-1", "example/mcp-1-api:1.2@sha256:1", "example/mcp-1-api:1.4@sha256:2");
    assert!(!keys.contains(&group_key(&another)));
}

#[test]
fn another_repository_a_lost_pin_and_another_class_are_other_groups() {
    let step = image("a", "example/a:1", "example/a:2");
    let key = group_key(&step);
    assert_eq!(key, group_key(&image("b", "example/b:1", "example/b:2")));
    assert_ne!(key, group_key(&image("b", "example/b:1", "evil/b:2")));
    assert_ne!(key, group_key(&image("b", "example/b:1@sha256:0", "example/b:2")));
    let mut other = step.clone();
    other.class = DriftClass::Immutable;
    assert_ne!(key, group_key(&other));
    let mut other = step.clone();
    other.confirm = Some("12 services vanished".to_owned());
    assert_ne!(key, group_key(&other));
    assert_ne!(group_key(&restart("a")), key);
    assert_eq!(group_key(&restart("a")), group_key(&restart("b")));
}

#[test]
fn a_name_is_left_out_only_where_it_stands_alone() {
    let label = |target: &str, text: &str| {
        group_key(&changed(target, vec![change("/Labels/of", Value::Null, json!(text))]))
    };
    assert_eq!(label("a", "volume a_data"), label("bb", "volume bb_data"));
    assert_ne!(label("a", "data"), label("d", "ddtd"), "letters of other words");
    assert_ne!(label("a", "a b"), label("b", "b a b"));
    assert_ne!(label("a", "b"), label("b", "b"), "naming another service is another change");
    let at = |target: &str| {
        let path = format!("/Labels/{target}.enabled");
        group_key(&changed(target, vec![change(&path, Value::Null, json!("yes"))]))
    };
    assert_eq!(at("a"), at("caddy-mcp"));
}

#[test]
fn values_behind_the_mask_are_no_part_of_it() {
    const ENV: &str = "/TaskTemplate/ContainerSpec/Env/TOKEN";
    let masked = vec![change(ENV, Value::Null, json!("(masked 0a1b2c3d)"))];
    let mut one = create("a", json!({"TaskTemplate": {"ContainerSpec": {"Env": ["TOKEN=one"]}}}));
    let mut two = create("a", json!({"TaskTemplate": {"ContainerSpec": {"Env": ["TOKEN=two"]}}}));
    one.changes = masked.clone();
    two.changes = masked;
    assert_eq!(group_key(&one), group_key(&two), "only the fingerprint counts");
}

/// A change as a person would write it down for every service, `@` for the name of each.
#[derive(Debug, Clone, PartialEq)]
struct Template {
    restart: bool,
    changes: Vec<(String, String, u8)>,
}

impl Template {
    fn of(&self, name: &str) -> Step {
        if self.restart {
            return restart(name);
        }
        let put = |text: &str| text.replace('@', name);
        let changes = self.changes.iter().map(|(path, text, number)| {
            change(&format!("/Labels/{}", put(path)), json!(number), json!([put(text), number]))
        });
        changed(name, changes.collect())
    }
}

fn template() -> impl Strategy<Value = Template> {
    // Separators around the name, letters that no name has, and the escaping character.
    let text = "[-/@.\u{0}xn]{0,4}";
    let words_do_not_touch_the_name = |text: &String| {
        let chars: Vec<char> = text.chars().collect();
        let touches = |pair: &[char]| match pair {
            ['@', next] => next.is_alphanumeric() || *next == '@',
            [before, '@'] => before.is_alphanumeric(),
            _ => false,
        };
        !chars.windows(2).any(touches)
    };
    let text = text.prop_filter("the name would be part of a word", words_do_not_touch_the_name);
    let changes = prop::collection::vec((text.clone(), text, 0..2_u8), 0..3);
    (any::<bool>(), changes).prop_map(|(restart, changes)| {
        // A restart changes no field.
        Template { restart, changes: if restart { Vec::new() } else { changes } }
    })
}

/// Two of them, the same one as often as not.
fn pair() -> impl Strategy<Value = (Template, Template)> {
    (template(), template(), any::<bool>()).prop_map(|(one, two, same)| {
        let second = if same { one.clone() } else { two };
        (one, second)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn steps_are_one_group_exactly_when_their_changes_are_the_same(
        (one, two) in pair(),
        names in prop::sample::select(vec![("a", "b"), ("caddy-mcp", "q_1"), ("a", "a")]),
    ) {
        let (first, second) = (one.of(names.0), two.of(names.1));
        prop_assert_eq!(group_key(&first) == group_key(&second), one == two);
        // What is behind the mask, the plan's order and wording say nothing.
        let mut same = first.clone();
        same.wave += 1;
        same.reason.push('!');
        if let Operation::Update { edits } = &mut same.operation {
            edits.push(Edit { pointer: "/Labels/hidden".to_owned(), value: Some(json!("x")) });
        }
        prop_assert_eq!(group_key(&first), group_key(&same));
    }
}
