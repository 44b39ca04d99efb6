//! Long files are where designs rot: a warning from 400 lines before the tests,
//! a failure from 800.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Error;

const WARN: usize = 400;
const REFUSE: usize = 800;

/// What holds no source of ours, or nothing but tests.
const SKIPPED: [&str; 4] = ["target", ".git", "tests", "tests.rs"];

#[derive(Default)]
pub(crate) struct Sizes {
    pub(crate) files: usize,
    pub(crate) warnings: Vec<String>,
    pub(crate) problems: Vec<String>,
}

/// Looks at every Rust file below `root`.
pub(crate) fn check(root: &Path) -> Result<Sizes, Error> {
    let mut sizes = Sizes::default();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |source| Error::File { action: "list", path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            if SKIPPED.iter().any(|skipped| entry.file_name() == *skipped) {
                continue;
            }
            if entry.file_type().map_err(failed)?.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                sizes.add(root, &path)?;
            }
        }
    }
    sizes.warnings.sort();
    sizes.problems.sort();
    Ok(sizes)
}

impl Sizes {
    fn add(&mut self, root: &Path, path: &PathBuf) -> Result<(), Error> {
        let text = fs::read_to_string(path).map_err(|source| Error::File {
            action: "read",
            path: path.clone(),
            source,
        })?;
        self.files += 1;
        let lines = lines_before_tests(&text);
        let message = || {
            format!(
                "{}: {lines} lines before its tests",
                path.strip_prefix(root).unwrap_or(path).display()
            )
        };
        if lines > REFUSE {
            self.problems.push(format!("{} (at most {REFUSE})", message()));
        } else if lines > WARN {
            self.warnings.push(format!("{} (aim for less than {WARN})", message()));
        }
        Ok(())
    }
}

/// A test-only item at the outer level is where the tests begin.
fn lines_before_tests(text: &str) -> usize {
    text.lines().take_while(|line| !line.starts_with("#[cfg(test)]")).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_lines_before_the_tests_count() {
        assert_eq!(lines_before_tests("a\n    #[cfg(test)]\nb\n#[cfg(test)]\nmod tests {}\n"), 3);
    }

    #[test]
    fn a_file_is_named_with_its_lines() {
        let folder = std::env::temp_dir().join(format!("skep-sizes-{}", std::process::id()));
        fs::create_dir_all(folder.join("src")).unwrap();
        fs::write(folder.join("src/long.rs"), "//\n".repeat(801)).unwrap();
        fs::write(folder.join("src/wide.rs"), "//\n".repeat(401)).unwrap();
        fs::write(folder.join("src/fine.rs"), "//\n".repeat(400)).unwrap();
        fs::write(folder.join("src/tests.rs"), "//\n".repeat(900)).unwrap();
        let found = check(&folder);
        fs::remove_dir_all(&folder).unwrap();
        let found = found.unwrap();
        assert_eq!(found.files, 3);
        assert_eq!(found.problems, ["src/long.rs: 801 lines before its tests (at most 800)"]);
        assert_eq!(found.warnings.len(), 1);
    }
}
