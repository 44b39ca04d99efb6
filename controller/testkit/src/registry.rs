//! A private image registry: Debian's `docker-registry`, where one engine can reach it.
//!
//! It listens on loopback inside the engine's network namespace, so neither this machine nor
//! anything else sees it, and the engine speaks plain HTTP with it without being told to.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::json;

use crate::Error;
use crate::command::{self, find_program};
use crate::engine::{Engine, fleet_name};
use crate::process::{RecordedProcess, wait_until};
use crate::state::{Manifest, StateFolder};

/// It starts within a tenth of a second on an idle machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// The user of a private registry.
pub const USER: &str = "tester";
/// The user's password.
pub const PASSWORD: &str = "loopback-only";
/// The password as `htpasswd -nbBC 4` writes it: as cheap as the format allows.
const PASSWORD_HASH: &str = "$2b$04$nU1oeDJw.IY/H9luGKAag.TaTB.TaGAGwSKpDepFZczO3Fc6I9U8W";

/// Who may use a registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`].
    Private,
}

/// A running registry; ends when it is dropped.
#[derive(Debug)]
pub struct Registry {
    state: PathBuf,
    address: String,
    access: Access,
    server: Child,
}

impl Registry {
    /// Starts a registry beside an engine.
    ///
    /// # Errors
    /// [`Error::Missing`] when it is not installed (see [`crate::install::registry`]),
    /// [`Error::NotReady`] with its log.
    pub fn start(engine: &Engine, access: Access) -> Result<Self, Error> {
        crate::install::registry(crate::install::Permission::Forbidden, &mut |_| {})?;
        crate::sweep();
        let state = crate::temporary_folder().join(fleet_name("registry"));
        let owner = RecordedProcess::current();
        let mut folder = StateFolder::create(&state, Manifest { owner, ..Manifest::default() })?;
        let configuration = state.join("config.json");
        write(&configuration, &configuration_of(&state, access))?;
        write(&state.join("htpasswd"), &format!("{USER}:{PASSWORD_HASH}\n"))?;
        let server = start_server(&mut folder, engine, &state)?;
        let mut registry = Self { state, address: String::new(), access, server };
        registry.address = registry.wait_until_ready()?;
        Ok(registry)
    }

    /// `127.0.0.1:PORT`: how images in it begin.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A configuration of docker's command line that signs in to this registry with a password.
    #[must_use]
    pub fn docker_config(&self, password: &str) -> String {
        let entry = json!({ "username": USER, "password": password });
        json!({ "auths": { &self.address: entry } }).to_string()
    }

    /// Gives an image of the engine a name in this registry, pushes it, and removes the name from
    /// the engine again, so that only a pull brings it back.
    ///
    /// # Errors
    /// When the engine or the registry refuses.
    pub fn push(&self, engine: &Engine, image: &str, name: &str) -> Result<String, Error> {
        let reference = format!("{}/{name}", self.address);
        engine.tag(image, std::slice::from_ref(&reference))?;
        let folder = self.state.join("cli");
        fs::create_dir_all(&folder).map_err(Error::file("create", &folder))?;
        let config = match self.access {
            Access::Open => "{}".to_owned(),
            Access::Private => self.docker_config(PASSWORD),
        };
        write(&folder.join("config.json"), &config)?;
        let mut push = engine.docker_command();
        push.env("DOCKER_CONFIG", &folder).args(["push", "--quiet", &reference]);
        command::output(&mut push)?;
        engine.docker(&["image", "rm", &reference])?;
        Ok(reference)
    }

    fn wait_until_ready(&self) -> Result<String, Error> {
        let mut address = None;
        wait_until(READY_LIMIT, || {
            address = listening_on(&fs::read_to_string(log(&self.state)).unwrap_or_default());
            address.is_some()
        });
        address.ok_or_else(|| Error::NotReady {
            what: "the image registry",
            waited: READY_LIMIT,
            log: fs::read_to_string(log(&self.state)).unwrap_or_default(),
        })
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        if let Ok(Some(folder)) = StateFolder::read(&self.state) {
            // Whatever resists is on record for the next run.
            let _next_run = folder.end_and_remove();
        }
        let _status = self.server.wait();
    }
}

/// YAML that is JSON; a free port is taken.
fn configuration_of(state: &Path, access: Access) -> String {
    let auth = match access {
        Access::Open => json!({}),
        Access::Private => {
            json!({ "htpasswd": { "realm": "test", "path": state.join("htpasswd") } })
        }
    };
    let configuration = json!({
        "version": 0.1,
        "log": { "level": "info" },
        "storage": { "filesystem": { "rootdirectory": state.join("data") } },
        "auth": auth,
        "http": { "addr": "127.0.0.1:0", "secret": "only for this run" },
    });
    configuration.to_string()
}

fn listening_on(log: &str) -> Option<String> {
    let (_, rest) = log.split_once("listening on ")?;
    let address = rest.split(['"', ',', ' ']).next()?;
    Some(address.to_owned())
}

/// Starts the server once it is on record: a starter that dies first closes the pipe, and nothing
/// is left behind.
fn start_server(folder: &mut StateFolder, engine: &Engine, state: &Path) -> Result<Child, Error> {
    let program = find_program("docker-registry").unwrap_or_default();
    let log_file = fs::File::create(log(state)).map_err(Error::file("create", log(state)))?;
    let errors = log_file.try_clone().map_err(Error::file("open", log(state)))?;
    let mut waiting = engine.command("setsid");
    waiting
        .args(["sh", "-c", r#"read -r recorded && exec "$@" </dev/null"#, "sh"])
        .arg(program)
        .arg("serve")
        .arg(state.join("config.json"))
        // Its settings may also come from variables, which belong to somebody else.
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::from(log_file))
        .stderr(Stdio::from(errors));
    let mut child = waiting
        .spawn()
        .map_err(|source| Error::Spawn { program: command::program(&waiting), source })?;
    folder.manifest.processes = RecordedProcess::of(child.id()).into_iter().collect();
    folder.save()?;
    if let Some(mut pipe) = child.stdin.take() {
        // A server that has died already shows when it is waited for.
        let _broken = pipe.write_all(b"recorded\n");
    }
    Ok(child)
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    fs::write(path, text).map_err(Error::file("write", path))
}

fn log(state: &Path) -> PathBuf {
    state.join("registry.log")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_read_from_the_log() {
        let line = r#"time="T" level=info msg="listening on 127.0.0.1:33349" go.version=go1.19.8"#;
        assert_eq!(listening_on(line).as_deref(), Some("127.0.0.1:33349"));
        assert_eq!(listening_on("level=fatal msg=\"open\""), None);
    }

    #[test]
    fn only_a_private_registry_asks_for_a_password() {
        let state = Path::new("/x");
        assert!(!configuration_of(state, Access::Open).contains("htpasswd"));
        assert!(configuration_of(state, Access::Private).contains("/x/htpasswd"));
    }
}
