//! Which sources a push concerns. When in doubt it does: a look too many costs little, and what
//! is overlooked waits for the next poll.

use super::{PullRequest, Push, PushedReference, Repository};

/// What a source looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched<'a> {
    /// The address of its repository, in whichever form.
    pub url: &'a str,
    /// What of it.
    pub reference: WatchedReference<'a>,
    /// The folder in it; the whole when none.
    pub folder: Option<&'a str>,
}

/// What of a repository a source looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchedReference<'a> {
    /// The default branch.
    Default,
    /// A branch.
    Branch(&'a str),
    /// A tag.
    Tag(&'a str),
    /// One commit, which no push changes.
    Commit,
}

/// True when a source should be looked at because of a push.
#[must_use]
pub fn concerns(push: &Push, source: &Watched<'_>) -> bool {
    is_of(&push.repository, source.url)
        && is_reference(push, source.reference)
        && touches(push, source.folder)
}

/// True when what a source looks at would change if the proposal were merged. Which files it is
/// about is not told with it.
#[must_use]
pub fn goes_into(proposal: &PullRequest, source: &Watched<'_>) -> bool {
    let is_branch = match source.reference {
        WatchedReference::Branch(name) => name == proposal.into,
        WatchedReference::Default => {
            let default = proposal.repository.default_branch.as_ref();
            default.is_none_or(|default| *default == proposal.into)
        }
        WatchedReference::Tag(_) | WatchedReference::Commit => false,
    };
    is_branch && is_of(&proposal.repository, source.url)
}

/// What a repository is called here, however it is reached: `git.example.com/team/fleet`. None
/// for what is no address.
#[must_use]
pub fn repository_name(url: &str) -> Option<String> {
    normal(url)
}

fn is_of(repository: &Repository, url: &str) -> bool {
    repository.urls.iter().any(|known| is_same_repository(known, url))
}

fn is_reference(push: &Push, watched: WatchedReference<'_>) -> bool {
    match (watched, &push.reference) {
        (WatchedReference::Branch(name), PushedReference::Branch(pushed))
        | (WatchedReference::Tag(name), PushedReference::Tag(pushed)) => name == pushed,
        (WatchedReference::Default, PushedReference::Branch(pushed)) => {
            push.repository.default_branch.as_ref().is_none_or(|default| default == pushed)
        }
        _ => false,
    }
}

fn touches(push: &Push, folder: Option<&str>) -> bool {
    let Some(folder) = folder.map(|folder| folder.trim_matches('/')) else { return true };
    let is_known = push.is_complete
        && push.before.is_some()
        && push.after.is_some()
        && !push.commits.is_empty()
        // Of a merge some forges tell no files.
        && push.commits.iter().all(|commit| !commit.files.is_empty());
    if folder.is_empty() || folder == "." || !is_known {
        return true;
    }
    let below = format!("{folder}/");
    let mut files = push.commits.iter().flat_map(|commit| &commit.files);
    files.any(|file| file == folder || file.starts_with(&below))
}

/// True when two addresses mean the same repository, whichever way it is reached: `https`, `ssh`,
/// `user@host:path`; with or without a user, a port, `.git`, and in whichever case.
#[must_use]
pub fn is_same_repository(one: &str, other: &str) -> bool {
    match (normal(one), normal(other)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    }
}

/// `host/path` in lower case; the usual forges do not tell cases apart. Ports differ between ssh
/// and https on one machine and say nothing.
fn normal(url: &str) -> Option<String> {
    let url = url.trim();
    let (authority, path) = match url.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("file") => ("", rest),
        Some((_, rest)) => rest.split_once('/')?,
        None => {
            let (authority, path) = url.split_once(':')?;
            if authority.contains('/') {
                return None;
            }
            (authority, path)
        }
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    let host = match host.to_ascii_lowercase().as_str() {
        // The names under which these two offer ssh on the port of https.
        "ssh.github.com" => "github.com".to_owned(),
        "altssh.gitlab.com" => "gitlab.com".to_owned(),
        other => other.to_owned(),
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_matches('/').to_lowercase();
    let path = path.strip_suffix(".git").unwrap_or(&path).trim_end_matches('/');
    if path.is_empty() { None } else { Some(format!("{host}/{path}")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::push::{Provider, PushedCommit};

    const URL: &str = "https://git.example.com/team/fleet.git";

    fn push(reference: &str, files: &[&[&str]]) -> Push {
        Push {
            provider: Provider::Forgejo,
            repository: Repository {
                urls: vec![URL.to_owned()],
                default_branch: Some("main".to_owned()),
            },
            reference: PushedReference::parse(reference),
            before: Some("1".to_owned()),
            after: Some("2".to_owned()),
            commits: files
                .iter()
                .map(|files| PushedCommit {
                    id: "2".to_owned(),
                    files: files.iter().map(|file| (*file).to_owned()).collect(),
                })
                .collect(),
            is_complete: true,
            pusher: "ann".to_owned(),
        }
    }

    fn watched<'a>(reference: WatchedReference<'a>, folder: Option<&'a str>) -> Watched<'a> {
        Watched { url: "git@git.example.com:team/fleet.git", reference, folder }
    }

    #[test]
    fn one_repository_has_many_addresses() {
        for other in [
            URL,
            "https://git.example.com/team/fleet",
            "https://git.example.com/team/fleet/",
            "https://bot@git.example.com:3000/Team/Fleet.git",
            "HTTPS://GIT.example.com/team/fleet.git",
            "ssh://git@git.example.com:2222/team/fleet.git",
            "git@git.example.com:team/fleet.git",
            "git@git.example.com:/team/fleet",
        ] {
            assert!(is_same_repository(URL, other), "{other}");
        }
        assert!(is_same_repository(
            "ssh://git@ssh.github.com:443/o/r.git",
            "https://github.com/o/r"
        ));
        assert!(is_same_repository("file:///srv/r.git", "file:///srv/r"));
        assert!(is_same_repository(
            "https://[2001:db8::1]:3000/o/r",
            "ssh://git@[2001:db8::1]/o/r"
        ));
        for other in [
            "https://git.example.com/team/fleet2",
            "https://git.example.com/team",
            "https://git.example.com.evil.example/team/fleet",
            "https://evil.example/git.example.com/team/fleet",
            "https://git.example.com/",
            "git.example.com/team/fleet",
            "",
        ] {
            assert!(!is_same_repository(URL, other), "{other}");
        }
        assert!(!is_same_repository("", ""));
    }

    #[test]
    fn only_what_is_watched_is_concerned() {
        use WatchedReference::{Branch, Commit, Default, Tag};
        let main = push("refs/heads/main", &[&["a"]]);
        for (reference, expected) in [
            (Default, true),
            (Branch("main"), true),
            (Branch("mai"), false),
            (Tag("main"), false),
            (Commit, false),
        ] {
            assert_eq!(concerns(&main, &watched(reference, None)), expected, "{reference:?}");
        }
        let tag = push("refs/tags/v1", &[]);
        assert!(concerns(&tag, &watched(Tag("v1"), None)));
        assert!(!concerns(&tag, &watched(Default, None)));
        assert!(!concerns(&push("refs/heads/next", &[]), &watched(Default, None)));
        let mut unknown = push("refs/heads/next", &[]);
        unknown.repository.default_branch = None;
        assert!(concerns(&unknown, &watched(Default, None)), "it may be the default branch");
        let elsewhere =
            Watched { url: "https://other.example/team/fleet", ..watched(Default, None) };
        assert!(!concerns(&main, &elsewhere));
    }

    #[test]
    fn a_proposal_is_about_what_it_would_be_merged_into() {
        use WatchedReference::{Branch, Commit, Default, Tag};
        let mut proposal = PullRequest {
            provider: Provider::GitHub,
            repository: push("refs/heads/main", &[]).repository,
            number: 7,
            what: crate::push::Proposed::Opened,
            into: "main".to_owned(),
            head: "2".to_owned(),
            title: String::new(),
            author: String::new(),
        };
        for (reference, expected) in [
            (Default, true),
            (Branch("main"), true),
            (Branch("next"), false),
            (Tag("main"), false),
            (Commit, false),
        ] {
            assert_eq!(goes_into(&proposal, &watched(reference, None)), expected, "{reference:?}");
        }
        let elsewhere =
            Watched { url: "https://other.example/team/fleet", ..watched(Default, None) };
        assert!(!goes_into(&proposal, &elsewhere));
        proposal.into = "next".to_owned();
        assert!(!goes_into(&proposal, &watched(Default, None)));
        assert_eq!(repository_name(URL).as_deref(), Some("git.example.com/team/fleet"));
        assert_eq!(repository_name("nowhere"), None);
    }

    #[test]
    fn a_folder_is_left_alone_only_when_every_file_is_known() {
        let web = watched(WatchedReference::Branch("main"), Some("stacks/web"));
        let of = |files: &[&[&str]]| push("refs/heads/main", files);
        for (files, expected) in [
            (&[&["stacks/web/compose.yml"][..]][..], true),
            (&[&["stacks/web"]], true),
            (&[&["stacks/db/compose.yml"], &["stacks/web/x"]], true),
            (&[&["stacks/db/compose.yml"]], false),
            (&[&["stacks/web2/compose.yml"]], false),
            (&[&["stacks/db/x"], &[]], true),
            (&[], true),
        ] {
            assert_eq!(concerns(&of(files), &web), expected, "{files:?}");
        }
        let db: &[&[&str]] = &[&["stacks/db/compose.yml"]];
        assert!(concerns(&Push { is_complete: false, ..of(db) }, &web));
        assert!(concerns(&Push { before: None, ..of(db) }, &web), "a new branch");
        assert!(concerns(&Push { after: None, ..of(db) }, &web), "a removed branch");
        for folder in ["", ".", "/"] {
            let whole = Watched { folder: Some(folder), ..web };
            assert!(concerns(&of(db), &whole), "{folder:?}");
        }
    }

    proptest! {
        #[test]
        fn sameness_is_mutual(one in ".{0,30}", other in ".{0,30}") {
            prop_assert_eq!(is_same_repository(&one, &other), is_same_repository(&other, &one));
        }

        /// A file below the folder is never overlooked, whatever else is pushed.
        #[test]
        fn nothing_below_the_folder_is_overlooked(others in proptest::collection::vec("[a-z/]{1,9}", 0..5)) {
            let mut files: Vec<&str> = others.iter().map(String::as_str).collect();
            files.push("stacks/web/compose.yml");
            let pushed = push("refs/heads/main", &[&files]);
            let web = watched(WatchedReference::Default, Some("stacks/web/"));
            prop_assert!(concerns(&pushed, &web));
        }
    }
}
