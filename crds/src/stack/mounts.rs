//! What is mounted into a container: the long form, and `[SOURCE:]TARGET[:OPTIONS]`.

use serde::Serialize;
use skep_yaml::{Cursor, Kind};

use super::amounts::Number;
use super::merge::{Merge, Zero, by_key};
use super::read::{Read, Rules, is_hidden, kind, mapping_only};

kind! {
    /// A mount.
    Mount {
        /// `volume`, `bind`, `tmpfs`, `npipe`, `cluster` or `image`.
        "type" kind: String,
        /// A volume of the stack, or a path of the node.
        "source" source: String,
        /// Where it appears in the container.
        "target" target: String,
        /// Whether the container may not write there.
        "read_only" read_only: bool,
        /// A word for Docker Desktop; engines pass it over.
        "consistency" consistency: String,
        /// Options of a bind mount.
        "bind" bind: Option<BindOptions>,
        /// Options of a volume.
        "volume" volume: Option<VolumeOptions>,
        /// Options of a file system in memory.
        "tmpfs" (6) tmpfs: Option<TmpfsOptions>,
    }
}

kind! {
    /// Options of a bind mount.
    BindOptions ignores true {
        /// How mounts below it spread, such as `rslave`.
        "propagation" propagation: String,
    }
}

kind! {
    /// Options of a volume.
    VolumeOptions ignores true {
        /// Whether a new volume is not filled from the image.
        "nocopy" nocopy: bool,
        /// A folder of the volume instead of all of it.
        "subpath" subpath: String,
    }
}

kind! {
    /// Options of a file system in memory.
    TmpfsOptions ignores true {
        /// How large it may grow, in bytes.
        "size" size: Number,
    }
}

mapping_only!(BindOptions, VolumeOptions, TmpfsOptions);

/// What is mounted.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Mounts(pub Vec<Mount>);

/// The version from which on the long form may be used.
const LONG_SINCE: u32 = 2;

const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rshared", "shared", "rslave", "slave"];

impl Zero for Mounts {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Mounts {
    fn merge(&mut self, later: Self) {
        by_key(&mut self.0, later.0, |mount| mount.target.clone());
    }
}

impl Read for Mounts {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let items = at.list()?;
        Some(Self(items.iter().filter_map(|item| one(item, rules)).collect()))
    }
}

fn one(at: &Cursor<'_>, rules: &Rules) -> Option<Mount> {
    if let Kind::Mapping(_) = at.node().kind {
        if rules.minor < LONG_SINCE {
            let message = format!("the long form needs version 3.{LONG_SINCE}");
            at.refuse_with("NEEDS_NEWER_VERSION", message, "take `version` out");
        }
        let map = at.map()?;
        if map.optional("type").is_none() {
            let hint = "add `type:` with one of: volume, bind, tmpfs, npipe, cluster";
            at.refuse_with("MISSING_KEY", "the key \"type\" is missing", hint);
        }
        return Some(Mount::fields(&map, rules));
    }
    match parse(&at.text()?) {
        Ok((mount, passed_over)) => {
            for option in passed_over {
                let option =
                    if is_hidden(at) { "an option".to_owned() } else { format!("\"{option}\"") };
                let message = format!("docker passes over {option} of this mount");
                rules.warn(at, "IGNORED_KEY", message, "take it out, it has no effect");
            }
            Some(mount)
        }
        Err(why) => {
            at.refuse_with(
                "BAD_MOUNT",
                why,
                "write \"SOURCE:TARGET\", \"SOURCE:TARGET:ro\" or \"TARGET\"",
            );
            None
        }
    }
}

/// The mount, and the options that mean nothing.
fn parse(text: &str) -> Result<(Mount, Vec<String>), &'static str> {
    let volume = |target: &str| Mount {
        kind: "volume".to_owned(),
        target: target.to_owned(),
        ..Mount::default()
    };
    match text.len() {
        0 => return Err("nothing is mounted"),
        1 | 2 => return Ok((volume(text), Vec::new())),
        _ => {}
    }
    let parts = sections(text);
    if parts.iter().any(String::is_empty) {
        return Err("nothing stands between two colons, or behind the last one");
    }
    let mut parts = parts.into_iter();
    let (first, second) = (parts.next().unwrap_or_default(), parts.next());
    let Some(target) = second else { return Ok((volume(&first), Vec::new())) };
    let options = parts.next();
    if parts.next().is_some() {
        return Err("there are too many colons");
    }
    let mut passed_over = Vec::new();
    let mut mount = Mount { source: first, target, ..Mount::default() };
    for option in options.as_deref().unwrap_or_default().split(',') {
        match option {
            "" if options.is_none() => {}
            "ro" => mount.read_only = true,
            "rw" => mount.read_only = false,
            "nocopy" => {
                mount.volume = Some(VolumeOptions { nocopy: true, ..VolumeOptions::default() });
            }
            word if PROPAGATIONS.contains(&word) => {
                mount.bind = Some(BindOptions { propagation: word.to_owned() });
            }
            word => passed_over.push(word.chars().take(40).flat_map(char::escape_debug).collect()),
        }
    }
    mount.kind = if is_path(&mount.source) { "bind" } else { "volume" }.to_owned();
    Ok((mount, passed_over))
}

/// The parts between colons; the colon behind a single letter belongs to a drive of Windows, which
/// is why a volume of one letter cannot be named in the short form.
fn sections(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for char in text.chars() {
        let Some(part) = parts.last_mut() else { break };
        let mut letters = part.chars();
        let drive = letters.next().is_some_and(char::is_alphabetic) && letters.next().is_none();
        if char == ':' && !drive {
            parts.push(String::new());
        } else {
            part.push(char);
        }
    }
    parts
}

/// Whether a source is a path of the node rather than the name of a volume.
fn is_path(source: &str) -> bool {
    if source.starts_with(['.', '/', '~']) || source.starts_with(r"\\") {
        return true;
    }
    let mut chars = source.chars();
    chars.next().is_some_and(char::is_alphabetic) && chars.next() == Some(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, String, String, bool) {
        let (mount, _) = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        (mount.kind, mount.source, mount.target, mount.read_only)
    }

    #[test]
    fn short_forms_are_docker_s() {
        for (text, kind, source, target, read_only) in [
            ("/data", "volume", "", "/data", false),
            ("db", "volume", "", "db", false),
            ("data:/var", "volume", "data", "/var", false),
            ("data:/var:ro", "volume", "data", "/var", true),
            ("data:/var:rw,nocopy", "volume", "data", "/var", false),
            ("./a:/b", "bind", "./a", "/b", false),
            ("~/a:/b:ro,rslave", "bind", "~/a", "/b", true),
            ("/a:/b", "bind", "/a", "/b", false),
            (r"C:\a:D:\b", "bind", r"C:\a", r"D:\b", false),
            (r"\\.\pipe\x:/y", "bind", r"\\.\pipe\x", "/y", false),
            // The price of drives.
            ("v:/d:ro", "bind", "v:/d", "ro", false),
            ("v:/data", "volume", "", "v:/data", false),
        ] {
            let expected = (kind.to_owned(), source.to_owned(), target.to_owned(), read_only);
            assert_eq!(read(text), expected, "{text}");
        }
        let (mount, passed_over) = parse("./a:/b:z,rshared,cached").expect("a mount");
        assert_eq!(mount.bind.expect("options").propagation, "rshared");
        assert_eq!(passed_over, ["z", "cached"]);
        for bad in ["", "data:", ":/data", "ab::/c", "ab:/c:", "ab:/c:ro:x"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
