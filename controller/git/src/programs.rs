//! The programs that do the work, and where they are looked for.

use std::ffi::OsString;

/// The programs that do the work.
#[derive(Clone, Debug)]
pub struct Programs {
    /// git, of version 2.39 or later.
    pub git: OsString,
    /// The client of OpenSSH; needed for repositories over ssh only.
    pub ssh: OsString,
    /// Its tool for keys; needed for signatures of SSH only.
    pub ssh_keygen: OsString,
    /// GnuPG; needed for signatures of OpenPGP only.
    pub gpg: OsString,
    /// Where they, and what they call themselves, are looked for: the form of `PATH`.
    pub search_path: OsString,
}

impl Programs {
    /// The programs under their usual names.
    #[must_use]
    pub fn in_path(search_path: OsString) -> Self {
        Self {
            git: "git".into(),
            ssh: "ssh".into(),
            ssh_keygen: "ssh-keygen".into(),
            gpg: "gpg".into(),
            search_path,
        }
    }
}
