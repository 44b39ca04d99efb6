//! The stacks file as written.

use schemars::{Schema, SchemaGenerator, json_schema};
use skep_yaml::{Cursor, MapCursor};

use super::fields::{
    ApiUrl, Commit, DeclaredVariables, FilePath, GitUrl, Host, KeyReference, LintLevels, Network,
    RefName, RelativePath,
};
use super::{FirstRollout, OnFailure};
use crate::format::{Flag, Spanned, Text, Whole, mapping, word};
use crate::value::{Duration, Name};

/// The highest wave; more would not be an order that people keep in mind.
const MOST_WAVES: i64 = 1_000;

const ON_FAILURE: [(&str, OnFailure); 2] =
    [("stop", OnFailure::Stop), ("rollback", OnFailure::Rollback)];
const FIRST_ROLLOUTS: [(&str, FirstRollout); 2] =
    [("staged", FirstRollout::Staged), ("at_once", FirstRollout::AtOnce)];

word!(OnFailure, ON_FAILURE);
word!(FirstRollout, FIRST_ROLLOUTS);

mapping! {
    /// The stacks of a fleet: each becomes services, networks, configs and secrets.
    pub(crate) struct StacksDocument {
        /// Version of the format.
        pub(crate) version: Option<Whole<u32, 1, 1>>,
        /// The stacks.
        pub(crate) stacks: Vec<Spanned<StackDocument>>,
    }
}

mapping! {
    /// One stack.
    pub(crate) struct StackDocument {
        /// The stack's name, as in docker stack deploy; unique.
        pub(crate) name: Spanned<Name>,
        /// The stack files, relative to the source; a later one adds to the earlier ones.
        pub(crate) files: Vec<Spanned<RelativePath>>,
        /// Where the files come from; the folder of this file when left out.
        pub(crate) source: Option<OriginDocument>,
        /// The variables of the stack files. No others are put in by the controller.
        pub(crate) variables: Option<VariablesDocument>,
        /// true: what is no longer declared may be removed, within the budget. false when left out.
        pub(crate) prune: Option<Flag>,
        /// The group that pause and kill can name; default when left out.
        pub(crate) domain: Option<Name>,
        /// Stacks that are changed before this one.
        pub(crate) depends_on: Option<Vec<Spanned<Name>>>,
        /// Stacks of lower waves are changed before this one; 0 when left out.
        pub(crate) wave: Option<Whole<u32, 0, MOST_WAVES>>,
        /// What happens when a change of the stack fails: stop leaves what has not started yet as it
        /// is; rollback also proposes, as one action, to return the services that were changed to
        /// their revisions before. stop when left out.
        pub(crate) on_failure: Option<OnFailure>,
        /// How more than six new services of one wave are started: staged starts one, then five,
        /// then the rest, each when those before are healthy. staged when left out.
        pub(crate) rollout: Option<FirstRollout>,
        /// Hardening rules that the stack is held against, each with a level; {} for the levels
        /// that skep stack lint --rules lists. Not held against any when left out.
        pub(crate) lint: Option<LintLevels>,
        /// How often a repository is asked; 120s when left out.
        pub(crate) interval: Option<Spanned<Duration>>,
    }
}

mapping! {
    /// Where the files of a stack come from: path or git.
    pub(crate) struct OriginDocument {
        /// A folder of this machine, relative to that of this file.
        pub(crate) path: Option<FilePath>,
        /// A git repository.
        pub(crate) git: Option<GitDocument>,
    }
    check one_origin;
}

mapping! {
    /// A git repository, and what is taken from it.
    pub(crate) struct GitDocument {
        /// https://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or file:///PATH.
        pub(crate) url: GitUrl,
        /// The newest commit of this branch; the server's default branch when nothing is named.
        pub(crate) branch: Option<RefName>,
        /// The commit of this tag.
        pub(crate) tag: Option<RefName>,
        /// This commit, by its whole name.
        pub(crate) commit: Option<Commit>,
        /// The folder of the repository that files begin at; its root when left out.
        pub(crate) path: Option<RelativePath>,
        /// How the server is told who asks.
        pub(crate) credentials: Option<CredentialsDocument>,
        /// The only hosts that the URL may name, such as git.example.com or *.example.com.
        pub(crate) allowed_hosts: Option<Vec<Host>>,
        /// Networks whose addresses the server may have although they are not public, such as
        /// 10.0.0.0/8.
        pub(crate) allowed_networks: Option<Vec<Network>>,
        /// Only commits signed by one of these keys count.
        pub(crate) signers: Option<SignersDocument>,
        /// With it, what a pull request would change is written below it as a comment.
        pub(crate) comments: Option<CommentsDocument>,
    }
    check one_revision;
}

mapping! {
    /// How the forge is told what a pull request would change.
    pub(crate) struct CommentsDocument {
        /// A token that may comment: env:NAME or file:/path.
        pub(crate) token: KeyReference,
        /// The address of the forge's API, when it is not where such a forge has it: for example
        /// https://git.example.com/api/v1.
        pub(crate) api: Option<ApiUrl>,
    }
}

mapping! {
    /// Credentials of a repository. The secret itself is never in the file.
    pub(crate) struct CredentialsDocument {
        /// The user.
        pub(crate) username: Option<Text>,
        /// The password or token: env:NAME or file:/path.
        pub(crate) password: Option<KeyReference>,
        /// The file with a private key for ssh.
        pub(crate) ssh_key: Option<FilePath>,
        /// The file with the keys of known ssh servers.
        pub(crate) known_hosts: Option<FilePath>,
    }
}

mapping! {
    /// Whose commits count.
    pub(crate) struct SignersDocument {
        /// The file of their SSH keys, in the form of allowed_signers of ssh-keygen.
        pub(crate) ssh: Option<FilePath>,
        /// The file of their OpenPGP keys, as gpg --export --armor writes them.
        pub(crate) openpgp: Option<FilePath>,
    }
    check any_signer;
}

mapping! {
    /// The variables of the stack files.
    pub(crate) struct VariablesDocument {
        /// Files of NAME=value lines, relative to the source; a later one wins.
        pub(crate) files: Option<Vec<RelativePath>>,
        /// Single ones; they win over files. env:NAME and file:/path are resolved when the stack
        /// is loaded and may only stand in the environment of services; literal:TEXT is TEXT.
        pub(crate) values: Option<DeclaredVariables>,
    }
}

fn one_origin(read: &OriginDocument, map: &MapCursor<'_>) -> Option<()> {
    match (&read.path, &read.git) {
        (Some(_), Some(_)) => {
            map.cursor().refuse_with(
                "CONFLICTING_KEYS",
                "the source is both a path and git",
                "keep one",
            );
            None
        }
        (None, None) => {
            let hint = "write path: FOLDER, or git: {url: …}";
            map.cursor().refuse_with(
                "MISSING_KEY",
                "the source names neither a path nor git",
                hint,
            );
            None
        }
        _ => Some(()),
    }
}

/// An empty list of keys must never mean that every key counts.
fn any_signer(read: &SignersDocument, map: &MapCursor<'_>) -> Option<()> {
    if read.ssh.is_none() && read.openpgp.is_none() {
        let hint = "write ssh: FILE or openpgp: FILE";
        map.cursor().refuse_with("MISSING_KEY", "the signers name no keys", hint);
        return None;
    }
    Some(())
}

fn one_revision(read: &GitDocument, map: &MapCursor<'_>) -> Option<()> {
    let given = [read.branch.is_some(), read.tag.is_some(), read.commit.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        let message = "branch, tag and commit exclude each other";
        map.cursor().refuse_with("CONFLICTING_KEYS", message, "keep one of them");
        return None;
    }
    Some(())
}
