//! `x-cluster-spec` of a volume. `docker stack deploy` reads it and creates no cluster volume, so
//! it is only written as docker writes it.

use serde_json::Value;

use crate::value::Bytes;

/// The key.
pub(crate) const KEY: &str = "x-cluster-spec";

/// The specification with mappings for lists of pairs, and sizes in bytes.
pub(crate) fn written(mut spec: Value) -> Value {
    for list in ["requisite", "preferred"] {
        let places = spec.pointer_mut(&format!("/accessibility_requirements/{list}"));
        for place in places.and_then(Value::as_array_mut).into_iter().flatten() {
            if let Some(segments) = place.get_mut("segments") {
                *segments = mapping(segments.take());
            }
        }
    }
    for size in ["required_bytes", "limit_bytes"] {
        if let Some(Value::String(text)) = spec.pointer_mut(&format!("/capacity_range/{size}"))
            && let Some(bytes) = Bytes::parse(text)
        {
            *text = bytes.get().to_string();
        }
    }
    spec
}

fn mapping(segments: Value) -> Value {
    let Value::Array(lines) = segments else { return segments };
    let pairs = lines.iter().filter_map(Value::as_str).map(|line| {
        let (key, value) = line.split_once('=').unwrap_or((line, ""));
        (key.to_owned(), Value::from(value))
    });
    Value::Object(pairs.collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn it_is_written_as_docker_writes_it() {
        let read = json!({
            "accessibility_requirements": {"requisite": [{"segments": ["region=R1", "zone"]}]},
            "capacity_range": {"required_bytes": "1G"},
        });
        let expected = json!({
            "accessibility_requirements": {"requisite": [{"segments": {"region": "R1", "zone": ""}}]},
            "capacity_range": {"required_bytes": "1073741824"},
        });
        assert_eq!(written(read), expected);
    }
}
