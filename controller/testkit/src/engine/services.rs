//! Keeping the tests of a shared engine apart.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use super::{Engine, api};
use crate::Error;
use crate::process::wait_until;

/// Docker's limit for a service is 63 characters; the names that a test puts
/// behind the prefix need room too.
const LONGEST_LABEL: usize = 16;

/// Removing a service only marks it; its containers follow within seconds.
const REMOVAL_LIMIT: Duration = Duration::from_secs(60);

/// A fleet name and name prefix that no other test uses, not even an earlier
/// run of the same test: at most 26 characters of `a-z0-9-`.
#[must_use]
pub fn fleet_name(test: &str) -> String {
    static COUNTER: AtomicU32 = AtomicU32::new(0);
    let readable: String = test
        .rsplit("::")
        .next()
        .unwrap_or(test)
        .chars()
        .map(
            |letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' },
        )
        .take(LONGEST_LABEL)
        .collect();
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.subsec_nanos());
    let count = COUNTER.fetch_add(1, Ordering::Relaxed);
    let mixed =
        (clock ^ std::process::id().rotate_left(16)).wrapping_add(count.wrapping_mul(0x9e37_79b9));
    format!("t{}-{mixed:08x}", readable.trim_matches('-'))
}

impl Engine {
    /// Names of the services that start with `prefix`.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn services_with_prefix(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let filter = api::encode(&json!({ "name": [prefix] }).to_string());
        let services = self.call("GET", &format!("/services?filters={filter}"), None)?;
        let mut names: Vec<_> = strings(&services, "/Spec/Name").collect();
        names.sort();
        Ok(names)
    }

    /// Removes those services and waits until their containers are gone too, so
    /// that a fixed port is free for the next test. Returns how many there were.
    ///
    /// # Errors
    /// When the engine refuses, or containers stay.
    pub fn remove_services_with_prefix(&self, prefix: &str) -> Result<usize, Error> {
        let names = self.services_with_prefix(prefix)?;
        for name in &names {
            let path = format!("/services/{}", api::encode(name));
            let reply = api::call(self.socket(), "DELETE", &path, None)?;
            if reply.status >= 400 && reply.status != 404 {
                return Err(Error::Refused {
                    request: format!("DELETE {path}"),
                    status: reply.status,
                    body: reply.body,
                });
            }
        }
        let filter = api::encode(&json!({ "name": [format!("^/?{prefix}")] }).to_string());
        let path = format!("/containers/json?all=1&filters={filter}");
        let mut left = Value::Null;
        let gone = wait_until(REMOVAL_LIMIT, || {
            left = self.call("GET", &path, None).unwrap_or(Value::Null);
            left.as_array().is_some_and(Vec::is_empty)
        });
        if gone {
            return Ok(names.len());
        }
        Err(Error::NotReady {
            what: "the removal of a test's services",
            waited: REMOVAL_LIMIT,
            log: strings(&left, "/Names/0").collect::<Vec<_>>().join("\n"),
        })
    }
}

fn strings<'a>(list: &'a Value, pointer: &'a str) -> impl Iterator<Item = String> + 'a {
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(move |item| item.pointer(pointer)?.as_str().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_fit() {
        let one = fleet_name("reconcile::live::Adopts_nothing that is long");
        let two = fleet_name("reconcile::live::Adopts_nothing that is long");
        assert_ne!(one, two);
        assert!(one.starts_with("tadopts-nothing-"), "{one}");
        assert!(one.len() <= 26 && !one.contains("--"), "{one}");
    }
}
