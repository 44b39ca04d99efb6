//! Reading one file without trusting what is behind its name.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use crate::Error;

/// The largest file that is read: what [`skep_yaml::Limits`] takes by default.
pub const MAX_FILE_BYTES: u64 = 4 << 20;

/// Reads a regular file of at most `limit` bytes. Blocks; symbolic links are followed.
///
/// # Errors
/// When it cannot be read, is no regular file, or is larger.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let failed = |source: std::io::Error| Error::Read { path: path.to_owned(), source };
    // Without NONBLOCK a pipe under this name would hold the caller until someone writes to it.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let descriptor =
        rustix::fs::open(path, flags, Mode::empty()).map_err(|error| failed(error.into()))?;
    let file = File::from(descriptor);
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let too_large = || Error::TooLarge { path: path.to_owned(), limit };
    if metadata.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    // The file may grow while it is read, and some file systems tell no size.
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= limit => Ok(bytes),
        _ => Err(too_large()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_of_a_sane_size_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("r.yml");
        std::fs::write(&path, "abcd").expect("a file");
        assert_eq!(read_file(&path, 4).expect("four bytes"), b"abcd");
        assert!(matches!(read_file(&path, 3), Err(Error::TooLarge { limit: 3, .. })));
        assert!(matches!(read_file(folder.path(), 9), Err(Error::NotAFile { .. })));
        // A device without a size and without an end.
        assert!(matches!(read_file(Path::new("/dev/zero"), 9), Err(Error::NotAFile { .. })));
        let missing = read_file(&folder.path().join("none.yml"), 9).expect_err("no file");
        assert!(missing.reason().contains("none.yml: No such file"), "{}", missing.reason());

        let pipe = folder.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
        assert!(matches!(read_file(&pipe, 9), Err(Error::NotAFile { .. })));

        let link = folder.path().join("link.yml");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert_eq!(read_file(&link, 9).expect("the file behind it"), b"abcd");
    }

    #[test]
    fn the_limit_is_the_parser_s() {
        assert_eq!(usize::try_from(MAX_FILE_BYTES), Ok(skep_yaml::Limits::default().bytes));
    }
}
