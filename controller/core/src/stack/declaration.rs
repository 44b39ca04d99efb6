//! What a stack declares, as one digest: another one is another rollout.

use serde_json::{Value, json};

use crate::canonical::Digest;
use crate::desired::Desired;
use crate::digester::{Digester, Purpose};

/// The keyed digest of all that a stack declares about its services, networks, configs and secrets;
/// `None` for a stack that is not known.
///
/// Where something is declared is no part of it, and neither is what a tag stands for: a file that
/// was moved, or an image that was pushed again under its tag, is no other rollout.
#[must_use]
pub fn declaration(desired: &Desired, stack: &str, digester: &Digester) -> Option<Digest> {
    let known = desired.stacks.get(stack)?;
    let services: Vec<Value> = known
        .services
        .iter()
        .filter_map(|name| desired.services.get(name))
        .map(|service| json!([service.name, service.spec.value(), service.running]))
        .collect();
    let objects: Vec<Value> = desired
        .objects
        .values()
        .filter(|object| object.stack == stack)
        .map(|object| json!([object.kind, object.name, object.request, object.data]))
        .collect();
    let content = json!({"stack": stack, "services": services, "objects": objects});
    Some(digester.digest(Purpose::Content, &content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ServiceName;
    use crate::plan::fixtures::{World, stack};

    #[test]
    fn another_spec_is_another_declaration_and_another_place_is_not() {
        let mut world = World::new();
        world.declare("a");
        world.desired.stacks.insert("web".to_owned(), stack("web", &["a"]));
        let of = |world: &World| declaration(&world.desired, "web", &world.digester).unwrap();
        let before = of(&world);
        world.declare("a").provenance.line = 99;
        assert_eq!(of(&world), before);
        let service = world.desired.services.get_mut(&ServiceName::new("a")).unwrap();
        service.spec = service.spec.changed(|spec| spec["Labels"]["team"] = json!("b"));
        assert_ne!(of(&world), before);
        assert_eq!(declaration(&world.desired, "other", &world.digester), None);
    }
}
