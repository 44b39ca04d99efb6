//! Where things are in this repository.

use std::path::{Path, PathBuf};

/// The repository's root: cargo runs this program from anywhere inside it.
pub(crate) fn root() -> &'static Path {
    // controller/xtask/../..
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().and_then(Path::parent).unwrap_or(manifest)
}

/// Cargo's folder for everything that can be made again.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |folder| root().join(folder))
}
