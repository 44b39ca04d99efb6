//! Comments below pull requests, through the API of their forge.
//!
//! # Guarantees
//! - The token goes to the API of the repository that the stacks file names, and nowhere else: to
//!   no address of an announcement, through no redirect and no proxy, and only to addresses that
//!   were allowed when they were dialled.
//! - It is in no error and no log.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, Method, StatusCode, Url, header};
use serde::Deserialize;
use serde_json::json;
use skep_core::push::{Provider, PullRequest};
use skep_crds::stacks::{GitComments, GitOrigin};
use skep_git::{Access, RemoteUrl};
use skep_runtime::Comments;
use skep_sources::resolve;

/// How long a forge may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// The most that is read of an answer, in bytes.
const MOST_ANSWER: usize = 1 << 20;

/// Comments through the APIs of forges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForgeComments;

#[async_trait]
impl Comments for ForgeComments {
    async fn write(
        &self,
        origin: &GitOrigin,
        proposal: &PullRequest,
        earlier: Option<u64>,
        text: &str,
    ) -> Result<u64, String> {
        let comments = origin.comments.as_ref().ok_or("no token is given")?;
        let place = Place::of(origin, comments, proposal)?;
        let token = resolve(&comments.token).map_err(|why| format!("the token: {why}"))?;
        let desk = Desk { client: client(origin, &place)?, place, token };
        if let Some(id) = earlier {
            match desk.send(desk.place.existing(id), text).await {
                // Somebody removed it.
                Err(Refused::Gone) => {}
                Err(Refused::Other(why)) => return Err(why),
                Ok(_) => return Ok(id),
            }
        }
        match desk.send(desk.place.new_one(), text).await {
            Ok(id) => Ok(id),
            Err(Refused::Gone) => Err(format!(
                "{} knows no such pull request, or the token may not see it (404)",
                desk.place.host
            )),
            Err(Refused::Other(why)) => Err(why),
        }
    }
}

/// Where the comments of one pull request are.
struct Place {
    forge: Provider,
    /// The address of the API, without a slash at its end.
    api: String,
    host: String,
    /// `owner/name`, as the stacks file writes it.
    repository: String,
    number: u64,
}

impl Place {
    fn of(
        origin: &GitOrigin,
        comments: &GitComments,
        proposal: &PullRequest,
    ) -> Result<Self, String> {
        let remote = RemoteUrl::parse(&origin.url).map_err(|error| error.to_string())?;
        let repository = path_of(&origin.url)?;
        let (forge, number) = (proposal.provider, proposal.number);
        let derived = derived(forge, remote.host());
        let api = match (&comments.api, remote.folder()) {
            (Some(api), _) => api.clone(),
            (None, None) => derived.clone(),
            (None, Some(_)) => {
                return Err(
                    "a repository of this machine has no forge; name it with api".to_owned()
                );
            }
        };
        let url = Url::parse(&api).map_err(|_| "its api is no address".to_owned())?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let is_own = host == remote.host() || Some(host.as_str()) == host_of(&derived).as_deref();
        let access = crate::git::access(origin, &remote)?;
        if !is_own && !access.names(&host) {
            return Err(format!(
                "the API is at {host}, another host than the repository's; name it in allowed_hosts"
            ));
        }
        Ok(Self { forge, api, host, repository, number })
    }

    fn new_one(&self) -> (Method, String) {
        let Self { api, number, .. } = self;
        let address = match self.forge {
            Provider::GitLab => {
                let project = self.repository.replace('/', "%2F");
                format!("{api}/projects/{project}/merge_requests/{number}/notes")
            }
            _ => format!("{api}/repos/{}/issues/{number}/comments", self.repository),
        };
        (Method::POST, address)
    }

    fn existing(&self, id: u64) -> (Method, String) {
        match self.forge {
            Provider::GitLab => (Method::PUT, format!("{}/{id}", self.new_one().1)),
            _ => {
                let Self { api, repository, .. } = self;
                (Method::PATCH, format!("{api}/repos/{repository}/issues/comments/{id}"))
            }
        }
    }
}

/// Where such a forge has its API.
fn derived(forge: Provider, host: &str) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match (forge, host.as_str()) {
        (Provider::GitHub, "github.com" | "ssh.github.com") => "https://api.github.com".to_owned(),
        (Provider::GitLab, "altssh.gitlab.com") => "https://gitlab.com/api/v4".to_owned(),
        (Provider::GitHub, _) => format!("https://{host}/api/v3"),
        (Provider::Forgejo | Provider::Gitea, _) => format!("https://{host}/api/v1"),
        (Provider::GitLab, _) => format!("https://{host}/api/v4"),
    }
}

fn host_of(api: &str) -> Option<String> {
    Url::parse(api).ok()?.host_str().map(str::to_owned)
}

/// The path of a repository, as its forge calls it. Only what needs no escaping in an address.
fn path_of(url: &str) -> Result<String, String> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map(|(_, path)| path),
        None => url.split_once(':').map(|(_, path)| path),
    };
    let path = path.unwrap_or_default().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-._~/".contains(one);
    let parts = || path.split('/');
    let is_odd = parts().any(|part| part.is_empty() || part == "." || part == "..");
    if is_odd || parts().count() < 2 || !path.chars().all(is_plain) {
        return Err("the address names no repository of a forge: OWNER/NAME is expected".to_owned());
    }
    Ok(path.to_owned())
}

/// What talks to one forge.
struct Desk {
    client: Client,
    place: Place,
    token: String,
}

enum Refused {
    Gone,
    Other(String),
}

#[derive(Deserialize)]
struct Written {
    id: u64,
}

impl Desk {
    /// Writes the text; gives the id of the comment.
    async fn send(&self, (method, address): (Method, String), text: &str) -> Result<u64, Refused> {
        let host = &self.place.host;
        let request = self.client.request(method, address).json(&json!({ "body": text }));
        let secret = |prefix: &str| {
            let value = header::HeaderValue::from_str(&format!("{prefix}{}", self.token));
            let mut value = value.map_err(|_| Refused::Other(BAD_TOKEN.to_owned()))?;
            value.set_sensitive(true);
            Ok::<_, Refused>(value)
        };
        let request = match self.place.forge {
            Provider::GitLab => request.header("PRIVATE-TOKEN", secret("")?),
            Provider::GitHub => request
                .header(header::AUTHORIZATION, secret("Bearer ")?)
                .header(header::ACCEPT, "application/vnd.github+json"),
            Provider::Forgejo | Provider::Gitea => {
                request.header(header::AUTHORIZATION, secret("token ")?)
            }
        };
        let unreachable = |error: reqwest::Error| {
            Refused::Other(format!("{host} does not answer: {}", causes(&error.without_url())))
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        if matches!(status, StatusCode::NOT_FOUND | StatusCode::GONE) {
            return Err(Refused::Gone);
        }
        if !status.is_success() {
            let hint = match status.as_u16() {
                401 | 403 => "; may the token comment?",
                300..=399 => "; name the address of the API with api",
                _ => "",
            };
            return Err(Refused::Other(format!("{host} answered {}{hint}", status.as_u16())));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > MOST_ANSWER {
                return Err(Refused::Other(format!("{host} answered with more than 1 MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        let written: Result<Written, _> = serde_json::from_slice(&body);
        let written = written.map(|written| written.id);
        written.map_err(|_| Refused::Other(format!("{host} did not say the id of the comment")))
    }
}

const BAD_TOKEN: &str = "the token has characters that no token has";

/// A client that asks allowed addresses only.
fn client(origin: &GitOrigin, place: &Place) -> Result<Client, String> {
    let remote = RemoteUrl::parse(&origin.url).map_err(|error| error.to_string())?;
    let access = Arc::new(crate::git::access(origin, &remote)?);
    // An address in the place of a name is not resolved.
    if let Ok(address) = place.host.parse::<IpAddr>() {
        allowed(&access, &place.host, address)?;
    }
    // reqwest brings none of its own. An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(Arc::new(Checked(access)))
        .timeout(PATIENCE)
        .user_agent(concat!("skep/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| causes(&error))
}

fn allowed(access: &Access, host: &str, address: IpAddr) -> Result<(), String> {
    match access.refuses(address) {
        None => Ok(()),
        Some(kind) => Err(format!(
            "{host} has the address {address}, which is {kind}; nothing was sent there: add its \
             network to allowed_networks, if it is meant"
        )),
    }
}

/// A resolver that gives no address which must not be dialled.
struct Checked(Arc<Access>);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let (access, host) = (Arc::clone(&self.0), name.as_str().to_owned());
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let found: Vec<SocketAddr> = found.collect();
            for address in &found {
                allowed(&access, &host, address.ip())?;
            }
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
