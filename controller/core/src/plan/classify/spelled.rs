//! What an update writes of a stack's service: the words of its file, as docker would write them.
//!
//! Two specs are compared in one canonical form, with defaults filled in, lists in order and words
//! in one spelling. To the engine that form is another spec, and `docker stack deploy` of the same
//! file would write its own over it and restart the tasks.

use serde_json::Value;

use crate::action::Source;
use crate::desired::DesiredService;
use crate::observed::ApiVersion;
use crate::plan::diff::{Difference, IMAGE};
use crate::plan::mask;
use crate::plan::normalise::{ListSection, NetworkNames, section_of};

/// The same difference with values as they are declared.
pub(super) fn as_declared(
    service: &DesiredService,
    api: ApiVersion,
    mut difference: Difference,
) -> Difference {
    // With ignored fields the value is a mixture of what is declared and what is there.
    if service.provenance.source != Source::Gitops || !service.ignore.is_empty() {
        return difference;
    }
    let mut spec = service.spec.value();
    mask::strip(&mut spec, api);
    for edit in &mut difference.edits {
        // An image may have got its digest since.
        if edit.value.is_none() || edit.pointer == IMAGE {
            continue;
        }
        match section_of(&edit.pointer) {
            // A line is compared as it is written.
            Some((ListSection::Env, _)) => {}
            Some((section, key)) => {
                if let Some(declared) = entry(&spec, section, &key) {
                    edit.value = Some(declared.clone());
                }
            }
            // Where nothing is declared the value is the engine's default, which comes by itself.
            None => edit.value = spec.pointer(&edit.pointer).cloned(),
        }
    }
    difference
}

/// The entry of a list under this key; its networks are names.
fn entry<'a>(spec: &'a Value, section: ListSection, key: &str) -> Option<&'a Value> {
    let entries = spec.pointer(section.pointer())?.as_array()?;
    let keys = section.keys(entries, &NetworkNames::default());
    // The last one counts.
    let at = keys.iter().rposition(|found| found.as_deref() == Some(key))?;
    entries.get(at)
}
