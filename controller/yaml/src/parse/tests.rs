//! What documents become, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::tree::Mapping;

fn tree(text: &str) -> Arc<Node> {
    let parsed = parse("t.yml", text.as_bytes());
    assert!(parsed.problems.is_empty(), "{text:?}: {}", parsed.problems);
    parsed.root.expect("a tree")
}

fn problems(bytes: &[u8]) -> Problems {
    let parsed = parse("t.yml", bytes);
    assert!(!parsed.problems.is_empty(), "{:?} was accepted", String::from_utf8_lossy(bytes));
    parsed.problems
}

fn mapping(node: &Node) -> &Mapping {
    match &node.kind {
        Kind::Mapping(mapping) => mapping,
        Kind::Sequence(_) | Kind::Scalar(_) => panic!("not a mapping: {node:?}"),
    }
}

fn raw(node: &Node) -> &str {
    match &node.kind {
        Kind::Scalar(scalar) => &scalar.raw,
        Kind::Mapping(_) | Kind::Sequence(_) => panic!("not a scalar: {node:?}"),
    }
}

fn items(node: &Node) -> &[Arc<Node>] {
    match &node.kind {
        Kind::Sequence(items) => items,
        Kind::Mapping(_) | Kind::Scalar(_) => panic!("not a list: {node:?}"),
    }
}

#[test]
fn every_node_knows_its_place_and_its_text() {
    let root = tree("# top\nservices:\n  - name: 'ä1'\n    port: 0x1F\n  - a: |\n      b\n");
    let services = mapping(&root).get("services").expect("services");
    let first = mapping(&items(services)[0]);
    let (name, port) = (&first.entries[0], &first.entries[1]);
    assert_eq!((name.key_span.start.line, name.key_span.start.column), (3, 5));
    assert_eq!((name.value.span.start.line, name.value.span.start.column), (3, 11));
    assert_eq!((name.value.span.end.line, name.value.span.end.column), (3, 15));
    assert_eq!(raw(&port.value), "0x1F");
    let Kind::Scalar(port) = &port.value.kind else { panic!("not a scalar") };
    assert_eq!(port.style, Style::Plain);
    assert!(services.span.end.line >= 4);
}

#[test]
fn duplicates_are_reported_with_both_lines_and_the_first_is_kept() {
    let parsed = parse("t.yml", b"a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n");
    assert_eq!(
        parsed.problems.to_string(),
        "t.yml:2:11: the key \"c\" stands here again, it was already given on line 2\n  \
         hint: keep one of the two\n\
         t.yml:3:1: the key \"a\" stands here again, it was already given on line 1\n  \
         hint: keep one of the two\n\
         t.yml:4:1: the key \"a\" stands here again, it was already given on line 1\n  \
         hint: keep one of the two"
    );
    let root = parsed.root.expect("the rest is readable");
    assert_eq!(raw(mapping(&root).get("a").expect("a")), "1");
    assert_eq!(mapping(&root).duplicates.len(), 2);
}

#[test]
fn merge_keys_bring_in_what_is_not_said() {
    let root = tree(
        "x: &x {a: 1, b: 2}\ny: &y {b: 3, c: 4}\none: {<<: *x, a: 9}\nmany: {<<: [*x, *y]}\n\
         chain: {<<: {<<: *y, d: 5}}\nquoted: {'<<': 1}\n",
    );
    let keys = |key: &str| -> Vec<(String, String)> {
        let node = mapping(&root).get(key).expect("a mapping");
        let entries = mapping(node).entries.iter();
        entries.map(|entry| (entry.key.clone(), raw(&entry.value).to_owned())).collect()
    };
    let pairs = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(keys("one"), pairs(&[("a", "9"), ("b", "2")]));
    assert_eq!(keys("many"), pairs(&[("a", "1"), ("b", "2"), ("c", "4")]));
    assert_eq!(keys("chain"), pairs(&[("d", "5"), ("b", "3"), ("c", "4")]));
    assert_eq!(keys("quoted"), pairs(&[("<<", "1")]));
    assert!(problems(b"a: {<<: 1}").has("BAD_MERGE"));
    assert!(problems(b"a: {<<: [{b: 1}, 2]}").has("BAD_MERGE"));
    assert!(problems(b"a: &a {b: 1}\nc: {<<: *a, <<: *a}").has("DUPLICATE_KEY"));
}

#[test]
fn aliases_must_point_back() {
    assert_eq!(items(&tree("- &a x\n- *a\n")).len(), 2);
    assert!(problems(b"- *a\n- &a x\n").has("UNKNOWN_ALIAS"));
    assert!(problems(b"&a [*a]").has("ALIAS_CYCLE"));
    assert!(problems(b"a: &a {b: *a}").has("ALIAS_CYCLE"));
    assert!(problems(b"a: &a {<<: *a}").has("ALIAS_CYCLE"));
}

#[test]
fn what_is_not_a_plain_document_is_refused_with_its_place() {
    for (bytes, code, place) in [
        (&b""[..], "EMPTY", "t.yml:"),
        (b"# only a comment\n", "EMPTY", "t.yml:"),
        (b"---\n", "EMPTY", "t.yml:"),
        (b"~", "EMPTY", "t.yml:"),
        (b"a: 1\n---\nb: 2\n", "SEVERAL_DOCUMENTS", "t.yml:2:1:"),
        (b"a: \xFF", "NOT_UTF8", "t.yml:1:4:"),
        (b"\xFF\xFEa\0", "NOT_UTF8", "t.yml:"),
        (b"\xEF\xBB\xBFa: 1", "BYTE_ORDER_MARK", "t.yml:1:1:"),
        (b"a: 1\nb: x\0y", "CONTROL_CHARACTER", "t.yml:2:5:"),
        (b"a: \x1B[31m", "CONTROL_CHARACTER", "t.yml:1:4:"),
        (b"a:\n\tb: 1\n", "TAB", "t.yml:2:"),
        (b"a: [1, 2", "SYNTAX", "t.yml:1:"),
        (b"a: 'x", "SYNTAX", "t.yml:1:"),
        (b"a: b: c", "SYNTAX", "t.yml:1:"),
        (b"a: 1\n  b: 2\n", "SYNTAX", "t.yml:2:"),
        (b"? [a]\n: b\n", "BAD_KEY", "t.yml:1:3:"),
        (b"a: !custom b", "UNKNOWN_TAG", "t.yml:1:"),
    ] {
        let found = problems(bytes);
        let text = String::from_utf8_lossy(bytes);
        assert!(found.has(code), "{text:?} gave {found}");
        assert!(found.to_string().starts_with(place), "{text:?} gave {found}");
    }
    let limits = Limits { byte_order_mark: true, ..Limits::default() };
    assert!(parse_with("t.yml", b"\xEF\xBB\xBFa: 1", &limits).problems.is_empty());
}

#[test]
fn budgets_hold() {
    let deep = |open: &str, levels: usize| open.repeat(levels);
    for bomb in [
        deep("[", 100_000),
        deep("{a: ", 100_000),
        deep("- ", 100_000),
        (0..2000).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n"),
    ] {
        let found = problems(bomb.as_bytes());
        assert!(found.has("TOO_DEEP"), "{found}");
    }
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert!(parse("t.yml", nested(64).as_bytes()).problems.is_empty());
    assert!(problems(nested(65).as_bytes()).has("TOO_DEEP"));
    // Levels that come through aliases count too.
    let mut ladder = "a0: &a0 [1]\n".to_owned();
    for level in 1..70 {
        ladder += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(problems(ladder.as_bytes()).has("TOO_DEEP"));

    let flat = format!("[{}]", "1,".repeat(300_000));
    assert!(problems(flat.as_bytes()).has("TOO_MANY_NODES"));
    let big = " ".repeat((4 << 20) + 1);
    assert!(problems(big.as_bytes()).has("TOO_LARGE"));
}

#[test]
fn bombs_are_refused_without_being_expanded() {
    // Nine levels of nine: 387 million texts once expanded.
    let mut laughs = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    let mut merges = "a0: &a0 {k0: 1}\n".to_owned();
    for level in 1..9 {
        let below = level - 1;
        let nine = vec![format!("*a{below}"); 9].join(", ");
        laughs += &format!("a{level}: &a{level} [{nine}]\n");
        merges += &format!("a{level}: &a{level} {{k{level}: [{nine}], <<: *a{below}}}\n");
    }
    for bomb in [laughs, merges] {
        assert!(problems(bomb.as_bytes()).has("TOO_MANY_NODES"), "{bomb}");
    }
    // As many aliases of one large list.
    let list = format!("a: &a [{}]\n", "1,".repeat(10_000));
    let many = list + "b: [" + &"*a,".repeat(10_000) + "]\n";
    assert!(problems(many.as_bytes()).has("TOO_MANY_NODES"));
}

#[test]
fn tags_of_the_core_schema_are_known() {
    let root = tree("{a: !!str 1, b: !!int '2', c: ! 3, d: !!map {}, e: !!seq []}");
    let tag = |key: &str| match &mapping(&root).get(key).expect("a value").kind {
        Kind::Scalar(scalar) => scalar.tag,
        Kind::Mapping(_) | Kind::Sequence(_) => None,
    };
    assert_eq!(tag("a"), Some(CoreTag::Str));
    assert_eq!(tag("b"), Some(CoreTag::Int));
    assert_eq!(tag("c"), Some(CoreTag::Str));
}

/// Walks everything, as a reader would.
fn walk(node: &Node, depth: usize) -> usize {
    assert!(depth <= Limits::default().depth + 1);
    match &node.kind {
        Kind::Scalar(_) => 1,
        Kind::Sequence(items) => 1 + items.iter().map(|item| walk(item, depth + 1)).sum::<usize>(),
        Kind::Mapping(mapping) => {
            let entries = mapping.entries.iter();
            1 + entries.map(|entry| walk(&entry.value, depth + 1)).sum::<usize>()
        }
    }
}

fn check(bytes: &[u8]) {
    let parsed = parse("t.yml", bytes);
    assert!(parsed.root.is_some() || !parsed.problems.is_empty(), "neither tree nor problem");
    if let Some(root) = &parsed.root {
        assert!(walk(root, 1) <= Limits::default().nodes);
    }
    let _ = parsed.problems.to_string();
}

proptest! {
    #[test]
    fn no_bytes_bring_it_down(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        check(&bytes);
    }

    #[test]
    fn no_text_of_yaml_s_own_signs_brings_it_down(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "b:", "- ", "? ", ": ", "[", "]", "{", "}", ",", "&a ", "*a", "<<: ", "<<",
                "!!str ", "! ", "|\n", ">-\n", "'", "\"", "#", "\n", "  ", "\t", "---\n", "...\n",
                "%YAML 1.2\n", "\\", "ä", "\u{FEFF}", "~", "1.10", "\r\n",
            ]),
            0..60,
        )
    ) {
        check(parts.concat().as_bytes());
    }

    #[test]
    fn texts_in_quotes_come_back(text in "[^\u{0}-\u{1F}\u{7F}-\u{9F}\u{FEFF}]{0,40}") {
        let quoted = format!("a: '{}'\n", text.replace('\'', "''"));
        let parsed = parse("t.yml", quoted.as_bytes());
        prop_assert!(parsed.problems.is_empty(), "{}", parsed.problems);
        let root = parsed.root.expect("a tree");
        // U+2028 and U+2029 are texts in YAML 1.2, line breaks in 1.1.
        prop_assert_eq!(raw(mapping(&root).get("a").expect("a")), text);
    }
}
