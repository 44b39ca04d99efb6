//! The page of a small schema, and what must not be left out silently.

use serde_json::json;

use super::*;

fn small() -> Value {
    json!({
        "title": "Hives", "description": "All hives.", "type": "object",
        "additionalProperties": false, "required": ["hives"],
        "properties": {
            "hives": {"type": "array", "items": {"$ref": "#/$defs/Hive"}, "description": "The | hives."},
            "spare": {"$ref": "#/$defs/Hive", "description": "One more."},
        },
        "$defs": {"Hive": {
            "type": "object", "description": "One hive.", "additionalProperties": false,
            "properties": {
                "bees": {"type": "integer", "minimum": 0, "maximum": 9, "description": "How many."},
                "colour": {"enum": ["red", "blue"], "description": "Its paint."},
                "age": {
                    "anyOf": [{"type": "string", "pattern": "^a|b$"}, {"type": "null"}],
                    "examples": ["1d"], "description": "Its age.",
                },
                "by": {
                    "type": "object", "additionalProperties": {"type": ["string", "number"]},
                    "description": "Notes.",
                },
            },
        }},
    })
}

#[test]
fn every_key_has_a_row_and_every_mapping_a_section() {
    let page = render("crds/schemas/hives.json", &small()).unwrap();
    for line in [
        "# Hives",
        "## The file",
        "| `hives` | list of [mapping](#hives-spare) | The \\| hives. **Required.** |",
        "| `spare` | [mapping](#hives-spare) | One more. |",
        "## `hives[]`, `spare`",
        "| `bees` | whole number, 0 to 9 | How many. |",
        "| `colour` | `red` or `blue` | Its paint. |",
        "| `age` | text of [form 1](#forms)<br>or `null`; such as `1d` | Its age. |",
        "| `by` | mapping of names to (text or number) | Notes. |",
        "1. `^a|b$`",
    ] {
        assert!(page.lines().any(|found| found == line), "{line}\nnot in\n{page}");
    }
}

#[test]
fn a_constraint_that_is_not_understood_is_an_error() {
    let mut schema = small();
    schema["$defs"]["Hive"]["properties"]["bees"]["multipleOf"] = json!(2);
    let problem = render("hives.json", &schema).unwrap_err();
    assert_eq!(problem, "Hive.bees: \"multipleOf\" is not understood");
    let mut schema = small();
    schema["$defs"]["Hive"]["oneOf"] = json!([]);
    assert!(render("hives.json", &schema).is_err());
}
