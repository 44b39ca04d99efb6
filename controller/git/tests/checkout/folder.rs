//! From a folder of this machine: what may be read, and what a repository cannot do.

use skep_git::{
    Access, CommitId, Entry, Error, Folder, InvalidUrl, Limits, ReadError, Reference, RemoteUrl,
    Source,
};

use crate::lab::{Lab, Names, programs, texts, until_ended};

#[test]
fn transports_that_run_programs_are_no_addresses() {
    for text in ["ext::sh -c touch% /tmp/x", "ext::sh", "fd::3", "--upload-pack=x", "-x", "a\nb"] {
        assert!(RemoteUrl::parse(text).is_err(), "{text}");
    }
    assert_eq!(RemoteUrl::parse("ext::sh"), Err(InvalidUrl::Helper("ext".to_owned())));
}

#[tokio::test]
async fn a_folder_is_read_where_it_is_allowed() {
    let lab = Lab::new();
    let id = lab.push("stacks/web/compose.yml", "web");
    lab.push("stacks/db/compose.yml", "db");
    assert_ne!(id, lab.git(&["rev-parse", "HEAD"]));
    let names = Names::of(&["127.0.0.1"]);
    let closed = lab.reader_of(programs(), Access::default(), Limits::default(), names);
    let error = closed.read(&lab.source(), None).await.unwrap_err();
    assert_eq!(error.code(), "GIT_REFUSED", "{error}");
    assert!(error.hint().contains("allowed folders"), "{}", error.hint());

    let reader = lab.reader();
    let whole = texts(&reader.read(&lab.source(), None).await.unwrap());
    assert_eq!(
        whole.keys().collect::<Vec<_>>(),
        ["stacks/db/compose.yml", "stacks/web/compose.yml"]
    );
    let folder = |name: &str| Source { folder: Folder::parse(name).unwrap(), ..lab.source() };
    let web = texts(&reader.read(&folder("stacks/web"), None).await.unwrap());
    assert_eq!(web.into_iter().collect::<Vec<_>>(), [("compose.yml".to_owned(), "web".to_owned())]);
    for name in ["stacks/none", "stacks/web/compose.yml", "-x", "a:b", "HEAD^{tree}"] {
        let error = reader.read(&folder(name), None).await.unwrap_err();
        assert!(matches!(error, Error::FolderMissing { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn links_and_submodules_lead_nowhere_else() {
    let lab = Lab::new();
    lab.write("web/compose.yml", "web");
    lab.write("common.env", "env");
    for (target, link) in [
        ("../common.env", "web/inside"),
        ("/etc/passwd", "web/absolute"),
        ("../../../../etc/passwd", "web/outside"),
        ("..", "web/up"),
    ] {
        std::os::unix::fs::symlink(target, lab.path("work").join(link)).unwrap();
    }
    lab.git(&["add", "--all"]);
    let commit = "1111111111111111111111111111111111111111";
    lab.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},module")]);
    lab.git(&["commit", "--quiet", "-m", "Link"]);
    lab.git(&["push", "--quiet", "origin", "HEAD:refs/heads/main"]);
    let files = lab.reader().read(&lab.source(), None).await.unwrap().files;
    assert_eq!(files.read("web/inside"), Ok(&b"env"[..]));
    assert_eq!(files.read("web/up/common.env"), Ok(&b"env"[..]));
    for name in ["web/absolute", "web/outside", "web/up/../x", "../x", "/etc/passwd"] {
        assert_eq!(files.read(name), Err(ReadError::Outside(name.to_owned())), "{name}");
    }
    assert_eq!(files.read("module/x"), Err(ReadError::Submodule("module/x".to_owned())));
    // From the folder of one stack, the other files are outside.
    let web = Source { folder: Folder::parse("web").unwrap(), ..lab.source() };
    let files = lab.reader().read(&web, None).await.unwrap().files;
    assert_eq!(files.read("inside"), Err(ReadError::Outside("inside".to_owned())));
}

#[tokio::test]
async fn nothing_that_a_repository_says_is_run() {
    let lab = Lab::new();
    let touched = lab.path("touched");
    let run = format!("touch {}", touched.display());
    lab.write(".gitattributes", "* filter=evil\n*.yml text eol=crlf\n");
    lab.write("a.yml", "one\ntwo\n");
    lab.write("pointer", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n");
    lab.push("b", "b");
    // The server's side and the user's own configuration, as hostile as they can be.
    for name in ["filter.evil.smudge", "core.fsmonitor", "core.sshCommand", "core.gitProxy"] {
        lab.git_in("origin.git", &["config", name, &run]);
    }
    for hook in ["post-checkout", "reference-transaction", "post-merge", "pre-auto-gc"] {
        let path = lab.path("origin.git/hooks").join(hook);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("#!/bin/sh\n{run}\n")).unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).unwrap();
    }
    let files = lab.reader().read(&lab.source(), None).await.unwrap().files;
    assert_eq!(files.read("a.yml"), Ok(&b"one\ntwo\n"[..]), "as it was committed");
    assert_eq!(files.read("pointer"), Err(ReadError::Elsewhere("pointer".to_owned())));
    assert!(!touched.exists());
    let kept: Vec<_> =
        files.entries().filter(|(_, entry)| matches!(entry, Entry::File(_))).collect();
    assert_eq!(kept.len(), 4);
}

/// Names that git itself would never write, put into a tree by hand.
#[tokio::test]
async fn a_tree_with_names_that_lead_out_is_refused() {
    let lab = Lab::new();
    lab.push("a", "a");
    let blob = lab.git(&["rev-parse", "HEAD:a"]);
    let raw: Vec<u8> =
        (0..40).step_by(2).map(|at| u8::from_str_radix(&blob[at..at + 2], 16).unwrap()).collect();
    let tree = [b"100644 ..\0".as_slice(), &raw].concat();
    std::fs::write(lab.path("work/tree"), tree).unwrap();
    let tree = lab.git(&["hash-object", "-t", "tree", "-w", "--literally", "tree"]);
    let commit = lab.git(&["commit-tree", "-m", "Out", &tree]);
    lab.git(&["push", "--quiet", "--force", "origin", &format!("{commit}:refs/heads/main")]);
    let error = lab.reader().read(&lab.source(), None).await.unwrap_err();
    assert!(matches!(error, Error::Content { .. }), "{error}");
}

#[tokio::test]
async fn what_is_there_already_is_not_fetched_and_what_is_damaged_is_fetched_again() {
    let lab = Lab::new();
    let id = lab.push("a.yml", "a");
    let log = lab.path("log");
    let recorded = lab.wrapped(&format!("echo \"$1\" >> {}; exec git \"$@\"", log.display()));
    let names = Names::of(&["127.0.0.1"]);
    let reader = lab.reader_of(recorded, lab.access(), Limits::default(), names);
    let fetches = || {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| *line == "fetch").count()
    };
    for _ in 0..3 {
        reader.read(&lab.source(), None).await.unwrap();
    }
    assert_eq!(fetches(), 1);

    let kept = std::fs::read_dir(lab.path("kept")).unwrap().next().unwrap().unwrap().path();
    for entry in std::fs::read_dir(kept.join("sha1.git/objects/pack")).unwrap() {
        std::fs::write(entry.unwrap().path(), "damaged").unwrap();
    }
    let snapshot = reader.read(&lab.source(), None).await.unwrap();
    assert_eq!(snapshot.commit.id.as_str(), id);
    assert_eq!(texts(&snapshot)["a.yml"], "a");
    std::fs::remove_dir_all(kept.join("sha1.git/objects")).unwrap();
    reader.read(&lab.source(), None).await.unwrap();
}

#[tokio::test]
async fn ids_of_both_kinds_are_read() {
    let lab = Lab::with_format("sha256");
    let id = lab.push("a.yml", "a");
    assert_eq!(id.len(), 64);
    let snapshot = lab.reader().read(&lab.source(), None).await.unwrap();
    assert_eq!(snapshot.commit.id, CommitId::parse(&id).unwrap());
    let pinned = Source { reference: Reference::commit(&id).unwrap(), ..lab.source() };
    assert_eq!(texts(&lab.reader().read(&pinned, None).await.unwrap())["a.yml"], "a");
}

#[tokio::test]
async fn whoever_stops_waiting_ends_git() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let pid = lab.path("pid");
    let sleeping = lab.wrapped(&format!("echo $$ > {}; exec sleep 600", pid.display()));
    let names = Names::of(&["127.0.0.1"]);
    let reader = lab.reader_of(sleeping, lab.access(), Limits::default(), names);
    let source = lab.source();
    let reading = tokio::spawn(async move { reader.read(&source, None).await });
    while !pid.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    reading.abort();
    assert!(reading.await.unwrap_err().is_cancelled());
    until_ended(&pid).await;
    let missing = skep_git::Programs { git: "no-such-git".into(), ..programs() };
    let names = Names::of(&["127.0.0.1"]);
    let reader = lab.reader_of(missing, lab.access(), Limits::default(), names);
    let error = reader.read(&lab.source(), None).await.unwrap_err();
    assert_eq!(error.code(), "GIT_PROGRAM_MISSING", "{error}");
}
