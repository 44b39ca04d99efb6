//! The values behind references, read where they are needed and kept nowhere.

use std::path::Path;

use skep_crds::value::EnvValue;

use crate::Error;
use crate::file::read_file;

/// The most that a referenced file may hold: a token or a certificate, not a data set.
const MAX_REFERENCE_BYTES: u64 = 64 * 1024;

/// The value of a variable: the literal itself, or what its reference stands for. Blocks.
///
/// # Errors
/// Why there is none; the text never holds a value.
pub fn resolve(value: &EnvValue) -> Result<String, String> {
    match value {
        EnvValue::Literal(text) => Ok(text.clone()),
        EnvValue::FromEnv(name) => match std::env::var(name) {
            Ok(text) if !text.is_empty() => Ok(text),
            Ok(_) => Err(format!("the environment variable {name} is empty")),
            Err(_) => Err(format!("the environment variable {name} is not set")),
        },
        EnvValue::FromFile(path) => read_reference(path),
        EnvValue::Unset => Err("it has no value".to_owned()),
    }
}

fn read_reference(path: &str) -> Result<String, String> {
    let bytes = read_file(Path::new(path), MAX_REFERENCE_BYTES).map_err(|error| match error {
        Error::Read { source, .. } => format!("the file {path}: {}", source.kind()),
        _ => {
            format!("the file {path} is not a regular file of at most {MAX_REFERENCE_BYTES} bytes")
        }
    })?;
    let text = String::from_utf8(bytes).map_err(|_| format!("the file {path}: it is not UTF-8"))?;
    // Editors end files with a line break that no token has.
    let text = text.strip_suffix('\n').map_or(&*text, |text| text.trim_end_matches('\r'));
    if text.is_empty() {
        return Err(format!("the file {path} is empty"));
    }
    Ok(text.to_owned())
}
