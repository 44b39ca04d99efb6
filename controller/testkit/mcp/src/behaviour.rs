//! What the environment asks of this server.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::time::Duration;

/// How to serve and how to misbehave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Behaviour {
    /// `HOST`: the address to listen on, by default every one.
    pub(crate) host: IpAddr,
    /// `PORT`: by default 8000, the container port of the fleet's connectors.
    pub(crate) port: u16,
    /// `SLOW_START_SECONDS`: nothing listens before this has passed.
    pub(crate) slow_start: Duration,
    /// `UNHEALTHY=1`: `GET /health` answers 503; the protocol keeps working.
    pub(crate) unhealthy: bool,
    /// `CRASH_AFTER_SECONDS`: exit 1, counted from the start of the process.
    pub(crate) crash_after: Option<Duration>,
    /// `EXIT_CODE`: exit at once with this code (0 makes it a finished job).
    pub(crate) exit_code: Option<u8>,
}

impl Behaviour {
    /// Reads the variables through `lookup`; an empty one counts as absent.
    ///
    /// # Errors
    /// Names the first variable whose value cannot be read.
    pub(crate) fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let get = |name: &str| lookup(name).filter(|value| !value.is_empty());
        Ok(Self {
            host: parse(&get, "HOST")?.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            port: parse(&get, "PORT")?.unwrap_or(8000),
            slow_start: seconds(&get, "SLOW_START_SECONDS")?.unwrap_or(Duration::ZERO),
            unhealthy: get("UNHEALTHY").is_some_and(|value| value != "0"),
            crash_after: seconds(&get, "CRASH_AFTER_SECONDS")?,
            exit_code: parse(&get, "EXIT_CODE")?,
        })
    }
}

fn parse<T: std::str::FromStr>(
    get: &impl Fn(&str) -> Option<String>,
    name: &str,
) -> Result<Option<T>, String> {
    match get(name) {
        None => Ok(None),
        Some(value) => match value.parse() {
            Ok(parsed) => Ok(Some(parsed)),
            Err(_) => Err(format!("{name} cannot be `{value}`")),
        },
    }
}

fn seconds(get: &impl Fn(&str) -> Option<String>, name: &str) -> Result<Option<Duration>, String> {
    match parse::<f64>(get, name)? {
        None => Ok(None),
        Some(value) => match Duration::try_from_secs_f64(value) {
            Ok(duration) => Ok(Some(duration)),
            Err(_) => Err(format!("{name} cannot be `{value}` seconds")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Behaviour, String> {
        Behaviour::from_lookup(|name| {
            variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn nothing_set_is_a_healthy_connector_on_port_8000() {
        let behaviour = read(&[("UNHEALTHY", ""), ("PORT", "")]).unwrap();
        assert_eq!(behaviour.port, 8000);
        assert_eq!(behaviour.host.to_string(), "0.0.0.0");
        assert!(!behaviour.unhealthy);
        assert_eq!(behaviour.crash_after, None);
        assert_eq!(behaviour.exit_code, None);
    }

    #[test]
    fn every_variable_is_read() {
        let behaviour = read(&[
            ("HOST", "127.0.0.1"),
            ("PORT", "9000"),
            ("SLOW_START_SECONDS", "0.5"),
            ("UNHEALTHY", "1"),
            ("CRASH_AFTER_SECONDS", "3"),
            ("EXIT_CODE", "7"),
        ])
        .unwrap();
        assert_eq!(
            behaviour,
            Behaviour {
                host: "127.0.0.1".parse().unwrap(),
                port: 9000,
                slow_start: Duration::from_millis(500),
                unhealthy: true,
                crash_after: Some(Duration::from_secs(3)),
                exit_code: Some(7),
            }
        );
    }

    #[test]
    fn a_value_that_cannot_be_read_is_refused_by_name() {
        for (name, value) in [
            ("PORT", "70000"),
            ("CRASH_AFTER_SECONDS", "-1"),
            ("SLOW_START_SECONDS", "NaN"),
            ("EXIT_CODE", "256"),
            ("HOST", "nowhere"),
        ] {
            assert!(read(&[(name, value)]).unwrap_err().contains(name), "{name}={value}");
        }
    }
}
