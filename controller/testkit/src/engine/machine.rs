//! The engine that the machine already has, looked at and never changed.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::api;

/// What docker uses when nothing else is said.
const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// An engine that answers and manages a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineEngine {
    /// As a value for `DOCKER_HOST`.
    pub host: String,
    /// The engine's name of itself.
    pub name: String,
}

/// The machine's engine if it answers and is a swarm manager; otherwise why it
/// cannot be used. `docker_host` is the caller's `DOCKER_HOST`.
///
/// # Errors
/// The reason, for a person.
pub fn machine(docker_host: Option<&str>) -> Result<MachineEngine, String> {
    let socket = socket(docker_host)?;
    let at = socket.display();
    let reply = api::call(&socket, "GET", "/info", None)
        .map_err(|_| format!("no engine answers at {at}"))?;
    if reply.status != 200 {
        return Err(format!("the engine at {at} answers {}", reply.status));
    }
    let info: Value = serde_json::from_str(&reply.body).unwrap_or(Value::Null);
    if info.pointer("/Swarm/ControlAvailable").and_then(Value::as_bool) != Some(true) {
        return Err(format!("the engine at {at} is not a swarm manager"));
    }
    let name = info.get("Name").and_then(Value::as_str).unwrap_or("an engine").to_owned();
    Ok(MachineEngine { host: super::host_of(&socket), name })
}

fn socket(docker_host: Option<&str>) -> Result<PathBuf, String> {
    match docker_host.filter(|host| !host.is_empty()) {
        None => Ok(PathBuf::from(DEFAULT_SOCKET)),
        Some(host) => host
            .strip_prefix("unix://")
            .map(|path| Path::new(path).to_owned())
            .ok_or_else(|| "DOCKER_HOST is not a Unix socket".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_elsewhere_is_not_looked_at() {
        assert_eq!(socket(None).unwrap(), Path::new(DEFAULT_SOCKET));
        assert_eq!(socket(Some("unix:///a/b.sock")).unwrap(), Path::new("/a/b.sock"));
        assert!(socket(Some("tcp://192.0.2.1:2376")).is_err());
    }

    #[test]
    fn what_does_not_answer_is_named() {
        let reason = machine(Some("unix:///nonexistent/docker.sock")).unwrap_err();
        assert_eq!(reason, "no engine answers at /nonexistent/docker.sock");
    }
}
