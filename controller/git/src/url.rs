//! Where a repository is. What is written is taken apart, checked, and put together again, so
//! that git, curl and ssh see nothing but what was understood here.

use std::fmt;
use std::path::{Path, PathBuf};

use url::{Host, Url};

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// HTTP over TLS.
    Https,
    /// SSH.
    Ssh,
    /// A folder of this machine.
    File,
}

impl Scheme {
    /// The word before `://`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Ssh => "ssh",
            Self::File => "file",
        }
    }

    pub(crate) const fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Ssh => 22,
            Self::File => 0,
        }
    }
}

/// The address of a repository. Its text never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RemoteUrl {
    scheme: Scheme,
    user: Option<String>,
    /// Without brackets; empty for a folder.
    host: String,
    port: u16,
    /// As it stands in a URL, with percent-encoding, beginning with `/`; or as it stands behind
    /// `user@host:`, where nothing is encoded and a missing `/` means the home of the user there.
    path: String,
    is_short: bool,
}

/// Why a text is not the address of a repository. The text is not repeated: it may hold a
/// password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// git would take it for an option.
    #[error("it begins with a dash")]
    Dash,
    /// It names a helper program, such as `ext::`.
    #[error("it names a transport helper (`{0}::`), which would run a program")]
    Helper(String),
    /// The scheme is not one of those that are read.
    #[error("its scheme is {0:?}; repositories are read over https, ssh and file")]
    Scheme(String),
    /// It cannot be taken apart.
    #[error("it is not an address of a repository: {0}")]
    Syntax(String),
    /// It would be in logs and in the list of processes.
    #[error("it has a password in it; name the password by a reference instead")]
    Password,
    /// The user would be an option or break a line.
    #[error("its user has characters other than letters, digits, `-`, `_`, `.` and `+`")]
    User,
    /// No machine, or a folder with one.
    #[error("{0}")]
    Host(&'static str),
    /// Nothing comes after the machine.
    #[error("it names no repository on that machine")]
    NoPath,
    /// A question mark or a hash has no meaning for git.
    #[error("it has a query or a fragment, which an address of a repository has not")]
    Query,
    /// Line breaks and the like end a request early.
    #[error("it has control characters or blanks")]
    Control,
}

impl RemoteUrl {
    /// Reads `https://host/path`, `ssh://user@host/path`, `user@host:path` or `file:///path`.
    ///
    /// # Errors
    /// See [`InvalidUrl`].
    pub fn parse(text: &str) -> Result<Self, InvalidUrl> {
        if text.starts_with('-') {
            return Err(InvalidUrl::Dash);
        }
        if text.chars().any(|one| one.is_control() || one.is_whitespace()) {
            return Err(InvalidUrl::Control);
        }
        // git takes whatever stands before `::` for the name of a program, whatever follows.
        if let Some((helper, _)) = text.split_once("::")
            && helper.chars().all(|one| one.is_ascii_alphanumeric() || "+-.".contains(one))
        {
            return Err(InvalidUrl::Helper(helper.to_owned()));
        }
        match text.split_once("://") {
            Some((scheme, _)) => Self::parse_url(scheme, text),
            None => Self::parse_short(text),
        }
    }

    fn parse_url(scheme: &str, text: &str) -> Result<Self, InvalidUrl> {
        let scheme = match scheme.to_ascii_lowercase().as_str() {
            "https" => Scheme::Https,
            "ssh" => Scheme::Ssh,
            "file" => Scheme::File,
            other => return Err(InvalidUrl::Scheme(other.to_owned())),
        };
        let url = Url::parse(text).map_err(|error| InvalidUrl::Syntax(error.to_string()))?;
        if url.password().is_some() {
            return Err(InvalidUrl::Password);
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidUrl::Query);
        }
        let user = Some(url.username()).filter(|user| !user.is_empty()).map(str::to_owned);
        if scheme == Scheme::File {
            if url.host().is_some() || user.is_some() {
                return Err(InvalidUrl::Host("a folder is written with three slashes: file:///"));
            }
            return Self::new(scheme, None, String::new(), 0, url.path());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_ascii_lowercase(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(InvalidUrl::Host("it names no host")),
        };
        let port = url.port().unwrap_or(scheme.default_port());
        Self::new(scheme, user, host, port, url.path())
    }

    /// `user@host:path`, as git itself writes it for ssh.
    fn parse_short(text: &str) -> Result<Self, InvalidUrl> {
        let Some((before, path)) = text.split_once(':') else {
            let why = "write https://…, ssh://…, user@host:path or file:///…";
            return Err(InvalidUrl::Syntax(why.to_owned()));
        };
        let (user, host) = match before.rsplit_once('@') {
            Some((user, host)) => (Some(user.to_owned()), host),
            None => (None, before),
        };
        if before.contains('/') {
            let why = "a folder is written as file:///path";
            return Err(InvalidUrl::Syntax(why.to_owned()));
        }
        if path.starts_with('-') {
            return Err(InvalidUrl::Dash);
        }
        // `user:password@host:path`, as it is written elsewhere.
        if path.split('/').next().is_some_and(|first| first.contains('@')) {
            return Err(InvalidUrl::Password);
        }
        let port = Scheme::Ssh.default_port();
        // What is no URL has nothing encoded in it.
        let encoded = path.replace('%', "%25");
        let checked = Self::new(Scheme::Ssh, user, host.to_ascii_lowercase(), port, &encoded)?;
        Ok(Self { path: path.to_owned(), is_short: true, ..checked })
    }

    fn new(
        scheme: Scheme,
        user: Option<String>,
        host: String,
        port: u16,
        path: &str,
    ) -> Result<Self, InvalidUrl> {
        if scheme != Scheme::File {
            check_host(&host)?;
        }
        let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_.+".contains(one);
        if let Some(user) = &user {
            if user.contains(':') {
                return Err(InvalidUrl::Password);
            }
            if user.starts_with('-') || !user.chars().all(is_plain) {
                return Err(InvalidUrl::User);
            }
        }
        if path.trim_matches('/').is_empty() {
            return Err(InvalidUrl::NoPath);
        }
        let decoded =
            decode(path).ok_or_else(|| InvalidUrl::Syntax("bad % sequence".to_owned()))?;
        if decoded.iter().any(u8::is_ascii_control) {
            return Err(InvalidUrl::Control);
        }
        Ok(Self { scheme, user, host, port, path: path.to_owned(), is_short: false })
    }

    /// How it is reached.
    #[must_use]
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The machine, in lower case and without brackets; empty for a folder.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, also when it is the usual one; zero for a folder.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Who asks, when the address says it.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The folder of this machine.
    #[must_use]
    pub fn folder(&self) -> Option<PathBuf> {
        use std::os::unix::ffi::OsStringExt as _;
        if self.scheme != Scheme::File {
            return None;
        }
        decode(&self.path).map(|bytes| PathBuf::from(std::ffi::OsString::from_vec(bytes)))
    }

    /// The address as git gets it over https: without a user, so that nothing but the credentials
    /// of this source is ever asked for.
    pub(crate) fn for_https(&self) -> String {
        format!("https://{}{}", self.authority(Scheme::Https.default_port()), self.path)
    }

    /// The address as git gets it over ssh: the port is that of the forwarder and stands in the
    /// configuration of ssh.
    pub(crate) fn for_ssh(&self) -> String {
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let host = bracketed(&self.host);
        if self.is_short {
            return format!("{user}{host}:{}", self.path);
        }
        format!("ssh://{user}{host}{}", self.path)
    }

    /// `host` or `host:port`, for a request and for the list of known hosts.
    pub(crate) fn authority(&self, usual: u16) -> String {
        let host = bracketed(&self.host);
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The name under which ssh looks a host key up.
    pub(crate) fn known_host(&self) -> String {
        if self.port == Scheme::Ssh.default_port() {
            self.host.clone()
        } else {
            format!("[{}]:{}", self.host, self.port)
        }
    }
}

/// The address of a folder as git gets it.
pub(crate) fn of_folder(folder: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    let mut text = "file://".to_owned();
    for &byte in folder.as_os_str().as_bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"/-_.~".contains(&byte);
        if plain {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

impl fmt::Display for RemoteUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.scheme.as_str();
        if self.is_short {
            return f.write_str(&self.for_ssh());
        }
        let user = self.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
        let authority = match self.scheme {
            Scheme::File => String::new(),
            other => self.authority(other.default_port()),
        };
        write!(f, "{scheme}://{user}{authority}{}", self.path)
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// A name or an address; nothing that a shell, ssh or curl could read as something else.
fn check_host(host: &str) -> Result<(), InvalidUrl> {
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Ok(());
    }
    if host.is_empty() {
        return Err(InvalidUrl::Host("it names no host"));
    }
    if host.starts_with('-') {
        return Err(InvalidUrl::Host("its host begins with a dash"));
    }
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-._".contains(one);
    if host.len() > 253 || !host.chars().all(is_plain) {
        return Err(InvalidUrl::Host(
            "its host has characters other than letters, digits, `-`, `_` and `.`",
        ));
    }
    Ok(())
}

/// The bytes that a percent-encoded text stands for.
fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        decoded.push(u8::try_from(high * 16 + low).ok()?);
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_forms_are_understood() {
        for (text, shown) in [
            ("https://git.example.com/o/r.git", "https://git.example.com/o/r.git"),
            ("HTTPS://Git.Example.com:443/o/r", "https://git.example.com/o/r"),
            ("https://bot@git.example.com:8443/o/r", "https://bot@git.example.com:8443/o/r"),
            ("ssh://git@git.example.com:2222/o/r.git", "ssh://git@git.example.com:2222/o/r.git"),
            ("git@git.example.com:o/r.git", "git@git.example.com:o/r.git"),
            ("git@git.example.com:/srv/r%", "git@git.example.com:/srv/r%"),
            ("file:///srv/a%20b.git", "file:///srv/a%20b.git"),
            ("https://[2001:db8::1]:3000/o/r", "https://[2001:db8::1]:3000/o/r"),
        ] {
            assert_eq!(RemoteUrl::parse(text).expect(text).to_string(), shown);
        }
        let folder = RemoteUrl::parse("file:///srv/a%20b.git").expect("a folder").folder();
        assert_eq!(folder.as_deref(), Some(Path::new("/srv/a b.git")));
        assert_eq!(of_folder(Path::new("/srv/a b%.git")), "file:///srv/a%20b%25.git");
    }

    #[test]
    fn what_could_run_a_program_or_leak_is_refused() {
        for (text, expected) in [
            ("--upload-pack=touch /x", InvalidUrl::Dash),
            ("-oProxyCommand=x:y", InvalidUrl::Dash),
            ("ext::sh -c true", InvalidUrl::Control),
            ("ext::sh", InvalidUrl::Helper("ext".to_owned())),
            ("fd::17", InvalidUrl::Helper("fd".to_owned())),
            ("https::https://x/y", InvalidUrl::Helper("https".to_owned())),
            ("http://git.example.com/o/r", InvalidUrl::Scheme("http".to_owned())),
            ("git://git.example.com/o/r", InvalidUrl::Scheme("git".to_owned())),
            ("https://u:hunter2@git.example.com/o/r", InvalidUrl::Password),
            ("u:hunter2@git.example.com:o/r", InvalidUrl::Password),
            ("ssh://-oProxyCommand=x/y", InvalidUrl::Host("x")),
            ("-x@host:path", InvalidUrl::Dash),
            ("ssh://-x@host/path", InvalidUrl::User),
            ("git@-oProxyCommand=x:y", InvalidUrl::Host("x")),
            ("git@host:--upload-pack=x", InvalidUrl::Dash),
            ("https://git.example.com/o/r?x=1", InvalidUrl::Query),
            ("https://git.example.com/o/r%0d%0aX", InvalidUrl::Control),
            ("https://git.example.com/o/r\nX", InvalidUrl::Control),
            ("https://git.example.com/", InvalidUrl::NoPath),
            ("file://host/srv/r", InvalidUrl::Host("x")),
            ("/srv/r", InvalidUrl::Syntax(String::new())),
            ("./a:b", InvalidUrl::Syntax(String::new())),
        ] {
            let error = RemoteUrl::parse(text).expect_err(text);
            let same = std::mem::discriminant(&error) == std::mem::discriminant(&expected);
            assert!(same, "{text}: {error:?}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

    proptest! {
        /// What git gets is read back as what was understood.
        #[test]
        fn nothing_gets_past_the_check_in_disguise(text in ".{0,60}") {
            if let Ok(url) = RemoteUrl::parse(&text) {
                let shown = url.to_string();
                prop_assert!(!shown.starts_with('-') && !shown.contains("::") || url.host().contains(':'));
                prop_assert_eq!(RemoteUrl::parse(&shown).expect("its own text"), url);
            }
        }
    }
}
