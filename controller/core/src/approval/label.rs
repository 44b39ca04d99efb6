//! The label under which a person puts something on record: a claim, never a permission, and
//! never the name of one of Skep's own parts.

use crate::action::Source;

/// Sources by other names that clients have used.
const OTHER_NAMES: [&str; 2] = ["deploy-watch", "self_deploy"];

/// Longer labels are no labels.
const LONGEST: usize = 100;

/// Why a text is no label of a person.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLabel {
    /// It speaks in a machine's name.
    #[error(
        "{word:?} is a part of Skep; registry, gitops, reconciler, autoscaler, playbook and \
         deploy_watch cannot be claimed by people; name where you are, for example ops:alice"
    )]
    Reserved {
        /// The part of the label that does.
        word: String,
    },
    /// It cannot be put on record as it is.
    #[error("a label has 1 to {LONGEST} letters, digits or any of - _ . : @ /")]
    Form,
}

/// Reads a label such as `ops:alice`.
///
/// # Errors
/// See [`InvalidLabel`].
pub fn source_label(text: &str) -> Result<String, InvalidLabel> {
    let label = text.trim();
    if let Some(word) = reserved_part(label) {
        return Err(InvalidLabel::Reserved { word });
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.:@/".contains(c);
    if label.is_empty() || label.len() > LONGEST || !label.chars().all(is_plain) {
        return Err(InvalidLabel::Form);
    }
    Ok(label.to_owned())
}

/// Whether this label speaks in a machine's name: one of its sources stands in it, alone or
/// between colons. `HOST:operator` does not, whatever the machine is called.
#[must_use]
pub fn is_reserved_source(label: &str) -> bool {
    reserved_part(label).is_some()
}

fn reserved_part(label: &str) -> Option<String> {
    let label = label.trim().to_lowercase();
    let parts = match label.split_once(':') {
        Some((_host, "operator")) => return None,
        _ => label.split(':').map(str::trim),
    };
    let is_machine = |part: &str| {
        OTHER_NAMES.contains(&part)
            || Source::ALL.iter().any(|source| source.is_machine() && source.as_str() == part)
    };
    parts.into_iter().find(|part| is_machine(part)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_speaks_in_a_machines_name() {
        for label in [
            "reconciler",
            "AUTOSCALER",
            "host:gitops",
            "gitops:alice",
            "a:b: deploy_watch ",
            "Deploy-Watch",
            "self_deploy",
            "a:playbook:b",
            " registry ",
        ] {
            assert!(is_reserved_source(label), "{label}");
            assert!(matches!(source_label(label), Err(InvalidLabel::Reserved { .. })), "{label}");
        }
    }

    #[test]
    fn people_say_where_they_are() {
        for label in ["manual", "ops:alice", "registry:operator", "vm-3.example:operator", "ci/42"]
        {
            assert!(!is_reserved_source(label), "{label}");
            assert_eq!(source_label(label), Ok(label.to_owned()));
        }
        for label in ["", "  ", "a b", "a\nb", &"x".repeat(101)] {
            assert_eq!(source_label(label), Err(InvalidLabel::Form), "{label}");
        }
    }
}
