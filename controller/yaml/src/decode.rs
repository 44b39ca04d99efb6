//! From a tree to typed values.

use crate::cursor::{Cursor, Sink};
use crate::parse::Parsed;
use crate::problem::Problems;
use crate::resolve::Resolver;

/// A value that can be read from a node.
pub trait Decode: Sized {
    /// Whether a mapping must have a key for it.
    const REQUIRED: bool = true;

    /// Reads it, or notes what is wrong and gives `None`.
    fn decode(at: &Cursor<'_>) -> Option<Self>;

    /// The value of a key that is not there; `None` when it must be there.
    fn missing() -> Option<Self> {
        None
    }
}

impl<T: Decode> Decode for Option<T> {
    const REQUIRED: bool = false;

    fn decode(at: &Cursor<'_>) -> Option<Self> {
        T::decode(at).map(Some)
    }

    fn missing() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        let items = at.list()?;
        let mut out = Vec::with_capacity(items.len());
        let mut complete = true;
        for item in &items {
            match T::decode(item) {
                Some(item) => out.push(item),
                None => complete = false,
            }
        }
        complete.then_some(out)
    }
}

impl Decode for String {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        at.text()
    }
}

impl Decode for bool {
    fn decode(at: &Cursor<'_>) -> Option<Self> {
        at.boolean()
    }
}

/// Decodes a document: its own problems and those of the tree come together.
///
/// # Errors
/// Every problem, in reading order.
pub fn decode_document<T: Decode>(parsed: Parsed, resolver: Resolver) -> Result<T, Problems> {
    let Parsed { file, root, problems } = parsed;
    let sink = Sink::new(file.clone(), resolver);
    let value = root.as_deref().and_then(|root| T::decode(&sink.root(root)));
    let mut all = problems;
    all.append(sink.into_problems());
    all.into_result(&file, value)
}

#[cfg(test)]
mod tests;
