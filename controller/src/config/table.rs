//! Every setting, once: its key, the environment variables that set it, its default, how it is
//! read, and what it is for. The reader, `skep config show` and the reference page walk this list.

use super::value::Form;

/// One setting.
#[derive(Debug)]
pub(crate) struct Setting {
    /// The key in the configuration file.
    pub(crate) key: &'static str,
    /// The environment variables that set it; the first one that is set wins.
    pub(crate) variables: &'static [&'static str],
    /// The flag that sets it, when there is one.
    pub(crate) flag: Option<&'static str>,
    /// How it is written.
    pub(crate) form: Form,
    /// Its value when nobody sets it; `None` when it then has none.
    pub(crate) default: Option<&'static str>,
    /// What a set but empty value means.
    pub(crate) blank: Blank,
    /// True when the value may contain a password and must not be shown.
    pub(crate) secret: bool,
    /// What it is for.
    pub(crate) doc: &'static str,
}

/// What a set but empty value means. A variable that is set wins even when it is empty; most
/// settings then have no meaningful value, and saying so beats guessing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blank {
    /// An error that names the variable.
    Refused,
    /// The setting has no value: what the default is documented to be.
    None,
    /// As if it were not set, because a standard says so.
    Unset,
}

macro_rules! settings {
    ($($constant:ident = $key:literal {
        variables: $variables:expr, flag: $flag:expr, form: $form:expr, default: $default:expr,
        $(blank: $blank:expr,)? $(secret: $secret:expr,)? doc: $doc:literal,
    })+) => {
        $(#[doc = $doc] pub(crate) const $constant: &str = $key;)+

        /// Every setting, in the order in which people read them.
        pub(crate) const SETTINGS: &[Setting] = &[$(
            Setting {
                key: $key,
                variables: &$variables,
                flag: $flag,
                form: $form,
                default: $default,
                blank: { let blank = Blank::Refused; $(let blank = { let _ = blank; $blank };)? blank },
                secret: { let secret = false; $(let secret = { let _ = secret; $secret };)? secret },
                doc: $doc,
            },
        )+];
    };
}

settings! {
    REGISTRY = "fleet_registry_path" {
        variables: ["FLEET_REGISTRY_PATH"], flag: Some("--registry"), form: Form::Paths,
        default: None, blank: Blank::None,
        doc: "Registry files, separated by ':'. None is implied: without one nothing is declared.",
    }
    OVERLAY = "fleet_desired_state_path" {
        variables: ["FLEET_DESIRED_STATE_PATH"], flag: Some("--overlay"), form: Form::Path,
        default: None, blank: Blank::None,
        doc: "A file that overrides fields of the registry's services, or adds services.",
    }
    PROFILES = "fleet_profiles" {
        variables: ["FLEET_PROFILES"], flag: Some("--profile"), form: Form::Words,
        default: None,
        doc: "Only services of these profiles, separated by ','. Unset: every service.",
    }
    STACKS = "fleet_stacks_path" {
        variables: ["SKEP_STACKS"], flag: Some("--stacks"), form: Form::Paths,
        default: None, blank: Blank::None,
        doc: "Files that say which stacks there are and where their stack files come from, \
              separated by ':'.",
    }
    REPOSITORIES = "fleet_repositories_path" {
        variables: ["FLEET_REPOSITORIES_PATH"], flag: None, form: Form::Path,
        default: Some("$XDG_STATE_HOME/skep/repositories"),
        doc: "The folder that keeps what was fetched from the repositories of stacks. It can be \
              thrown away at any time.",
    }
    POLICY = "action_policy_path" {
        variables: ["ACTION_POLICY_PATH"], flag: Some("--policy"), form: Form::Path,
        default: None, blank: Blank::None,
        doc: "The policy file. Without one the shipped policy holds: every change asks a person.",
    }
    ACTUATOR = "fleet_actuator" {
        variables: ["FLEET_ACTUATOR"], flag: Some("--actuator"), form: Form::Actuator,
        default: Some("dryrun"),
        doc: "What carries out approved actions: 'dryrun' rehearses them, 'swarm' (or 'docker') \
              changes the swarm. An unknown word counts as 'dryrun'.",
    }
    STORE = "state_db_uri" {
        variables: ["STATE_DB_URI", "FLEET_DATABASE_URL"], flag: Some("--store"),
        form: Form::Secret, default: Some("sqlite:$XDG_STATE_HOME/skep/skep.db"), secret: true,
        doc: "The database: 'sqlite:PATH', created when missing, 'sqlite::memory:', or \
              'postgres://USER:PASSWORD@HOST:PORT/DATABASE'. May be a reference: 'env:NAME' or 'file:/abs/path'.",
    }
    KEY = "installation_key" {
        variables: ["FLEET_INSTALLATION_KEY"], flag: Some("--key"), form: Form::Key,
        default: None,
        doc: "The installation's key, without which sealed records cannot be read: a file, made \
              together with a new database, or a reference: 'env:NAME' (64 hexadecimal digits) or \
              'file:/abs/path' (those, or 32 bytes). Unset: beside the SQLite file, as 'PATH.key'; \
              for Postgres '$XDG_STATE_HOME/skep/postgres.key'. Every controller of one database \
              needs the same key.",
    }
    PROTECTED = "fleet_protected" {
        variables: ["FLEET_PROTECTED"], flag: None, form: Form::Words, default: None,
        blank: Blank::None,
        doc: "What nobody may kill, stop, scale to zero or remove through Skep, separated by ',': \
              service names, globs such as 'skep-*', 'label:KEY' or 'label:KEY=VALUE'. Name Skep \
              itself, its database and its proxy here.",
    }
    SPOOL = "fleet_containment_spool" {
        variables: ["FLEET_CONTAINMENT_SPOOL"], flag: None, form: Form::Path,
        default: Some("$XDG_STATE_HOME/skep/containment.spool"),
        doc: "Where 'skep kill --without-store' writes down what it did, until a leader on this \
              machine has put it on record.",
    }
    HOST = "docker_host" {
        variables: ["DOCKER_HOST"], flag: Some("--host"), form: Form::Text,
        default: Some("unix:///var/run/docker.sock"),
        doc: "The Docker engine: 'unix:///path', 'tcp://host:port' or 'ssh://user@host'.",
    }
    FLEET = "fleet_name" {
        variables: ["FLEET_NAME"], flag: Some("--fleet"), form: Form::Text,
        default: Some("default"),
        doc: "The name of this fleet; it is written into the label 'dev.skep.fleet'.",
    }
    RESOLVE_IMAGE = "fleet_resolve_image" {
        variables: ["FLEET_RESOLVE_IMAGE"], flag: Some("--resolve-image"),
        form: Form::OneOf(&["always", "changed", "never"]), default: Some("changed"),
        doc: "When the tag of an image is resolved to a digest: 'changed' when a service is new or \
              another tag is declared, 'always' also to notice tags that were moved, 'never' to \
              write tags as they are.",
    }
    DOCKER_CONFIG = "fleet_docker_config_path" {
        variables: ["FLEET_DOCKER_CONFIG_PATH"], flag: None, form: Form::Path,
        default: None, blank: Blank::None,
        doc: "Docker's configuration file, with the credentials for image registries. Unset: \
              '$DOCKER_CONFIG/config.json', else '~/.docker/config.json'.",
    }
    IMAGE_UPDATES = "fleet_image_update_interval" {
        variables: ["FLEET_IMAGE_UPDATE_INTERVAL"], flag: None, form: Form::Interval,
        default: Some("6h"),
        doc: "How often 'serve' asks registries whether an image in use has a newer digest.",
    }
    RECONCILER = "fleet_reconciler" {
        variables: ["FLEET_RECONCILER"], flag: Some("--reconciler"), form: Form::Switch,
        default: Some("true"),
        doc: "'false': observe and plan only. 'true': also propose what the plan says; the policy \
              decides what becomes of it.",
    }
    INTERVAL = "fleet_reconciler_interval" {
        variables: ["FLEET_RECONCILER_INTERVAL"], flag: Some("--interval"), form: Form::Interval,
        default: Some("120s"),
        doc: "How often the loop looks again when nothing wakes it: seconds, or '30s', '2m'.",
    }
    MAX_ACTIONS = "fleet_reconciler_max_actions" {
        variables: ["FLEET_RECONCILER_MAX_ACTIONS"], flag: Some("--max-actions"),
        form: Form::Count { least: 1, most: 10_000 }, default: Some("5"),
        doc: "How many actions may start by themselves per interval. At least 1.",
    }
    PROBE = "fleet_probe" {
        variables: ["FLEET_PROBE"], flag: None, form: Form::Switch, default: Some("true"),
        doc: "'true': 'serve' asks the running connectors whether they answer as MCP servers.",
    }
    PROBE_INTERVAL = "fleet_probe_interval" {
        variables: ["FLEET_PROBE_INTERVAL"], flag: None, form: Form::Interval,
        default: Some("30s"),
        doc: "Time between two such questions to one connector.",
    }
    PROBE_ADDRESS = "fleet_probe_address" {
        variables: ["FLEET_PROBE_ADDRESS"], flag: None, form: Form::Text, default: None,
        doc: "The name or IP address at which published ports are reached from here. Unset: \
              127.0.0.1 when the engine is on this machine (unix://), otherwise the engine's host.",
    }
    AVERSION = "action_irreversibility_aversion" {
        variables: ["ACTION_IRREVERSIBILITY_AVERSION"], flag: None, form: Form::Switch,
        default: Some("false"),
        doc: "'true': what cannot be undone always asks a person, whatever its tier.",
    }
    REQUEST_TTL = "fleet_approval_ttl" {
        variables: ["FLEET_APPROVAL_TTL"], flag: None, form: Form::Interval, default: Some("24h"),
        doc: "How long a request waits for a decision.",
    }
    START_WITHIN = "fleet_approval_start_within" {
        variables: ["FLEET_APPROVAL_START_WITHIN"], flag: None, form: Form::Interval,
        default: Some("10m"),
        doc: "An approved action that has not started by then expires.",
    }
    BULK_START_WITHIN = "fleet_approval_bulk_start_within" {
        variables: ["FLEET_APPROVAL_BULK_START_WITHIN"], flag: None, form: Form::Interval,
        default: Some("1h"),
        doc: "The same for actions that were approved together.",
    }
    NOTIFY = "fleet_notify" {
        variables: ["FLEET_NOTIFY"], flag: None, form: Form::Words, default: None,
        blank: Blank::None, secret: true,
        doc: "Webhooks that are told of new requests and of what was approved and did not happen, \
              separated by ','. Each is a URL, a blank, and a reference to its signing key \
              ('env:NAME' or 'file:/abs/path'); behind another blank the former key, during a \
              rotation.",
    }
    WEBHOOK_FORGEJO = "fleet_webhook_forgejo" {
        variables: ["FLEET_WEBHOOK_FORGEJO"], flag: None, form: Form::Words, default: None,
        blank: Blank::None, secret: true,
        doc: "What Forgejo signs its webhooks with: a reference ('env:NAME' or 'file:/abs/path') to \
              a secret of at least 16 characters; behind ',' the former one, during a rotation. \
              Unset: its webhooks are refused.",
    }
    WEBHOOK_GITEA = "fleet_webhook_gitea" {
        variables: ["FLEET_WEBHOOK_GITEA"], flag: None, form: Form::Words, default: None,
        blank: Blank::None, secret: true,
        doc: "The same for Gitea.",
    }
    WEBHOOK_GITHUB = "fleet_webhook_github" {
        variables: ["FLEET_WEBHOOK_GITHUB"], flag: None, form: Form::Words, default: None,
        blank: Blank::None, secret: true,
        doc: "The same for GitHub.",
    }
    WEBHOOK_GITLAB = "fleet_webhook_gitlab" {
        variables: ["FLEET_WEBHOOK_GITLAB"], flag: None, form: Form::Words, default: None,
        blank: Blank::None, secret: true,
        doc: "The same for GitLab: a signing token, which begins with 'whsec_', or a secret token, \
              which proves who sends and not what is sent.",
    }
    ACTION_TIMEOUT = "fleet_action_timeout" {
        variables: ["FLEET_ACTION_TIMEOUT"], flag: None, form: Form::Interval,
        default: Some("30m"),
        doc: "How long an action may execute or roll out. A rollout that takes longer has failed; \
              a request whose outcome is still unknown then is settled and not tried again.",
    }
    BIND = "fleet_control_plane_bind" {
        variables: ["FLEET_CONTROL_PLANE_BIND"], flag: Some("--listen"), form: Form::Ip,
        default: Some("127.0.0.1"),
        doc: "The address that 'serve' listens on. Only loopback: there is no sign-in yet.",
    }
    PORT = "fleet_control_plane_port" {
        variables: ["FLEET_CONTROL_PLANE_PORT"], flag: Some("--listen"),
        form: Form::Count { least: 0, most: 65_535 }, default: Some("9464"),
        doc: "The port that 'serve' listens on; 0 takes a free one.",
    }
    LOG_FORMAT = "fleet_log_format" {
        variables: ["FLEET_LOG_FORMAT"], flag: Some("--log-format"),
        form: Form::OneOf(&["text", "json"]), default: None,
        doc: "How log lines on stderr look. Unset: JSON for 'serve' when stderr is no terminal, \
              otherwise text.",
    }
    LOG = "fleet_log" {
        variables: ["FLEET_LOG", "RUST_LOG"], flag: Some("--log-level"), form: Form::LogFilter,
        default: None,
        doc: "Which log lines are written, for example 'info' or 'info,skep_swarm=debug'. Unset: \
              'info' for 'serve', otherwise 'warn'.",
    }
    OTLP = "otel_exporter_otlp_endpoint" {
        variables: ["OTEL_EXPORTER_OTLP_ENDPOINT"], flag: None, form: Form::Text,
        default: None, blank: Blank::Unset,
        doc: "Where traces go, over OTLP with HTTP and protobuf, for example \
              'http://127.0.0.1:4318'. Unset: nowhere.",
    }
    NO_COLOR = "no_color" {
        variables: ["NO_COLOR"], flag: None, form: Form::Text, default: None, blank: Blank::Unset,
        doc: "Set to anything: no colour unless --color asks for it.",
    }
}

/// The setting with this key.
pub(crate) fn setting(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}
