//! Drivers that a network or a secret asks for and this swarm does not have. Docker finds out when
//! it has already changed something: the network is refused after others were made, or it is made
//! on one node and the service that uses it is refused.

use serde_json::Value;

use crate::desired::{Desired, DesiredObject};
use crate::identity::ObjectKind;
use crate::observed::{Capability, Plugins};
use crate::plan::Blocked;

/// Drivers of the engine itself whose networks are of one node, unless they are made by hand with
/// a scope.
const OF_ONE_NODE: [&str; 5] = ["bridge", "host", "ipvlan", "macvlan", "null"];

/// The engine's own driver for networks of the swarm.
const OVERLAY: &str = "overlay";

/// The engine's own driver for addresses.
const DEFAULT_IPAM: &str = "default";

/// Whether anything that is declared needs a plugin, so that it is worth asking which there are.
#[must_use]
pub fn needs_plugins(desired: &Desired) -> bool {
    desired.objects.values().any(|object| plugins_of(object).next().is_some())
}

/// Why an object cannot be made here.
pub(super) fn obstacle(object: &DesiredObject, plugins: Option<&Plugins>) -> Option<Blocked> {
    let driver = text(object, "/Driver").unwrap_or(OVERLAY);
    if object.kind == ObjectKind::Network && OF_ONE_NODE.contains(&driver) {
        return Some(Blocked {
            code: "DRIVER_LOCAL".to_owned(),
            message: format!(
                "driver: {driver:?} makes a network of one node, which services cannot use"
            ),
            hint: format!(
                "leave `driver` out for an overlay network; or make the network with a scope and \
                 declare it as external: docker network create --scope swarm --driver {driver} {}",
                object.name
            ),
        });
    }
    let plugins = plugins?;
    let (capability, name) =
        plugins_of(object).find(|(capability, name)| !plugins.has(*capability, name))?;
    let field = match capability {
        Capability::Ipam => "ipam.driver",
        Capability::Network | Capability::Secret => "driver",
    };
    let by_hand = match object.kind {
        ObjectKind::Network => format!("docker network create … {}", object.name),
        _ => format!("docker secret create --driver {name} {}", object.name),
    };
    Some(Blocked {
        code: "PLUGIN_MISSING".to_owned(),
        message: format!(
            "{field}: {name:?} is no {} of this engine and of none of its plugins",
            capability.driver()
        ),
        hint: format!(
            "install it on every manager: docker plugin install {name}; if it is there and not in \
             `docker plugin ls`, make the object yourself ({by_hand}) and declare it as external"
        ),
    })
}

/// The plugins that an object needs.
fn plugins_of(object: &DesiredObject) -> impl Iterator<Item = (Capability, &str)> {
    let wanted = match object.kind {
        ObjectKind::Network => [
            text(object, "/Driver")
                .filter(|driver| *driver != OVERLAY && !OF_ONE_NODE.contains(driver))
                .map(|driver| (Capability::Network, driver)),
            text(object, "/IPAM/Driver")
                .filter(|driver| *driver != DEFAULT_IPAM)
                .map(|driver| (Capability::Ipam, driver)),
        ],
        ObjectKind::Secret => {
            [text(object, "/Driver/Name").map(|driver| (Capability::Secret, driver)), None]
        }
        ObjectKind::Config | ObjectKind::Service | ObjectKind::Stack => [None, None],
    };
    wanted.into_iter().flatten()
}

fn text<'a>(object: &'a DesiredObject, pointer: &str) -> Option<&'a str> {
    let text = object.request.pointer(pointer).and_then(Value::as_str)?;
    (!text.is_empty()).then_some(text)
}
