//! The engine's service spec as far as `spec:` may say it: names and kinds of fields, from the
//! types of moby's API (`api/types/swarm`), 1.25 to 1.5x.

/// What a field of the engine's spec holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Field {
    /// Named fields; others are mistakes.
    Object(&'static [(&'static str, Field)]),
    /// Free names with texts.
    Texts,
    /// A list.
    List(&'static Field),
    /// A text.
    Text,
    /// A whole number.
    Whole,
    /// A number.
    Number,
    /// `true` or `false`.
    Flag,
    /// Not to be said here, with what to use instead.
    Refused(&'static str),
}

use Field::{Flag, List, Number, Object, Refused, Text, Texts, Whole};

const TEXTS: Field = List(&Text);

pub(super) const SERVICE: Field = Object(&[
    ("Name", Refused("use name, stack or swarm_name")),
    ("Labels", Texts),
    ("TaskTemplate", TASK),
    ("Mode", Refused("use mode, replicas and max_concurrent")),
    ("UpdateConfig", ROLLOUT),
    ("RollbackConfig", ROLLOUT),
    ("Networks", Refused("use networks, or TaskTemplate.Networks")),
    ("EndpointSpec", ENDPOINT),
]);

const TASK: Field = Object(&[
    ("ContainerSpec", CONTAINER),
    ("Resources", RESOURCES),
    (
        "RestartPolicy",
        Object(&[("Condition", Text), ("Delay", Whole), ("MaxAttempts", Whole), ("Window", Whole)]),
    ),
    ("Placement", PLACEMENT),
    ("Networks", List(&Object(&[("Target", Text), ("Aliases", TEXTS), ("DriverOpts", Texts)]))),
    ("LogDriver", Object(&[("Name", Text), ("Options", Texts)])),
    ("ForceUpdate", Refused("it counts restarts; nobody declares it")),
    ("Runtime", Text),
]);

const CONTAINER: Field = Object(&[
    ("Image", Refused("use image and version")),
    ("Labels", Texts),
    ("Command", TEXTS),
    ("Args", TEXTS),
    ("Hostname", Text),
    ("Env", Refused("use env")),
    ("Dir", Text),
    ("User", Text),
    ("Groups", TEXTS),
    ("Privileges", PRIVILEGES),
    ("Init", Flag),
    ("StopSignal", Text),
    ("TTY", Flag),
    ("OpenStdin", Flag),
    ("ReadOnly", Flag),
    ("Mounts", List(&MOUNT)),
    ("StopGracePeriod", Whole),
    (
        "Healthcheck",
        Object(&[
            ("Test", TEXTS),
            ("Interval", Whole),
            ("Timeout", Whole),
            ("StartPeriod", Whole),
            ("StartInterval", Whole),
            ("Retries", Whole),
        ]),
    ),
    ("Hosts", TEXTS),
    ("DNSConfig", Object(&[("Nameservers", TEXTS), ("Search", TEXTS), ("Options", TEXTS)])),
    (
        "Secrets",
        List(&Object(&[
            ("File", FILE),
            ("SecretID", Refused("use SecretName: ids are looked up when they are needed")),
            ("SecretName", Text),
        ])),
    ),
    (
        "Configs",
        List(&Object(&[
            ("File", FILE),
            ("Runtime", Object(&[])),
            ("ConfigID", Refused("use ConfigName: ids are looked up when they are needed")),
            ("ConfigName", Text),
        ])),
    ),
    ("Isolation", Text),
    ("Sysctls", Texts),
    ("CapabilityAdd", TEXTS),
    ("CapabilityDrop", TEXTS),
    ("Ulimits", List(&Object(&[("Name", Text), ("Hard", Whole), ("Soft", Whole)]))),
    ("OomScoreAdj", Whole),
]);

const FILE: Field = Object(&[("Name", Text), ("UID", Text), ("GID", Text), ("Mode", Whole)]);

const PRIVILEGES: Field = Object(&[
    ("CredentialSpec", Object(&[("Config", Text), ("File", Text), ("Registry", Text)])),
    (
        "SELinuxContext",
        Object(&[
            ("Disable", Flag),
            ("User", Text),
            ("Role", Text),
            ("Type", Text),
            ("Level", Text),
        ]),
    ),
    ("Seccomp", Object(&[("Mode", Text), ("Profile", Text)])),
    ("AppArmor", Object(&[("Mode", Text)])),
    ("NoNewPrivileges", Flag),
]);

const MOUNT: Field = Object(&[
    ("Type", Text),
    ("Source", Text),
    ("Target", Text),
    ("ReadOnly", Flag),
    ("Consistency", Text),
    (
        "BindOptions",
        Object(&[
            ("Propagation", Text),
            ("NonRecursive", Flag),
            ("CreateMountpoint", Flag),
            ("ReadOnlyNonRecursive", Flag),
            ("ReadOnlyForceRecursive", Flag),
        ]),
    ),
    (
        "VolumeOptions",
        Object(&[
            ("NoCopy", Flag),
            ("Labels", Texts),
            ("Subpath", Text),
            ("DriverConfig", Object(&[("Name", Text), ("Options", Texts)])),
        ]),
    ),
    ("ImageOptions", Object(&[("Subpath", Text)])),
    ("TmpfsOptions", Object(&[("SizeBytes", Whole), ("Mode", Whole), ("Options", List(&TEXTS))])),
    ("ClusterOptions", Object(&[])),
]);

const RESOURCES: Field = Object(&[
    ("Limits", Object(&[("NanoCPUs", Whole), ("MemoryBytes", Whole), ("Pids", Whole)])),
    (
        "Reservations",
        Object(&[
            ("NanoCPUs", Whole),
            ("MemoryBytes", Whole),
            (
                "GenericResources",
                List(&Object(&[
                    ("NamedResourceSpec", Object(&[("Kind", Text), ("Value", Text)])),
                    ("DiscreteResourceSpec", Object(&[("Kind", Text), ("Value", Whole)])),
                ])),
            ),
        ]),
    ),
    ("SwapBytes", Whole),
    ("MemorySwappiness", Whole),
]);

const PLACEMENT: Field = Object(&[
    ("Constraints", TEXTS),
    ("Preferences", List(&Object(&[("Spread", Object(&[("SpreadDescriptor", Text)]))]))),
    ("MaxReplicas", Whole),
    ("Platforms", Refused("the platforms are those of the image")),
]);

const ROLLOUT: Field = Object(&[
    ("Parallelism", Whole),
    ("Delay", Whole),
    ("FailureAction", Text),
    ("Monitor", Whole),
    ("MaxFailureRatio", Number),
    ("Order", Text),
]);

const ENDPOINT: Field = Object(&[
    ("Mode", Text),
    (
        "Ports",
        List(&Object(&[
            ("Name", Text),
            ("Protocol", Text),
            ("TargetPort", Whole),
            ("PublishedPort", Whole),
            ("PublishMode", Text),
        ])),
    ),
]);
