//! Networks, secrets and configs of a stack.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use skep_crds::stack::{Contents, Network};

use super::{DEFAULT_NETWORK, FileObject, NamedRequest, Scope, flag, list, object, pairs, text};

/// Docker's driver for a network that names none.
const DEFAULT_DRIVER: &str = "overlay";

/// Networks that services use: those to be made, and the names of those that must exist.
pub(super) fn networks(scope: &Scope<'_>) -> (Vec<NamedRequest>, BTreeMap<String, String>) {
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for service in scope.stack.services.values() {
        if service.networks.0.is_empty() {
            used.insert(DEFAULT_NETWORK);
        }
        used.extend(service.networks.0.keys().map(String::as_str));
    }
    let plain = Network::default();
    let mut external = BTreeMap::new();
    let mut own = Vec::new();
    for key in used {
        let network = scope.stack.networks.get(key).unwrap_or(&plain);
        if network.external.is {
            external.insert(network.name.clone(), key.to_owned());
            continue;
        }
        let name = scope.named(key, Some(&network.name));
        let driver = if network.driver.is_empty() { DEFAULT_DRIVER } else { &network.driver };
        let pools = network.ipam.config.iter().map(|pool| json!({"Subnet": pool.subnet}));
        let ipam =
            object([("Driver", text(&network.ipam.driver)), ("Config", list(pools.collect()))]);
        let said = ipam.as_object().is_some_and(|ipam| !ipam.is_empty());
        let request = object([
            ("Name", text(&name)),
            ("Driver", text(driver)),
            ("Options", pairs(&network.driver_opts.0)),
            ("IPAM", said.then_some(ipam)),
            ("Internal", flag(network.internal)),
            ("Attachable", flag(network.attachable)),
            ("Labels", Some(Value::Object(scope.labels(&network.labels.0)))),
        ]);
        own.push(NamedRequest { key: key.to_owned(), name, request });
    }
    own.sort_by(|one, other| one.name.cmp(&other.name));
    (own, external)
}

/// Secrets to be made.
pub(super) fn secrets(scope: &Scope<'_>, contents: &Contents) -> Vec<FileObject> {
    let own = scope.stack.secrets.iter().filter(|(_, secret)| !secret.external.is);
    own.map(|(key, secret)| {
        let name = scope.named(key, Some(&secret.name));
        let driver = (!secret.driver.is_empty()).then(|| {
            object([("Name", text(&secret.driver)), ("Options", pairs(&secret.driver_opts.0))])
        });
        let data = match driver {
            Some(_) => Vec::new(),
            None => contents.of(&secret.file).unwrap_or_default().to_vec(),
        };
        let spec = object([
            ("Name", text(&name)),
            ("Labels", Some(Value::Object(scope.labels(&secret.labels.0)))),
            ("Driver", driver),
            ("Templating", templating(&secret.template_driver)),
        ]);
        FileObject { key: key.clone(), name, spec, data }
    })
    .collect()
}

/// Configs to be made.
pub(super) fn configs(scope: &Scope<'_>, contents: &Contents) -> Vec<FileObject> {
    let own = scope.stack.configs.iter().filter(|(_, config)| !config.external.is);
    own.map(|(key, config)| {
        let name = scope.named(key, Some(&config.name));
        let spec = object([
            ("Name", text(&name)),
            ("Labels", Some(Value::Object(scope.labels(&config.labels.0)))),
            ("Templating", templating(&config.template_driver)),
        ]);
        let data = contents.of(&config.file).unwrap_or_default().to_vec();
        FileObject { key: key.clone(), name, spec, data }
    })
    .collect()
}

fn templating(driver: &str) -> Option<Value> {
    text(driver).map(|name| json!({"Name": name}))
}
