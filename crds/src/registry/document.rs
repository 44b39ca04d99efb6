//! The registry file as written: every field optional but names, each with its place where a
//! problem may come up later. What follows from defaults and overlays is [`super::build`]'s.

use schemars::{Schema, SchemaGenerator};
use skep_yaml::{Cursor, Location};

use super::container::{Capability, ExtraHosts, OneOrMany, Options, Ulimits, Word};
use super::engine_spec::SpecPatch;
use super::fields::{Constraint, ImageRegistry, Package, Version};
use super::files::Files;
use super::health::HealthDocument;
use super::mcp::McpDocument;
use super::mount::Mounts;
use super::network::Networks;
use super::placement::{LoggingDocument, PlacementDocument, ServiceMode};
use super::ports::{EndpointMode, PublishedPort};
use super::resources::ResourcesDocument;
use super::rollout::{RestartDocument, Rollback, RolloutDocument};
use super::scaling::{MOST_REPLICAS, ScalingChoice};
use crate::format::{Flag, Format, Partial, Spanned, Text, Whole, mapping};
use crate::registry::DesiredState;
use crate::value::{Duration, Environment, ImageReference, JsonPointer, Labels, Name, Words};

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
        /// How many tasks; 1 when left out, 0 is 0. For a replicated-job, how many must end well.
        pub(crate) replicas: Option<Whole<u32, 0, MOST_REPLICAS>>,
        /// Replicas follow the load; null switches that off.
        pub(crate) scaling: Option<ScalingChoice>,
        /// Name of the Swarm service; <stack>_<name>, or <name>, when left out.
        pub(crate) swarm_name: Option<Spanned<Name>>,
        /// The stack that the Swarm service belongs to.
        pub(crate) stack: Option<Spanned<Name>>,
        /// The group that pause and kill can name; default when left out.
        pub(crate) domain: Option<Name>,
        /// Environment variables; env:NAME and file:/path are resolved when they are
        /// needed, literal:TEXT is TEXT as it is. HOST, PORT or TRANSPORT: null leaves that out.
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
        /// replicated, global (one task per node), replicated-job or global-job (until done);
        /// replicated when left out.
        pub(crate) mode: Option<Spanned<ServiceMode>>,
        /// Most tasks of a replicated-job at once; all when left out.
        pub(crate) max_concurrent: Option<Spanned<Whole<u32, 1, MOST_REPLICAS>>>,
        /// Replaces the image's entrypoint.
        pub(crate) entrypoint: Option<Words>,
        /// The user, or user:group.
        pub(crate) user: Option<Word>,
        /// The working directory.
        pub(crate) working_dir: Option<Text>,
        /// The host name; may be a template such as "{{.Node.Hostname}}".
        pub(crate) hostname: Option<Text>,
        /// More groups of the user.
        pub(crate) group_add: Option<Vec<Word>>,
        /// true: a small init process reaps children. The node's own way when left out.
        pub(crate) init: Option<Flag>,
        /// true: there is a terminal.
        pub(crate) tty: Option<Flag>,
        /// true: standard input stays open.
        pub(crate) stdin_open: Option<Flag>,
        /// true: the root file system is read-only.
        pub(crate) read_only: Option<Flag>,
        /// The signal that asks for the end; the image's own when left out.
        pub(crate) stop_signal: Option<Word>,
        /// Time between that signal and the hard end; 10s when left out.
        pub(crate) stop_grace_period: Option<Duration>,
        /// Kernel capabilities to add, such as NET_ADMIN.
        pub(crate) cap_add: Option<Vec<Capability>>,
        /// Kernel capabilities to take away.
        pub(crate) cap_drop: Option<Vec<Capability>>,
        /// Name servers.
        pub(crate) dns: Option<OneOrMany>,
        /// Domains that short names are looked up in.
        pub(crate) dns_search: Option<OneOrMany>,
        /// Options of the resolver.
        pub(crate) dns_opt: Option<OneOrMany>,
        /// More names with addresses.
        pub(crate) extra_hosts: Option<ExtraHosts>,
        /// Kernel parameters of the container's namespaces.
        pub(crate) sysctls: Option<Options>,
        /// Limits of each process, by name.
        pub(crate) ulimits: Option<Ulimits>,
        /// Labels of the containers; labels are those of the service.
        pub(crate) container_labels: Option<Labels>,
        /// Secrets of the swarm that appear as files.
        pub(crate) secrets: Option<Files>,
        /// Configs of the swarm that appear as files.
        pub(crate) configs: Option<Files>,
        /// Published ports, besides that of host_port.
        pub(crate) ports: Option<Vec<Spanned<PublishedPort>>>,
        /// vip: one address for all tasks; dnsrr: the address of each; vip when left out.
        pub(crate) endpoint_mode: Option<EndpointMode>,
        /// How tasks are spread over nodes, besides constraints.
        pub(crate) placement: Option<PlacementDocument>,
        /// Where the output of tasks goes.
        pub(crate) logging: Option<LoggingDocument>,
        /// What there is no other key for: fields of the engine's service spec in the engine's
        /// names, merged over the rest. null removes a field, lists are replaced.
        pub(crate) spec: Option<SpecPatch>,
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
            mode,
            max_concurrent,
            entrypoint,
            user,
            working_dir,
            hostname,
            group_add,
            init,
            tty,
            stdin_open,
            read_only,
            stop_signal,
            stop_grace_period,
            cap_add,
            cap_drop,
            dns,
            dns_search,
            dns_opt,
            extra_hosts,
            sysctls,
            ulimits,
            container_labels,
            secrets,
            configs,
            ports,
            endpoint_mode,
            placement,
            logging,
            spec,
        );
        self
    }
}
