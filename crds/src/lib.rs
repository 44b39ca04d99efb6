//! The kinds that users write: the connector registry, stacks, and the action policy.
//!
//! Each kind is declared once, as a list of fields with formats ([`format`]); reading it, its
//! problems with line and column, and its JSON Schema all come from that declaration. What is read
//! is validated: a value of these types needs no further check by its users.

mod format;
pub mod policy;
pub mod registry;
mod schema;
pub mod stack;
pub mod stacks;
pub mod value;

pub use schema::{schema_text, schemas};
pub use skep_yaml::{Location, Problem, Problems};
