//! What a verified delivery says. Everything that is not needed is left out, and what is missing
//! or null is only an error where nothing could be done without it.

use axum::http::HeaderMap;
use serde::Deserialize;
use skep_core::push::{
    Proposed, Provider, PullRequest, Push, PushedCommit, PushedReference, Repository,
};

/// What a delivery says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    Push(Push),
    PullRequest(PullRequest),
    /// Something that nobody waits for, by its name.
    Other(String),
}

/// Why a delivery cannot be understood. Nothing of it is repeated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Invalid {
    #[error("the delivery does not say which event it is about")]
    NoEvent,
    #[error("the body is not JSON, or not of this event (line {line}, column {column})")]
    Body { line: usize, column: usize },
    #[error("{0} is missing, empty or too long")]
    Missing(&'static str),
}

/// The longest name, address or title that is taken, in bytes.
const LONGEST: usize = 4096;
/// From this many commits on, GitHub leaves some out.
const GITHUB_COMMITS: usize = 2048;

/// Reads a delivery.
pub(super) fn parse(
    provider: Provider,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Event, Invalid> {
    let names: &[&str] = match provider {
        Provider::GitHub => &["x-github-event"],
        Provider::Gitea => &["x-gitea-event"],
        Provider::Forgejo => &["x-forgejo-event", "x-gitea-event"],
        Provider::GitLab => &["x-gitlab-event"],
    };
    let event = names.iter().find_map(|name| headers.get(*name)).ok_or(Invalid::NoEvent)?;
    let event = event.to_str().map_err(|_| Invalid::NoEvent)?;
    match (provider, event) {
        (Provider::GitLab, "Push Hook" | "Tag Push Hook") => gitlab_push(body),
        (Provider::GitLab, "Merge Request Hook") => gitlab_merge_request(body),
        (Provider::GitLab, _) => Ok(other(event)),
        (_, "push") => push(provider, body),
        (_, "pull_request" | "pull_request_sync") => pull_request(provider, body),
        _ => Ok(other(event)),
    }
}

/// The name of an event is a text of a stranger.
fn other(event: &str) -> Event {
    Event::Other(event.chars().filter(|one| !one.is_control()).take(60).collect())
}

fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Invalid> {
    serde_json::from_slice(body)
        .map_err(|error| Invalid::Body { line: error.line(), column: error.column() })
}

/// A text that must be there.
fn needed(text: Option<String>, what: &'static str) -> Result<String, Invalid> {
    let text = text.filter(|text| !text.is_empty() && text.len() <= LONGEST);
    text.ok_or(Invalid::Missing(what))
}

/// An id that is not the one of zeros.
fn id(text: Option<String>) -> Option<String> {
    text.filter(|text| text.bytes().any(|byte| byte != b'0'))
        .filter(|text| text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[derive(Deserialize)]
struct Commit {
    id: Option<String>,
    added: Option<Vec<String>>,
    modified: Option<Vec<String>>,
    removed: Option<Vec<String>>,
}

impl Commit {
    fn told(self) -> PushedCommit {
        let files = [self.added, self.modified, self.removed].into_iter().flatten().flatten();
        PushedCommit { id: self.id.unwrap_or_default(), files: files.collect() }
    }
}

#[derive(Deserialize)]
struct Home {
    clone_url: Option<String>,
    ssh_url: Option<String>,
    git_url: Option<String>,
    html_url: Option<String>,
    default_branch: Option<String>,
}

impl Home {
    fn told(self) -> Result<Repository, Invalid> {
        let urls = [self.clone_url, self.ssh_url, self.git_url, self.html_url];
        repository(urls.into_iter().flatten(), self.default_branch)
    }
}

fn repository(
    urls: impl Iterator<Item = String>,
    default_branch: Option<String>,
) -> Result<Repository, Invalid> {
    let urls: Vec<_> = urls.filter(|url| !url.is_empty() && url.len() <= LONGEST).collect();
    if urls.is_empty() {
        return Err(Invalid::Missing("the address of the repository"));
    }
    let default_branch = default_branch.filter(|branch| !branch.is_empty());
    Ok(Repository { urls, default_branch })
}

#[derive(Deserialize)]
struct Person {
    login: Option<String>,
    username: Option<String>,
    name: Option<String>,
}

fn name(person: Option<Person>) -> String {
    let named = person.and_then(|person| person.login.or(person.username).or(person.name));
    named.unwrap_or_default().chars().filter(|one| !one.is_control()).take(100).collect()
}

#[derive(Deserialize)]
struct PushBody {
    r#ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    forced: Option<bool>,
    /// Gitea and Forgejo; the list of commits is shorter when there are many.
    total_commits: Option<u64>,
    commits: Option<Vec<Commit>>,
    repository: Option<Home>,
    pusher: Option<Person>,
}

fn push(provider: Provider, body: &[u8]) -> Result<Event, Invalid> {
    let body: PushBody = read(body)?;
    let commits: Vec<_> = body.commits.unwrap_or_default().into_iter().map(Commit::told).collect();
    let count = u64::try_from(commits.len()).unwrap_or(u64::MAX);
    let is_complete = match provider {
        Provider::GitHub => body.forced == Some(false) && commits.len() < GITHUB_COMMITS,
        // They do not say whether history was rewritten; the repository will.
        _ => body.total_commits == Some(count),
    };
    Ok(Event::Push(Push {
        provider,
        repository: body.repository.ok_or(Invalid::Missing("the repository"))?.told()?,
        reference: PushedReference::parse(&needed(body.r#ref, "the reference")?),
        before: id(body.before),
        after: id(body.after),
        commits,
        is_complete,
        pusher: name(body.pusher),
    }))
}

#[derive(Deserialize)]
struct PullRequestBody {
    action: Option<String>,
    number: Option<u64>,
    pull_request: Option<Proposal>,
    repository: Option<Home>,
}

#[derive(Deserialize)]
struct Proposal {
    title: Option<String>,
    user: Option<Person>,
    head: Option<End>,
    base: Option<End>,
}

#[derive(Deserialize)]
struct End {
    r#ref: Option<String>,
    sha: Option<String>,
}

fn pull_request(provider: Provider, body: &[u8]) -> Result<Event, Invalid> {
    let body: PullRequestBody = read(body)?;
    let what = match body.action.as_deref() {
        Some("opened" | "reopened") => Proposed::Opened,
        Some("synchronize" | "synchronized") => Proposed::Updated,
        _ => return Ok(other("pull_request")),
    };
    let proposal = body.pull_request.ok_or(Invalid::Missing("the pull request"))?;
    let (head, base) = (proposal.head, proposal.base);
    Ok(Event::PullRequest(PullRequest {
        provider,
        repository: body.repository.ok_or(Invalid::Missing("the repository"))?.told()?,
        number: body.number.ok_or(Invalid::Missing("the number"))?,
        what,
        into: needed(base.and_then(|end| end.r#ref), "the branch that it goes into")?,
        head: id(head.and_then(|end| end.sha)).ok_or(Invalid::Missing("its commit"))?,
        title: title(proposal.title),
        author: name(proposal.user),
    }))
}

fn title(title: Option<String>) -> String {
    title.unwrap_or_default().chars().filter(|one| !one.is_control()).take(200).collect()
}

#[derive(Deserialize)]
struct Project {
    git_http_url: Option<String>,
    git_ssh_url: Option<String>,
    web_url: Option<String>,
    default_branch: Option<String>,
}

impl Project {
    fn told(self) -> Result<Repository, Invalid> {
        let urls = [self.git_http_url, self.git_ssh_url, self.web_url];
        repository(urls.into_iter().flatten(), self.default_branch)
    }
}

#[derive(Deserialize)]
struct GitLabPush {
    r#ref: Option<String>,
    before: Option<String>,
    after: Option<String>,
    user_username: Option<String>,
    user_name: Option<String>,
    /// The list of commits has twenty at most.
    total_commits_count: Option<u64>,
    commits: Option<Vec<Commit>>,
    project: Option<Project>,
}

fn gitlab_push(body: &[u8]) -> Result<Event, Invalid> {
    let body: GitLabPush = read(body)?;
    let commits: Vec<_> = body.commits.unwrap_or_default().into_iter().map(Commit::told).collect();
    let count = u64::try_from(commits.len()).unwrap_or(u64::MAX);
    let pusher = Person { login: body.user_username, username: body.user_name, name: None };
    Ok(Event::Push(Push {
        provider: Provider::GitLab,
        repository: body.project.ok_or(Invalid::Missing("the project"))?.told()?,
        reference: PushedReference::parse(&needed(body.r#ref, "the reference")?),
        before: id(body.before),
        after: id(body.after),
        is_complete: body.total_commits_count == Some(count),
        commits,
        pusher: name(Some(pusher)),
    }))
}

#[derive(Deserialize)]
struct GitLabMergeRequest {
    user: Option<Person>,
    project: Option<Project>,
    object_attributes: Option<MergeRequest>,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: Option<u64>,
    title: Option<String>,
    action: Option<String>,
    /// There when commits were added.
    oldrev: Option<String>,
    target_branch: Option<String>,
    last_commit: Option<Commit>,
}

fn gitlab_merge_request(body: &[u8]) -> Result<Event, Invalid> {
    let body: GitLabMergeRequest = read(body)?;
    let request = body.object_attributes.ok_or(Invalid::Missing("the merge request"))?;
    let what = match (request.action.as_deref(), &request.oldrev) {
        (Some("open" | "reopen"), _) => Proposed::Opened,
        (Some("update"), Some(_)) => Proposed::Updated,
        _ => return Ok(other("Merge Request Hook")),
    };
    let head = request.last_commit.and_then(|commit| id(commit.id));
    Ok(Event::PullRequest(PullRequest {
        provider: Provider::GitLab,
        repository: body.project.ok_or(Invalid::Missing("the project"))?.told()?,
        number: request.iid.ok_or(Invalid::Missing("the number"))?,
        what,
        into: needed(request.target_branch, "the branch that it goes into")?,
        head: head.ok_or(Invalid::Missing("its commit"))?,
        title: title(request.title),
        author: name(body.user),
    }))
}

#[cfg(test)]
mod tests;
