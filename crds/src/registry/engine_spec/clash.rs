//! One field, one author: what a word of the service already says cannot stand in `spec:` too.

use skep_yaml::{Problem, Problems};

use super::SpecPatch;
use crate::registry::document::ServiceDocument;

const CONTAINER: &str = "/TaskTemplate/ContainerSpec";

/// The fields that the words of a service write, each with its word.
fn written(service: &ServiceDocument) -> Vec<(&'static str, String)> {
    let mut out: Vec<(&'static str, String)> = Vec::new();
    let mut add = |given: bool, word: &'static str, pointer: &str| {
        if given {
            out.push((word, pointer.to_owned()));
        }
    };
    macro_rules! container {
        ($( $word:ident $pointer:literal ),* $(,)?) => {
            $( add(service.$word.is_some(), stringify!($word), &format!("{CONTAINER}/{}", $pointer)); )*
        };
    }
    container!(
        command "Args", entrypoint "Command", user "User", working_dir "Dir", hostname "Hostname",
        group_add "Groups", init "Init", tty "TTY", stdin_open "OpenStdin", read_only "ReadOnly",
        stop_signal "StopSignal", stop_grace_period "StopGracePeriod", cap_add "CapabilityAdd",
        cap_drop "CapabilityDrop", dns "DNSConfig/Nameservers", dns_search "DNSConfig/Search",
        dns_opt "DNSConfig/Options", extra_hosts "Hosts", ulimits "Ulimits", mounts "Mounts",
        secrets "Secrets", configs "Configs",
    );
    add(service.networks.is_some(), "networks", "/TaskTemplate/Networks");
    add(service.constraints.is_some(), "constraints", "/TaskTemplate/Placement/Constraints");
    let ports = if service.host_port.is_some() { "host_port" } else { "ports" };
    add(service.host_port.is_some() || service.ports.is_some(), ports, "/EndpointSpec/Ports");
    add(service.endpoint_mode.is_some(), "endpoint_mode", "/EndpointSpec/Mode");
    if let Some(placement) = &service.placement {
        let at = "/TaskTemplate/Placement";
        add(placement.preferences.is_some(), "placement", &format!("{at}/Preferences"));
        let most = placement.max_replicas_per_node.is_some();
        add(most, "placement", &format!("{at}/MaxReplicas"));
    }
    if let Some(resources) = &service.resources {
        for field in resources.fields() {
            add(true, "resources", &format!("/TaskTemplate/Resources/{field}"));
        }
    }
    if let Some(health) = &service.health {
        for field in health.fields() {
            add(true, "health", &format!("{CONTAINER}/Healthcheck/{field}"));
        }
    }
    if let Some(restart) = &service.restart {
        for field in restart.fields() {
            add(true, "restart", &format!("/TaskTemplate/RestartPolicy/{field}"));
        }
    }
    for (word, block, rollout) in [
        ("update", "UpdateConfig", &service.update),
        ("rollback", "RollbackConfig", &service.rollback),
    ] {
        for field in rollout.iter().flat_map(|rollout| rollout.fields()) {
            add(true, word, &format!("/{block}/{field}"));
        }
    }
    if let Some(logging) = &service.logging {
        add(logging.driver.is_some(), "logging", "/TaskTemplate/LogDriver/Name");
        keys(&mut add, "logging", "/TaskTemplate/LogDriver/Options", logging.options.as_ref());
    }
    keys(&mut add, "labels", "/Labels", service.labels.as_ref());
    let labels = format!("{CONTAINER}/Labels");
    keys(&mut add, "container_labels", &labels, service.container_labels.as_ref());
    keys(&mut add, "sysctls", &format!("{CONTAINER}/Sysctls"), service.sysctls.as_ref());
    out
}

fn keys(
    add: &mut impl FnMut(bool, &'static str, &str),
    word: &'static str,
    at: &str,
    map: Option<&std::collections::BTreeMap<String, String>>,
) {
    for key in map.into_iter().flat_map(|map| map.keys()) {
        add(true, word, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")));
    }
}

/// A problem for each value of the patch that a word says, or that would remove what one says.
pub(in crate::registry) fn clashes(service: &ServiceDocument, patch: &SpecPatch) -> Problems {
    let written = written(service);
    let within = |pointer: &str, above: &str| {
        pointer.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let clash = |pointer: &str| {
        written.iter().find(|(_, other)| within(pointer, other) || within(other, pointer))
    };
    patch
        .leaves
        .iter()
        .filter(|(pointer, _)| !is_empty_object(patch, pointer))
        .filter_map(|(pointer, location)| {
            let (word, _) = clash(pointer)?;
            Some(Problem {
                location: location.clone(),
                path: format!("spec{}", pointer.replace('/', ".")),
                code: "CONFLICT",
                message: format!(
                    "the service \"{}\" says this with {word} too",
                    service.name.value
                ),
                hint: Some(format!("keep one of the two: {word}, or this key of spec")),
            })
        })
        .collect()
}

/// An object without keys changes nothing that is there.
fn is_empty_object(patch: &SpecPatch, pointer: &str) -> bool {
    let mut fields = Some(&patch.patch);
    let mut tokens = pointer.split('/').skip(1).peekable();
    while let (Some(token), Some(map)) = (tokens.next(), fields) {
        fields = map.get(token).and_then(serde_json::Value::as_object);
        if fields.is_none() {
            return false;
        }
    }
    true
}
