//! Secrets are searched for in everything that leaves the process: what is stored, logged,
//! printed, served, exported. Each has a value of its own, so that a hit says where it came from.

use std::path::{Path, PathBuf};

use base64::Engine as _;

use super::Home;

/// Everything that a person may take for a safe place of a secret.
const REGISTRY: &str = "\
services:
  - name: canary-mcp
    image: example/mcp:1
    host_port: 8201
    env:
      TOKEN: canary-literal-8d1f
      MODE: canary-plain-77aa
      FROM_FILE: file:./secret.txt
      FROM_ENV: env:CANARY_VARIABLE
    labels:
      app.password: canary-label-0c41
";

const CANARIES: &[&str] = &[
    "canary-literal-8d1f",
    "canary-plain-77aa",
    "canary-file-93be",
    "canary-variable-5e60",
    "canary-label-0c41",
    "canary-docker-2f7d",
    "canary-store-b18c",
];

/// As it is, and as it is written when somebody thinks of encodings.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let standard = base64::engine::general_purpose::STANDARD.encode(canary);
    let hex: String = canary.bytes().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = canary.bytes().map(|byte| format!("%{byte:02X}")).collect();
    // Not the padding: within a longer text the end is another one.
    let inner = standard.trim_end_matches('=');
    let inner = inner[..inner.len() - 2].to_owned();
    vec![canary.as_bytes().to_vec(), inner.into_bytes(), hex.into_bytes(), percent.into_bytes()]
}

fn hits(place: &str, bytes: &[u8]) -> Vec<String> {
    CANARIES
        .iter()
        .filter(|canary| {
            forms(canary).iter().any(|form| bytes.windows(form.len()).any(|part| part == form))
        })
        .map(|canary| format!("{canary} in {place}"))
        .collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn the_search_finds_what_is_there() {
    let canary = CANARIES[0];
    for form in forms(canary) {
        let mut text = b"before ".to_vec();
        text.extend(form);
        assert_eq!(hits("here", &text), [format!("{canary} in here")]);
    }
    assert!(hits("here", b"nothing").is_empty());
}

#[test]
fn no_secret_leaves_a_run_without_an_engine() {
    let home = Home::new();
    let inputs = home.path("inputs");
    std::fs::create_dir(&inputs).unwrap();
    let registry = home.file("inputs/fleet.yml", REGISTRY);
    home.file("inputs/secret.txt", "canary-file-93be");
    let auth = base64::engine::general_purpose::STANDARD.encode("user:canary-docker-2f7d");
    home.file(
        "inputs/docker/config.json",
        &format!(r#"{{"auths": {{"registry.example": {{"auth": "{auth}"}}}}}}"#),
    );
    home.file("inputs/broken.yml", &format!("{REGISTRY}    canary-label-0c41: [unclosed\n"));
    let variables = [
        ("CANARY_VARIABLE", "canary-variable-5e60"),
        ("DOCKER_CONFIG", "inputs/docker"),
        ("SKEP_LOG", "trace"),
        ("RUST_LOG", "trace"),
    ];
    let store = "sqlite:state/skep.db";
    let postgres = "postgres://skep:canary-store-b18c@127.0.0.1:1/skep";
    let mut found = Vec::new();
    for output in ["table", "json", "yaml"] {
        for arguments in [
            vec!["plan", "--registry", &registry, "--store", store],
            vec!["plan", "--registry", "inputs/broken.yml", "--store", store],
            vec!["registry", "validate", &registry],
            vec!["registry", "validate", "inputs/broken.yml"],
            vec!["reconcile", "--once", "--registry", &registry, "--store", store],
            vec!["approvals", "list", "--store", postgres],
            vec!["config", "show", "--origin", "--store", postgres, "--registry", &registry],
            vec!["actions", "list", "--store", store],
            vec!["audit", "list", "--store", store],
            vec!["audit", "export", "--store", store],
            vec!["audit", "verify", "--store", store],
        ] {
            let mut all = arguments.clone();
            all.extend(["-o", output, "--log-level", "trace"]);
            let run = home.run_with(&all, &variables);
            found.extend(hits(&format!("stdout of {arguments:?}"), &run.0.stdout));
            found.extend(hits(&format!("stderr of {arguments:?}"), &run.0.stderr));
        }
    }
    let mut paths = Vec::new();
    files(&home.path("."), &mut paths);
    let kept = paths.iter().filter(|path| !path.to_string_lossy().contains("/inputs/"));
    for path in kept {
        found.extend(hits(&path.display().to_string(), &std::fs::read(path).unwrap()));
    }
    assert!(found.is_empty(), "{found:#?}");
    assert!(home.path("state/skep.db").exists(), "otherwise this test proves little");
}
