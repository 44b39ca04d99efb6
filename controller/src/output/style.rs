//! Colour, or none.

/// Whether to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Style {
    color: bool,
}

macro_rules! styles {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        $($(#[$doc])* pub(crate) fn $name(self, text: &str) -> String { self.wrap($code, text) })+
    };
}

impl Style {
    /// With or without colour.
    pub(crate) fn new(color: bool) -> Self {
        Self { color }
    }

    styles! {
        /// Important.
        bold = "1",
        /// Unimportant.
        dim = "2",
        /// Wrong, or in the way.
        red = "31",
        /// New, or well.
        green = "32",
        /// Changed, or worth a look.
        yellow = "33",
        /// Taken over.
        cyan = "36",
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.color { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
