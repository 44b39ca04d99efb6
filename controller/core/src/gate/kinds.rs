//! Words of actions that the gate knows, beyond those that this version proposes.

use crate::action::ActionKind;

/// Kinds that look, tell or start something whose own steps are decided one by one.
const LOOKING: &[&str] = &[
    "diagnose",
    "observe",
    "notify",
    "record_dry_run",
    "run_playbook",
    "investigate_resource_pressure",
];

/// Every kind that a rule can be about: a glob that matches none of them is a mistake.
pub const KNOWN_KINDS: &[&str] = &[
    "deploy_service",
    "scale_service",
    "restart_service",
    "stop_service",
    "rollback_service",
    "remove_service",
    "adopt_service",
    "release_service",
    "redeploy_stack",
    "create_network",
    "create_config",
    "create_secret",
    "update_network",
    "update_config",
    "update_secret",
    "remove_network",
    "remove_config",
    "remove_secret",
    "adopt_network",
    "adopt_config",
    "adopt_secret",
    "release_network",
    "release_config",
    "release_secret",
    "rotate_secret",
    "secret.set",
    "secret.delete",
    "config.set",
    "diagnose",
    "observe",
    "notify",
    "record_dry_run",
    "run_playbook",
    "investigate_resource_pressure",
];

/// True when carrying it out changes neither the fleet nor what is on record about it.
#[must_use]
pub fn only_looks(kind: &str) -> bool {
    LOOKING.contains(&kind)
}

/// True when it may change a service. What is not known counts as a change.
pub(super) fn changes_a_service(kind: &str) -> bool {
    let only_records =
        ActionKind::from_word(kind).is_some_and(ActionKind::writes_nothing_to_the_engine);
    let of_another_object =
        ActionKind::from_word(kind).is_some_and(|kind| !kind.is_about_a_service());
    !only_looks(kind) && !only_records && !of_another_object
}

/// True when it takes something away for good.
pub(super) fn is_removal(kind: &str) -> bool {
    kind.starts_with("remove_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_that_is_proposed_is_known() {
        for kind in ActionKind::ALL {
            assert!(KNOWN_KINDS.contains(&kind.as_str()), "{kind}");
            assert!(!only_looks(kind.as_str()), "{kind}");
        }
        assert!(changes_a_service("brand_new_kind") && changes_a_service("deploy_service"));
        assert!(!changes_a_service("adopt_service") && !changes_a_service("observe"));
    }
}
