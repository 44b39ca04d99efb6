//! What a stack declares besides its services: networks, configs and secrets, what must exist
//! already, and how the stack as a whole is carried out.
//!
//! The content of configs and secrets stands in [`SecretValues`], behind a placeholder: it is in no
//! step, no digest and no log, and becomes part of a request only when that is sent.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;
use skep_crds::stacks::{FirstRollout, OnFailure};

use super::{Provenance, SecretValues};
use crate::identity::{ObjectKind, ServiceName};
use crate::plan::Masking;

/// A network, config or secret as it should be.
#[derive(Clone, PartialEq)]
pub struct DesiredObject {
    /// Which kind; never a service.
    pub kind: ObjectKind,
    /// The name on the swarm, as docker would give it. A config or secret whose content changes
    /// gets a suffix behind it.
    pub name: String,
    /// The stack that declares it.
    pub stack: String,
    /// Where it is declared.
    pub provenance: Provenance,
    /// The engine's request without the data, as `docker stack deploy` would send it.
    pub request: Value,
    /// The placeholder of its data; `None` for networks and for secrets that a driver provides.
    pub data: Option<String>,
}

impl DesiredObject {
    /// Puts the data of a config or secret behind a placeholder. The value is in base64, as the
    /// engine wants it.
    #[must_use]
    pub fn with_data(mut self, data: &[u8], masking: &Masking, secrets: &mut SecretValues) -> Self {
        let reference = format!("{}:{}", self.kind.as_str(), self.name);
        let mut fingerprint = masking.digest(data);
        fingerprint.truncate(FINGERPRINT);
        let placeholder = SecretValues::placeholder(&reference, &fingerprint);
        secrets.insert(placeholder.clone(), STANDARD.encode(data));
        self.data = Some(placeholder);
        self
    }
}

/// Hexadecimal digits that tell two contents apart.
const FINGERPRINT: usize = 16;

// Requests may hold values of variables.
impl fmt::Debug for DesiredObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DesiredObject({} {})", self.kind.as_str(), self.name)
    }
}

/// Something that a stack uses and does not make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct External {
    /// Which kind; never a service.
    pub kind: ObjectKind,
    /// The name on the swarm.
    pub name: String,
    /// Where it is declared.
    pub provenance: Provenance,
}

/// A stack as a whole.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredStack {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub provenance: Provenance,
    /// The domain that containment and reports group its objects by.
    pub domain: String,
    /// Whether what is ours and no longer declared may be removed.
    pub prune: bool,
    /// What happens when a change of it fails.
    pub on_failure: OnFailure,
    /// How a large first rollout of it is paced.
    pub rollout: FirstRollout,
    /// Stacks that are changed before this one.
    pub after: BTreeSet<String>,
    /// What must exist already; where one is missing the whole stack waits.
    pub externals: Vec<External>,
    /// The services that it declares, by their final names.
    pub services: BTreeSet<ServiceName>,
    /// When it came to say what it says now; `None` when that is not known.
    pub taken_at: Option<Timestamp>,
    /// When its repository was last asked; `None` for files of this machine, which are looked at
    /// before each plan.
    pub asked_at: Option<Timestamp>,
    /// The commit that was used before, when the one that is used now was not made from it.
    pub rewritten: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::action::Source;

    #[test]
    fn data_stands_behind_a_placeholder_and_is_never_printed() {
        let (masking, mut secrets) = (Masking::new(b"key".to_vec()), SecretValues::default());
        let declared = DesiredObject {
            kind: ObjectKind::Secret,
            name: "web_token".to_owned(),
            stack: "web".to_owned(),
            provenance: Provenance {
                source: Source::Gitops,
                file: "web.yml".to_owned(),
                line: 1,
                column: 1,
                commit: None,
                author: None,
            },
            request: json!({"Name": "web_token", "Labels": {"password": "hunter2"}}),
            data: None,
        };
        let one = declared.clone().with_data(b"hunter2", &masking, &mut secrets);
        let placeholder = one.data.clone().unwrap();
        assert_eq!(secrets.resolve(&placeholder), Some("aHVudGVyMg=="));
        let printed = format!("{one:?} {placeholder} {secrets:?}");
        assert!(!printed.contains("hunter2") && !printed.contains("aHVu"), "{printed}");
        let other = declared.with_data(b"hunter3", &masking, &mut secrets);
        assert_ne!(one.data, other.data, "another content, another placeholder");
    }
}
