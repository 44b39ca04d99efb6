//! A commit as it is stored, taken apart. Pure.
//!
//! What is used of a commit (its tree, its author) is read from the very bytes that a signature
//! covers, so nothing can be signed as one thing and used as another.

use jiff::Timestamp;

use crate::reference::CommitId;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// What it was made from, newest first.
    pub parents: Vec<CommitId>,
    /// Who wrote the change.
    pub author: Person,
    /// Who made the commit of it.
    pub committer: Person,
    /// The first line of its message, at most 200 characters, without control characters.
    pub subject: String,
}

/// Somebody in a commit, and when. Nothing but a signature proves any of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The name, without control characters.
    pub name: String,
    /// The address, without control characters.
    pub email: String,
    /// When.
    pub at: Timestamp,
}

/// A commit with what only this crate needs of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) commit: Commit,
    pub(crate) tree: CommitId,
    /// The signature, when there is one.
    pub(crate) signature: Option<Vec<u8>>,
    /// What the signature covers: the commit without it.
    pub(crate) payload: Vec<u8>,
}

/// The longest subject that is kept, in characters.
const SUBJECT: usize = 200;
/// The longest name and address that are kept, in characters.
const NAME: usize = 100;

/// Takes a stored commit apart. The error says what is wrong with it.
pub(crate) fn parse(id: &CommitId, bytes: &[u8]) -> Result<Stored, String> {
    let mut tree = None;
    let mut parents = Vec::new();
    let (mut author, mut committer) = (None, None);
    let mut signatures = Vec::new();
    let mut payload = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    loop {
        let (line, after) = line(rest).ok_or("its header does not end")?;
        if line == b"\n" {
            payload.extend_from_slice(rest);
            rest = after;
            break;
        }
        // A line that begins with a blank continues the one before.
        let mut end = after;
        while let Some((more, after)) = self::line(end).filter(|(more, _)| more.starts_with(b" ")) {
            debug_assert!(!more.is_empty());
            end = after;
        }
        let whole = rest.get(..rest.len() - end.len()).unwrap_or_default();
        let (name, value) = split(whole, b' ').ok_or("a line of its header has no value")?;
        let value = value.strip_suffix(b"\n").unwrap_or(value);
        match name {
            b"tree" if tree.is_none() => tree = Some(id_of(value)?),
            b"parent" if author.is_none() => parents.push(id_of(value)?),
            b"author" if author.is_none() => author = Some(person(value)?),
            b"committer" if committer.is_none() => committer = Some(person(value)?),
            b"gpgsig" | b"gpgsig-sha256" => signatures.push(unfolded(value)),
            b"tree" | b"parent" | b"author" | b"committer" => {
                return Err("a line of its header is there twice or in the wrong place".to_owned());
            }
            _ => {}
        }
        if !matches!(name, b"gpgsig" | b"gpgsig-sha256") {
            payload.extend_from_slice(whole);
        }
        rest = end;
    }
    if signatures.len() > 1 {
        return Err("it has more than one signature".to_owned());
    }
    let message = String::from_utf8_lossy(rest);
    let subject = message.trim_start().lines().next().unwrap_or_default();
    let commit = Commit {
        id: id.clone(),
        parents,
        author: author.ok_or("it has no author")?,
        committer: committer.ok_or("it has no committer")?,
        subject: plain(subject, SUBJECT),
    };
    Ok(Stored { commit, tree: tree.ok_or("it has no tree")?, signature: signatures.pop(), payload })
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    bytes.split_at_checked(end + 1)
}

fn split(bytes: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let place = bytes.iter().position(|&byte| byte == at)?;
    Some((bytes.get(..place)?, bytes.get(place + 1..)?))
}

fn unfolded(value: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for (index, line) in value.split(|&byte| byte == b'\n').enumerate() {
        let line = if index == 0 { line } else { line.strip_prefix(b" ").unwrap_or(line) };
        text.extend_from_slice(line);
        text.push(b'\n');
    }
    text
}

fn id_of(value: &[u8]) -> Result<CommitId, String> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    CommitId::parse(text).map_err(|_| "an id in its header is none".to_owned())
}

/// `Name <address> seconds zone`.
fn person(value: &[u8]) -> Result<Person, String> {
    let text = String::from_utf8_lossy(value);
    let bad = || "a person in its header cannot be read".to_owned();
    let (name, rest) = text.split_once('<').ok_or_else(bad)?;
    let (email, rest) = rest.rsplit_once('>').ok_or_else(bad)?;
    let seconds = rest.split_whitespace().next().and_then(|text| text.parse::<i64>().ok());
    let at = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or_else(bad)?;
    Ok(Person { name: plain(name.trim(), NAME), email: plain(email.trim(), NAME), at })
}

/// A text of a stranger as it may be shown.
fn plain(text: &str, most: usize) -> String {
    let plain = text.chars().map(|one| if one.is_control() { '\u{fffd}' } else { one });
    plain.take(most).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef01234567";

    fn id() -> CommitId {
        CommitId::parse(ID).expect("an id")
    }

    fn signed() -> String {
        format!(
            "tree {ID}\nparent {ID}\nauthor Ann Lee <ann@example.com> 1700000000 +0100\n\
             committer Bo <bo@example.com> 1700000060 +0000\nencoding UTF-8\n\
             gpgsig -----BEGIN SSH SIGNATURE-----\n abc\n -----END SSH SIGNATURE-----\n\n\
             Raise the limit\x1b[31m\n\nBecause.\n"
        )
    }

    #[test]
    fn a_signed_commit_is_taken_apart() {
        let text = signed();
        let stored = parse(&id(), text.as_bytes()).expect("a commit");
        let Commit { author, committer, subject, parents, .. } = &stored.commit;
        assert_eq!((author.name.as_str(), author.email.as_str()), ("Ann Lee", "ann@example.com"));
        assert_eq!(author.at.as_second(), 1_700_000_000);
        assert_eq!((committer.name.as_str(), parents.len()), ("Bo", 1));
        assert_eq!(subject, "Raise the limit\u{fffd}[31m");
        assert_eq!(stored.tree, id());
        let signature = stored.signature.expect("signed");
        let expected = "-----BEGIN SSH SIGNATURE-----\nabc\n-----END SSH SIGNATURE-----\n";
        assert_eq!(String::from_utf8(signature).expect("text"), expected);
        let (before, after) = text.split_once("gpgsig ").expect("a signature");
        let (_, after) = after.split_once("-----END SSH SIGNATURE-----\n").expect("an end");
        assert_eq!(String::from_utf8(stored.payload).expect("text"), format!("{before}{after}"));
    }

    #[test]
    fn a_header_that_could_mean_two_things_is_refused() {
        let text = signed();
        for (bad, why) in [
            (text.replacen("parent", "tree", 1), "twice"),
            (text.replace("committer Bo", "author Bo"), "twice"),
            (text.replace("encoding UTF-8", &format!("parent {ID}")), "wrong place"),
            (text.replace("encoding UTF-8", "gpgsig x"), "more than one signature"),
            (text.replace(" <ann@example.com>", ""), "person"),
            (text.replace("1700000000", "99999999999999999999"), "person"),
            (text.replacen(ID, "HEAD", 1), "id"),
            ("tree".to_owned(), "does not end"),
            ("\n".to_owned(), "no author"),
        ] {
            let error = parse(&id(), bad.as_bytes()).expect_err(&bad);
            assert!(error.contains(why), "{error}: {bad}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_commit_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&id(), &bytes);
        }

        /// Nothing outside of the signature escapes it: whatever is changed in a signed commit
        /// changes the payload, or it is the signature that changed, or it is refused.
        #[test]
        fn a_changed_byte_changes_what_is_signed(at in 0_usize..350, with in any::<u8>()) {
            let original = parse(&id(), signed().as_bytes()).expect("a commit");
            let mut bytes = signed().into_bytes();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != with);
            bytes[at] = with;
            if let Ok(changed) = parse(&id(), &bytes) {
                prop_assert!(
                    changed.payload != original.payload || changed.signature != original.signature
                );
            }
        }
    }
}
