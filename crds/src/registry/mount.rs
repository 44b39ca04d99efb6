//! What a task finds in its file system besides its image.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::Cursor;

use crate::format::{Flag, Format, Text, mapping};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, an absolute path in the container.
    pub target: String,
    /// Whether tasks may only read it.
    pub read_only: bool,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "source")]
pub enum MountSource {
    /// A named volume.
    Volume(String),
    /// An absolute path of the node.
    Bind(String),
    /// Memory that goes with the task.
    Tmpfs,
}

/// `source:target[:ro]`, or the long form.
impl Format for Mount {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        if at.scalar().is_some() { short(at) } else { long(at) }
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let long = MountDocument::schema(generator);
        json_schema!({
            "anyOf": [{ "type": "string", "pattern": "^[^:]+:/[^:]*(:(ro|rw))?$" }, long],
        })
    }
}

mapping! {
    /// One mount in its long form.
    pub(crate) struct MountDocument {
        /// volume, bind or tmpfs.
        r#type: MountType,
        /// Name of the volume, or absolute path of the node; none for tmpfs.
        source: Option<Text>,
        /// Absolute path in the container.
        target: Text,
        /// true: tasks may only read it.
        read_only: Option<Flag>,
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum MountType {
    Volume,
    Bind,
    Tmpfs,
}

const TYPES: [(&str, MountType); 3] =
    [("volume", MountType::Volume), ("bind", MountType::Bind), ("tmpfs", MountType::Tmpfs)];

impl Format for MountType {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        at.word(&TYPES)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": TYPES.map(|(word, _)| word) })
    }
}

fn short(at: &Cursor<'_>) -> Option<Mount> {
    let text = at.filled_text()?;
    let mut parts = text.split(':');
    let (Some(source), Some(target), mode, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        at.refuse_with("BAD_MOUNT", "not a mount", "write source:target, or source:target:ro");
        return None;
    };
    let read_only = match mode {
        None | Some("rw") => false,
        Some("ro") => true,
        Some(_) => {
            let hint = "after the second colon stands ro or rw; use the long form for more";
            at.refuse_with("BAD_MOUNT", "unknown mount option", hint);
            return None;
        }
    };
    let kind =
        if source.starts_with(['/', '.', '~']) { MountType::Bind } else { MountType::Volume };
    let source = source_of(at, kind, Some(source))?;
    Some(Mount { source, target: target_of(at, target)?, read_only })
}

fn long(at: &Cursor<'_>) -> Option<Mount> {
    let read = MountDocument::read(at)?;
    let map = at.map()?;
    let place = |key| map.optional(key).unwrap_or_else(|| at.clone());
    let source = source_of(&place("source"), read.r#type, read.source.as_deref());
    let target = target_of(&place("target"), &read.target);
    Some(Mount { source: source?, target: target?, read_only: read.read_only.unwrap_or(false) })
}

fn source_of(at: &Cursor<'_>, kind: MountType, source: Option<&str>) -> Option<MountSource> {
    match (kind, source) {
        (MountType::Tmpfs, None) => Some(MountSource::Tmpfs),
        (MountType::Tmpfs, Some(_)) => {
            at.refuse("BAD_MOUNT", "a tmpfs mount has no source");
            None
        }
        (MountType::Volume | MountType::Bind, None) => {
            at.refuse("MISSING_KEY", "the key \"source\" is missing");
            None
        }
        (MountType::Bind, Some(path)) if is_absolute(path) => {
            Some(MountSource::Bind(path.to_owned()))
        }
        (MountType::Bind, Some(_)) => {
            at.refuse_with(
                "BAD_MOUNT",
                "a bind mount needs an absolute path of the node, without \"..\"",
                "a task may start on any node, so a relative path has no meaning",
            );
            None
        }
        (MountType::Volume, Some(name)) if is_volume_name(name) => {
            Some(MountSource::Volume(name.to_owned()))
        }
        (MountType::Volume, Some(_)) => {
            let hint = "letters, digits, and _ . - after the first; a path is a bind mount";
            at.refuse_with("BAD_MOUNT", "not a name of a volume", hint);
            None
        }
    }
}

fn target_of(at: &Cursor<'_>, target: &str) -> Option<String> {
    if is_absolute(target) && target != "/" {
        return Some(target.to_owned());
    }
    at.refuse("BAD_MOUNT", "the target must be an absolute path in the container, below /");
    None
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/')
        && path.split('/').all(|part| part != "..")
        && !path.chars().any(char::is_control)
}

fn is_volume_name(name: &str) -> bool {
    let word = |char: char| char.is_ascii_alphanumeric();
    name.starts_with(word)
        && name.len() <= 255
        && name.chars().all(|char| word(char) || "_.-".contains(char))
}

/// The mounts of a service: each target once.
pub(crate) struct Mounts;

impl Format for Mounts {
    type Value = Vec<Mount>;

    fn read(at: &Cursor<'_>) -> Option<Vec<Mount>> {
        let items = at.list()?;
        let read: Vec<_> = items.iter().map(Mount::read).collect();
        let mut seen: Vec<&str> = Vec::new();
        let mut complete = true;
        for (item, mount) in items.iter().zip(&read) {
            let Some(mount) = mount else { continue };
            let target = mount.target.trim_end_matches('/');
            if seen.contains(&target) {
                item.refuse("DUPLICATE_TARGET", format!("the target {target} is mounted twice"));
                complete = false;
            }
            seen.push(target);
        }
        let mounts = read.into_iter().collect::<Option<Vec<_>>>()?;
        complete.then_some(mounts)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Mount>::schema(generator)
    }
}
