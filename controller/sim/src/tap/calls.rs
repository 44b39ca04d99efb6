//! What the calls to the engine are called, and which of them a write does not pass by unnoticed.

use skep_core::identity::ObjectKind;

use crate::recording::Write;

/// The calls about one kind.
pub(super) struct Calls {
    pub(super) list: &'static str,
    pub(super) inspect: &'static str,
    pub(super) create: &'static str,
    pub(super) update: &'static str,
    pub(super) remove: &'static str,
}

impl Calls {
    const fn all(&self) -> [&'static str; 5] {
        [self.list, self.inspect, self.create, self.update, self.remove]
    }

    const fn writes(&self) -> [&'static str; 3] {
        [self.create, self.update, self.remove]
    }
}

const SERVICES: Calls = Calls {
    list: "list_services",
    inspect: "inspect_service",
    create: "create_service",
    update: "update_service",
    remove: "remove_service",
};
const NETWORKS: Calls = Calls {
    list: "list_networks",
    inspect: "inspect_network",
    create: "create_network",
    update: "update_network",
    remove: "remove_network",
};
const CONFIGS: Calls = Calls {
    list: "list_configs",
    inspect: "inspect_config",
    create: "create_config",
    update: "update_config",
    remove: "remove_config",
};
const SECRETS: Calls = Calls {
    list: "list_secrets",
    inspect: "inspect_secret",
    create: "create_secret",
    update: "update_secret",
    remove: "remove_secret",
};

/// Those about one kind; stacks are nothing to the engine but their services.
pub(super) const fn calls(kind: ObjectKind) -> Calls {
    match kind {
        ObjectKind::Service | ObjectKind::Stack => SERVICES,
        ObjectKind::Network => NETWORKS,
        ObjectKind::Config => CONFIGS,
        ObjectKind::Secret => SECRETS,
    }
}

/// True for a call that changes the swarm.
pub(super) fn is_write(call: &str) -> bool {
    [SERVICES, NETWORKS, CONFIGS, SECRETS].iter().any(|kind| kind.writes().contains(&call))
}

impl Write {
    /// What it is about.
    const fn kind(&self) -> ObjectKind {
        match self {
            Self::Create(_) | Self::Update(..) | Self::Remove(_) => ObjectKind::Service,
            Self::CreateObject(kind, _)
            | Self::UpdateObject(kind, ..)
            | Self::RemoveObject(kind, _) => *kind,
        }
    }

    /// True when it matters whether it arrives before or after this call: the call sees or changes
    /// what it is about, or the one can use what the other makes or takes away.
    pub(super) fn meets(&self, call: &str) -> bool {
        let kind = self.kind();
        let is_of = |kind: ObjectKind| calls(kind).all().contains(&call);
        is_of(kind)
            || match kind {
                ObjectKind::Service => call == "list_tasks" || is_write(call),
                _ => SERVICES.writes().contains(&call),
            }
    }
}
