//! A repository that somebody works in, and a reader that looks at it.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use skep_core::ports::SecretSource;
use skep_git::{Access, Limits, Programs, Reader, RemoteUrl, Resolve, Snapshot, Source};
use skep_testkit::install::{self, Permission};

/// A folder with everything of one test.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
}

/// A fixed secret.
pub(crate) struct Fixed(pub(crate) String);

impl SecretSource for Fixed {
    fn reveal(&self) -> Result<String, String> {
        Ok(self.0.clone())
    }
}

pub(crate) fn secret(text: &str) -> Arc<dyn SecretSource> {
    Arc::new(Fixed(text.to_owned()))
}

/// Names that stand for these addresses, one answer after the other; the last one stays.
pub(crate) struct Names(Mutex<Vec<IpAddr>>);

impl Names {
    pub(crate) fn of(addresses: &[&str]) -> Arc<Self> {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self(Mutex::new(addresses)))
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
        let mut answers = self.0.lock().unwrap();
        let next = if answers.len() > 1 { answers.remove(0) } else { answers[0] };
        Ok(vec![next])
    }
}

impl Lab {
    /// An empty bare repository `origin.git` and a work tree `work` that pushes to it.
    pub(crate) fn new() -> Self {
        Self::with_format("sha1")
    }

    pub(crate) fn with_format(format: &str) -> Self {
        install::git(Permission::Forbidden, &mut |_| {}).expect("the programs of these tests");
        let lab = Self { folder: tempfile::tempdir().unwrap() };
        let format = format!("--object-format={format}");
        for (bare, name) in [(true, "origin.git"), (false, "work")] {
            std::fs::create_dir(lab.path(name)).unwrap();
            let bare = if bare { "--bare" } else { "--quiet" };
            lab.git_in(name, &["init", "--quiet", bare, "--initial-branch=main", &format]);
        }
        // As large servers allow it, and git's own does not.
        for setting in ["uploadpack.allowAnySHA1InWant", "uploadpack.allowFilter"] {
            lab.git_in("origin.git", &["config", setting, "true"]);
        }
        lab.git(&["remote", "add", "origin", &lab.path("origin.git").display().to_string()]);
        lab
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// git in the work tree.
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_in("work", arguments)
    }

    /// git in a folder of the lab, with nothing of this machine's configuration.
    pub(crate) fn git_in(&self, folder: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.args(arguments).current_dir(self.path(folder));
        self.run(command)
    }

    /// Runs a program to its end and gives its output.
    pub(crate) fn run(&self, mut command: Command) -> String {
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.folder.path())
            .env("GNUPGHOME", self.path("gnupg"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .envs([("GIT_AUTHOR_NAME", "Ann Lee"), ("GIT_AUTHOR_EMAIL", "ann@example.com")])
            .envs([("GIT_COMMITTER_NAME", "Bo"), ("GIT_COMMITTER_EMAIL", "bo@example.com")])
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {said}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Writes a file of the work tree.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path("work").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits everything, and gives the commit's id.
    pub(crate) fn commit(&self, subject: &str) -> String {
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Commits one file and pushes it.
    pub(crate) fn push(&self, name: &str, text: &str) -> String {
        self.write(name, text);
        let id = self.commit(&format!("Write {name}"));
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:refs/heads/main"]);
        id
    }

    /// The repository as a folder.
    pub(crate) fn source(&self) -> Source {
        let url = format!("file://{}", self.path("origin.git").display());
        Source::new(RemoteUrl::parse(&url).unwrap())
    }

    /// What lets the folder of this lab and loopback be read.
    pub(crate) fn access(&self) -> Access {
        Access {
            hosts: Vec::new(),
            networks: vec!["127.0.0.1/32".parse().unwrap()],
            folders: vec![self.folder.path().to_owned()],
        }
    }

    pub(crate) fn reader(&self) -> Reader {
        self.reader_with(Limits::default())
    }

    pub(crate) fn reader_with(&self, limits: Limits) -> Reader {
        self.reader_of(programs(), self.access(), limits, Names::of(&["127.0.0.1"]))
    }

    pub(crate) fn reader_of(
        &self,
        programs: Programs,
        access: Access,
        limits: Limits,
        names: Arc<Names>,
    ) -> Reader {
        Reader::new(programs, self.path("kept"), access, limits, names).unwrap()
    }

    /// A program that does something before, or in the place of, git.
    pub(crate) fn wrapped(&self, script: &str) -> Programs {
        let path = self.path("wrapped-git");
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Programs { git: path.into(), ..programs() }
    }

    /// True when a text stands in any file below a folder of the lab.
    pub(crate) fn is_written_below(&self, folder: &str, text: &str) -> bool {
        let mut folders = vec![self.path(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else if contains(&std::fs::read(&path).unwrap(), text) {
                    return true;
                }
            }
        }
        false
    }
}

pub(crate) fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|part| part == text.as_bytes())
}

/// The programs of this machine.
pub(crate) fn programs() -> Programs {
    let path = std::env::var_os("PATH").unwrap();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    Programs::in_path(std::env::join_paths(folders).unwrap())
}

/// The texts of a snapshot by their names.
pub(crate) fn texts(snapshot: &Snapshot) -> BTreeMap<String, String> {
    let files = snapshot.files.entries().filter_map(|(name, _)| {
        let bytes = snapshot.files.read(name).ok()?;
        Some((name.to_owned(), String::from_utf8(bytes.to_vec()).unwrap()))
    });
    files.collect()
}

/// Waits until a process has ended; a zombie that nobody has waited for counts.
pub(crate) async fn until_ended(pid_file: &Path) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let patience = || assert!(std::time::Instant::now() < deadline, "waited in vain");
    let pid = loop {
        match std::fs::read_to_string(pid_file) {
            Ok(text) if text.ends_with('\n') => break text.trim().to_owned(),
            _ => patience(),
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    let stat = PathBuf::from(format!("/proc/{pid}/stat"));
    while std::fs::read_to_string(&stat).is_ok_and(|text| !text.contains(") Z ")) {
        patience();
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}
