//! JSON Schemas of the kinds, for editors and for other programs.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::policy::PolicyDocument;
use crate::policy::cases::CasesDocument;
use crate::registry::RegistryDocument;
use crate::stacks::StacksDocument;

/// Every schema with the name of its file under `crds/schemas`.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("registry.schema.json", schema::<RegistryDocument>("Connector registry")),
        ("stacks.schema.json", schema::<StacksDocument>("Stacks")),
        ("policy.schema.json", schema::<PolicyDocument>("Action policy")),
        ("policy-cases.schema.json", schema::<CasesDocument>("Cases of an action policy")),
    ]
}

/// A schema as its file holds it: indented, with a line break at the end.
pub fn schema_text(schema: &Value) -> String {
    format!("{schema:#}\n")
}

fn schema<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    sorted(schema.to_value())
}

/// Whether maps of `serde_json` keep the order of insertion is for any crate of the build to
/// choose, so the order of keys is fixed here.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> =
                map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            entries.sort_by(|one, other| one.0.cmp(&other.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the files instead of comparing them.
    const UPDATE: &str = "SKEP_UPDATE_SCHEMAS";

    #[test]
    fn the_files_are_those_that_the_kinds_give() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas");
        for (file, schema) in schemas() {
            let path = format!("{folder}/{file}");
            let text = schema_text(&schema);
            if std::env::var_os(UPDATE).is_some() {
                std::fs::write(&path, &text).expect("the schema is written");
            }
            let found = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                found == text,
                "{path} is stale: run `cargo run -p skep -- schema --write crds/schemas`"
            );
        }
    }

    #[test]
    fn every_property_is_described_and_nothing_else_is_allowed() {
        for (file, schema) in schemas() {
            let definitions = schema["$defs"].as_object().expect("definitions");
            for (name, object) in definitions.iter().chain([(&file.to_owned(), &schema)]) {
                assert_eq!(object["additionalProperties"], false, "{file} {name}");
                for (key, property) in object["properties"].as_object().expect("properties") {
                    let text = property["description"].as_str().unwrap_or_default();
                    assert!(!text.is_empty(), "{file} {name}.{key}");
                }
            }
            assert!(schema["$schema"].as_str().is_some_and(|uri| uri.contains("2020-12")));
        }
    }

    #[test]
    fn the_registry_s_keys_are_in_the_schema() {
        let (_, schema) = schemas().into_iter().next().expect("the registry's");
        assert_eq!(schema["required"], serde_json::json!(["services"]));
        let service = &schema["$defs"]["ServiceDocument"];
        assert_eq!(service["required"], serde_json::json!(["name"]));
        assert_eq!(service["properties"]["replicas"]["maximum"], 100_000);
        assert_eq!(service["properties"]["host_port"]["minimum"], 1);
        assert!(schema["$defs"]["MountDocument"]["properties"]["type"].is_object());
    }
}
