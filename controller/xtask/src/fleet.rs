//! The images that a fleet on a private engine needs.
//!
//! Nothing can be pulled there, so every image of the shipped registry is our
//! small MCP server under that image's name.

use std::path::Path;

use skep_testkit::Engine;
use skep_testkit::engine::{Variant, build_program};

use crate::error::Error;
use crate::workspace;

/// The registry that the repository ships.
pub(crate) const REGISTRY: &str = "stacks/mcp-fleet.registry.yml";

/// Names that tests use, beside those of the shipped registry. Two versions
/// have different image ids; `mcp-health` has a health check.
const TEST_IMAGES: [(Variant, &[&str]); 4] = [
    (Variant { version: 1, health: false }, &["skep-test/mcp:1", "skep-test/mcp:latest"]),
    (Variant { version: 2, health: false }, &["skep-test/mcp:2"]),
    (
        Variant { version: 1, health: true },
        &["skep-test/mcp-health:1", "skep-test/mcp-health:latest"],
    ),
    (Variant { version: 2, health: true }, &["skep-test/mcp-health:2"]),
];

/// Builds the test images and gives the first one the names of the shipped
/// registry. Returns how many names there are.
///
/// # Errors
/// When the program does not compile or the engine refuses.
pub(crate) fn build_images(engine: &Engine) -> Result<usize, Error> {
    let program = build_program(workspace::root())?;
    let mut count = 0;
    for (variant, names) in TEST_IMAGES {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        engine.build_mcp_image(&program, variant, &names)?;
        count += names.len();
    }
    let shipped = shipped_images(&workspace::root().join(REGISTRY))?;
    engine.tag("skep-test/mcp:1", &shipped)?;
    Ok(count + shipped.len())
}

/// The images that the shipped registry names; none before it exists.
fn shipped_images(registry: &Path) -> Result<Vec<String>, Error> {
    match std::fs::read_to_string(registry) {
        Ok(text) => Ok(images_of(&text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(Error::File { action: "read", path: registry.to_owned(), source }),
    }
}

/// Every `image: NAME` line. The rig must not depend on the reader under test.
fn images_of(registry: &str) -> Vec<String> {
    let mut images: Vec<_> = registry
        .lines()
        .filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix("image:"))
        .filter_map(|value| value.split_whitespace().next())
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
        .collect();
    images.sort();
    images.dedup();
    images
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_wherever_a_service_names_one() {
        let text = "defaults:\n  image_registry: docker.io/example\nservices:\n  - name: a\n    \
                    image: example/a:latest  # why\n  - image: \"example/b:1\"\n    name: b\n";
        assert_eq!(images_of(text), ["example/a:latest", "example/b:1"]);
    }
}
