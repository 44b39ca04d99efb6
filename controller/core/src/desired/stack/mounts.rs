//! Mounts of a service of a stack.

use serde_json::{Value, json};
use skep_crds::stack::Mount;

use super::{Scope, flag, number, object, pairs, text};

/// A mount, in the engine's words.
pub(super) fn mount(scope: &Scope<'_>, mount: &Mount) -> Value {
    let kind = if mount.kind.is_empty() { "volume" } else { &mount.kind };
    let volume = (kind == "volume" && !mount.source.is_empty()).then(|| volume(scope, mount));
    let source = match kind {
        "volume" if !mount.source.is_empty() => volume_name(scope, &mount.source),
        "cluster" if !mount.source.starts_with("group:") => volume_name(scope, &mount.source),
        _ => mount.source.clone(),
    };
    let bind = mount.bind.as_ref().filter(|_| matches!(kind, "bind" | "npipe"));
    let tmpfs = mount.tmpfs.as_ref().filter(|_| kind == "tmpfs");
    object([
        ("Type", text(kind)),
        ("Source", text(&source)),
        ("Target", text(&mount.target)),
        ("ReadOnly", flag(mount.read_only)),
        ("Consistency", text(&mount.consistency)),
        ("BindOptions", bind.map(|bind| object([("Propagation", text(&bind.propagation))]))),
        ("VolumeOptions", volume),
        ("TmpfsOptions", tmpfs.map(|tmpfs| object([("SizeBytes", number(tmpfs.size.0))]))),
        ("ClusterOptions", (kind == "cluster").then(|| json!({}))),
    ])
}

fn volume_name(scope: &Scope<'_>, key: &str) -> String {
    scope.named(key, scope.stack.volumes.get(key).map(|volume| &volume.name))
}

/// How the engine of a node makes the volume, should it not be there. Nothing is said of external
/// ones but how they are mounted.
fn volume(scope: &Scope<'_>, mount: &Mount) -> Value {
    let declared = scope.stack.volumes.get(&mount.source);
    let own = declared.filter(|volume| !volume.external.is);
    let options = mount.volume.as_ref();
    let driver =
        own.filter(|v| !v.driver.is_empty() || !v.driver_opts.0.is_empty()).map(|volume| {
            object([("Name", text(&volume.driver)), ("Options", pairs(&volume.driver_opts.0))])
        });
    object([
        ("NoCopy", flag(options.is_some_and(|options| options.nocopy))),
        ("Subpath", options.and_then(|options| text(&options.subpath))),
        ("Labels", own.map(|volume| Value::Object(scope.labels(&volume.labels.0)))),
        ("DriverConfig", driver),
    ])
}
