//! Who this process and its user are, in words that other people recognise.

use crate::args::OperatorArgs;
use crate::config::Environment;

/// The name of this machine.
pub(crate) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The person at this terminal: `user@host`. A claim for the record, never a permission.
pub(crate) fn actor(environment: &Environment) -> String {
    let named = ["USER", "LOGNAME"].iter().find_map(|name| environment.text(name));
    let user = match named.map(str::trim).filter(|name| !name.is_empty()) {
        Some(name) => name.to_owned(),
        None => format!("uid {}", rustix::process::getuid().as_raw()),
    };
    format!("{user}@{}", host())
}

/// The same with the label that the person gave, where no column of its own keeps that.
pub(crate) fn actor_from(environment: &Environment, args: &OperatorArgs) -> String {
    match &args.source {
        Some(label) => format!("{} from {label}", actor(environment)),
        None => actor(environment),
    }
}

/// This process, for whoever reads the audit trail.
pub(crate) fn process() -> String {
    format!("{} pid {}", host(), std::process::id())
}

/// Where a decision comes from unless somebody says otherwise: the operators of this machine.
pub(crate) fn source() -> String {
    format!("{}:operator", host())
}

/// The label under which something is put on record: what was said, else [`source`]. A claim beside
/// the actor, never a permission.
pub(crate) fn source_of(args: &OperatorArgs) -> String {
    args.source.clone().unwrap_or_else(source)
}

/// This process, for whoever finds the lease taken.
pub(crate) fn holder(command: &str) -> String {
    format!("{} ({command})", process())
}
