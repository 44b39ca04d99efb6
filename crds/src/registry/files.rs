//! Secrets and configs of the swarm that appear as files in the container.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::Cursor;

use super::container::{FileMode, Word};
use crate::format::{Format, Text, mapping};

/// A secret or a config as a file, by its name in the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FileReference {
    /// Its name in the swarm.
    pub source: String,
    /// The file: below /run/secrets for a secret, below / for a config.
    pub target: String,
    /// Number of the owner.
    pub uid: String,
    /// Number of the group.
    pub gid: String,
    /// Permissions.
    pub mode: u32,
}

/// What the engine gives a file that says nothing else.
const OWNER: &str = "0";
const MODE: u32 = 0o444;

mapping! {
    /// A secret or a config of the swarm as a file.
    pub(crate) struct FileDocument {
        /// Its name in the swarm.
        source: Text,
        /// The file: below /run/secrets for a secret, below / for a config; the name when left out.
        target: Option<Text>,
        /// Number of the owner; "0" when left out.
        uid: Option<Word>,
        /// Number of the group; "0" when left out.
        gid: Option<Word>,
        /// Permissions in octal; 0444 when left out.
        mode: Option<FileMode>,
    }
}

/// A name, or the long form.
impl Format for FileReference {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let read = if at.scalar().is_some() {
            let source = at.filled_text()?;
            FileDocument { source, target: None, uid: None, gid: None, mode: None }
        } else {
            FileDocument::read(at)?
        };
        Some(Self {
            target: read.target.unwrap_or_else(|| read.source.clone()),
            source: read.source,
            uid: read.uid.unwrap_or_else(|| OWNER.to_owned()),
            gid: read.gid.unwrap_or_else(|| OWNER.to_owned()),
            mode: read.mode.unwrap_or(MODE),
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let long = FileDocument::schema(generator);
        json_schema!({ "anyOf": [{ "type": "string", "minLength": 1 }, long] })
    }
}

/// References; each file once.
pub(crate) struct Files;

impl Format for Files {
    type Value = Vec<FileReference>;

    fn read(at: &Cursor<'_>) -> Option<Self::Value> {
        let items = at.list()?;
        let read: Vec<_> = items.iter().map(FileReference::read).collect();
        let mut complete = true;
        let mut seen: Vec<&str> = Vec::new();
        for (item, file) in items.iter().zip(&read) {
            let Some(file) = file else { continue };
            if seen.contains(&file.target.as_str()) {
                item.refuse("DUPLICATE_TARGET", format!("the file {} is given twice", file.target));
                complete = false;
            }
            seen.push(&file.target);
        }
        let files = read.into_iter().collect::<Option<Vec<_>>>()?;
        complete.then_some(files)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<FileReference>::schema(generator)
    }
}
