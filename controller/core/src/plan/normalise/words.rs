//! Words and short lists that mean the same in several spellings, in the one that Docker's own
//! client writes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// All capabilities at once.
const ALL: &str = "ALL";

/// The fields of a container spec that are words.
pub(super) fn container(container: &mut Map<String, Value>) {
    isolation(container);
    capabilities(container);
    if let Some(Value::Array(hosts)) = container.get_mut("Hosts") {
        // `IP name [alias…]`; the order of the lines counts.
        each_text(hosts, |line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let servers = container.get_mut("DNSConfig").and_then(|dns| dns.get_mut("Nameservers"));
    if let Some(Value::Array(servers)) = servers {
        each_text(servers, |server| {
            server.parse::<IpAddr>().map_or_else(|_| server.to_owned(), |ip| ip.to_string())
        });
    }
    credential_spec(container);
    // Newer engines fill in the word for what is so anyway.
    for profile in ["Seccomp", "AppArmor"] {
        let profile = container.get_mut("Privileges").and_then(|of| of.get_mut(profile));
        if let Some(Value::Object(profile)) = profile
            && profile.get("Mode").and_then(Value::as_str) == Some("default")
        {
            profile.remove("Mode");
        }
    }
}

fn isolation(container: &mut Map<String, Value>) {
    let Some(Value::String(isolation)) = container.get_mut("Isolation") else { return };
    isolation.make_ascii_lowercase();
    if isolation == "default" {
        container.remove("Isolation");
    }
}

/// Upper case with the prefix, sorted, each once; what is added is not dropped.
pub(crate) fn capabilities(container: &mut Map<String, Value>) {
    let mut listed = |key: &str| -> BTreeSet<String> {
        let list = container.remove(key);
        let words = list.as_ref().and_then(Value::as_array).into_iter().flatten();
        let all: BTreeSet<String> = words.filter_map(Value::as_str).map(capability).collect();
        if all.contains(ALL) { BTreeSet::from([ALL.to_owned()]) } else { all }
    };
    let (add, mut drop) = (listed("CapabilityAdd"), listed("CapabilityDrop"));
    drop.retain(|capability| !add.contains(capability));
    for (key, list) in [("CapabilityAdd", add), ("CapabilityDrop", drop)] {
        if !list.is_empty() {
            container.insert(key.to_owned(), json!(list));
        }
    }
}

fn capability(word: &str) -> String {
    let word = word.trim().to_ascii_uppercase();
    if word == ALL || word.starts_with("CAP_") { word } else { format!("CAP_{word}") }
}

/// The engine's form holds the id of the config; the list of configs, where the same one has to
/// be, knows its name.
fn credential_spec(container: &mut Map<String, Value>) {
    let named = |config: &str| {
        let list = container.get("Configs")?.as_array()?;
        let text = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
        list.iter()
            .find(|entry| text(entry, "ConfigID").as_deref() == Some(config))
            .and_then(|entry| text(entry, "ConfigName"))
    };
    let config = container.get("Privileges").and_then(|of| of.pointer("/CredentialSpec/Config"));
    let Some(name) = config.and_then(Value::as_str).and_then(named) else { return };
    if let Some(slot) =
        container.get_mut("Privileges").and_then(|of| of.pointer_mut("/CredentialSpec/Config"))
    {
        *slot = Value::String(name);
    }
}

/// Where tasks may run: all constraints count, so their order does not; of preferences it does.
pub(super) fn placement(placement: &mut Map<String, Value>) {
    if let Some(Value::Array(constraints)) = placement.get_mut("Constraints") {
        each_text(constraints, constraint);
        constraints.sort_by_key(ToString::to_string);
        constraints.dedup();
    }
    if let Some(Value::Array(preferences)) = placement.get_mut("Preferences") {
        // The engine drops what says nothing.
        preferences.retain(|preference| preference.get("Spread").is_some_and(|s| !s.is_null()));
    }
}

/// `node.role == manager` and `node.role==manager` are the same.
fn constraint(text: &str) -> String {
    let operator = ["==", "!="].into_iter().filter_map(|o| Some((text.find(o)?, o))).min();
    operator
        .and_then(|(_, operator)| {
            let (key, value) = text.split_once(operator)?;
            Some(format!("{}{operator}{}", key.trim(), value.trim()))
        })
        .unwrap_or_else(|| text.to_owned())
}

fn each_text(list: &mut [Value], canonical: impl Fn(&str) -> String) {
    for item in list {
        if let Value::String(text) = item {
            *text = canonical(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(key: &str, value: Value) -> Value {
        let mut map = Map::from_iter([(key.to_owned(), value)]);
        container(&mut map);
        placement(&mut map);
        Value::Object(map)
    }

    #[test]
    fn capabilities_are_spelled_as_docker_spells_them() {
        let mut map = Map::from_iter([
            ("CapabilityAdd".to_owned(), json!(["net_admin", "CAP_NET_ADMIN", " chown"])),
            ("CapabilityDrop".to_owned(), json!(["cap_chown", "kill", "AUDIT_WRITE"])),
        ]);
        capabilities(&mut map);
        assert_eq!(
            Value::Object(map),
            json!({
                "CapabilityAdd": ["CAP_CHOWN", "CAP_NET_ADMIN"],
                "CapabilityDrop": ["CAP_AUDIT_WRITE", "CAP_KILL"],
            })
        );
        let mut all = Map::from_iter([
            ("CapabilityAdd".to_owned(), json!(["all", "kill"])),
            ("CapabilityDrop".to_owned(), json!(["ALL"])),
        ]);
        capabilities(&mut all);
        assert_eq!(Value::Object(all), json!({"CapabilityAdd": ["ALL"]}));
    }

    #[test]
    fn words_have_one_spelling() {
        for (key, given, canonical) in [
            ("Isolation", json!("HyperV"), json!("hyperv")),
            ("Hosts", json!(["10.0.0.1   a  b", "::1 c"]), json!(["10.0.0.1 a b", "::1 c"])),
            (
                "DNSConfig",
                json!({"Nameservers": ["2001:DB8:0::1", "not-an-ip"]}),
                json!({"Nameservers": ["2001:db8::1", "not-an-ip"]}),
            ),
            (
                "Constraints",
                json!(["node.role == manager", "a!= b==c", "a!=b==c", "free text"]),
                json!(["a!=b==c", "free text", "node.role==manager"]),
            ),
            (
                "Preferences",
                json!([{"Spread": null}, {"Spread": {"SpreadDescriptor": "x"}}, {}]),
                json!([{"Spread": {"SpreadDescriptor": "x"}}]),
            ),
        ] {
            assert_eq!(through(key, given)[key], canonical, "{key}");
        }
        assert_eq!(through("Isolation", json!("DEFAULT")), json!({}));
    }

    #[test]
    fn a_credential_spec_is_named_by_the_config_that_it_is() {
        let mut map = Map::from_iter([
            ("Configs".to_owned(), json!([{"ConfigID": "c1", "ConfigName": "gmsa"}])),
            ("Privileges".to_owned(), json!({"CredentialSpec": {"Config": "c1"}})),
        ]);
        container(&mut map);
        assert_eq!(map["Privileges"]["CredentialSpec"]["Config"], "gmsa");
    }
}
