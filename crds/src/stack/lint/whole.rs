//! Rules about what a stack declares beside services.

use std::collections::BTreeSet;

use super::*;

pub(super) fn check(report: &mut Report<'_>) {
    let stack = &report.loaded.stack;
    for (name, network) in stack.networks.iter().filter(|(_, network)| !network.external.is) {
        let at = format!("networks.{name}");
        let overlay = matches!(&*network.driver, "" | "overlay");
        if overlay && !network.driver_opts.0.contains_key("encrypted") {
            let hint = "write driver_opts: {encrypted: \"true\"}";
            report.note(&at, NETWORK_NOT_ENCRYPTED, "traffic between nodes can be read", hint);
        }
        if network.attachable {
            let message = "containers that nobody deployed can join the network";
            report.note(
                &format!("{at}.attachable"),
                NETWORK_ATTACHABLE,
                message,
                "take `attachable` out",
            );
        }
        if !network.internal {
            let message = "tasks reach the outside from the network";
            report.note(&at, NETWORK_NOT_INTERNAL, message, "write internal: true");
        }
    }
    for (name, _) in stack.secrets.iter().filter(|(_, secret)| !secret.file.is_empty()) {
        let message = "the content of the secret lies in a file beside the stack";
        let hint = "create it with docker secret create, and write external: true";
        report.note(&format!("secrets.{name}.file"), SECRET_FROM_FILE, message, hint);
    }
    unused(report);
}

/// What is declared, and what services use of it.
fn unused(report: &mut Report<'_>) {
    let stack = &report.loaded.stack;
    let mut used: BTreeSet<(&str, &str)> = BTreeSet::new();
    for service in stack.services.values() {
        used.extend(service.networks.0.keys().map(|name| ("networks", name.as_str())));
        if service.networks.0.is_empty() {
            used.insert(("networks", "default"));
        }
        used.extend(service.volumes.0.iter().map(|mount| ("volumes", mount.source.as_str())));
        used.extend(service.secrets.0.iter().map(|file| ("secrets", file.source.as_str())));
        used.extend(service.configs.0.iter().map(|file| ("configs", file.source.as_str())));
        used.insert(("configs", &service.credential_spec.config));
    }
    let declared = [
        ("networks", stack.networks.keys().collect::<Vec<_>>()),
        ("volumes", stack.volumes.keys().collect()),
        ("secrets", stack.secrets.keys().collect()),
        ("configs", stack.configs.keys().collect()),
    ];
    for (section, names) in declared {
        for name in names {
            if !used.contains(&(section, name.as_str())) {
                let message = format!("no service uses {name}");
                report.note(&format!("{section}.{name}"), UNUSED, message, "take it out");
            }
        }
    }
}
