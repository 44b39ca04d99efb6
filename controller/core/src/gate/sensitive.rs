//! Sensitive fields: what gives a service a hold on its host or on credentials.
//!
//! A create and an update are read by the same code, so a field cannot be slipped in by the one
//! that the other would have caught. What cannot be read clearly counts as sensitive.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::action::words;
use crate::plan::{Operation, Step};

words! {
    /// What a sensitive field is about; the words of a rule's `fields`.
    SensitiveClass {
        /// A directory or device of the host: bind mounts, named pipes, volumes that are one.
        Mounts = "mounts",
        /// More kernel capabilities.
        Capabilities = "capabilities",
        /// Kernel parameters.
        Sysctls = "sysctls",
        /// A credential spec.
        CredentialSpec = "credential_spec",
        /// Seccomp, AppArmor, SELinux, no-new-privileges.
        SecurityProfile = "security_profile",
        /// The network of the host.
        HostNetwork = "host_network",
        /// Newly attached secrets.
        Secrets = "secrets",
        /// Devices handed out by the nodes.
        GenericResources = "generic_resources",
    }
}

/// One sensitive field that a step touches.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SensitiveField {
    /// What it is about.
    pub class: SensitiveClass,
    /// Where it stands in the service spec.
    pub pointer: String,
}

impl SensitiveField {
    /// Whether a name of a rule's `fields` covers it: the class's word, or a pointer at or above
    /// the field.
    #[must_use]
    pub fn is_named_by(&self, name: &str) -> bool {
        if name.starts_with('/') {
            within(&self.pointer, name).is_some()
        } else {
            self.class.as_str() == name
        }
    }
}

const CREDENTIAL_SPEC: &str = "/TaskTemplate/ContainerSpec/Privileges/CredentialSpec";

/// Where sensitive things stand and what about them is sensitive.
const PLACES: &[(&str, SensitiveClass, Rule)] = &[
    ("/TaskTemplate/ContainerSpec/Mounts", SensitiveClass::Mounts, Rule::HostMounts),
    ("/TaskTemplate/ContainerSpec/CapabilityAdd", SensitiveClass::Capabilities, Rule::Given),
    ("/TaskTemplate/ContainerSpec/CapabilityDrop", SensitiveClass::Capabilities, Rule::Moved),
    ("/TaskTemplate/ContainerSpec/Sysctls", SensitiveClass::Sysctls, Rule::Changed),
    (CREDENTIAL_SPEC, SensitiveClass::CredentialSpec, Rule::Changed),
    ("/TaskTemplate/ContainerSpec/Privileges", SensitiveClass::SecurityProfile, Rule::Profiles),
    ("/TaskTemplate/ContainerSpec/Secrets", SensitiveClass::Secrets, Rule::Given),
    ("/TaskTemplate/Networks", SensitiveClass::HostNetwork, Rule::HostNetwork),
    ("/Networks", SensitiveClass::HostNetwork, Rule::HostNetwork),
    (
        "/TaskTemplate/Resources/Reservations/GenericResources",
        SensitiveClass::GenericResources,
        Rule::Given,
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Sensitive when it is set; taking it away is not.
    Given,
    /// Sensitive when it is set, and also when it is taken away.
    Changed,
    /// Sensitive when it changes. Dropping capabilities from the start takes nothing back, while a
    /// list of dropped ones that changes may have become shorter.
    Moved,
    /// Security profiles: as [`Rule::Changed`], but no-new-privileges from the start is welcome.
    Profiles,
    /// Mounts, as a list or by target: sensitive when one is of the host.
    HostMounts,
    /// Networks, as a list or by name: sensitive when one is the host's.
    HostNetwork,
}

/// The sensitive fields that a step would set or change, in order.
#[must_use]
pub fn find(step: &Step) -> Vec<SensitiveField> {
    let mut found = Vec::new();
    let mut note = |class: SensitiveClass, pointer: &str| {
        found.push(SensitiveField { class, pointer: pointer.to_owned() });
    };
    match &step.operation {
        Operation::Create { spec } => {
            for (place, class, rule) in PLACES {
                if spec.pointer(place).is_some_and(|value| rule.covers_new(value)) {
                    note(*class, place);
                }
            }
        }
        Operation::Update { edits } | Operation::Replace { edits } => {
            for edit in edits {
                for (place, class, rule) in PLACES {
                    if let Some(rest) = within(&edit.pointer, place) {
                        if rule.covers_edit(rest, edit.value.as_ref()) {
                            note(*class, &edit.pointer);
                        }
                    } else if let Some(rest) = within(place, &edit.pointer) {
                        // A whole block is replaced: by what it says here, or by nothing.
                        let value = edit.value.as_ref().and_then(|block| block.pointer(rest));
                        if rule.covers_edit("", value) {
                            note(*class, place);
                        }
                    }
                }
            }
        }
        // What it does is what its members do.
        Operation::ReturnStack { members, .. } => {
            found.extend(members.iter().flat_map(|member| find(&member.step)));
        }
        Operation::Restart
        | Operation::RefreshCredentials
        | Operation::Adopt
        | Operation::Release
        | Operation::CreateObject { .. }
        | Operation::UpdateLabels { .. }
        | Operation::Remove => {}
    }
    found.sort();
    found.dedup();
    found
}

impl Rule {
    /// Whether a new service with this value at the place is sensitive.
    fn covers_new(self, value: &Value) -> bool {
        match self {
            Self::Moved => false,
            Self::Given | Self::Changed => says_something(value),
            Self::Profiles => value.as_object().map_or(says_something(value), |profiles| {
                let welcome = ["CredentialSpec", "NoNewPrivileges"];
                profiles
                    .iter()
                    .filter(|(key, _)| !welcome.contains(&key.as_str()))
                    .any(|(_, profile)| says_something(profile))
            }),
            Self::HostMounts | Self::HostNetwork => self.covers_edit("", Some(value)),
        }
    }

    /// Whether setting (or, with `None`, removing) what stands `rest` below the place is
    /// sensitive.
    fn covers_edit(self, rest: &str, value: Option<&Value>) -> bool {
        let mut tokens = rest.split('/').skip(1);
        let (entry, part) = (tokens.next(), tokens.next());
        match self {
            Self::Given => value.is_some_and(says_something),
            Self::Changed | Self::Moved => true,
            Self::Profiles => entry != Some("CredentialSpec"),
            // A part of a mount does not show what the whole mount is.
            Self::HostMounts if part.is_some() => true,
            Self::HostMounts => entries(entry, value).any(|(_, mount)| is_of_the_host(mount)),
            Self::HostNetwork if part.is_some() => entry.is_some_and(may_be_the_hosts),
            Self::HostNetwork => entries(entry, value).any(|(name, network)| {
                let target = network.get("Target").unwrap_or(network).as_str();
                [name, target].into_iter().flatten().any(may_be_the_hosts)
            }),
        }
    }
}

/// The entries that a value holds: one when it is itself the entry of that name, otherwise those
/// of its list or map.
fn entries<'a>(
    name: Option<&'a str>,
    value: Option<&'a Value>,
) -> impl Iterator<Item = (Option<&'a str>, &'a Value)> {
    let entries: Vec<_> = match (name, value) {
        (_, None | Some(Value::Null)) => Vec::new(),
        (None, Some(Value::Array(list))) => list.iter().map(|entry| (None, entry)).collect(),
        (None, Some(Value::Object(map))) => {
            map.iter().map(|(name, entry)| (Some(name.as_str()), entry)).collect()
        }
        (name, Some(entry)) => vec![(name, entry)],
    };
    entries.into_iter()
}

/// The host's network by name, or any network by id: an id hides which one it is.
fn may_be_the_hosts(network: &str) -> bool {
    let is_id = matches!(network.len(), 25 | 64)
        && network.bytes().all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
        && network.bytes().any(|b| b.is_ascii_digit());
    network == "host" || is_id
}

/// Whether a mount gives the container a directory or a device of its host.
fn is_of_the_host(mount: &Value) -> bool {
    match mount.get("Type").and_then(Value::as_str) {
        Some("volume") => is_volume_of_the_host(mount),
        Some("tmpfs") => false,
        // `bind`, `npipe`, `cluster`, and whatever a newer engine invents.
        _ => true,
    }
}

/// The `local` driver mounts whatever its options say, as `mount(8)` would.
fn is_volume_of_the_host(mount: &Value) -> bool {
    let Some(Value::Object(options)) = mount.pointer("/VolumeOptions/DriverConfig/Options") else {
        return false;
    };
    let option = |name: &str| options.get(name).and_then(Value::as_str).unwrap_or_default();
    let binds = option("o").split(',').any(|word| matches!(word.trim(), "bind" | "rbind"));
    let is_remote = matches!(option("type"), "nfs" | "nfs4" | "cifs" | "smb3" | "tmpfs");
    binds || (!option("device").is_empty() && !is_remote)
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(set) => *set,
        Value::Array(items) => items.iter().any(says_something),
        Value::Object(map) => map.values().any(says_something),
        Value::Number(_) | Value::String(_) => true,
    }
}

/// What is left of `pointer` below `prefix`; `None` when it is not at or below it.
fn within<'a>(pointer: &'a str, prefix: &str) -> Option<&'a str> {
    pointer.strip_prefix(prefix).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fixtures::{create, restart, update};
    use super::*;

    const CONTAINER: &str = "/TaskTemplate/ContainerSpec";

    fn classes(step: &Step) -> Vec<SensitiveClass> {
        let mut classes: Vec<_> = find(step).into_iter().map(|field| field.class).collect();
        classes.dedup();
        classes
    }

    fn created(container: &Value) -> Vec<SensitiveClass> {
        classes(&create("a", json!({"TaskTemplate": {"ContainerSpec": container}})))
    }

    fn edited(pointer: &str, value: Option<Value>) -> Vec<SensitiveClass> {
        classes(&update("a", &[(pointer, value)]))
    }

    #[test]
    fn ordinary_services_touch_nothing_sensitive() {
        let spec = json!({
            "Name": "a",
            "Labels": {"Secrets": "x"},
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": "a:1",
                    "Env": ["A=host"],
                    "User": "10001",
                    "CapabilityDrop": ["ALL"],
                    "Mounts": [
                        {"Type": "volume", "Source": "data", "Target": "/data"},
                        {"Type": "tmpfs", "Target": "/tmp"},
                        {"Type": "volume", "Source": "nas", "Target": "/nas", "VolumeOptions":
                            {"DriverConfig": {"Name": "local", "Options":
                                {"type": "nfs", "o": "addr=10.0.0.1,rw", "device": ":/nas"}}}}
                    ],
                    "Privileges": {"CredentialSpec": null, "SELinuxContext": null,
                        "NoNewPrivileges": true},
                    "Secrets": [],
                    "Sysctls": {},
                    "Configs": [{"ConfigName": "c"}]
                },
                "Resources": {"Reservations": {"GenericResources": null}},
                "Networks": [{"Target": "fleet", "Aliases": ["host"]}]
            }
        });
        assert_eq!(find(&create("a", spec)), []);
        assert_eq!(find(&restart("a")), []);
        for (pointer, value) in [
            ("/TaskTemplate/ContainerSpec/Image", Some(json!("a:2"))),
            ("/TaskTemplate/ContainerSpec/Env/Mounts", Some(json!("x"))),
            ("/TaskTemplate/ContainerSpec/MountsNot", Some(json!("x"))),
            ("/TaskTemplate/Networks/fleet", Some(json!({"Target": "fleet"}))),
            ("/TaskTemplate/Networks/fleet/Aliases", Some(json!(["host"]))),
            ("/Mode/Replicated/Replicas", Some(json!(2))),
        ] {
            assert_eq!(edited(pointer, value), [], "{pointer}");
        }
    }

    #[test]
    fn each_class_is_found_on_create_and_on_update() {
        use SensitiveClass as C;
        for (class, key, value) in [
            (C::Capabilities, "CapabilityAdd", json!(["CAP_NET_ADMIN"])),
            (C::Sysctls, "Sysctls", json!({"net.core.somaxconn": "1"})),
            (C::CredentialSpec, "Privileges", json!({"CredentialSpec": {"Config": "c"}})),
            (C::SecurityProfile, "Privileges", json!({"Seccomp": {"Mode": "unconfined"}})),
            (C::SecurityProfile, "Privileges", json!({"AppArmor": {"Mode": "disabled"}})),
            (C::SecurityProfile, "Privileges", json!({"SELinuxContext": {"Disable": true}})),
            (C::Secrets, "Secrets", json!([{"SecretName": "s", "File": {"Name": "s"}}])),
            (C::Mounts, "Mounts", json!([{"Type": "bind", "Source": "/", "Target": "/h"}])),
        ] {
            assert_eq!(created(&json!({key: value})), [class], "create {key}");
            let (pointer, edit) = match value.as_object().and_then(|map| map.iter().next()) {
                Some((field, inner)) => (format!("{CONTAINER}/{key}/{field}"), inner.clone()),
                None => (format!("{CONTAINER}/{key}"), value.clone()),
            };
            assert_eq!(edited(&pointer, Some(edit)), [class], "update {pointer}");
        }
        let gpu = json!([{"DiscreteResourceSpec": {"Kind": "gpu", "Value": 1}}]);
        let spec = json!({"TaskTemplate": {"Resources": {"Reservations":
            {"GenericResources": gpu}}}});
        assert_eq!(classes(&create("a", spec)), [C::GenericResources]);
        let pointer = "/TaskTemplate/Resources/Reservations/GenericResources";
        assert_eq!(edited(pointer, Some(gpu)), [C::GenericResources]);
        for at in ["TaskTemplate", "top"] {
            let networks = json!([{"Target": "fleet"}, {"Target": "host"}]);
            let spec = if at == "top" {
                json!({"Networks": networks})
            } else {
                json!({"TaskTemplate": {"Networks": networks}})
            };
            assert_eq!(classes(&create("a", spec)), [C::HostNetwork], "{at}");
        }
        let host = json!({"Target": "host"});
        assert_eq!(edited("/TaskTemplate/Networks/host", Some(host.clone())), [C::HostNetwork]);
        assert_eq!(edited("/TaskTemplate/Networks", Some(json!([host]))), [C::HostNetwork]);
    }

    #[test]
    fn mounts_of_the_host_hide_in_several_forms() {
        let volume = |options: Value| {
            json!({"Type": "volume", "Target": "/h", "VolumeOptions":
                {"DriverConfig": {"Name": "local", "Options": options}}})
        };
        for mount in [
            json!({"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}),
            json!({"Type": "npipe", "Source": "//./pipe/docker_engine", "Target": "/s"}),
            json!({"Target": "/typeless"}),
            json!("text"),
            volume(json!({"type": "none", "o": "bind", "device": "/etc"})),
            volume(json!({"type": "none", "o": "ro, rbind", "device": "/etc"})),
            volume(json!({"type": "ext4", "device": "/dev/sda1"})),
            volume(json!({"type": "nfs", "o": "addr=h,bind", "device": "/etc"})),
        ] {
            assert_eq!(created(&json!({"Mounts": [mount]})), [SensitiveClass::Mounts], "{mount}");
            let pointer = format!("{CONTAINER}/Mounts/~1h");
            assert_eq!(edited(&pointer, Some(mount.clone())), [SensitiveClass::Mounts], "{mount}");
            assert_eq!(edited(&pointer, None), [], "taking it away: {mount}");
        }
        // A part of a mount does not show what the whole is, whichever way it changes.
        let part = format!("{CONTAINER}/Mounts/~1h/ReadOnly");
        assert_eq!(edited(&part, None), [SensitiveClass::Mounts]);
    }

    #[test]
    fn taking_protection_away_is_a_change_too() {
        use SensitiveClass as C;
        let at = |key: &str| format!("{CONTAINER}/{key}");
        for (key, class) in [
            ("CapabilityDrop", C::Capabilities),
            ("Sysctls/net.x", C::Sysctls),
            ("Privileges/Seccomp/Mode", C::SecurityProfile),
            ("Privileges/NoNewPrivileges", C::SecurityProfile),
            ("Privileges/CredentialSpec/Config", C::CredentialSpec),
        ] {
            assert_eq!(edited(&at(key), None), [class], "{key}");
        }
        for key in ["CapabilityAdd", "Secrets/s", "Mounts/~1h"] {
            assert_eq!(edited(&at(key), None), [], "{key}");
        }
    }

    #[test]
    fn replacing_a_whole_block_does_not_hide_what_is_in_it() {
        let block = json!({"CapabilityAdd": ["CAP_SYS_ADMIN"], "Secrets": [{"SecretName": "s"}]});
        for (pointer, value) in [
            ("/TaskTemplate/ContainerSpec", block.clone()),
            ("/TaskTemplate", json!({"ContainerSpec": block})),
            ("", json!({"TaskTemplate": {"ContainerSpec": block}})),
        ] {
            let classes = edited(pointer, Some(value));
            assert!(classes.contains(&SensitiveClass::Capabilities), "{pointer}");
            assert!(classes.contains(&SensitiveClass::Secrets), "{pointer}");
        }
    }

    #[test]
    fn a_network_by_id_may_be_the_hosts() {
        let networks = |target: &str| {
            let spec = json!({"TaskTemplate": {"Networks": [{"Target": target}]}});
            !find(&create("a", spec)).is_empty()
        };
        assert!(networks("yi3lx5rhqa2qkf3bq9b7jx0a1"));
        assert!(networks(&"0123456789abcdef".repeat(4)));
        assert!(!networks("fleet"));
        assert!(!networks("twenty-five-characters-ab"));
    }
}
