use std::collections::BTreeSet;

use super::*;
use crate::stack::{Files, Source, Variables, load};

struct NoFiles;

impl Files for NoFiles {
    fn read(&self, _: &str) -> Result<Vec<u8>, String> {
        Ok(b"data".to_vec())
    }
}

fn loaded(text: &str) -> Loaded {
    let source = Source { name: "web.yml".into(), bytes: text.as_bytes().to_vec() };
    let variables: Variables =
        [("HOME".to_owned(), "/root".to_owned()), ("VALUE".to_owned(), "v".to_owned())]
            .into_iter()
            .collect();
    load(&[source], "/srv", &variables, &NoFiles).unwrap_or_else(|problems| panic!("{problems}"))
}

fn codes(text: &str) -> BTreeSet<&'static str> {
    let mut levels = Levels::default();
    assert!(levels.set("all", Level::Warn));
    lint(&loaded(text), &levels).into_iter().map(|finding| finding.problem.code).collect()
}

const HARDENED: &str = include_str!("../../../../stacks/corpus/real-hardened.yml");

#[test]
fn a_hardened_stack_is_clean() {
    assert_eq!(codes(HARDENED), BTreeSet::new());
}

/// Each rule is broken by one change, and by that one alone.
#[test]
fn each_rule_sees_its_own_mistake() {
    let table: &[(&str, &str, &str)] = &[
        (
            "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ":latest",
            "IMAGE_LATEST",
        ),
        (
            "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            ":1.2",
            "IMAGE_NOT_PINNED",
        ),
        ("user: \"10001:10001\"", "user: \"0:10001\"", "RUNS_AS_ROOT"),
        ("    read_only: true\n", "", "WRITABLE_ROOT"),
        ("cap_drop: [ALL]", "cap_drop: [KILL]", "KEEPS_CAPABILITIES"),
        (
            "cap_drop: [ALL]",
            "cap_drop: [ALL]\n    cap_add: [cap_sys_admin]",
            "DANGEROUS_CAPABILITY",
        ),
        ("    stop_grace_period: 60s\n", "", "NO_STOP_GRACE_PERIOD"),
        (", start_period: 30s", "", "NO_HEALTH_CHECK"),
        ("limits: {cpus: \"2\", memory: 1G}", "limits: {cpus: \"2\"}", "NO_LIMITS"),
        (", reservations: {cpus: \"0.5\", memory: 256M}", "", "NO_RESERVATIONS"),
        (", window: 120s", "", "UNBOUNDED_RESTARTS"),
        ("failure_action: rollback", "failure_action: pause", "NO_ROLLBACK"),
        ("      rollback_config: {parallelism: 1, order: stop-first}\n", "", "NO_ROLLBACK_CONFIG"),
        ("      placement: {constraints: [node.labels.graph == true]}\n", "", "NO_PLACEMENT"),
        ("TOKEN_FILE: /run/secrets/token", "TOKEN: abc", "SECRET_IN_ENVIRONMENT"),
        ("LOG_LEVEL: info", "LOG_LEVEL: \"${VALUE}\"", "VARIABLE_IN_ENVIRONMENT"),
        ("LOG_LEVEL: info", "LOG_LEVEL: ghp_0123456789abcdefABCDEF", "TOKEN_IN_FILE"),
        ("LOG_LEVEL: info", "UPSTREAM: \"http://db.example.test\"", "PLAIN_TEXT_ENDPOINT"),
        ("LOG_LEVEL: info", "DATA: /home/me/data", "HOME_PATH"),
        (
            "{type: volume, source: state, target: /state}",
            "{type: volume, source: state, target: /state}, \"/run/docker.sock:/s\"",
            "ENGINE_SOCKET",
        ),
        (
            "{type: volume, source: state, target: /state}",
            "{type: volume, source: state, target: /state}, \"/srv/x:/s\"",
            "HOST_PATH",
        ),
        (", tmpfs: {size: 16777216}", "", "UNBOUNDED_TMPFS"),
        (", mode: 0400}", "}", "SHORT_SECRET"),
        ("mode: 0400", "mode: 0600", "SECRET_MODE"),
        (
            "secrets: {token: {external: true, name: corpus-secret}}",
            "secrets: {token: {file: a}}",
            "SECRET_FROM_FILE",
        ),
        (
            "volumes: {state: {external: true}}",
            "volumes: {state: {external: true}, more: }",
            "UNUSED",
        ),
        (", driver_opts: {encrypted: \"true\"}", "", "NETWORK_NOT_ENCRYPTED"),
        ("attachable: false", "attachable: true", "NETWORK_ATTACHABLE"),
        ("internal: true, ", "", "NETWORK_NOT_INTERNAL"),
    ];
    let seen: BTreeSet<&str> = table.iter().map(|(_, _, code)| *code).collect();
    assert_eq!(seen, RULES.iter().map(|rule| rule.code).collect());
    for (from, to, code) in table {
        assert!(HARDENED.contains(from), "{from}");
        assert_eq!(codes(&HARDENED.replace(from, to)), BTreeSet::from([*code]), "{to}");
    }
}

#[test]
fn levels_are_chosen_by_rule() {
    let mut levels = Levels::default();
    assert_eq!(levels.of("IMAGE_LATEST"), Level::Deny);
    assert!(levels.set("IMAGE_LATEST", Level::Off) && !levels.set("IMAGE_LATES", Level::Off));
    let text = HARDENED
        .replace("@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", "");
    assert!(lint(&loaded(&text), &levels).is_empty());
    let found = lint(&loaded(&text), &Levels::default());
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].level, found[0].problem.location.line), (Level::Deny, 4));
}
