//! Who this process and its user are, in words that other people recognise.

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

/// Where a decision comes from unless somebody says otherwise: the operators of this machine.
pub(crate) fn source() -> String {
    format!("{}:operator", host())
}

/// This process, for whoever finds the lease taken.
pub(crate) fn holder(command: &str) -> String {
    format!("{} pid {} ({command})", host(), std::process::id())
}
