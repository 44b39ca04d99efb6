//! Where desired state comes from: registry files, and stack files of this machine or of a commit.
//!
//! Reading is I/O and may fail at any time; what was good once must survive that. So a source
//! gives what it read together with the bytes it read it from ([`SourceBundle`]), and [`LastGood`]
//! keeps the last of them, across restarts too.

mod bundle;
mod checkout;
mod error;
mod file;
mod last_good;
mod references;
mod registry;
mod stack;
mod stack_source;
mod stacks;

pub use bundle::{Commit, Replaced, Role, SourceBundle, SourceFile};
pub use checkout::Checkout;
pub use error::{Category, Error};
pub use file::{MAX_FILE_BYTES, read_file};
pub use last_good::{Content, LastGood, Refreshed, Source, SourceState};
pub use references::resolve;
pub use registry::{Loaded, RegistrySource};
pub use stack::StackFiles;
pub use stack_source::{LoadedStack, StackSource};
pub use stacks::{LoadedStacks, StacksSource};
