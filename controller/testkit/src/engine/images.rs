//! The images that live tests and the demo run: our static MCP server in an
//! otherwise empty image, under as many names as a fleet needs.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Engine, api};
use crate::Error;
use crate::command::{self, isolated};

const PROGRAM: &str = "skep-test-mcp";

/// Two images of the same program differ where a test needs them to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Variant {
    /// Becomes a label, so that two versions have different image ids.
    pub version: u16,
    /// Whether the image carries its own health check.
    pub health: bool,
}

impl Variant {
    /// Short intervals: a test that waits for `healthy` waits for the first
    /// probe. The protocol part is `skep-test-mcp probe`.
    fn dockerfile(self) -> String {
        let health = if self.health {
            format!(
                "HEALTHCHECK --interval=1s --timeout=3s --retries=3 CMD [\"/{PROGRAM}\", \"probe\"]\n"
            )
        } else {
            String::new()
        };
        format!(
            "FROM scratch\nCOPY {PROGRAM} /{PROGRAM}\nLABEL dev.skep.test.version=\"{}\"\n\
             EXPOSE 8000\n{health}ENTRYPOINT [\"/{PROGRAM}\"]\n",
            self.version
        )
    }
}

/// Builds the server as a static program (glibc: there is no musl toolchain on
/// a plain machine), in its own target folder entry, and returns its path.
///
/// # Errors
/// [`Error::Failed`] with the compiler's output.
pub fn build_program(workspace: &Path) -> Result<PathBuf, Error> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let mut cargo = isolated("cargo");
    cargo
        .args(["build", "--quiet", "--package", "skep-testkit-mcp", "--target", &target])
        // Dozens of copies run at once; symbols are of no use in an image.
        .args(["--config", "profile.dev.strip='symbols'"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        // The caller is cargo itself and has set these for its own run.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(workspace);
    command::output(&mut cargo)?;
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace.join("target"), |folder| workspace.join(folder));
    Ok(folder.join(target).join("debug").join(PROGRAM))
}

impl Engine {
    /// Builds one image from `program` (see [`build_program`]) without a network
    /// and gives it every one of `tags`.
    ///
    /// # Errors
    /// When the folder cannot be written or the engine refuses.
    pub fn build_mcp_image(
        &self,
        program: &Path,
        variant: Variant,
        tags: &[String],
    ) -> Result<(), Error> {
        let Some((first, rest)) = tags.split_first() else { return Ok(()) };
        let context = self.state_folder().join("image");
        fs::create_dir_all(&context).map_err(Error::file("create", &context))?;
        let copied = context.join(PROGRAM);
        fs::copy(program, &copied).map_err(Error::file("copy", program))?;
        let dockerfile = context.join("Dockerfile");
        fs::write(&dockerfile, variant.dockerfile()).map_err(Error::file("write", &dockerfile))?;
        let mut build = self.docker_command();
        build
            // The other builder would want a component that is not installed
            // everywhere, and a session with the client.
            .env("DOCKER_BUILDKIT", "0")
            .args(["build", "--quiet", "--network", "none", "--tag", first])
            .arg(&context);
        command::output(&mut build)?;
        self.tag(first, rest)
    }

    /// Gives the image `name` more names.
    ///
    /// # Errors
    /// When the engine refuses one.
    pub fn tag(&self, name: &str, tags: &[String]) -> Result<(), Error> {
        for tag in tags {
            let (repository, version) = split_reference(tag);
            let path = format!(
                "/images/{}/tag?repo={}&tag={}",
                api::encode(name),
                api::encode(repository),
                api::encode(version)
            );
            api::expect_success(self.socket(), "POST", &path, None)?;
        }
        Ok(())
    }
}

/// A colon after the last slash starts the tag; an earlier one is a port.
fn split_reference(reference: &str) -> (&str, &str) {
    match reference.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_not_a_tag() {
        assert_eq!(split_reference("example/a:1"), ("example/a", "1"));
        assert_eq!(split_reference("example/a"), ("example/a", "latest"));
        assert_eq!(split_reference("host:5000/a"), ("host:5000/a", "latest"));
    }

    #[test]
    fn only_the_variant_with_health_has_a_health_check() {
        let plain = Variant { version: 2, health: false }.dockerfile();
        assert!(plain.starts_with("FROM scratch\n") && plain.contains("version=\"2\""));
        assert!(!plain.contains("HEALTHCHECK"));
        assert!(Variant { version: 2, health: true }.dockerfile().contains("HEALTHCHECK"));
    }
}
