use proptest::prelude::*;

use super::*;

fn variables() -> Variables {
    [("A", "1"), ("EMPTY", ""), ("_b2", "two"), ("DOLLAR", "$x ${y}")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn text(template: &str) -> String {
    substitute(template, &variables()).unwrap_or_else(|why| panic!("{template}: {why:?}")).text
}

fn notes(template: &str) -> Vec<Note> {
    substitute(template, &variables()).expect("a text").notes
}

#[test]
fn every_form_has_its_value() {
    for (template, expected) in [
        ("", ""),
        ("plain", "plain"),
        ("$A", "1"),
        ("x${A}y$_b2", "x1ytwo"),
        ("$$A $${A} $$$A", "$A ${A} $1"),
        ("${A-d}${A:-d}${A?e}${A:?e}", "1111"),
        ("${U-d}|${U:-d}|${U-}|${U:-}", "d|d||"),
        ("${EMPTY-d}|${EMPTY:-d}|${EMPTY?e}", "|d|"),
        ("${A+x}|${A:+x}|${EMPTY+x}|${EMPTY:+x}|${U+x}|${U:+x}", "x|x|x|||"),
        ("${U}", ""),
        ("$A.$A-", "1.1"),
        ("${U:-a b:c}", "a b:c"),
        ("${U:-${A}}", "1"),
        ("${U:-${V:-${_b2}}-x}", "two-x"),
        ("${A:+<${A}>}", "<1>"),
        // As for docker, nothing else is special in a default.
        ("${U:-$$x$A}", "$$x$A"),
        ("${U:-^/a$}", "^/a$"),
        ("${U:-$${A}}", "$${A}"),
        ("${U:-${}", "${"),
        // A value is never looked into again.
        ("$DOLLAR", "$x ${y}"),
        ("${U:-a{b}", "a{b"),
        ("$A}", "1}"),
        ("ü$A世", "ü1世"),
    ] {
        assert_eq!(text(template), expected, "{template}");
    }
}

#[test]
fn what_has_no_value_is_refused() {
    for template in
        ["$", "a$", "$1", "${", "${}", "${1}", "${A", "${A:x}", "${A!}", "$ A", "${ A}", "${A:-"]
    {
        assert_eq!(substitute(template, &variables()), Err(Refusal::Format), "{template}");
    }
    for (template, name, said) in
        [("${U?}", "U", ""), ("${U:?say why}", "U", "say why"), ("${EMPTY:?a-b}", "EMPTY", "a-b")]
    {
        let refused = Refusal::Required { name: name.to_owned(), text: said.to_owned() };
        assert_eq!(substitute(template, &variables()), Err(refused), "{template}");
    }
    let nested = format!("{}{}", "${U:-".repeat(40), "}".repeat(40));
    assert_eq!(substitute(&nested, &variables()), Err(Refusal::TooDeep));
}

#[test]
fn a_text_cannot_grow_without_end() {
    let mut variables = Variables::default();
    variables.set("BIG", "x".repeat(1 << 16));
    assert_eq!(substitute(&"$BIG".repeat(1_000), &variables), Err(Refusal::TooLong));
}

#[test]
fn where_docker_reads_otherwise_it_is_said() {
    assert_eq!(notes("$A ${A:-x} ${A:?y}"), []);
    assert_eq!(notes("$U"), [Note::Unset("U".to_owned())]);
    assert_eq!(notes("${A:?must-be-set}"), [Note::OtherOperator("A".to_owned())]);
    assert_eq!(notes("${A-x:-y}"), [Note::OtherOperator("A".to_owned())]);
    assert_eq!(notes("$A-x"), [Note::Unbraced("A".to_owned())]);
    assert_eq!(notes("${U:-${A}}"), [Note::NestedDefault("U".to_owned())]);
    assert_eq!(notes("${A:-${A}}"), [Note::NestedDefault("A".to_owned())]);
    assert_eq!(notes("${U:-$A}"), [Note::LiteralDollar("U".to_owned())]);
}

/// Docker's rules, as a reading of its pattern: `$$`, or `$` with a name and perhaps an operator and
/// all that is no closing brace, in braces or not; the operator is looked for everywhere.
fn docker(template: &str, variables: &Variables) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let inner = after.strip_prefix('{').unwrap_or(after);
        let letters = |c: char| c == '_' || c.is_ascii_alphanumeric();
        let end = inner.find(|c| !letters(c)).unwrap_or(inner.len());
        if end == 0 || inner.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let tail = &inner[end..];
        let operator = tail.strip_prefix(':').unwrap_or(tail);
        let whole = if operator.starts_with(['-', '?']) {
            end + tail.find('}').unwrap_or(tail.len())
        } else {
            end
        };
        let substitution = &inner[..whole];
        rest = &inner[whole..];
        if after.starts_with('{') {
            rest = rest.strip_prefix('}')?;
        }
        out.push_str(&docker_value(substitution, variables)?);
    }
    out.push_str(rest);
    Some(out)
}

fn docker_value(substitution: &str, variables: &Variables) -> Option<String> {
    let value = |name: &str| variables.get(name).map(str::to_owned);
    if let Some((name, default)) = substitution.split_once(":-") {
        return Some(value(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned()));
    }
    if let Some((name, default)) = substitution.split_once('-') {
        return Some(value(name).unwrap_or_else(|| default.to_owned()));
    }
    if let Some((name, _)) = substitution.split_once(":?") {
        return value(name).filter(|v| !v.is_empty());
    }
    if let Some((name, _)) = substitution.split_once('?') {
        return value(name);
    }
    Some(value(substitution).unwrap_or_default())
}

fn template() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec![
        "$", "{", "}", "A", "EMPTY", "U", "_b2", ":", "-", "?", ":-", ":?", "${A}", "$$", " ", "x",
        "1", "${U:-d}",
    ]);
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    /// The same value as docker's, and the same refusals, wherever nothing is noted.
    #[test]
    fn the_value_is_docker_s_unless_it_is_said(template in template()) {
        let ours = substitute(&template, &variables());
        let docker = docker(&template, &variables());
        match (ours, docker) {
            (Ok(ours), docker) => {
                let otherwise = ours.notes.iter().any(|note| matches!(note, Note::OtherOperator(_) | Note::NestedDefault(_)));
                if !otherwise {
                    prop_assert_eq!(Some(ours.text), docker, "{}", template);
                }
            }
            (Err(Refusal::Required { text, .. }), Some(_)) => {
                // Docker finds a hyphen in the error text, and takes what follows for a default.
                prop_assert!(text.contains('-') || text.contains('?'), "{}", template);
            }
            // Where braces stand in braces, docker ends the outer ones with the inner ones.
            (Err(_), Some(_)) => prop_assert!(template.matches("${").count() > 1, "{}", template),
            (Err(_), None) => {}
        }
    }

    #[test]
    fn any_text_is_survived(template in "\\PC{0,40}") {
        let _ = substitute(&template, &variables());
    }
}
