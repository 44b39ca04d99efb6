//! How git reaches one server: the forwarder, the credentials in files of this run, and the
//! settings that make git, curl and ssh use nothing else.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use skep_core::ports::SecretSource;

use crate::access::Access;
use crate::cache::RunFolder;
use crate::dial::Dialer;
use crate::environment::{self, Variables, shell_word};
use crate::error::Error;
use crate::forward::{Forwarder, Manner, Target};
use crate::programs::Programs;
use crate::source::{Credentials, Limits, Source};
use crate::url::{self, Scheme};

/// The way to one server, for one run.
pub(crate) struct Network {
    /// The address as git gets it.
    pub(crate) address: String,
    /// The environment of programs that talk to the server.
    pub(crate) environment: Variables,
    /// What is taken out of everything that is said.
    pub(crate) secrets: Vec<String>,
    /// None for a folder.
    pub(crate) forwarder: Option<Forwarder>,
}

/// What a way is made from.
pub(crate) struct Way<'a> {
    pub(crate) source: &'a Source,
    pub(crate) access: &'a Access,
    pub(crate) dialer: &'a Dialer,
    pub(crate) limits: &'a Limits,
    pub(crate) programs: &'a Programs,
    pub(crate) run: &'a RunFolder,
}

impl Way<'_> {
    /// Makes the way ready. Nothing is sent yet.
    pub(crate) async fn ready(&self) -> Result<Network, Error> {
        let environment = environment::strict(self.run.path(), &self.programs.search_path);
        let mut network = match self.source.url.scheme() {
            Scheme::Https => self.https(environment).await?,
            Scheme::Ssh => self.ssh(environment).await?,
            Scheme::File => self.folder(environment)?,
        };
        let protocol = self.source.url.scheme().as_str();
        environment::set(&mut network.environment, "GIT_ALLOW_PROTOCOL", protocol);
        Ok(network)
    }

    fn url(&self) -> String {
        self.source.url.to_string()
    }

    fn file(&self, name: &str, text: &str) -> Result<String, Error> {
        let path = self.run.secret(name, text).map_err(|source| self.unusable(source))?;
        Ok(path.display().to_string())
    }

    fn unusable(&self, source: std::io::Error) -> Error {
        Error::Cache { path: self.run.path().display().to_string(), source }
    }

    fn reveal(&self, what: &'static str, secret: &dyn SecretSource) -> Result<String, Error> {
        let failed = |reason| Error::Secret { url: self.url(), what, reason };
        secret.reveal().map_err(failed)
    }

    async fn forwarder(&self, manner: Manner) -> Result<Forwarder, Error> {
        let url = &self.source.url;
        let target =
            Target { host: url.host().to_owned(), port: url.port(), most: self.limits.transfer };
        let started = Forwarder::start(manner, target, self.dialer.clone()).await;
        started.map_err(|source| self.unusable(source))
    }

    async fn https(&self, mut environment: Variables) -> Result<Network, Error> {
        let forwarder = self.forwarder(Manner::Proxy).await?;
        let mut settings = environment::settings();
        settings.push(("http.proxy", forwarder.proxy()));
        settings.push(("http.proxyAuthMethod", "basic".to_owned()));
        let mut secrets = vec![forwarder.password().to_owned()];
        if let Some(authorities) = &self.source.authorities {
            let text = self.reveal("the CA file", authorities.as_ref())?;
            settings.push(("http.sslCAInfo", self.file("authorities.pem", &text)?));
        }
        if let Credentials::Password { user, password } = &self.source.credentials {
            let password = self.reveal("the password", password.as_ref())?;
            let user = self.source.url.user().unwrap_or(user);
            let authority = self.source.url.authority(Scheme::Https.default_port());
            let line = format!("https://{}:{}@{authority}\n", encoded(user), encoded(&password));
            // The helper that comes with git; it asks nobody and forgets with the file.
            let file = shell_word(&self.file("credentials", &line)?);
            settings.push(("credential.helper", format!("store --file={file}")));
            secrets.push(encoded(&password));
            secrets.push(STANDARD.encode(format!("{user}:{password}")));
            secrets.push(password);
        }
        environment.extend(environment::as_variables(&settings));
        let address = self.source.url.for_https();
        Ok(Network { address, environment, secrets, forwarder: Some(forwarder) })
    }

    async fn ssh(&self, mut environment: Variables) -> Result<Network, Error> {
        let Credentials::Key { key, known_hosts } = &self.source.credentials else {
            let refusal = crate::access::Refusal::NoKnownHosts;
            return Err(Error::Refused { url: self.url(), refusal });
        };
        let key = self.reveal("the private key", key.as_ref())?;
        let known_hosts = self.reveal("the list of known hosts", known_hosts.as_ref())?;
        let forwarder = self.forwarder(Manner::Direct).await?;
        // ssh does not read a key without a line break at its end.
        let key_file = self.file("key", &format!("{}\n", key.trim_end()))?;
        let known_file = self.file("known_hosts", &format!("{}\n", known_hosts.trim_end()))?;
        let known_host = self.source.url.known_host();
        let settings = ssh_settings(forwarder.port(), &known_host, &key_file, &known_file);
        let settings = self.file("ssh_config", &settings)?;
        let ssh = self.programs.ssh.to_string_lossy();
        let command = format!("{} -F {}", shell_word(&ssh), shell_word(&settings));
        environment::set(&mut environment, "GIT_SSH_COMMAND", command);
        environment::set(&mut environment, "GIT_SSH_VARIANT", "ssh");
        environment.extend(environment::as_variables(&environment::settings()));
        let address = self.source.url.for_ssh();
        Ok(Network { address, environment, secrets: vec![key], forwarder: Some(forwarder) })
    }

    fn folder(&self, mut environment: Variables) -> Result<Network, Error> {
        let refused = |refusal| Error::Refused { url: self.url(), refusal };
        let folder = self.source.url.folder().unwrap_or_default();
        let real = self.access.folder(&folder).map_err(refused)?;
        environment.extend(environment::as_variables(&environment::settings()));
        let address = url::of_folder(&real);
        Ok(Network { address, environment, secrets: Vec::new(), forwarder: None })
    }
}

/// The only configuration that ssh reads. It connects to the forwarder and expects the key of the
/// server behind it.
fn ssh_settings(port: u16, known_host: &str, key: &str, known_hosts: &str) -> String {
    let mut text = "Host *\n".to_owned();
    let port = port.to_string();
    let (key, known_hosts) = (quoted(key), quoted(known_hosts));
    for (name, value) in [
        ("HostName", "127.0.0.1"),
        ("Port", &port),
        ("HostKeyAlias", known_host),
        ("CheckHostIP", "no"),
        ("StrictHostKeyChecking", "yes"),
        ("UserKnownHostsFile", &known_hosts),
        ("GlobalKnownHostsFile", "/dev/null"),
        ("UpdateHostKeys", "no"),
        ("VerifyHostKeyDNS", "no"),
        ("IdentityFile", &key),
        ("IdentitiesOnly", "yes"),
        ("IdentityAgent", "none"),
        ("AddKeysToAgent", "no"),
        ("PreferredAuthentications", "publickey"),
        ("PasswordAuthentication", "no"),
        ("KbdInteractiveAuthentication", "no"),
        ("GSSAPIAuthentication", "no"),
        ("HostbasedAuthentication", "no"),
        ("BatchMode", "yes"),
        ("ConnectTimeout", "10"),
        ("ConnectionAttempts", "1"),
        ("ServerAliveInterval", "15"),
        ("ServerAliveCountMax", "3"),
        ("ControlMaster", "no"),
        ("ControlPath", "none"),
        ("ProxyCommand", "none"),
        ("ProxyJump", "none"),
        ("CanonicalizeHostname", "no"),
        ("ClearAllForwardings", "yes"),
        ("ForwardAgent", "no"),
        ("ForwardX11", "no"),
        ("PermitLocalCommand", "no"),
        ("Tunnel", "no"),
        ("RequestTTY", "no"),
        ("EscapeChar", "none"),
        ("LogLevel", "ERROR"),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "    {name} {value}");
    }
    text
}

/// A path as a value of ssh's configuration, where `%` would begin a token.
fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('%', "%%"))
}

/// A text as a part of a URL.
fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// True when a path can be written into the files that git's programs read.
pub(crate) fn is_plain(path: &Path) -> bool {
    path.to_str().is_some_and(|text| !text.contains(['"', '\n', '\\']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_whole_in_a_url() {
        assert_eq!(encoded("p@ss:w/ör%d"), "p%40ss%3Aw%2F%C3%B6r%25d");
    }

    #[test]
    fn ssh_asks_nobody_and_trusts_one_list() {
        let text = ssh_settings(4711, "[git.example.com]:2222", "/run/a b/key", "/run/100%");
        for line in [
            "Port 4711",
            "HostKeyAlias [git.example.com]:2222",
            "StrictHostKeyChecking yes",
            "UserKnownHostsFile \"/run/100%%\"",
            "IdentityFile \"/run/a b/key\"",
            "IdentityAgent none",
            "BatchMode yes",
        ] {
            assert!(text.contains(&format!("    {line}\n")), "{line}");
        }
    }
}
