//! Where repositories may be read from: which hosts, which addresses, which folders.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;

use crate::address::{self, Kind};
use crate::url::{RemoteUrl, Scheme};

/// Where repositories may be read from. By default: any public address over https and ssh, and
/// no folder.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Only these hosts; empty: any.
    pub hosts: Vec<HostPattern>,
    /// Addresses that are allowed although they are not public.
    pub networks: Vec<IpNet>,
    /// The folders under which repositories of this machine may be.
    pub folders: Vec<PathBuf>,
}

/// A host, or all hosts below a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostPattern {
    /// Exactly this one.
    Exact(String),
    /// `*.example.com`: everything below, but not the domain itself.
    Below(String),
}

/// A text that is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither a host such as git.example.com nor a domain such as *.example.com")]
pub struct InvalidPattern(String);

impl HostPattern {
    /// Reads `git.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// When it is neither; `*` alone would allow everything by a slip.
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let (is_below, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "-._:".contains(one);
        if name.is_empty() || name.starts_with(['-', '.']) || !name.chars().all(is_plain) {
            return Err(InvalidPattern(text.to_owned()));
        }
        let name = name.to_ascii_lowercase();
        Ok(if is_below { Self::Below(name) } else { Self::Exact(name) })
    }

    fn matches(&self, host: &str) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Below(domain) => {
                host.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
        }
    }
}

/// Why a repository is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host is not one of those that are allowed.
    #[error("the host {0} is not allowed")]
    Host(String),
    /// The folder is not under one of those that are allowed.
    #[error("the folder {0} is not under an allowed one")]
    Folder(String),
    /// ssh without a list of known hosts would trust whoever answers first.
    #[error("it is read over ssh, and no known hosts are given")]
    NoKnownHosts,
    /// Credentials of one kind do not fit the other.
    #[error("{0}")]
    Credentials(&'static str),
}

impl Refusal {
    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Host(host) => format!("add {host} to the allowed hosts, if it is meant"),
            Self::Folder(_) => "add the folder to the allowed folders, if it is meant".to_owned(),
            Self::NoKnownHosts => {
                "give the server's host keys: ssh-keyscan HOST, compared with what its owner \
                 publishes"
                    .to_owned()
            }
            Self::Credentials(_) => {
                "give a password or token for https, a private key for ssh".to_owned()
            }
        }
    }
}

impl Access {
    /// Whether an address may be asked at all. Which machine answers is checked when it is dialled.
    ///
    /// # Errors
    /// When the host or the folder is not allowed.
    pub fn check(&self, url: &RemoteUrl) -> Result<(), Refusal> {
        match url.folder() {
            Some(folder) => self.folder(&folder).map(drop),
            None => {
                let host = url.host();
                let is_listed = self.hosts.iter().any(|pattern| pattern.matches(host));
                let is_allowed = self.hosts.is_empty() || is_listed;
                debug_assert!(url.scheme() != Scheme::File);
                if is_allowed { Ok(()) } else { Err(Refusal::Host(host.to_owned())) }
            }
        }
    }

    /// Whether a host is named among those that are allowed; where none is named, none is.
    #[must_use]
    pub fn names(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// The folder with all links followed, if it is under an allowed one. git gets this one, so
    /// that a link that is changed in between leads nowhere else.
    pub(crate) fn folder(&self, folder: &Path) -> Result<PathBuf, Refusal> {
        let refused = || Refusal::Folder(folder.display().to_string());
        let real = folder.canonicalize().map_err(|_| refused())?;
        let is_under = |allowed: &PathBuf| {
            allowed.canonicalize().is_ok_and(|allowed| real.starts_with(allowed))
        };
        if self.folders.iter().any(is_under) { Ok(real) } else { Err(refused()) }
    }

    /// What an address is, when it may not be dialled.
    #[must_use]
    pub fn refuses(&self, address: IpAddr) -> Option<Kind> {
        let kind = address::kind(address)?;
        let address = address.to_canonical();
        let is_allowed = |network: &&IpNet| {
            // The service that gives out a machine's own credentials must be named by itself: a
            // network around it is never meant to include it.
            let by_itself = network.prefix_len() == network.max_prefix_len();
            network.contains(&address) && (kind != Kind::Metadata || by_itself)
        };
        if self.networks.iter().any(|network| is_allowed(&network)) { None } else { Some(kind) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(hosts: &[&str], networks: &[&str]) -> Access {
        Access {
            hosts: hosts.iter().map(|host| HostPattern::parse(host).expect(host)).collect(),
            networks: networks.iter().map(|text| text.parse().expect(text)).collect(),
            folders: Vec::new(),
        }
    }

    #[test]
    fn only_listed_hosts_are_asked() {
        let url = |text: &str| RemoteUrl::parse(text).expect(text);
        let access = access(&["git.example.com", "*.forge.example"], &[]);
        for text in [
            "https://git.example.com/o/r",
            "git@GIT.example.com:o/r",
            "https://a.b.forge.example/r",
        ] {
            assert_eq!(access.check(&url(text)), Ok(()), "{text}");
        }
        for text in [
            "https://example.com/o/r",
            "https://forge.example/o/r",
            "https://evilforge.example/o/r",
            "https://git.example.com.evil.example/o/r",
        ] {
            assert!(matches!(access.check(&url(text)), Err(Refusal::Host(_))), "{text}");
        }
        assert_eq!(Access::default().check(&url("https://any.example/o/r")), Ok(()));
        for text in ["*", "*.", "", ".a", "-a", "a b", "*.*.a"] {
            assert!(HostPattern::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn folders_are_read_only_where_it_is_allowed() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        for name in ["in", "out"] {
            std::fs::create_dir(root.join(name)).expect("a folder");
        }
        std::os::unix::fs::symlink(root.join("out"), root.join("in/link")).expect("a link");
        let url =
            |path: &Path| RemoteUrl::parse(&format!("file://{}", path.display())).expect("a URL");
        let access = Access { folders: vec![root.join("in")], ..Access::default() };
        assert_eq!(access.check(&url(&root.join("in"))), Ok(()));
        for path in ["out", "in/link", "in/none"] {
            assert!(
                matches!(access.check(&url(&root.join(path))), Err(Refusal::Folder(_))),
                "{path}"
            );
        }
        assert!(
            Access::default().check(&url(&root.join("in"))).is_err(),
            "none is allowed by itself"
        );
    }

    #[test]
    fn a_network_opens_itself_and_no_metadata() {
        let ip = |text: &str| text.parse::<IpAddr>().expect(text);
        let access = access(&[], &["10.1.0.0/16", "169.254.0.0/16", "fd00::/8"]);
        assert_eq!(access.refuses(ip("10.1.2.3")), None);
        assert_eq!(access.refuses(ip("::ffff:10.1.2.3")), None);
        assert_eq!(access.refuses(ip("10.2.0.1")), Some(Kind::Private));
        assert_eq!(access.refuses(ip("169.254.1.1")), None);
        assert_eq!(access.refuses(ip("169.254.169.254")), Some(Kind::Metadata));
        assert_eq!(access.refuses(ip("::ffff:169.254.169.254")), Some(Kind::Metadata));
        assert_eq!(access.refuses(ip("fd00:ec2::254")), Some(Kind::Metadata));
        let named = super::tests::access(&[], &["169.254.169.254/32"]);
        assert_eq!(named.refuses(ip("169.254.169.254")), None);
    }
}
