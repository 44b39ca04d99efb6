//! Typed reading: what is said, where, and that nothing stops at the first problem.

use std::sync::Arc;

use super::*;
use crate::parse::parse;

/// A kind as others would write one.
#[derive(Debug, PartialEq)]
struct Kind {
    name: String,
    count: Option<i64>,
    share: Option<f64>,
    on: Option<bool>,
    tags: Vec<String>,
}

struct Count(i64);

impl Decode for Count {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        at.integer(1..=10).map(Self)
    }
}

struct Share(f64);

impl Decode for Share {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        at.number(0.0..=1.0).map(Self)
    }
}

impl Decode for Kind {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        let map = at.map()?;
        map.deny_unknown(&["name", "count", "share", "on", "tags"]);
        let name = map.field("name");
        let count = map.field::<Option<Count>>("count");
        let share = map.field::<Option<Share>>("share");
        let on = map.field("on");
        let tags = map.field("tags");
        Some(Self {
            name: name?,
            count: count?.map(|count| count.0),
            share: share?.map(|share| share.0),
            on: on?,
            tags: tags?,
        })
    }
}

fn read(text: &str) -> Result<Vec<Kind>, Problems> {
    decode_document(parse("k.yml", text.as_bytes()), Resolver::Strict)
}

#[test]
fn what_is_right_is_read() {
    let kinds =
        read("- {name: a, count: 3, share: 1, on: true, tags: [x, 'y']}\n- {name: b, tags: []}\n");
    let [a, b] = &kinds.expect("no problem")[..] else { panic!("not two") };
    assert_eq!((a.name.as_str(), a.count, a.share, a.on), ("a", Some(3), Some(1.0), Some(true)));
    assert_eq!(a.tags, ["x", "y"]);
    assert_eq!((b.count, b.share, b.on), (None, None, None));
}

#[test]
fn every_problem_says_what_was_found() {
    let text = "- {name: 3, count: three, share: .nan, on: yes, tags: x}
- {nam: a, count: 11, share: 1.5, on: 1, tags: [1, [], {}]}
- {name: , count: 1.0, share: '1', on: 'true', tags: }
- just text
- count: 1
  count: 2
";
    assert_eq!(
        read(text).expect_err("problems").to_string(),
        "k.yml:1:10: [0].name: expected a text, found the number 3
  hint: write it in quotes: \"3\"
k.yml:1:20: [0].count: expected a whole number, found the text \"three\"
k.yml:1:34: [0].share: expected a finite number, found the number .nan
k.yml:1:44: [0].on: expected true or false, found the text \"yes\"
k.yml:1:55: [0].tags: expected a list, found the text \"x\"
k.yml:2:3: [1]: the key \"name\" is missing
k.yml:2:4: [1].nam: unknown key \"nam\"
  hint: did you mean \"name\"?
k.yml:2:19: [1].count: expected a whole number from 1 to 10, found 11
k.yml:2:30: [1].share: expected a number from 0 to 1, found 1.5
k.yml:2:39: [1].on: expected true or false, found the number 1
k.yml:2:49: [1].tags[0]: expected a text, found the number 1
  hint: write it in quotes: \"1\"
k.yml:2:52: [1].tags[1]: expected a text, found a list
k.yml:2:56: [1].tags[2]: expected a text, found a mapping
k.yml:3:8: [2].name: expected a text, found nothing
k.yml:3:19: [2].count: expected a whole number, found the number 1.0
k.yml:3:31: [2].share: expected a number, found the text \"1\"
k.yml:3:40: [2].on: expected true or false, found the text \"true\"
k.yml:3:52: [2].tags: expected a list, found nothing
k.yml:4:3: [3]: expected a mapping, found the text \"just text\"
k.yml:5:3: [4]: the key \"name\" is missing
k.yml:5:3: [4]: the key \"tags\" is missing
k.yml:6:3: the key \"count\" stands here again, it was already given on line 5
  hint: keep one of the two"
    );
}

#[test]
fn long_and_strange_texts_are_shown_short_and_on_one_line() {
    let text = format!("- {{name: a, tags: [], count: \"\\e[31m\\n{}\"}}", "x".repeat(10_000));
    let shown = read(&text).expect_err("no number").to_string();
    assert!(shown.len() < 200 && !shown.contains('\u{1B}'), "{shown}");
    assert_eq!(shown.lines().count(), 1, "{shown}");
}

#[test]
fn a_document_of_mistakes_stays_cheap() {
    let keys: String = (0..50_000).map(|at| format!("k{at}: 1\n")).collect();
    let found = decode_document::<Vec<Kind>>(
        parse("k.yml", format!("- {}", keys.replace('\n', "\n  ")).as_bytes()),
        Resolver::Strict,
    );
    assert_eq!(found.expect_err("problems").len(), crate::MOST_PROBLEMS);
}

#[test]
fn nothing_is_accepted_without_a_value() {
    let parsed = parse("k.yml", b"");
    let file: Arc<str> = parsed.file.clone();
    assert!(decode_document::<Vec<Kind>>(parsed, Resolver::Strict).is_err());
    assert!(Problems::new().into_result::<()>(&file, None).is_err());
}

#[test]
fn what_a_program_put_there_is_read_and_never_shown() {
    use crate::tree::{CoreTag, Kind as NodeKind, Node, Scalar, Span, Style};

    let node = |raw: &str, tag| Node {
        span: Span::default(),
        kind: NodeKind::Scalar(Scalar { raw: raw.to_owned(), style: Style::Substituted, tag }),
    };
    let sink = Sink::new("a.yml".into(), Resolver::Docker);
    let text = node("123456", None);
    let number = node("123456", Some(CoreTag::Int));
    assert_eq!(
        sink.root(&text).text().as_deref(),
        Some("123456"),
        "a text, whatever it looks like"
    );
    assert_eq!(sink.root(&number).integer(0..=200_000), Some(123_456));
    sink.root(&text).map();
    sink.root(&text).boolean();
    sink.root(&text).word(&[("a", ())]);
    sink.root(&number).text();
    sink.root(&number).integer(0..=9);
    sink.root(&number).number(0.0..=9.0);
    let problems = sink.into_problems();
    assert_eq!(problems.len(), 6);
    assert!(!problems.to_string().contains("123456"), "{problems}");
}
