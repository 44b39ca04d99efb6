//! Finding out which services are Skep itself, where that is certain: a process in a container of
//! the swarm knows its container, and the engine knows whose task that is. Then also the services
//! that it names as its database and its way to the engine are known for what they are.

use skep_core::containment::Protected;
use skep_core::identity::ServiceName;
use skep_swarm::DockerEngine;

/// Where the kernel says what is mounted.
const MOUNTS: &str = "/proc/self/mountinfo";

/// Adds to what is protected whatever is part of Skep for certain. `needs` are host names with
/// what is reached there.
pub(crate) async fn protect(
    engine: &DockerEngine,
    protected: &mut Protected,
    needs: &[(String, &str)],
) {
    let Ok(mounts) = std::fs::read_to_string(MOUNTS) else { return };
    let Some(container) = container(&mounts) else { return };
    match engine.service_of_container(container).await {
        Ok(Some(name)) => {
            tracing::info!(service.name = name, "protect.own_service");
            protected.detect(ServiceName::new(name), "Skep itself");
            // Inside the swarm, the name of a service is the name of its host.
            for (host, what) in needs {
                protected.detect(ServiceName::new(host.as_str()), *what);
            }
        }
        Ok(None) => {}
        // Not certain, so nothing is claimed; the setting says it for sure.
        Err(error) => tracing::debug!(error = %error, "protect.own_service_unknown"),
    }
}

/// The container that this process runs in: docker mounts its own file over `/etc/hostname`. Other
/// mounts of such folders prove nothing, the machine itself sees those of all containers.
fn container(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let (before, _) = line.split_once("/hostname /etc/hostname ")?;
        let (_, id) = before.rsplit_once("/containers/")?;
        (id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some(id)
    })
}

/// The host of an address such as `postgres://user:password@host:5432/name`.
pub(crate) fn host_of(address: &str) -> Option<&str> {
    let (_, rest) = address.split_once("://")?;
    let authority = rest.split(['/', '?']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    (!host.is_empty()).then_some(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_known_by_the_mount_of_its_host_name() {
        let id = "0123456789abcdef".repeat(4);
        let mounts = format!(
            "612 590 0:52 / /proc rw - proc proc rw\n\
             623 601 8:1 /var/lib/docker/containers/{id}/resolv.conf /etc/resolv.conf rw - ext4\n\
             624 601 8:1 /var/lib/docker/containers/{id}/hostname /etc/hostname rw - ext4\n"
        );
        assert_eq!(container(&mounts), Some(id.as_str()));
        // The machine itself, or a container that has docker's folder mounted.
        let other = format!(
            "624 601 8:1 /var/lib/docker/containers/{id}/mounts/shm /var/lib/docker/x rw - tmpfs\n\
             1 1 8:1 /var/lib/docker/containers/short/hostname /etc/hostname rw - ext4\n"
        );
        assert_eq!(container(&other), None);
    }

    #[test]
    fn hosts_are_read_out_of_addresses() {
        for (address, host) in [
            ("postgres://skep:p@ss@db:5432/skep", Some("db")),
            ("postgres://db/skep?sslmode=require", Some("db")),
            ("tcp://docker-proxy:2375", Some("docker-proxy")),
            ("unix:///var/run/docker.sock", None),
            ("sqlite:skep.db", None),
        ] {
            assert_eq!(host_of(address), host, "{address}");
        }
    }
}
