//! What a server says that it has: the output of `git ls-remote --symref`. Pure.

use crate::reference::CommitId;

/// What a server says about one name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    /// What the name stands for; of a tag with a message the object behind it.
    pub(crate) commit: Option<CommitId>,
    /// The branch that HEAD names.
    pub(crate) default_branch: Option<String>,
    /// What HEAD stands for.
    pub(crate) head: Option<CommitId>,
}

/// Reads the list. Lines about anything else are left out: the patterns of git match more than
/// the name.
pub(crate) fn parse(list: &[u8], name: &str) -> Seen {
    let text = String::from_utf8_lossy(list);
    let mut seen = Seen::default();
    let mut behind = None;
    let peeled = format!("{name}^{{}}");
    for (value, of) in text.lines().filter_map(|line| line.split_once('\t')) {
        if let Some(target) = value.strip_prefix("ref: ") {
            if of == "HEAD" {
                seen.default_branch = target.strip_prefix("refs/heads/").map(str::to_owned);
            }
            continue;
        }
        let Ok(id) = CommitId::parse(value) else { continue };
        if of == "HEAD" {
            seen.head = Some(id.clone());
        }
        if of == name {
            seen.commit = Some(id);
        } else if of == peeled {
            behind = Some(id);
        }
    }
    seen.commit = behind.or(seen.commit);
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    #[test]
    fn only_the_exact_name_counts() {
        let list = format!(
            "ref: refs/heads/trunk\tHEAD\n{ONE}\tHEAD\n{TWO}\trefs/heads/refs/tags/v1\n\
             {ONE}\trefs/tags/v1\n{TWO}\trefs/tags/v1^{{}}\n"
        );
        let seen = parse(list.as_bytes(), "refs/tags/v1");
        assert_eq!(seen.commit, CommitId::parse(TWO).ok(), "the commit behind the tag");
        assert_eq!(seen.default_branch.as_deref(), Some("trunk"));
        assert_eq!(parse(list.as_bytes(), "HEAD").commit, CommitId::parse(ONE).ok());
        let none = parse(list.as_bytes(), "refs/heads/main");
        assert_eq!((none.commit, none.head), (None, CommitId::parse(ONE).ok()));
        assert_eq!(parse(b"", "HEAD"), Seen::default());
        assert_eq!(parse(b"<html>\tHEAD\n\xff\n", "HEAD"), Seen::default());
    }
}
