//! YAML for data.

use serde::Serialize;

/// The data as one YAML document.
pub(super) fn to_string<T: Serialize>(data: &T) -> Result<String, serde_saphyr::ser::Error> {
    let mut text = serde_saphyr::to_string(data)?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
