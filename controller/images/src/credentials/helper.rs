//! Credential helpers: programs named `docker-credential-<name>` that keep passwords elsewhere.
//!
//! The protocol is that of docker/docker-credential-helpers: the registry on stdin, `get` as the
//! argument, an answer in JSON on stdout.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use skep_swarm::RegistryAuth;
use skep_swarm::registry::Proof;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How long and how much a helper may talk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) time: Duration,
    /// Bytes on stdout.
    pub(super) answer: u64,
}

impl Default for Limits {
    fn default() -> Self {
        // A helper may ask a cloud for a fresh token.
        Self { time: Duration::from_secs(10), answer: 64 << 10 }
    }
}

/// Why a helper gave no answer. What it said is no part of it.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("{name:?} cannot be the name of a helper")]
    Name { name: String },
    #[error("{program} cannot be run")]
    Spawn {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{program} did not answer within {after:?}")]
    Timeout { program: String, after: Duration },
    #[error("{program} said more than {limit} bytes")]
    TooMuch { program: String, limit: u64 },
    #[error("{program} failed ({status})")]
    Failed { program: String, status: std::process::ExitStatus },
    #[error("the answer of {program} is not of the protocol")]
    Answer { program: String },
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", default)]
    username: String,
    #[serde(rename = "Secret", default)]
    secret: String,
}

/// What a helper says when it has nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that marks the secret as an identity token.
const TOKEN_USER: &str = "<token>";

/// Asks a helper; `None` when it knows nothing about the registry.
pub(super) async fn get(
    name: &str,
    registry: &str,
    limits: Limits,
) -> Result<Option<RegistryAuth>, Error> {
    // The name becomes part of a program's name and must not become a path.
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_.".contains(character);
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(Error::Name { name: name.to_owned() });
    }
    ask(format!("docker-credential-{name}"), registry, limits).await
}

async fn ask(
    program: String,
    registry: &str,
    limits: Limits,
) -> Result<Option<RegistryAuth>, Error> {
    let answer = match tokio::time::timeout(limits.time, run(&program, registry, limits)).await {
        Ok(answer) => answer?,
        Err(_elapsed) => return Err(Error::Timeout { program, after: limits.time }),
    };
    let Some(text) = answer else { return Ok(None) };
    let Ok(answer) = serde_json::from_slice::<Answer>(&text) else {
        return Err(Error::Answer { program });
    };
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Ok(None);
    }
    let proof = if answer.username == TOKEN_USER {
        Proof::IdentityToken(answer.secret)
    } else {
        Proof::Password { username: answer.username, password: answer.secret }
    };
    Ok(Some(RegistryAuth { server: registry.to_owned(), proof }))
}

async fn run(program: &str, registry: &str, limits: Limits) -> Result<Option<Vec<u8>>, Error> {
    let spawn = |source| Error::Spawn { program: program.to_owned(), source };
    let mut child = Command::new(program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(spawn)?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that answers without listening closes its end early.
        let _closed = stdin.write_all(registry.as_bytes()).await;
    }
    let mut text = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(limits.answer + 1).read_to_end(&mut text).await.map_err(spawn)?;
    }
    if text.len() as u64 > limits.answer {
        return Err(Error::TooMuch { program: program.to_owned(), limit: limits.answer });
    }
    let status = child.wait().await.map_err(spawn)?;
    if status.success() {
        return Ok(Some(text));
    }
    if String::from_utf8_lossy(&text).trim() == NOT_FOUND {
        return Ok(None);
    }
    Err(Error::Failed { program: program.to_owned(), status })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Script(tempfile::TempDir);

    impl Script {
        fn new(body: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("helper");
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            Self(folder)
        }

        async fn ask(&self) -> Result<Option<RegistryAuth>, Error> {
            let limits = Limits { time: Duration::from_secs(20), answer: 200 };
            ask(self.0.path().join("helper").display().to_string(), "ghcr.io", limits).await
        }
    }

    #[tokio::test]
    async fn the_registry_goes_in_and_credentials_come_out() {
        let script = Script::new(
            r#"[ "$1" = get ] && read server; printf '{"ServerURL":"%s","Username":"u","Secret":"%s"}' "$server" "p-$server""#,
        );
        let auth = script.ask().await.unwrap().unwrap();
        assert_eq!(auth.server, "ghcr.io");
        let password = "p-ghcr.io".to_owned();
        assert!(auth.proof == Proof::Password { username: "u".to_owned(), password });
        let token = Script::new(r#"echo '{"Username":"<token>","Secret":"t"}'"#);
        assert!(token.ask().await.unwrap().unwrap().proof == Proof::IdentityToken("t".to_owned()));
    }

    #[tokio::test]
    async fn knowing_nothing_is_no_failure() {
        let none = Script::new("echo 'credentials not found in native keychain'; exit 1");
        assert_eq!(none.ask().await.unwrap(), None);
        assert_eq!(Script::new("echo '{}'").ask().await.unwrap(), None);
    }

    #[tokio::test]
    async fn what_a_failing_helper_says_is_not_repeated() {
        for (body, said) in [
            ("echo hunter2; echo hunter2 >&2; exit 3", "failed (exit status: 3)"),
            ("echo '{\"Secret\": hunter2'", "not of the protocol"),
            ("yes hunter2", "said more than 200 bytes"),
        ] {
            let error = Script::new(body).ask().await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_silent_helper_is_ended() {
        let script = Script::new("exec sleep 600");
        let limits = Limits { time: Duration::from_millis(50), ..Limits::default() };
        let program = script.0.path().join("helper").display().to_string();
        let error = ask(program, "ghcr.io", limits).await.unwrap_err();
        assert!(matches!(error, Error::Timeout { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_name_is_not_a_path() {
        for name in ["", "../../bin/sh", "a b", "/x"] {
            let error = get(name, "ghcr.io", Limits::default()).await.unwrap_err();
            assert!(matches!(error, Error::Name { .. }), "{name}");
        }
        let error = get("no-such-helper", "ghcr.io", Limits::default()).await.unwrap_err();
        assert!(error.to_string().contains("docker-credential-no-such-helper cannot be run"));
    }
}
