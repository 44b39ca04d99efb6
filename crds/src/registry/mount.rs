//! What a task finds in its file system besides its image.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, MapCursor};

use super::container::FileMode;
use crate::format::{Flag, Format, Text, mapping, word};
use crate::value::{Bytes, Size};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where, an absolute path in the container.
    pub target: String,
    /// Whether tasks may only read it.
    pub read_only: bool,
    /// How later mounts of the node show up in a bind mount, and the other way round.
    pub propagation: Option<Propagation>,
    /// A new volume is not filled with what the image has at the target.
    pub no_copy: bool,
    /// Most bytes of a tmpfs.
    pub size: Option<i64>,
    /// Permissions of a tmpfs.
    pub mode: Option<u32>,
}

/// How mounts below a bind mount are shared with the node; the words are those of Linux.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the words of Linux, see mount_namespaces(7)")]
pub enum Propagation {
    Private,
    Rprivate,
    Shared,
    Rshared,
    Slave,
    Rslave,
}

impl Propagation {
    /// The word.
    pub fn as_str(self) -> &'static str {
        PROPAGATIONS.iter().find(|(_, own)| *own == self).map_or("rprivate", |(word, _)| word)
    }
}

const PROPAGATIONS: [(&str, Propagation); 6] = [
    ("private", Propagation::Private),
    ("rprivate", Propagation::Rprivate),
    ("shared", Propagation::Shared),
    ("rshared", Propagation::Rshared),
    ("slave", Propagation::Slave),
    ("rslave", Propagation::Rslave),
];
word!(Propagation, PROPAGATIONS);

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
        /// Options of a bind mount.
        bind: Option<BindDocument>,
        /// Options of a volume.
        volume: Option<VolumeDocument>,
        /// Options of a tmpfs.
        tmpfs: Option<TmpfsDocument>,
    }
    check options_fit;
}

mapping! {
    /// Options of a bind mount.
    pub(crate) struct BindDocument {
        /// How mounts below it are shared with the node; rprivate when left out.
        propagation: Option<Propagation>,
    }
}

mapping! {
    /// Options of a volume.
    pub(crate) struct VolumeDocument {
        /// true: a new volume is not filled with what the image has at the target.
        nocopy: Option<Flag>,
    }
}

mapping! {
    /// Options of a tmpfs.
    pub(crate) struct TmpfsDocument {
        /// Its greatest size, such as 64M; that of the node when left out.
        size: Option<Size>,
        /// Permissions in octal; 01777 when left out.
        mode: Option<FileMode>,
    }
}

fn options_fit(read: &MountDocument, map: &MapCursor<'_>) -> Option<()> {
    let options = [
        ("bind", read.bind.is_some(), MountType::Bind),
        ("volume", read.volume.is_some(), MountType::Volume),
        ("tmpfs", read.tmpfs.is_some(), MountType::Tmpfs),
    ];
    let mut fits = true;
    for (key, given, kind) in options {
        if given && kind != read.r#type {
            let at = map.optional(key).unwrap_or_else(|| map.cursor().clone());
            at.refuse("CONFLICT", format!("{key} has options for mounts of that type only"));
            fits = false;
        }
    }
    fits.then_some(())
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
    let target = target_of(at, target)?;
    Some(Mount { read_only, ..Mount::new(source, target) })
}

fn long(at: &Cursor<'_>) -> Option<Mount> {
    let read = MountDocument::read(at)?;
    let map = at.map()?;
    let place = |key| map.optional(key).unwrap_or_else(|| at.clone());
    let source = source_of(&place("source"), read.r#type, read.source.as_deref());
    let target = target_of(&place("target"), &read.target);
    let (size, mode) = read.tmpfs.map_or((None, None), |tmpfs| (tmpfs.size, tmpfs.mode));
    Some(Mount {
        read_only: read.read_only.unwrap_or(false),
        propagation: read.bind.and_then(|bind| bind.propagation),
        no_copy: read.volume.and_then(|volume| volume.nocopy).unwrap_or(false),
        size: size.map(Bytes::get),
        mode,
        ..Mount::new(source?, target?)
    })
}

impl Mount {
    fn new(source: MountSource, target: String) -> Self {
        Self {
            source,
            target,
            read_only: false,
            propagation: None,
            no_copy: false,
            size: None,
            mode: None,
        }
    }
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
