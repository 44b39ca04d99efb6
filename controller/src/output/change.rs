//! Single differences as people read them: short names, and numbers with their units.

use std::fmt::Write as _;

use serde_json::Value;
use skep_core::image::ImageReference;
use skep_core::plan::Change;

use super::{Style, plain};

/// Appends one difference as a person reads it.
pub(crate) fn change_line(text: &mut String, change: &Change, style: Style) {
    let name = plain(&leaf(&change.path));
    let key = change.path.rsplit('/').next().unwrap_or_default();
    let shown = |value: &Value| shown(key, value);
    // Writing to a String cannot fail.
    let _ = match (&change.before, &change.after) {
        (Value::Null, after) => writeln!(text, "    {name}: {}", style.green(&shown(after))),
        (before, Value::Null) => {
            writeln!(text, "    {name}: {} -> (none)", style.red(&shown(before)))
        }
        (before, after) => writeln!(
            text,
            "    {name}: {} -> {}",
            style.red(&shown(before)),
            style.green(&shown(after)),
        ),
    };
}

/// The part of a pointer that a reader needs, unescaped; the blocks around it are always the same.
pub(crate) fn leaf(pointer: &str) -> String {
    if pointer.starts_with("/EndpointSpec/Ports/") {
        return "publish".to_owned();
    }
    ["/TaskTemplate/ContainerSpec/", "/TaskTemplate/", "/"]
        .iter()
        .find_map(|prefix| pointer.strip_prefix(prefix))
        .unwrap_or(pointer)
        .replace("~1", "/")
        .replace("~0", "~")
}

/// A value on one line, numbers with the unit that people write.
pub(crate) fn shown(key: &str, value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => with_unit(key, number),
            None => number.to_string(),
        },
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) if key == "Image" => plain(&ImageReference::parse(text).short()),
        Value::String(text) => plain(text),
        Value::Object(map) if map.contains_key("PublishedPort") => port(map),
        // A network without options: its name is in the path.
        Value::Object(map) if map.len() == 1 && map.contains_key("Target") => "joined".to_owned(),
        other => plain(&other.to_string()),
    }
}

/// A published port as people write it: `8206 -> 8000/tcp`.
fn port(map: &serde_json::Map<String, Value>) -> String {
    let number = |key: &str| map.get(key).map(ToString::to_string).unwrap_or_default();
    let word = |key: &str| map.get(key).and_then(Value::as_str).unwrap_or_default();
    let host = if word("PublishMode") == "host" { " on each node" } else { "" };
    let (published, target) = (number("PublishedPort"), number("TargetPort"));
    plain(&format!("{published} -> {target}/{}{host}", word("Protocol")))
}

/// The engine counts in nanoseconds, bytes and billionths of a processor.
fn with_unit(key: &str, number: u64) -> String {
    const SECOND: u64 = 1_000_000_000;
    const MEBIBYTE: u64 = 1 << 20;
    match key {
        "Interval" | "Timeout" | "StartPeriod" | "Delay" | "Window" | "Monitor"
        | "StopGracePeriod" => {
            format!("{:?}", std::time::Duration::from_nanos(number))
        }
        "MemoryBytes" if number.is_multiple_of(MEBIBYTE) => format!("{} MiB", number / MEBIBYTE),
        "NanoCPUs" => {
            let fraction = format!("{:09}", number % SECOND);
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            format!("{}{point}{fraction} CPUs", number / SECOND)
        }
        _ => number.to_string(),
    }
}
