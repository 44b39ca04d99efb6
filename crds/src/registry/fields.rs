//! Texts of a service with rules of their own: packages, versions, constraints.

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, Resolved, did_you_mean};

use crate::format::Format;
use crate::registry::DesiredState;
use crate::value::ImageReference;

/// A package: it becomes part of an image's name.
pub(crate) struct Package;

impl Format for Package {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.text()?;
        match ImageReference::parse(&text) {
            Ok(image) if image.to_string() == image.repository() && !text.contains('/') => {
                Some(text)
            }
            Ok(_) | Err(_) => {
                let hint = "lower-case letters and digits, with . _ - between";
                at.refuse_with("BAD_NAME", "not a package name", hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*$",
            "maxLength": 255,
        })
    }
}

/// Where images of packages are, such as `docker.io/example`.
pub(crate) struct ImageRegistry;

impl Format for ImageRegistry {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        // With a package behind it, it must be the beginning of an image reference.
        match ImageReference::parse(&format!("{text}/package")) {
            Ok(_) => Some(text),
            Err(why) => {
                let hint = "such as docker.io/example";
                at.refuse_with("BAD_IMAGE", format!("not a place of images: {why}"), hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^\\s@]+$" })
    }
}

/// A tag or a digest. A number without a fraction is a tag too, as it reads the one way.
pub(crate) struct Version;

impl Format for Version {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = match (at.resolved(), at.scalar()) {
            (Some(Resolved::Int(number)), Some(scalar)) if number.to_string() == scalar.raw => {
                scalar.raw.clone()
            }
            _ => at.filled_text()?,
        };
        let any = ImageReference::parse("image").ok()?;
        if let Err(why) = any.at_version(&text) {
            at.refuse("BAD_VERSION", why);
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "string",
                    "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[a-f0-9]{64})$",
                },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

impl Format for DesiredState {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        at.word(&DESIRED)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": DESIRED.map(|(word, _)| word) })
    }
}

const DESIRED: [(&str, DesiredState); 2] =
    [("running", DesiredState::Running), ("stopped", DesiredState::Stopped)];

/// On which nodes tasks may run: `node.role==manager`, `node.labels.disk!=slow`.
pub(crate) struct Constraint;

/// What a constraint can name; Swarm places no task for any other word.
const CONSTRAINT_KEYS: [&str; 7] = [
    "node.id",
    "node.hostname",
    "node.role",
    "node.ip",
    "node.platform.os",
    "node.platform.arch",
    "node.labels.",
];

impl Format for Constraint {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let found = text
            .find("==")
            .into_iter()
            .chain(text.find("!="))
            .min()
            .and_then(|index| Some((text.get(..index)?, text.get(index + 2..)?)));
        let Some((key, value)) = found.map(|(key, value)| (key.trim(), value.trim())) else {
            let hint = "such as node.role==manager or node.labels.disk!=slow";
            at.refuse_with("BAD_CONSTRAINT", "expected KEY==VALUE or KEY!=VALUE", hint);
            return None;
        };
        let label = ["node.labels.", "engine.labels."]
            .iter()
            .any(|prefix| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
        let known = CONSTRAINT_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
        if !label && (!known || key.ends_with('.')) {
            let hint = did_you_mean(key, CONSTRAINT_KEYS).map_or_else(
                || format!("known: {}NAME, engine.labels.NAME", CONSTRAINT_KEYS.join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            at.refuse_with("BAD_CONSTRAINT", "no node would match this constraint", hint);
            return None;
        }
        if value.is_empty() || text.chars().any(char::is_control) {
            at.refuse("BAD_CONSTRAINT", "the constraint has no value");
            return None;
        }
        Some(text.trim().to_owned())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(node|engine)\\.[^=!]+(==|!=).+$" })
    }
}
