//! What bytes must be before they are read as YAML.

use crate::parse::Limits;
use crate::tree::Position;

/// Why the bytes are no text to read.
pub(crate) struct Refusal {
    pub(crate) at: Option<Position>,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: &'static str,
}

fn refusal<T>(
    at: Option<Position>,
    code: &'static str,
    message: impl Into<String>,
    hint: &'static str,
) -> Result<T, Refusal> {
    Err(Refusal { at, code, message: message.into(), hint })
}

/// The bytes as a text that YAML may be read from.
pub(crate) fn text<'b>(bytes: &'b [u8], limits: &Limits) -> Result<&'b str, Refusal> {
    if bytes.len() > limits.bytes {
        let (size, most) = (bytes.len(), limits.bytes);
        let message = format!("the file is too large: {size} bytes, at most {most} are read");
        return refusal(None, "TOO_LARGE", message, "split it into several files");
    }
    if bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF]) {
        let message = "the file is UTF-16, not UTF-8";
        return refusal(None, "NOT_UTF8", message, "save the file as UTF-8");
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
            let at = after(&String::from_utf8_lossy(good));
            let message = "the file is not UTF-8 from here on";
            return refusal(Some(at), "NOT_UTF8", message, "save the file as UTF-8");
        }
    };
    let text = match text.strip_prefix('\u{FEFF}') {
        None => text,
        Some(rest) if limits.byte_order_mark => rest,
        Some(_) => {
            let message = "the file begins with a byte-order mark";
            let hint = "save the file as UTF-8 without a byte-order mark";
            return refusal(Some(after("")), "BYTE_ORDER_MARK", message, hint);
        }
    };
    // YAML allows no control characters but tab and line breaks; NUL hides text from people.
    let control = |char: char| char.is_control() && !matches!(char, '\t' | '\n' | '\r' | '\u{85}');
    match text.char_indices().find(|(_, char)| control(*char)) {
        None => Ok(text),
        Some((index, char)) => {
            let at = after(text.get(..index).unwrap_or_default());
            let message =
                format!("a control character (U+{:04X}) is not allowed here", u32::from(char));
            let hint = "write it as an escape in double quotes, such as \"\\x07\"";
            refusal(Some(at), "CONTROL_CHARACTER", message, hint)
        }
    }
}

/// The position after a text.
fn after(text: &str) -> Position {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX - 1) + 1;
    let line = text.bytes().filter(|byte| *byte == b'\n').count();
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: number(line), column: number(last.chars().count()) }
}
