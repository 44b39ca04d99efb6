//! The registry file as written: every field optional but names, each with its place where a
//! problem may come up later. What follows from defaults and overlays is [`super::build`]'s.

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, Location, Resolved, did_you_mean};

use super::health::HealthDocument;
use super::mcp::McpDocument;
use super::mount::Mounts;
use super::network::Networks;
use super::resources::ResourcesDocument;
use super::rollout::{RestartDocument, Rollback, RolloutDocument};
use super::scaling::{MOST_REPLICAS, ScalingChoice};
use crate::format::{Format, Partial, Spanned, Text, Whole, mapping};
use crate::registry::DesiredState;
use crate::value::{Environment, ImageReference, JsonPointer, Labels, Name, Words};

/// A port.
pub(crate) type Port = Whole<u16, 1, 65_535>;

mapping! {
    /// A registry of connectors: each service becomes one Swarm service.
    pub(crate) struct RegistryDocument {
        /// Version of the format.
        pub(crate) version: Option<Whole<u32, 1, 1>>,
        /// What holds for services that do not say otherwise.
        pub(crate) defaults: Option<DefaultsDocument>,
        /// The connectors.
        pub(crate) services: Services,
    }
}

mapping! {
    /// What holds for services that do not say otherwise.
    pub(crate) struct DefaultsDocument {
        /// How connectors are spoken to; streamable-http when left out.
        pub(crate) transport: Option<Text>,
        /// The address that connectors listen on in their container; 0.0.0.0 when left out.
        pub(crate) host: Option<Text>,
        /// The port that connectors listen on in their container; 8000 when left out.
        pub(crate) container_port: Option<Port>,
        /// Where images of packages are: <image_registry>/<package>:latest.
        pub(crate) image_registry: Option<ImageRegistry>,
    }
}

mapping! {
    /// One connector.
    pub(crate) struct ServiceDocument {
        /// The connector's name; unique.
        pub(crate) name: Spanned<Name>,
        /// The package that the connector comes from; one package has one name.
        pub(crate) package: Option<Spanned<Package>>,
        /// The program in the package.
        pub(crate) console_script: Option<Text>,
        /// The image; <defaults.image_registry>/<package>:latest when left out.
        pub(crate) image: Option<ImageReference>,
        /// Replaces the image's tag, or pins it when it is a digest (sha256:…).
        pub(crate) version: Option<Spanned<Version>>,
        /// How the connector is spoken to.
        pub(crate) transport: Option<Text>,
        /// The address that it listens on in its container.
        pub(crate) host: Option<Text>,
        /// The port that it listens on in its container.
        pub(crate) container_port: Option<Port>,
        /// The port that the swarm publishes for it; unique. Not published when left out.
        pub(crate) host_port: Option<Spanned<Port>>,
        /// Profiles that the connector belongs to.
        pub(crate) profiles: Option<Vec<Name>>,
        /// Whether it should run; running when left out.
        pub(crate) desired: Option<DesiredState>,
        /// How many tasks; 1 when left out, 0 is 0.
        pub(crate) replicas: Option<Whole<u32, 0, MOST_REPLICAS>>,
        /// Replicas follow the load; null switches that off.
        pub(crate) scaling: Option<ScalingChoice>,
        /// Name of the Swarm service; <stack>_<name>, or <name>, when left out.
        pub(crate) swarm_name: Option<Spanned<Name>>,
        /// The stack that the Swarm service belongs to.
        pub(crate) stack: Option<Spanned<Name>>,
        /// The group that pause and kill can name; default when left out.
        pub(crate) domain: Option<Name>,
        /// Environment variables; env:NAME and file:/path are resolved when they are needed.
        pub(crate) env: Option<Environment>,
        /// Arguments for the image's program.
        pub(crate) command: Option<Words>,
        /// Networks to join.
        pub(crate) networks: Option<Networks>,
        /// Volumes, paths of the node, and memory.
        pub(crate) mounts: Option<Mounts>,
        /// On which nodes tasks may run.
        pub(crate) constraints: Option<Vec<Constraint>>,
        /// Limits and reservations of each task.
        pub(crate) resources: Option<ResourcesDocument>,
        /// How the engine finds out whether a task is healthy.
        pub(crate) health: Option<HealthDocument>,
        /// How it is asked whether it speaks MCP.
        pub(crate) mcp: Option<McpDocument>,
        /// Labels of the Swarm service.
        pub(crate) labels: Option<Labels>,
        /// How changes roll out.
        pub(crate) update: Option<RolloutDocument>,
        /// How changes roll back.
        pub(crate) rollback: Option<Rollback>,
        /// What happens to a task that ended.
        pub(crate) restart: Option<RestartDocument>,
        /// Connectors that are changed before this one.
        pub(crate) depends_on: Option<Vec<Spanned<Name>>>,
        /// JSON pointers to fields of the service spec that others own.
        pub(crate) ignore: Option<Vec<JsonPointer>>,
    }
}

/// The services of a file. What is wrong with one does not hide the others.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Services {
    /// Those with a name.
    pub(crate) named: Vec<ReadService>,
    /// Whether there are more, without a name that can be read.
    pub(crate) lost: bool,
}

/// One service as far as it can be read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ReadService {
    pub(crate) document: ServiceDocument,
    pub(crate) location: Location,
    /// Whether every field could be read.
    pub(crate) complete: bool,
}

impl Format for Services {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        let mut services = Self { named: Vec::new(), lost: false };
        for item in at.list()? {
            match ServiceDocument::read_partial(&item) {
                Some((document, complete)) => services.named.push(ReadService {
                    document,
                    location: item.location(),
                    complete,
                }),
                None => services.lost = true,
            }
        }
        Some(services)
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<ServiceDocument>::schema(generator)
    }
}

impl ServiceDocument {
    /// Lets `over` win, field by field; a field is replaced as a whole.
    pub(crate) fn overlaid(mut self, over: Self) -> Self {
        // `over` is taken apart without `..`, so that a new field cannot be forgotten here.
        macro_rules! take {
            ($( $field:ident ),* $(,)?) => {{
                let Self { name: _, $( $field ),* } = over;
                $( if $field.is_some() { self.$field = $field; } )*
            }};
        }
        take!(
            package,
            console_script,
            image,
            version,
            transport,
            host,
            container_port,
            host_port,
            profiles,
            desired,
            replicas,
            scaling,
            swarm_name,
            stack,
            domain,
            env,
            command,
            networks,
            mounts,
            constraints,
            resources,
            health,
            mcp,
            labels,
            update,
            rollback,
            restart,
            depends_on,
            ignore,
        );
        self
    }
}

/// A package: it becomes part of an image's name.
pub(crate) struct Package;

impl Format for Package {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.text()?;
        match ImageReference::parse(&text) {
            Ok(image) if image.to_string() == image.repository() && !text.contains('/') => {
                Some(text)
            }
            Ok(_) | Err(_) => {
                let hint = "lower-case letters and digits, with . _ - between";
                at.refuse_with("BAD_NAME", "not a package name", hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*$",
            "maxLength": 255,
        })
    }
}

/// Where images of packages are, such as `docker.io/example`.
pub(crate) struct ImageRegistry;

impl Format for ImageRegistry {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        // With a package behind it, it must be the beginning of an image reference.
        match ImageReference::parse(&format!("{text}/package")) {
            Ok(_) => Some(text),
            Err(why) => {
                let hint = "such as docker.io/example";
                at.refuse_with("BAD_IMAGE", format!("not a place of images: {why}"), hint);
                None
            }
        }
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "minLength": 1, "pattern": "^[^\\s@]+$" })
    }
}

/// A tag or a digest. A number without a fraction is a tag too, as it reads the one way.
pub(crate) struct Version;

impl Format for Version {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = match (at.resolved(), at.scalar()) {
            (Some(Resolved::Int(number)), Some(scalar)) if number.to_string() == scalar.raw => {
                scalar.raw.clone()
            }
            _ => at.filled_text()?,
        };
        let any = ImageReference::parse("image").ok()?;
        if let Err(why) = any.at_version(&text) {
            at.refuse("BAD_VERSION", why);
            return None;
        }
        Some(text)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                {
                    "type": "string",
                    "pattern": "^([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}|sha256:[a-f0-9]{64})$",
                },
                { "type": "integer", "minimum": 0 },
            ],
        })
    }
}

impl Format for DesiredState {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        at.word(&DESIRED)
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "enum": DESIRED.map(|(word, _)| word) })
    }
}

const DESIRED: [(&str, DesiredState); 2] =
    [("running", DesiredState::Running), ("stopped", DesiredState::Stopped)];

/// On which nodes tasks may run: `node.role==manager`, `node.labels.disk!=slow`.
pub(crate) struct Constraint;

/// What a constraint can name; Swarm places no task for any other word.
const CONSTRAINT_KEYS: [&str; 7] = [
    "node.id",
    "node.hostname",
    "node.role",
    "node.ip",
    "node.platform.os",
    "node.platform.arch",
    "node.labels.",
];

impl Format for Constraint {
    type Value = String;

    fn read(at: &Cursor<'_>) -> Option<String> {
        let text = at.filled_text()?;
        let found = text
            .find("==")
            .into_iter()
            .chain(text.find("!="))
            .min()
            .and_then(|index| Some((text.get(..index)?, text.get(index + 2..)?)));
        let Some((key, value)) = found.map(|(key, value)| (key.trim(), value.trim())) else {
            let hint = "such as node.role==manager or node.labels.disk!=slow";
            at.refuse_with("BAD_CONSTRAINT", "expected KEY==VALUE or KEY!=VALUE", hint);
            return None;
        };
        let label = ["node.labels.", "engine.labels."]
            .iter()
            .any(|prefix| key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()));
        let known = CONSTRAINT_KEYS.iter().any(|known| key.eq_ignore_ascii_case(known));
        if !label && (!known || key.ends_with('.')) {
            let hint = did_you_mean(key, CONSTRAINT_KEYS).map_or_else(
                || format!("known: {}NAME, engine.labels.NAME", CONSTRAINT_KEYS.join(", ")),
                |word| format!("did you mean \"{word}\"?"),
            );
            at.refuse_with("BAD_CONSTRAINT", "no node would match this constraint", hint);
            return None;
        }
        if value.is_empty() || text.chars().any(char::is_control) {
            at.refuse("BAD_CONSTRAINT", "the constraint has no value");
            return None;
        }
        Some(text.trim().to_owned())
    }

    fn schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(node|engine)\\.[^=!]+(==|!=).+$" })
    }
}
