//! Values that are checked when they are read: whoever holds one need not check it again.

mod duration;
mod env;
mod image;
mod name;
mod pointer;
mod quantity;
mod text;

pub use duration::Duration;
pub use env::{EnvValue, Environment, STANDARD_VARIABLES, looks_secret};
pub use image::ImageReference;
pub use name::{MAX_SERVICE_NAME, Name};
pub use pointer::JsonPointer;
pub(crate) use quantity::Size;
pub use quantity::{Bytes, NanoCpus};
pub(crate) use text::{Labels, Words, is_reserved_label, pairs, pairs_schema, scalar_text};
