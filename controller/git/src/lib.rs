//! Reading git repositories as sources: over https, ssh or from a folder of this machine.
//!
//! The work is done by the program `git`, whose only way to the network leads through a forwarder
//! of this process (`docs/adr/0016-git-is-a-program-behind-a-forwarder.md`).
//!
//! # Guarantees
//! - Only the host of the address is reached, and only at addresses that were checked when they
//!   were dialled; redirects lead nowhere.
//! - Nothing of this machine's or this user's configuration of git or ssh counts; no hook, filter,
//!   helper or prompt runs.
//! - Credentials are in files that only this user can read, for the time of one run; in no
//!   argument, address, log or error.
//! - Files are bytes in memory; nothing of a repository is ever written as a file of its name.
//! - Time, transfer, disk, number and size of files are bounded, and what was started ends with
//!   the future that started it.

mod access;
mod address;
mod cache;
mod commit;
mod dial;
mod environment;
mod error;
mod forward;
mod listing;
mod network;
mod objects;
mod program;
mod programs;
mod reader;
mod reference;
mod relation;
mod said;
mod schedule;
mod signature;
mod snapshot;
mod source;
mod tree;
mod url;

pub use self::access::{Access, HostPattern, InvalidPattern, Refusal};
pub use self::address::{Kind, kind};
pub use self::commit::{Commit, Person};
pub use self::dial::{DialError, Resolve, SystemResolver};
pub use self::error::{Category, Error};
pub use self::programs::Programs;
pub use self::reader::{Before, Head, Reader};
pub use self::reference::{CommitId, InvalidReference, Reference};
pub use self::relation::{Ancestry, Relation, relation};
pub use self::schedule::{Pace, Schedule};
pub use self::signature::{Signature, SignatureProblem, Signers};
pub use self::snapshot::{Entry, Files, ReadError, Snapshot};
pub use self::source::{Credentials, Folder, History, InvalidFolder, Limits, Source};
pub use self::url::{InvalidUrl, RemoteUrl, Scheme};
