//! The forms in which programs write down a text that somebody gave them.

use std::fmt;

use base64::engine::general_purpose::{STANDARD, URL_SAFE};

/// A way of writing bytes down. Upper and lower case are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// From behind.
    Reversed,
    /// Base64 in either alphabet, at any place of a longer text.
    Base64,
    /// Two hexadecimal digits a byte.
    Hexadecimal,
    /// `%63%61`, as in a URL.
    Percent,
    /// `\u0063\u0061`, as in JSON.
    UnicodeEscape,
    /// `99, 97`, as Rust and JSON write lists of bytes.
    Numbers,
    /// Two bytes a character.
    Utf16,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "as it is",
            Self::Reversed => "reversed",
            Self::Base64 => "in base64",
            Self::Hexadecimal => "in hexadecimal digits",
            Self::Percent => "encoded for a URL",
            Self::UnicodeEscape => "in JSON's escapes",
            Self::Numbers => "as a list of numbers",
            Self::Utf16 => "in UTF-16",
        })
    }
}

/// Every form of a text.
pub(super) fn forms(text: &str) -> Vec<(Form, Vec<u8>)> {
    let each = |write: &dyn Fn(u8) -> String| text.bytes().map(write).collect::<Vec<_>>();
    let mut forms = vec![
        (Form::Plain, text.as_bytes().to_vec()),
        (Form::Reversed, text.bytes().rev().collect()),
        (Form::Hexadecimal, each(&|byte| format!("{byte:02x}")).concat().into_bytes()),
        (Form::Percent, each(&|byte| format!("%{byte:02x}")).concat().into_bytes()),
        (Form::UnicodeEscape, each(&|byte| format!("\\u{byte:04x}")).concat().into_bytes()),
        (Form::Numbers, each(&|byte| byte.to_string()).join(", ").into_bytes()),
        (Form::Numbers, each(&|byte| byte.to_string()).join(",").into_bytes()),
        (Form::Utf16, text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ];
    for alphabet in [&STANDARD, &URL_SAFE] {
        forms.extend((0..3).map(|offset| (Form::Base64, inside(alphabet, text, offset))));
    }
    forms
}

/// The characters that depend on nothing but the text, when so many bytes (modulo three) stand
/// before it.
fn inside(alphabet: &impl base64::Engine, text: &str, offset: usize) -> Vec<u8> {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(text.as_bytes());
    let encoded = alphabet.encode(&bytes);
    let encoded = encoded.trim_end_matches('=').as_bytes();
    // A character that carries bits of a neighbour is another one beside another neighbour.
    let from = [0, 2, 3].get(offset).copied().unwrap_or_default();
    let to = if bytes.len().is_multiple_of(3) { encoded.len() } else { encoded.len() - 1 };
    encoded.get(from..to).unwrap_or_default().to_vec()
}
