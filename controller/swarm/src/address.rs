//! Where the engine is, read once from `DOCKER_HOST` the way docker's own command reads it.
//!
//! An address is checked completely before anything is dialled: an ssh host that begins with a
//! dash would otherwise become an option of `ssh`.

use std::fmt;
use std::path::PathBuf;

/// The socket of an engine that nobody configured.
pub const DEFAULT_SOCKET: &str = "/var/run/docker.sock";

/// The port of `tcp://host` without one, as docker's command assumes it.
const DEFAULT_TCP_PORT: u16 = 2375;

/// The address of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// A unix socket on this machine.
    Unix(PathBuf),
    /// Plain HTTP over TCP.
    Tcp {
        /// A name or an IP address (IPv6 without brackets).
        host: String,
        /// The port.
        port: u16,
    },
    /// `docker system dial-stdio` run on another machine through `ssh`.
    Ssh {
        /// The user, when it is not what ssh chooses.
        user: Option<String>,
        /// The host, or a name that ssh's configuration knows.
        host: String,
        /// The port, when it is not what ssh chooses.
        port: Option<u16>,
    },
}

/// An address that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the engine's address {address:?} cannot be used: {why}")]
pub struct InvalidAddress {
    /// The refused address; never with a password, because those are refused unseen.
    pub address: String,
    /// The rule that it breaks.
    pub why: &'static str,
}

impl EngineAddress {
    /// Reads `DOCKER_HOST` and the TLS variables of this process.
    ///
    /// # Errors
    /// As [`Self::from_variables`].
    pub fn from_environment() -> Result<Self, InvalidAddress> {
        Self::from_variables(&|name| std::env::var(name).ok())
    }

    /// Reads `DOCKER_HOST`; without it the engine is at [`DEFAULT_SOCKET`].
    ///
    /// # Errors
    /// When the address cannot be used, or TCP with TLS is asked for (`DOCKER_TLS_VERIFY`,
    /// `DOCKER_CERT_PATH`): going on without TLS would be worse than stopping.
    pub fn from_variables(
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, InvalidAddress> {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let Some(host) = set("DOCKER_HOST") else {
            return Ok(Self::default());
        };
        let address = Self::parse(&host)?;
        let tls = set("DOCKER_TLS_VERIFY").is_some() || set("DOCKER_CERT_PATH").is_some();
        if tls && matches!(address, Self::Tcp { .. }) {
            return Err(InvalidAddress {
                address: host,
                why: "TLS (DOCKER_TLS_VERIFY, DOCKER_CERT_PATH) is not supported yet; \
                      use ssh:// or a unix socket",
            });
        }
        Ok(address)
    }

    /// Reads `unix://PATH`, `tcp://HOST[:PORT]` or `ssh://[USER@]HOST[:PORT]`.
    ///
    /// # Errors
    /// When the address has another scheme, or parts that would be ignored.
    pub fn parse(address: &str) -> Result<Self, InvalidAddress> {
        let refuse = |why| InvalidAddress { address: without_password(address), why };
        let Some((scheme, rest)) = address.split_once("://") else {
            return Err(refuse("it needs a scheme: unix://, tcp:// or ssh://"));
        };
        match scheme {
            "unix" if rest.starts_with('/') => Ok(Self::Unix(PathBuf::from(rest))),
            "unix" => Err(refuse("a unix socket needs an absolute path")),
            "tcp" => {
                let (host, port) = host_and_port(without_slash(rest)).map_err(refuse)?;
                Ok(Self::Tcp { host, port: port.unwrap_or(DEFAULT_TCP_PORT) })
            }
            "ssh" => {
                let rest = without_slash(rest);
                let (user, rest) = match rest.rsplit_once('@') {
                    Some((user, rest)) => (Some(check_user(user).map_err(refuse)?), rest),
                    None => (None, rest),
                };
                let (host, port) = host_and_port(rest).map_err(refuse)?;
                Ok(Self::Ssh { user, host, port })
            }
            "https" => Err(refuse("TLS is not supported yet; use ssh:// or a unix socket")),
            _ => Err(refuse("only unix://, tcp:// and ssh:// are supported")),
        }
    }
}

impl EngineAddress {
    /// The machine that the engine runs on, as seen from here: where the ports are that the swarm
    /// publishes. A name that only ssh's configuration knows leads nowhere, never elsewhere.
    #[must_use]
    pub fn machine(&self) -> &str {
        match self {
            Self::Unix(_) => "127.0.0.1",
            Self::Tcp { host, .. } | Self::Ssh { host, .. } => host,
        }
    }
}

impl Default for EngineAddress {
    fn default() -> Self {
        Self::Unix(PathBuf::from(DEFAULT_SOCKET))
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, port } => write!(f, "tcp://{}:{port}", bracketed(host)),
            Self::Ssh { user, host, port } => {
                f.write_str("ssh://")?;
                if let Some(user) = user {
                    write!(f, "{user}@")?;
                }
                f.write_str(&bracketed(host))?;
                port.map_or(Ok(()), |port| write!(f, ":{port}"))
            }
        }
    }
}

/// An IPv6 address as it stands in an address or a `Host` header.
pub(crate) fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

fn without_slash(rest: &str) -> &str {
    rest.strip_suffix('/').unwrap_or(rest)
}

/// `ssh://user:password@host` must not reach a log through its own refusal.
fn without_password(address: &str) -> String {
    let Some((before, host)) = address.rsplit_once('@') else {
        return address.to_owned();
    };
    let start = before.find("://").map_or(0, |at| at + 3);
    match before.get(start..).and_then(|user| user.find(':')) {
        Some(colon) => format!("{}:***@{host}", before.get(..start + colon).unwrap_or_default()),
        None => address.to_owned(),
    }
}

fn check_user(user: &str) -> Result<String, &'static str> {
    if user.contains(':') {
        return Err("a password in the address is not supported; use a key");
    }
    check_name(user, "the user is missing")
}

fn host_and_port(text: &str) -> Result<(String, Option<u16>), &'static str> {
    const BAD_PORT: &str = "the port must be a number from 1 to 65535";
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or("an IPv6 address needs a closing bracket")?;
        match rest.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if rest.is_empty() => (host, None),
            None => return Err(BAD_PORT),
        }
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = match port.map(str::parse::<u16>) {
        None => None,
        Some(Ok(port)) if port > 0 => Some(port),
        Some(_) => return Err(BAD_PORT),
    };
    Ok((check_name(host, "the host is missing")?, port))
}

/// The characters of host and user names; everything else (a path, a blank, a quote) is refused.
fn check_name(name: &str, missing: &'static str) -> Result<String, &'static str> {
    if name.is_empty() {
        return Err(missing);
    }
    if name.starts_with('-') {
        return Err("a host or user must not begin with a dash");
    }
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%'))
    {
        return Err("only a host, a user and a port are allowed, no path and no other characters");
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_addresses_survive_a_round_trip() {
        for text in [
            "unix:///var/run/docker.sock",
            "tcp://10.0.0.1:2375",
            "tcp://[::1]:2376",
            "ssh://swarm",
            "ssh://ops@manager-1.example.com:2222",
        ] {
            assert_eq!(EngineAddress::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(EngineAddress::parse("tcp://h/").unwrap().to_string(), "tcp://h:2375");
    }

    #[test]
    fn what_ssh_or_a_shell_could_misread_is_refused() {
        for text in [
            "ssh://-oProxyCommand=evil",
            "ssh://-u@host",
            "ssh://user@-host",
            "ssh://host;reboot",
            "ssh://host name",
            "ssh://host/run/docker.sock",
            "ssh://",
            "ssh://@host",
            "ssh://host:0",
            "ssh://host:70000",
            "tcp://host:http",
            "tcp://[::1",
            "unix://docker.sock",
            "/var/run/docker.sock",
            "npipe:////./pipe/docker_engine",
        ] {
            assert!(EngineAddress::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn published_ports_are_on_the_engines_machine() {
        for (address, machine) in [
            ("unix:///s", "127.0.0.1"),
            ("tcp://10.0.0.1:2375", "10.0.0.1"),
            ("tcp://[::1]:2376", "::1"),
            ("ssh://ops@manager-1:22", "manager-1"),
        ] {
            assert_eq!(EngineAddress::parse(address).unwrap().machine(), machine);
        }
    }

    #[test]
    fn a_refused_password_is_not_repeated() {
        let error = EngineAddress::parse("ssh://ops:hunter2@host").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        assert!(error.to_string().contains("ops:***@host"), "{error}");
    }

    #[test]
    fn the_environment_chooses_and_tls_is_refused_for_tcp_only() {
        let read = |pairs: &[(&str, &str)]| {
            let pairs: Vec<_> =
                pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
            EngineAddress::from_variables(&move |name| {
                pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
            })
        };
        assert_eq!(read(&[]).unwrap(), EngineAddress::default());
        assert_eq!(read(&[("DOCKER_HOST", "")]).unwrap(), EngineAddress::default());
        assert!(read(&[("DOCKER_HOST", "tcp://h:1"), ("DOCKER_TLS_VERIFY", "1")]).is_err());
        assert!(read(&[("DOCKER_HOST", "tcp://h:1"), ("DOCKER_CERT_PATH", "/c")]).is_err());
        assert!(read(&[("DOCKER_HOST", "unix:///s"), ("DOCKER_CERT_PATH", "/c")]).is_ok());
    }
}
