//! Where desired state comes from: registry files now, and stack files to look at.
//!
//! Reading is I/O and may fail at any time; what was good once must survive that. So a source
//! gives what it read together with the bytes it read it from ([`SourceBundle`]), and [`LastGood`]
//! keeps the last of them, across restarts too.

mod bundle;
mod error;
mod file;
mod last_good;
mod registry;
mod stack;

pub use bundle::{Role, SourceBundle, SourceFile};
pub use error::{Category, Error};
pub use file::{MAX_FILE_BYTES, read_file};
pub use last_good::{LastGood, Refreshed, SourceState};
pub use registry::{Loaded, RegistrySource};
pub use stack::StackFiles;
