//! Reading out of a fetched repository: the commit, the list of its files, their bytes. Every name
//! of an object is an id, so nothing that a repository says is taken for an option or a path.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

use crate::commit::{self, Stored};
use crate::environment::Variables;
use crate::error::Error;
use crate::program::{Ended, Run, Trouble};
use crate::reader::{Stop, trouble_of};
use crate::reference::CommitId;
use crate::relation::Ancestry;
use crate::said;
use crate::snapshot::{Entry, Files};
use crate::source::{Folder, Limits};
use crate::tree::{self, Listed, ListedKind};

/// A fetched repository.
pub(crate) struct Objects<'a> {
    pub(crate) program: &'a OsStr,
    pub(crate) environment: Variables,
    pub(crate) url: String,
    pub(crate) limits: &'a Limits,
}

/// The most that one commit object may have.
const COMMIT_BYTES: u64 = 1 << 20;
/// The most that is read of ids and single words.
const SMALL: u64 = 64 << 10;
/// What the list may take for each file: an id, a size, and a long path.
const LISTED_BYTES: u64 = 4 << 10;
/// What stands around an object in the output.
const AROUND: u64 = 256;

impl Objects<'_> {
    /// The commit behind a name; none when there is no such name or it is no commit.
    pub(crate) async fn commit_of(&self, name: &str) -> Result<Option<CommitId>, Error> {
        let name = format!("{name}^{{commit}}");
        let ended =
            self.git(&["rev-parse", "--verify", "--quiet", &name], Vec::new(), SMALL).await?;
        if !ended.status.success() {
            return Ok(None);
        }
        let text = String::from_utf8_lossy(&ended.output);
        Ok(CommitId::parse(text.trim()).ok())
    }

    /// A commit, taken apart.
    pub(crate) async fn commit(&self, id: &CommitId) -> Result<Stored, Stop> {
        let mut read = self.read(&[id.as_str()], COMMIT_BYTES + AROUND).await?;
        let Some((kind, bytes)) = read.pop().filter(|_| read.is_empty()) else {
            return Err(Stop::Damaged(format!("commit {id} is missing")));
        };
        let bad = |reason| self.content(id, reason);
        if kind != "commit" {
            return Err(bad(format!("it is a {kind}")).into());
        }
        commit::parse(id, &bytes).map_err(|reason| bad(reason).into())
    }

    /// How two commits stand to each other; none when the older one is not here.
    pub(crate) async fn ancestry(
        &self,
        before: &CommitId,
        new: &CommitId,
    ) -> Result<Option<Ancestry>, Error> {
        let object = format!("{before}^{{commit}}");
        let there = self.git(&["cat-file", "-e", &object], Vec::new(), SMALL).await?;
        if !there.status.success() {
            return Ok(None);
        }
        let is_ancestor = async |one: &CommitId, other: &CommitId| {
            let arguments = ["merge-base", "--is-ancestor", one.as_str(), other.as_str()];
            Ok::<_, Error>(self.git(&arguments, Vec::new(), SMALL).await?.status.success())
        };
        let common = ["merge-base", before.as_str(), new.as_str()];
        let shallow = ["rev-parse", "--is-shallow-repository"];
        let shallow = self.git(&shallow, Vec::new(), SMALL).await?;
        Ok(Some(Ancestry {
            is_before_in_new: is_ancestor(before, new).await?,
            is_new_in_before: is_ancestor(new, before).await?,
            have_common: self.git(&common, Vec::new(), SMALL).await?.status.success(),
            is_shallow: shallow.output.starts_with(b"true"),
        }))
    }

    /// The files below a folder of a commit, within the limits.
    pub(crate) async fn files(
        &self,
        id: &CommitId,
        tree: &CommitId,
        folder: Option<&Folder>,
    ) -> Result<Files, Stop> {
        // An id comes first, so whatever the folder is called is the name of a folder.
        let name = match folder {
            Some(folder) => format!("{tree}:{}", folder.as_str()),
            None => tree.to_string(),
        };
        let files = u64::try_from(self.limits.files).unwrap_or(u64::MAX);
        let most = files.saturating_mul(LISTED_BYTES);
        let arguments = ["ls-tree", "-r", "-z", "-l", "--full-tree", &name];
        let list = self.git(&arguments, Vec::new(), most).await?;
        if !list.status.success() {
            let Some(folder) = folder else {
                return Err(Stop::Damaged(said::shown(&list.said, &[])));
            };
            let (url, folder) = (self.url.clone(), folder.as_str().to_owned());
            return Err(Error::FolderMissing { url, commit: id.to_string(), folder }.into());
        }
        let listed = tree::parse(&list.output).map_err(|reason| self.content(id, reason))?;
        if listed.len() > self.limits.files {
            let limit = format!("{} files", self.limits.files);
            return Err(self.too_large("the folder", limit).into());
        }
        self.contents(id, listed).await
    }

    async fn contents(
        &self,
        id: &CommitId,
        listed: BTreeMap<String, Listed>,
    ) -> Result<Files, Stop> {
        let is_read =
            |one: &Listed| one.kind != ListedKind::Submodule && one.size <= self.limits.file;
        let wanted: Vec<&Listed> = listed.values().filter(|one| is_read(one)).collect();
        let total = wanted.iter().fold(0_u64, |sum, one| sum.saturating_add(one.size));
        if total > self.limits.total {
            let limit = format!("{} bytes of all its files", self.limits.total);
            return Err(self.too_large("the folder", limit).into());
        }
        let ids: Vec<&str> = wanted.iter().map(|one| one.object.as_str()).collect();
        let count = u64::try_from(ids.len()).unwrap_or(u64::MAX);
        let most = total.saturating_add(count.saturating_mul(AROUND));
        let mut read = self.read(&ids, most).await?.into_iter();
        let mut entries = BTreeMap::new();
        for (name, one) in listed {
            let entry = match one.kind {
                ListedKind::Submodule => Entry::Submodule,
                ListedKind::File | ListedKind::Link if !is_read(&one) => Entry::TooLarge(one.size),
                ListedKind::File | ListedKind::Link => {
                    let Some((kind, bytes)) = read.next() else {
                        return Err(Stop::Damaged(format!("{name:?} is missing")));
                    };
                    if kind != "blob" {
                        return Err(self.content(id, format!("{name:?} is a {kind}")).into());
                    }
                    self.entry(id, &name, one.kind, bytes)?
                }
            };
            entries.insert(name, entry);
        }
        Ok(Files::new(entries))
    }

    fn entry(
        &self,
        id: &CommitId,
        name: &str,
        kind: ListedKind,
        bytes: Vec<u8>,
    ) -> Result<Entry, Error> {
        if kind == ListedKind::File {
            return Ok(Entry::File(bytes));
        }
        let target = String::from_utf8(bytes);
        let target = target.ok().filter(|text| !text.contains('\0'));
        target.map(Entry::Link).ok_or_else(|| {
            self.content(id, format!("the link {name:?} names something that is no path"))
        })
    }

    /// Objects by their ids, in this order.
    async fn read(&self, ids: &[&str], most: u64) -> Result<Vec<(String, Vec<u8>)>, Stop> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let input = ids.join("\n") + "\n";
        let ended = self.git(&["cat-file", "--batch"], input.into_bytes(), most).await?;
        if !ended.status.success() {
            return Err(Stop::Damaged(said::shown(&ended.said, &[])));
        }
        batch(&ended.output, ids).ok_or_else(|| Stop::Damaged("an object is missing".to_owned()))
    }

    async fn git(&self, arguments: &[&str], input: Vec<u8>, most: u64) -> Result<Ended, Error> {
        let run = Run {
            program: self.program,
            arguments: arguments.iter().map(OsString::from).collect(),
            environment: &self.environment,
            input,
            most_output: most,
            within: self.limits.time,
            fills: None,
        };
        run.ended()
            .await
            .map_err(|trouble: Trouble| trouble_of("git", trouble, self.url.clone(), self.limits))
    }

    fn content(&self, id: &CommitId, reason: String) -> Error {
        Error::Content { url: self.url.clone(), commit: id.to_string(), reason }
    }

    fn too_large(&self, what: &'static str, limit: String) -> Error {
        Error::TooLarge { url: self.url.clone(), what, limit }
    }
}

/// The output of `git cat-file --batch`: `id kind size`, the bytes, a line break, each.
fn batch(output: &[u8], ids: &[&str]) -> Option<Vec<(String, Vec<u8>)>> {
    let mut rest = output;
    let mut objects = Vec::with_capacity(ids.len());
    for id in ids {
        let end = rest.iter().position(|&byte| byte == b'\n')?;
        let head = std::str::from_utf8(rest.get(..end)?).ok()?;
        let mut words = head.split(' ');
        let (found, kind, size) = (words.next()?, words.next()?, words.next()?);
        if found != *id {
            return None;
        }
        let (begin, size) = (end + 1, size.parse::<usize>().ok()?);
        let bytes = rest.get(begin..begin.checked_add(size)?)?;
        objects.push((kind.to_owned(), bytes.to_vec()));
        rest = rest.get(begin + size..)?.strip_prefix(b"\n")?;
    }
    rest.is_empty().then_some(objects)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn objects_come_in_order_and_whole() {
        let output = b"aa blob 3\nx\ny\nbb blob 0\n\n";
        let expected = vec![("blob".to_owned(), b"x\ny".to_vec()), ("blob".to_owned(), Vec::new())];
        assert_eq!(batch(output, &["aa", "bb"]), Some(expected));
        for output in
            [&b"aa missing\n"[..], b"aa blob 9\nx\n", b"bb blob 1\nx\n", b"aa blob 1\nx\nmore", b""]
        {
            assert_eq!(batch(output, &["aa"]), None);
        }
    }

    proptest! {
        #[test]
        fn any_output_is_objects_or_nothing(output in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = batch(&output, &["aa"]);
        }
    }
}
