//! The environment of a service as a registry says it: words for what every connector has,
//! references for secrets, values for the rest.

use serde_json::{Map, Value, json};
use skep_crds::value::{EnvValue, STANDARD_VARIABLES, looks_secret};

use super::hidden::assigns_a_secret;
use super::words::Words;
use super::{ENV, Found, SecretFile};
use crate::plan::pointer::escape;

/// What `host`, `container_port` and `transport` are when nobody says them.
const DEFAULTS: [&str; 3] = ["0.0.0.0", "8000", "streamable-http"];
/// The most that the content of a referenced file may be.
const LONGEST_SECRET: usize = 60 * 1024;

/// Puts the words for the environment; gives the port that a connector listens on.
pub(super) fn words(
    out: &mut Words,
    spec: &Value,
    references: &str,
    found: &mut Found,
) -> Option<u64> {
    let nothing = Map::new();
    let variables = spec.pointer(ENV).and_then(Value::as_object).unwrap_or(&nothing);
    let mut env = Map::new();
    let port = standard(out, variables, &mut env);
    for (key, value) in variables {
        if port.is_some() && STANDARD_VARIABLES.contains(&key.as_str()) {
            continue;
        }
        let Some(text) = value.as_str() else {
            found.ignore(&format!("{ENV}/{}", escape(key)));
            found.warn(format!(
                "the variable {key:?} has no value; a registry cannot say that, so it is ignored"
            ));
            continue;
        };
        let bad = |char: char| char == '=' || char.is_whitespace() || char.is_control();
        if key.is_empty() || key.contains(bad) || text.contains('\0') {
            found.ignore(&format!("{ENV}/{}", escape(key)));
            found.warn(format!("a registry cannot hold the variable {key:?}, so it is ignored"));
            continue;
        }
        let secret = !text.is_empty() && (looks_secret(key) || assigns_a_secret(text));
        // A key may be anything; a file below the folder must stay below it.
        let is_file_name = key.chars().all(|char| char.is_ascii_alphanumeric() || char == '_');
        if secret && (text.len() > LONGEST_SECRET || !is_file_name) {
            found.ignore(&format!("{ENV}/{}", escape(key)));
            found.warn(format!(
                "the variable {key:?} looks like a secret and fits no file, so it is ignored"
            ));
        } else if secret {
            let path = format!("{references}/{key}");
            env.insert(key.clone(), json!(format!("file:{path}")));
            found.secrets.push(SecretFile { path, value: text.to_owned() });
        } else {
            env.insert(key.clone(), json!(EnvValue::literal_text(text)));
        }
    }
    out.put("env", Some(Value::Object(env)));
    port
}

/// A connector has all three standard variables; for any other service each one that is not there
/// is said to be left out.
fn standard(
    out: &mut Words,
    variables: &Map<String, Value>,
    env: &mut Map<String, Value>,
) -> Option<u64> {
    let text = |key: &str| variables.get(key).and_then(Value::as_str);
    let port = text("PORT").and_then(|text| {
        let port = text.parse::<u16>().ok().filter(|port| *port > 0)?;
        (port.to_string() == text).then_some(port)
    });
    let filled = |key: &str| text(key).filter(|text| !text.trim().is_empty());
    if let (Some(host), Some(port), Some(transport)) = (filled("HOST"), port, filled("TRANSPORT")) {
        let [own_host, own_port, own_transport] = DEFAULTS;
        out.put("transport", (transport != own_transport).then(|| json!(transport)));
        out.put("host", (host != own_host).then(|| json!(host)));
        out.put("container_port", (port.to_string() != own_port).then(|| json!(port)));
        return Some(port.into());
    }
    for key in STANDARD_VARIABLES.into_iter().filter(|key| !variables.contains_key(*key)) {
        env.insert(key.to_owned(), Value::Null);
    }
    None
}
