//! Every stable error code, with its meaning: what scripts match on and what people look up.

/// One code.
#[derive(Debug)]
pub(crate) struct Code {
    /// The word.
    pub(crate) word: &'static str,
    /// What it means.
    pub(crate) meaning: &'static str,
}

macro_rules! codes {
    ($($name:ident = $meaning:literal,)+) => {
        $(
            #[doc = $meaning]
            // Many codes come as text from other crates; here they are documented.
            #[allow(dead_code)]
            pub(crate) const $name: &str = stringify!($name);
        )+

        /// Every code, by topic.
        pub(crate) const CODES: &[Code] = &[$(Code { word: stringify!($name), meaning: $meaning },)+];
    };
}

codes! {
    USAGE = "The command line is wrong; the exit code is 64.",
    CONFIG_INVALID = "A setting, the configuration file, or the engine's address cannot be used.",
    BIND_REFUSED = "The listen address is not loopback, and there is no sign-in yet.",
    LISTEN_FAILED = "The listen address is taken or not of this machine.",
    SOURCE_INVALID = "A registry file or a stack file is not valid, or is no regular file; nothing was taken from it.",
    SOURCE_MISSING = "A source was needed and none is named.",
    SOURCE_UNAVAILABLE = "A registry file or a stack file cannot be read.",
    POLICY_INVALID = "The policy file cannot be read or has problems.",
    STORE_UNAVAILABLE = "The database cannot be opened, read or written.",
    STORE_CORRUPT = "The database, or a row in it, is damaged or of a newer version.",
    STORE_BUSY = "Another process holds the database for too long; nothing was written.",
    STORE_OUTCOME_UNKNOWN = "The connection to the database was lost while it confirmed a write; it may have happened or not.",
    STORE_NOT_EMPTY = "The store holds records already; nothing was overwritten.",
    AUDIT_BROKEN = "A row or a seal of the audit trail is not as it was written; the message names the first.",
    AUDIT_EXPORT_INVALID = "The file is no export of an audit trail, or of a newer version.",
    KEY_UNAVAILABLE = "The installation's key is missing, cannot be read or created, or is not the one of the database.",
    ENGINE_UNREACHABLE = "The Docker engine does not answer, or not in time.",
    ENGINE_ERROR = "The Docker engine refused a request or answered something that cannot be understood.",
    UNSUPPORTED_VERSION = "The Docker engine is too old or too new.",
    EVIDENCE_STALE = "What is known of the swarm is too old to act on.",
    NOT_A_MANAGER = "The Docker engine is not a manager of a swarm.",
    NO_QUORUM = "The swarm's managers have no quorum; what they answer may be stale.",
    LEASE_HELD = "Another process leads; the message says which.",
    LEASE_LOST = "The lease was lost during the pass; what was not started stays as it was.",
    FOREIGN_NAME = "A service of this name exists and is not on record as ours.",
    PORT_TAKEN = "A published port belongs to a service that is not ours.",
    IMAGE_UNRESOLVED = "The digest behind a tag could not be found out: its registry does not answer, refuses access, or does not have it.",
    NETWORK_MISSING = "A network that the service wants does not exist on the swarm.",
    EXTERNAL_MISSING = "A network, config or secret that a stack declares as external does not exist; nothing of the stack is changed.",
    EXTERNAL_SCOPE = "A network that a stack declares as external is of one node, which services cannot use; nothing of the stack is changed.",
    NAME_TAKEN = "A network, config or secret of this name exists and is not the stack's; nothing of the stack is changed.",
    DRIVER_LOCAL = "The driver of a network makes networks of one node, which services cannot use.",
    PLUGIN_MISSING = "The driver of a network, of its addresses or of a secret is a plugin that the engine does not have.",
    NETWORK_IN_USE = "A network differs in something that cannot be changed in place, and services use it.",
    STACK_BLOCKED = "Something else of the same stack cannot be had, so nothing of it is changed.",
    SECRET_MISSING = "A secret that the service wants does not exist on the swarm.",
    CONFIG_MISSING = "A config that the service wants does not exist on the swarm.",
    FIELD_UNSUPPORTED = "A declared field is left out, or a mode refused, because the engine's API version does not have it.",
    VALUE_UNKNOWN = "A declared word that the engine would silently replace by its default.",
    SECRET_UNRESOLVED = "A reference in a declaration has no value: an unset variable or an unreadable file.",
    IMMUTABLE_FIELD = "A field differs that the engine cannot change in place.",
    ROLLOUT_RUNNING = "Swarm is still rolling out or rolling back the service.",
    SOURCE_NEVER_LOADED = "A source has never been read, so what it declares is unknown.",
    ORPHAN = "Something of ours is no longer declared; it is left alone.",
    ORPHAN_IN_USE = "Something of ours is no longer declared; it goes when nobody uses it any more.",
    ORPHAN_UNSETTLED = "Something of ours is no longer declared; it stays until every other stack has been read again.",
    COMES_BACK = "The same difference is there again after every successful change; it is not written once more for ten minutes.",
    SOURCE_MOVED = "Something is on record for one source and declared by another; it is not touched until a person moves it.",
    STILL_ROLLING_OUT = "Swarm is still rolling out changes of this pass when it ends.",
    STILL_GRANTED = "Approved actions are left that this pass did not start.",
    DEPENDENCY = "Approved, and waiting for a service that it depends on to be as declared, to run, and to answer as far as that is known.",
    STAGED_ROLLOUT = "Approved, and waiting for the batch before it: a large first rollout of a stack starts one service, then five, then the rest, each when those before are healthy.",
    STACK_STOPPED = "Something of the stack, or of a stack before it, has failed; it goes on when what failed is declared otherwise, or a person retries.",
    STACK_ROLLBACK = "The stack goes back to its revisions before; the message says how far it is.",
    NOT_A_STACK = "A service was named where a stack is meant.",
    DEGRADED = "The last change of the service failed, or Swarm paused it; it is not tried again until what differs changes, or a person retries.",
    DOWN = "No task of the service runs and the last one failed; Swarm goes on trying.",
    DENIED = "A person denied this change; it is not proposed again until it is another one.",
    REHEARSED = "The dry run has already carried this change out; nothing reached the engine.",
    UNCHOSEN_DEPENDENCY = "The service depends on one that --only leaves out.",
    FILE_EXISTS = "The file to be written exists already, with other content.",
    SECRETS_NEED_FILES = "A service has secrets in its environment, and they cannot be put into files safely.",
    NOTHING_TO_DO = "It is as asked for already.",
    NOT_OURS = "The service is not on record as ours; adopt it first.",
    NOT_SCALABLE = "The service has no number of replicas.",
    IS_A_JOB = "The service is a job; a restart would run it again.",
    HELD = "A person changed it by hand, or its stack went back as a whole; what is declared is not proposed again until it changes.",
    ACCEPTED_DRIFT = "A person accepted this drift for some time.",
    PAUSED = "A person paused the service or its domain; nothing is done for it until: skep resume.",
    KILLED = "A person killed the service or its domain; it stays at zero until: skep resume.",
    RESUMING = "The service was killed and is being put back as it was.",
    PROTECTED = "The service is protected by the setting fleet_protected, or is part of Skep itself; nobody stops it through Skep.",
    CONFIRMATION_NEEDED = "Killing so much has to be confirmed: the same command again within 60 seconds does.",
    ALREADY_PAUSED = "It is paused already.",
    ALREADY_KILLED = "It is killed already.",
    NOT_CONTAINED = "It is neither paused nor killed.",
    HELD_BY_DOMAIN = "It is held together with its domain; resume the domain.",
    NOT_A_REQUEST = "Killing and resuming are ordered and not requested: skep kill, skep resume.",
    REVISION_UNREADABLE = "The revision was sealed with another key; it cannot be returned to.",
    RELEASED = "A person released the service; it is not adopted again by itself.",
    NOT_FOUND = "There is nothing of this name or id.",
    AMBIGUOUS = "The given start of an id fits several.",
    ALREADY_DECIDED = "Somebody has already approved or denied it; the message says who.",
    ALREADY_STARTED = "What was approved has started, or has ended; it cannot be taken back.",
    SOURCE_RESERVED = "Somebody tried to decide in the name of a machine, or as the one who proposed it.",
    REVISION_CONFLICT = "It has changed since it was looked at.",
    NOT_GRANTED = "The action was not granted, so it cannot start.",
    SUPERSEDED = "What was approved is no longer what would be done; ask again with a new plan.",
    EXPIRED = "Nobody decided, or it was not started, in time.",
    BLOCKED = "The step cannot be carried out as things stand.",
    DENIED_BY_POLICY = "The policy forbids it.",
    POLICY_UNDECIDABLE = "The policy could not be evaluated when the action was to start.",
    OVERRIDE_REFUSED = "A freeze or another override cannot be placed; the message says why.",
    FROZEN = "A freeze covers it; nothing of it starts until the freeze ends or is lifted: skep freeze list.",
    TOO_MUCH_UNAVAILABLE = "As many services are unavailable as the policy's budget allows; it is tried again later.",
    RATE_LIMITED = "The policy's rate limit is reached; it is tried again later.",
    NEXT_ATTEMPT = "Approved; it failed in a way that may pass and is tried again after a pause.",
    CAPACITY = "Approved, and waiting for its turn: only so many actions run side by side.",
    OUTSIDE_WINDOW = "The maintenance window of the rule is closed.",
    NOTIFY_FAILED = "A message did not reach an endpoint.",
    NOTIFY_UNSET = "No endpoint is named that could be told.",
    SCHEMA_STALE = "Schema files differ from those of this version.",
    SYNC_UNANSWERED = "The running loop did not answer in time; it looks as soon as it can.",
    WEBHOOK_REFUSED = "A webhook carries no signature that fits, or no secret is set for its forge.",
    WEBHOOK_REPLAYED = "A webhook was delivered before; it is not taken twice.",
    WEBHOOK_INVALID = "A webhook is not JSON, not of its event, or did not arrive whole.",
    WEBHOOK_NOT_KEPT = "A webhook cannot be kept now; the forge may send it again.",
    WEBHOOK_RATE_LIMITED = "Too many webhooks at once; nothing of this one was read.",
    GIT_REFUSED = "The settings do not let this repository, host, address or folder be read.",
    GIT_UNAUTHORISED = "The server of a repository refuses the credentials, or its key or certificate is not trusted.",
    GIT_NOT_FOUND = "There is no such repository, branch, tag or commit.",
    GIT_UNAVAILABLE = "A repository cannot be read now: no answer, no git server, a broken transfer, a redirect.",
    GIT_TOO_LARGE = "A repository, or a folder in it, is larger than what is read.",
    GIT_CONTENT = "A commit, or the folder in it, is not there or cannot be understood.",
    GIT_SIGNATURE = "A commit is not signed, or not by a listed key.",
    GIT_PROGRAM_MISSING = "git, or a program that it needs, cannot be started.",
    GIT_CACHE = "The folder for fetched repositories cannot be used.",
    OUTPUT_FAILED = "The output could not be written.",
    STOPPED = "It was stopped before it was done.",
    INTERNAL = "A fault of Skep itself.",
}

/// The codes as a Markdown table, for the reference.
pub(crate) fn markdown() -> String {
    let rows: String =
        CODES.iter().map(|code| format!("| `{}` | {} |\n", code.word, code.meaning)).collect();
    format!("| Code | Meaning |\n|---|---|\n{rows}")
}
