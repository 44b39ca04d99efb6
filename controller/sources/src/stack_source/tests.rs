use std::fs;

use skep_crds::stacks::Stacks;

use super::*;
use crate::{LastGood, SourceState};

fn source(folder: &Path, fields: &str) -> StackSource {
    let text = format!("stacks: [{{name: web, files: [web.yml], {fields}}}]");
    let stacks = Stacks::read("stacks.yml", text.as_bytes()).unwrap_or_else(|p| panic!("{p}"));
    StackSource::declared(stacks.stacks[0].clone(), &folder.join("stacks.yml"))
}

const WEB: &str = "services:
  web:
    image: web:${TAG:-1}
    environment: {PASSWORD: \"${PASSWORD:-none}\"}
    secrets: [key]
secrets: {key: {file: key.bin}}
";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("web.yml"), WEB).expect("a file");
    fs::write(folder.path().join("key.bin"), [0, 0xFF, 1]).expect("a file");
    fs::write(folder.path().join("web.env"), "TAG=1.27\n").expect("a file");
    folder
}

fn image(loaded: &LoadedStack) -> &str {
    &loaded.loaded.stack.services["web"].image
}

#[test]
fn only_declared_variables_count() {
    let folder = folder();
    let loaded = source(folder.path(), "variables: {files: [web.env]}").load().expect("valid");
    assert_eq!(image(&loaded), "web:1.27");
    let own = source(folder.path(), "variables: {files: [web.env], values: {TAG: \"2\"}}");
    assert_eq!(image(&own.load().expect("valid")), "web:2");
    // PATH is in the environment of every process, and is not put in.
    fs::write(folder.path().join("web.yml"), "services: {web: {image: \"web:${PATH:?no}\"}}")
        .expect("written");
    let error = source(folder.path(), "").load().expect_err("not declared");
    let shown = folder.path().join("web.yml").display().to_string();
    assert!(error.to_string().contains(&shown), "{error}");
    assert!(error.problems().is_some_and(|problems| problems.has("VARIABLE_REQUIRED")));
}

#[test]
fn a_reference_without_a_value_is_an_error_before_anything_else() {
    let folder = folder();
    let missing = "variables: {values: {PASSWORD: \"env:SKEP_TEST_NOT_SET\"}}";
    let error = source(folder.path(), missing).load().expect_err("not set");
    let said = error.to_string();
    assert!(said.contains("stacks.yml:1:10") && said.contains("SKEP_TEST_NOT_SET"), "{said}");
}

#[test]
fn a_value_by_reference_is_hidden() {
    let folder = folder();
    let file = folder.path().join("password");
    fs::write(&file, "canary\n").expect("a file");
    let by_file = format!("variables: {{values: {{PASSWORD: \"file:{}\"}}}}", file.display());
    let loaded = source(folder.path(), &by_file).load().expect("valid");
    assert!(loaded.loaded.hidden.contains(&("web".to_owned(), "PASSWORD".to_owned())));
    assert!(!format!("{loaded:?}").contains("canary"));
    let bytes = loaded.bundle.to_bytes().expect("bytes");
    assert!(!String::from_utf8_lossy(&bytes).contains("canary"), "kept nowhere");
    // Another value is another content, although no file of the stack says so.
    fs::write(&file, "other\n").expect("a file");
    assert!(!source(folder.path(), &by_file).load().expect("valid").is_same(&loaded));
}

#[test]
fn a_stack_is_built_again_from_its_bytes() {
    let folder = folder();
    let source = source(folder.path(), "variables: {files: [web.env]}");
    let mut last_good = LastGood::new(source.clone());
    assert_eq!(last_good.accept(source.load()).state, SourceState::Ready);
    let bytes = last_good.export().expect("bytes").expect("a value");
    let value = last_good.value().expect("a value").clone();
    folder.close().expect("removed");

    let mut restarted = LastGood::new(source.clone());
    restarted.import(&bytes).expect("usable");
    let refreshed = restarted.accept(source.load());
    assert!(matches!(refreshed.state, SourceState::Stale { .. }), "{:?}", refreshed.state);
    let again = refreshed.value.expect("a value");
    assert!(again.is_same(&value));
    assert_eq!(
        again.loaded.contents.of(&again.loaded.stack.secrets["key"].file),
        Some(&[0, 0xFF, 1][..])
    );
}

#[test]
fn what_was_kept_of_other_files_is_not_taken() {
    let folder = folder();
    let bundle = source(folder.path(), "variables: {files: [web.env]}").load().expect("v").bundle;
    assert!(matches!(source(folder.path(), "").rebuild(bundle), Err(Error::Stored { .. })));
}

#[test]
fn a_rule_that_denies_refuses_the_stack_and_one_that_warns_tells() {
    let folder = folder();
    let with = |lint: &str| source(folder.path(), &format!("lint: {{{lint}}}")).load();
    let error = with("all: off, NO_LIMITS: deny").expect_err("denied");
    assert!(error.to_string().contains("NO_LIMITS"), "{error}");
    assert!(error.to_string().contains("web.yml:2:3"), "{error}");
    let warned = with("all: off, NO_LIMITS: warn").expect("only a warning");
    assert!(warned.loaded.warnings.has("NO_LIMITS"));
    assert!(!with("all: off").expect("no rule").loaded.warnings.has("NO_LIMITS"));
}

struct Commits(BTreeMap<&'static str, &'static str>);

impl Files for Commits {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.0.get(path).map(|text| text.as_bytes().to_vec()).ok_or_else(|| "there is none".into())
    }
}

#[test]
fn a_commit_is_read_below_its_folder_and_nowhere_else() {
    let text = "source: {git: {url: \"file:///x\", path: deploy}}";
    let source = source(Path::new("/etc"), text);
    let commit = Commit {
        id: "c0ffee".into(),
        author: "a <a@b>".into(),
        subject: "s".into(),
        made_at: None,
        replaces: None,
    };
    let load = |web: &'static str| {
        let files = BTreeMap::from([("web.yml", web), ("passwd", "in the commit")]);
        source.load_from(&Checkout::new(commit.clone(), Arc::new(Commits(files))))
    };
    let config = |path: &str| -> &'static str {
        format!("services: {{web: {{image: a}}}}\nconfigs: {{c: {{file: {path}}}}}").leak()
    };
    let loaded = load(config("../../passwd")).expect("it stays inside");
    assert_eq!(loaded.loaded.contents.of("/passwd"), Some(&b"in the commit"[..]));
    assert_eq!(&*loaded.loaded.places.of("services.web").file, "deploy/web.yml");
    assert_eq!(loaded.commit(), Some(&commit));
    let outside = load(config("/etc/passwd")).expect_err("not a file of the commit");
    assert!(outside.to_string().contains("deploy/web.yml:2:"), "{outside}");
    let again = source.rebuild(loaded.bundle.clone()).expect("from its bytes");
    assert!(again.is_same(&loaded));
}
