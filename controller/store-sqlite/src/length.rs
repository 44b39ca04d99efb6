//! Whether a file is as long as it says. SQLite takes a file of one byte for an empty database,
//! and does not miss the end of the last page.
//!
//! The header is described at <https://sqlite.org/fileformat2.html#the_database_header>.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use skep_store::Error;

use crate::connect::OPERATION;
use crate::error::{Cause, IntoStoreError as _};

const HEADER: usize = 100;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Refuses a file that has been cut off.
///
/// With a write-ahead log beside it the file may be short, after a crash or while another process
/// moves the log into it; then the log completes it.
pub(crate) fn check(path: &Path) -> Result<(), Cause> {
    if has_log(path) {
        return Ok(());
    }
    let unreadable = |source| Cause::Unreadable { path: path.to_owned(), source };
    let Some((found, expected)) = lengths(path).map_err(unreadable)? else { return Ok(()) };
    // A log that has appeared meanwhile was another process at work.
    if found >= expected || has_log(path) {
        return Ok(());
    }
    Err(Cause::CutOff { found, expected })
}

/// Refuses a file that is no database of SQLite.
pub(crate) fn recognise(path: &Path) -> skep_store::Result<()> {
    let mut start = [0; MAGIC.len()];
    let begins = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok();
    if begins && start == *MAGIC {
        return check(path).during(OPERATION);
    }
    let source = format!("{} is not a SQLite database", path.display()).into();
    Err(Error::Corrupt { what: "database", source })
}

pub(crate) fn has_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(PathBuf::from(log)).is_ok_and(|log| log.len() > 0)
}

/// The length, and the one that the header asks for; `None` when there is nothing to compare.
fn lengths(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    let found = metadata.len();
    if !metadata.is_file() || found == 0 {
        return Ok(None);
    }
    let mut header = Vec::with_capacity(HEADER);
    file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
    Ok(expected(&header).map(|expected| (found, expected)))
}

/// The length that a header asks for; `None` when it is not one of SQLite's, which SQLite itself
/// then says.
fn expected(header: &[u8]) -> Option<u64> {
    let compared = header.len().min(MAGIC.len());
    if header.get(..compared) != MAGIC.get(..compared) {
        return None;
    }
    if header.len() < HEADER {
        return Some(HEADER as u64);
    }
    let page_size = match u16::from_be_bytes(header.get(16..18)?.try_into().ok()?) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = u32::from_be_bytes(header.get(28..32)?.try_into().ok()?);
    Some(page_size * u64::from(pages))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_tells_the_length() {
        let mut header = b"SQLite format 3\0".to_vec();
        assert_eq!(expected(&header), Some(100));
        header.resize(HEADER, 0);
        header[16..18].copy_from_slice(&[0x10, 0x00]);
        header[28..32].copy_from_slice(&[0, 0, 1, 2]);
        assert_eq!(expected(&header), Some(4096 * 258));
        header[16..18].copy_from_slice(&[0, 1]);
        assert_eq!(expected(&header), Some(65_536 * 258));
        assert_eq!(expected(b"S"), Some(100));
        assert_eq!(expected(b"these are my notes"), None);
    }
}
