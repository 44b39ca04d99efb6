//! The search must find what it is there to find.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};

use super::*;

fn canaries() -> Canaries {
    Canaries::plant(&["environment value", "argument"]).unwrap()
}

fn found(canaries: &Canaries, bytes: &[u8]) -> Vec<(String, Form)> {
    let hits = canaries.hits("here", bytes);
    hits.into_iter().map(|hit| (hit.place, hit.form)).collect()
}

#[test]
fn values_differ_between_places_and_runs() {
    let (one, two) = (canaries(), canaries());
    assert!(one.value("argument").starts_with("canary-argument-"));
    assert_ne!(one.value("argument"), two.value("argument"));
    assert!(found(&one, two.value("argument").as_bytes()).is_empty());
    assert_eq!(one.value("nowhere"), "");
    assert!(found(&one, b"canary-argument-0000").is_empty(), "the word alone is no secret");
}

#[test]
fn every_form_is_found_in_the_middle_of_a_text() {
    let canaries = canaries();
    let value = canaries.value("argument");
    let each = |write: &dyn Fn(u8) -> String, glue: &str| {
        value.bytes().map(write).collect::<Vec<_>>().join(glue)
    };
    let percent: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for (form, text) in [
        (Form::Plain, value.to_owned()),
        (Form::Plain, value.to_uppercase()),
        (Form::Reversed, value.chars().rev().collect()),
        (Form::Hexadecimal, each(&|byte| format!("{byte:02x}"), "")),
        (Form::Hexadecimal, each(&|byte| format!("{byte:02X}"), "")),
        (Form::Percent, percent),
        (Form::UnicodeEscape, each(&|byte| format!("\\u{byte:04x}"), "")),
        (Form::Numbers, format!("{:?}", value.as_bytes())),
        (Form::Numbers, serde_json::to_string(value.as_bytes()).unwrap()),
        (Form::Utf16, value.chars().map(|char| format!("{char}\0")).collect()),
        (Form::Plain, serde_json::to_string(&format!("\"{value}\"")).unwrap()),
    ] {
        let text = format!("before {text} after");
        assert_eq!(found(&canaries, text.as_bytes()), [("argument".to_owned(), form)], "{text}");
    }
}

#[test]
fn base64_is_found_wherever_the_value_stands_in_it() {
    let canaries = canaries();
    let value = canaries.value("argument");
    for before in ["", "a", "ab", "user:", "\u{ff}\u{ff}\u{ff}"] {
        for after in ["", "z", "\u{ff}z"] {
            let text = format!("{before}{value}{after}");
            for encoded in
                [STANDARD.encode(&text), STANDARD_NO_PAD.encode(&text), URL_SAFE.encode(&text)]
            {
                let forms = found(&canaries, encoded.as_bytes());
                assert_eq!(forms, [("argument".to_owned(), Form::Base64)], "{text}");
            }
        }
    }
}

#[test]
fn a_part_of_a_value_is_found() {
    let canaries = canaries();
    let unique = canaries.value("argument").rsplit('-').next().unwrap().to_owned();
    assert_eq!(found(&canaries, unique.as_bytes()).len(), 1);
}

#[test]
fn given_values_are_found_as_well() {
    let canaries = canaries().and("key", "0123456789abcdef0123456789abcdef").unwrap();
    assert_eq!(canaries.values().count(), 3);
    let text = format!("0123456789ABCDEF0123456789ABCDEF{}", canaries.value("argument"));
    let places: Vec<_> = found(&canaries, text.as_bytes()).into_iter().map(|hit| hit.0).collect();
    assert_eq!(places, ["key", "argument"]);
}

#[test]
fn files_are_searched_by_name_and_content_and_counted() {
    let canaries = canaries();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir(path("inner")).unwrap();
    fs::write(path("inner/one"), format!("x{}", canaries.value("argument"))).unwrap();
    fs::write(path(canaries.value("environment value")), "").unwrap();
    fs::write(path("input"), canaries.value("argument")).unwrap();
    let mut search = canaries.search();
    search.files("files", folder.path(), &[&path("input")]).unwrap();
    let mut places: Vec<_> = search.hits().iter().map(|hit| hit.place.as_str()).collect();
    places.sort_unstable();
    assert_eq!(places, ["argument", "environment value"], "{search}");
    assert!(search.searched("files") > 0);
    assert_eq!(search.searched("logs"), 0);
    search.debug("debug", "of an option", &Some(canaries.value("argument")));
    assert_eq!(search.hits().len(), 3, "{search}");
    assert!(search.to_string().contains("the argument is in debug of an option (as it is)"));
    assert!(search.files("files", &path("missing"), &[]).is_err());
}
