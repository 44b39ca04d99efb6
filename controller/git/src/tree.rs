//! The list of files of a commit, as `git ls-tree -r -z -l` gives it. Pure.

use std::collections::BTreeMap;

/// Something with a name in a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) kind: ListedKind,
    pub(crate) object: String,
    /// In bytes; none for a submodule.
    pub(crate) size: u64,
}

/// What it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListedKind {
    File,
    Link,
    Submodule,
}

/// Reads the list. Names that are not UTF-8 are left out: no stack file can name them.
pub(crate) fn parse(list: &[u8]) -> Result<BTreeMap<String, Listed>, String> {
    let mut files = BTreeMap::new();
    for line in list.split(|&byte| byte == 0).filter(|line| !line.is_empty()) {
        let bad = || "git lists its files in an unknown form".to_owned();
        let tab = line.iter().position(|&byte| byte == b'\t').ok_or_else(bad)?;
        let (head, name) = line.split_at_checked(tab).ok_or_else(bad)?;
        let head = std::str::from_utf8(head).map_err(|_| bad())?;
        let Ok(name) = std::str::from_utf8(name.get(1..).unwrap_or_default()) else { continue };
        let mut words = head.split_ascii_whitespace();
        let (mode, _kind, object, size) = (words.next(), words.next(), words.next(), words.next());
        let (Some(mode), Some(object), Some(size)) = (mode, object, size) else {
            return Err(bad());
        };
        let kind = match mode {
            "120000" => ListedKind::Link,
            "160000" => ListedKind::Submodule,
            mode if mode.starts_with("100") => ListedKind::File,
            _ => return Err(format!("{name:?} has the unknown mode {mode}")),
        };
        if !is_plain(name) {
            return Err(format!("{name:?} is not a name of a file"));
        }
        let is_id = object.len() >= 40 && object.bytes().all(|byte| byte.is_ascii_hexdigit());
        let size = if kind == ListedKind::Submodule { Some(0) } else { size.parse().ok() };
        let size = size.filter(|_| is_id).ok_or_else(bad)?;
        let listed = Listed { kind, object: object.to_owned(), size };
        if files.insert(name.to_owned(), listed).is_some() {
            return Err(format!("{name:?} is there twice"));
        }
    }
    Ok(files)
}

/// git refuses such names when it receives them; whoever changes that finds them refused here.
fn is_plain(name: &str) -> bool {
    name.split('/').all(|part| {
        !part.is_empty() && part != "." && part != ".." && !part.eq_ignore_ascii_case(".git")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &str = "0123456789abcdef0123456789abcdef01234567";

    #[test]
    fn files_links_and_submodules_are_told_apart() {
        let list = format!(
            "100644 blob {OBJECT}     12\ta.yml\0100755 blob {OBJECT} 0\tdir/b sh\0\
             120000 blob {OBJECT} 5\tlink\0160000 commit {OBJECT}       -\tsub\0"
        );
        let files = parse(list.as_bytes()).expect("a list");
        assert_eq!(files["a.yml"].size, 12);
        assert_eq!(files["dir/b sh"].kind, ListedKind::File);
        assert_eq!(files["link"].kind, ListedKind::Link);
        assert_eq!(files["sub"].kind, ListedKind::Submodule);
        let mut other = format!("100644 blob {OBJECT} 1\t").into_bytes();
        other.extend([0xff, 0xfe, 0]);
        assert!(parse(&other).expect("left out").is_empty());
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        for name in ["../x", "a/../../x", "/etc/passwd", "a//b", "./a", ".git/config", "a/.GIT/x"] {
            let list = format!("100644 blob {OBJECT} 1\t{name}\0");
            assert!(parse(list.as_bytes()).is_err(), "{name}");
        }
        let twice = format!("100644 blob {OBJECT} 1\ta\0100644 blob {OBJECT} 1\ta\0");
        assert!(parse(twice.as_bytes()).is_err());
        for list in ["100644 blob", "x", "100644 blob zz 1\ta", &format!("777 blob {OBJECT} 1\ta")]
        {
            assert!(parse(list.as_bytes()).is_err(), "{list}");
        }
    }
}
