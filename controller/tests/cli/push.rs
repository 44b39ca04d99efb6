//! From a push to what it changes, through the running program: a follower takes it, the leader
//! acts on it, and somebody who asks by hand is answered by the leader.

use std::path::Path;
use std::process::Command;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::Home;
use crate::engine::FakeEngine;
use crate::receiver::Receiver;
use crate::serve::{Serving, wait};
use crate::webhooks::post;

const SECRET: &str = "a webhook secret of good length";

/// A repository of one test.
struct Repository<'a> {
    home: &'a Home,
}

impl<'a> Repository<'a> {
    fn new(home: &'a Home) -> Self {
        std::fs::create_dir(home.path("fleet")).unwrap();
        let repository = Self { home };
        repository.git(&["init", "--quiet", "--initial-branch", "main"]);
        repository
    }

    fn folder(&self) -> std::path::PathBuf {
        self.home.path("fleet")
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C"])
            .arg(self.folder())
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn commit(&self, file: &str, content: &str) -> String {
        std::fs::write(self.folder().join(file), content).unwrap();
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Change it"]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Lets a commit stand where a forge keeps a proposal, and nowhere else.
    fn propose(&self, reference: &str, change: impl FnOnce(&Path)) -> String {
        self.git(&["checkout", "--quiet", "--detach", "main"]);
        change(&self.folder());
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--message", "Propose it"]);
        let id = self.git(&["rev-parse", "HEAD"]);
        self.git(&["update-ref", reference, &id]);
        self.git(&["checkout", "--quiet", "--force", "main"]);
        self.git(&["clean", "--quiet", "--force", "-d"]);
        id
    }

    /// Addresses under which a forge would announce it.
    fn address(&self) -> String {
        format!("file://{}", self.folder().display())
    }
}

fn web(image: &str) -> String {
    format!("services:\n  web:\n    image: {image}\n    environment: {{TOKEN: \"${{TOKEN}}\"}}\n")
}

/// A signed delivery; the answer's status line and body.
fn deliver(serving: &Serving, event: &str, body: &Value) -> (String, Value) {
    let body = body.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let code: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [("X-Forgejo-Event", event), ("X-Forgejo-Signature", code.as_str())];
    post(serving, "forgejo", &headers, &body)
}

fn push(repository: &Repository<'_>, branch: &str, before: &str, after: &str) -> Value {
    json!({
        "ref": format!("refs/heads/{branch}"), "before": before, "after": after,
        "total_commits": 1, "commits": [{"id": after, "modified": ["web.yml"]}],
        "repository": {"clone_url": repository.address(), "default_branch": "main"},
        "pusher": {"login": "ada"},
    })
}

/// A stacks file whose repositories are asked once an hour.
fn stacks(home: &Home, repository: &Repository<'_>, more: &str) -> String {
    let url = repository.address();
    let variables = "variables: {values: {TOKEN: \"file:TOKENFILE\"}}";
    let token = home.file("token", "canary-of-the-daemon\n");
    let variables = variables.replace("TOKENFILE", &token);
    let text = format!(
        "stacks:\n\
         - name: web\n  files: [web.yml]\n  interval: 1h\n  {variables}\n  \
         source: {{git: {{url: \"{url}\", branch: main{more}}}}}\n\
         - name: next\n  files: [web.yml]\n  interval: 1h\n  {variables}\n  \
         source: {{git: {{url: \"{url}\", branch: next}}}}\n"
    );
    home.file("stacks.yml", &text)
}

fn start(home: &Home, engine: &FakeEngine, stacks: &str) -> Serving {
    let secret = home.file("forgejo.secret", SECRET);
    let secret = format!("file:{secret}");
    let path = std::env::var("PATH").unwrap();
    let repositories = home.path("repositories").display().to_string();
    let variables = [
        ("FLEET_WEBHOOK_FORGEJO", secret.as_str()),
        ("FLEET_RECONCILER_INTERVAL", "1h"),
        ("SKEP_STACKS", stacks),
        ("PATH", path.as_str()),
        ("FLEET_REPOSITORIES_PATH", repositories.as_str()),
    ];
    Serving::start(home, engine, &variables)
}

/// How a source stands where somebody leads.
fn source(serving: &Serving, name: &str, ready: impl Fn(&Value) -> bool) -> Value {
    let found = |body: &str| {
        let status: Value = serde_json::from_str(body).ok()?;
        let sources = status["sources"].as_array()?.clone();
        sources.into_iter().find(|source| source["name"] == name).filter(|source| ready(source))
    };
    let body = serving.get_until("/status", |_, body| found(body).is_some());
    found(&body).unwrap()
}

#[test]
fn a_push_to_a_follower_reaches_the_leader_and_a_wish_by_hand_as_well() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let repository = Repository::new(&home);
    let first = repository.commit("web.yml", &web("w:1"));
    repository.git(&["branch", "next"]);
    let stacks = stacks(&home, &repository, "");
    let leader = start(&home, &engine, &stacks);
    source(&leader, "stack web", |source| source["commit"] == first.as_str());
    let follower = start(&home, &engine, &stacks);
    let follows = |body: &str| {
        serde_json::from_str::<Value>(body).is_ok_and(|status| status["holder"].is_string())
    };
    follower.get_until("/status", |_, body| follows(body));
    // Kept from before, so that a look at the wrong source would be seen.
    let moved = repository.commit("web.yml", &web("w:2"));
    repository.git(&["branch", "--force", "next", "main"]);

    let delivery = push(&repository, "main", &first, &moved);
    let (status, answer) = deliver(&follower, "push", &delivery);
    assert!(status.contains(" 202 "), "{status} {answer}");
    source(&leader, "stack web", |source| source["commit"] == moved.as_str());
    let next = source(&leader, "stack next", |_| true);
    assert_eq!(next["commit"], first.as_str(), "another branch was not looked at");
    // A copy is known wherever it comes.
    for serving in [&leader, &follower] {
        let (status, answer) = deliver(serving, "push", &delivery);
        assert!(status.contains(" 409 "), "{status} {answer}");
        assert_eq!(answer["error"]["code"], "WEBHOOK_REPLAYED");
    }

    // By hand: the leader looks, and says what it found.
    let store = format!("sqlite:{}", home.path("skep.db").display());
    let sync = |names: &[&str]| {
        let arguments = [&["stack", "sync", "--store", &store, "-o", "json"], names].concat();
        home.run(&arguments)
    };
    let third = repository.commit("web.yml", &web("w:3"));
    let synced = sync(&["web"]);
    let row = &synced.json()["items"][0];
    assert_eq!((&row["name"], &row["state"]), (&json!("web"), &json!("ready")), "{synced}");
    assert_eq!((&row["before"], &row["commit"]), (&json!(moved), &json!(third)), "{synced}");
    let targets: Vec<_> =
        row["steps"].as_array().unwrap().iter().map(|step| step["target"].clone()).collect();
    assert_eq!(targets, ["network/web_default", "web_web"], "{synced}");
    assert!(synced.stderr().contains("leads and is asked to look now"), "{synced}");
    let unknown = sync(&["web", "wbe"]);
    assert_eq!(unknown.code(), 1, "{unknown}");
    assert!(unknown.stderr().contains("wbe") && unknown.stdout().contains("\"web\""), "{unknown}");

    // A broken commit keeps the one before and says where; the next one recovers.
    repository.commit("web.yml", "services:\n  web:\n    imge: x\n");
    let broken = sync(&["web"]);
    assert_eq!(broken.code(), 1, "{broken}");
    let row: Value = serde_json::from_str(&broken.stdout()).unwrap();
    let row = &row["items"][0];
    assert_eq!((&row["state"], &row["commit"]), (&json!("stale"), &json!(third)), "{row}");
    assert!(row["reason"].as_str().unwrap().contains("web.yml:3:5"), "{row}");
    let fifth = repository.commit("web.yml", &web("w:5"));
    let all = sync(&[]).json();
    assert_eq!(all["items"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(all["items"][1]["commit"], fifth.as_str(), "{all}");

    // The leader goes; what was announced before anybody else leads is acted on by the next one.
    leader.stop();
    source(&follower, "stack web", |source| source["commit"] == fifth.as_str());
    follower.stop();
    let alone = home.run_with(
        &["stack", "sync", "web", "--store", &store, "--stacks", &stacks, "-o", "json"],
        &[
            ("DOCKER_HOST", &engine.host),
            ("PATH", &std::env::var("PATH").unwrap()),
            ("FLEET_REPOSITORIES_PATH", &home.path("repositories").display().to_string()),
        ],
    );
    assert_eq!(alone.code(), 0, "{alone}");
    assert!(alone.stderr().contains("no `skep serve` leads"), "{alone}");
    assert_eq!(engine.writes(), Vec::<String>::new());
}

fn proposal(repository: &Repository<'_>, number: u64, action: &str, head: &str) -> Value {
    json!({
        "action": action, "number": number,
        "pull_request": {
            "title": "Take another", "user": {"login": "mallory"},
            "head": {"ref": "evil", "sha": head}, "base": {"ref": "main"},
        },
        "repository": {"clone_url": repository.address(), "default_branch": "main"},
    })
}

#[test]
fn a_pull_request_is_planned_and_commented_and_nothing_is_carried_out() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let forge = Receiver::answering("{\"id\": 41}");
    let repository = Repository::new(&home);
    repository.commit("web.yml", &web("w:1"));
    repository.git(&["branch", "next"]);
    let token = home.file("forge.token", "canary-of-the-forge\n");
    let comments = format!(
        ", allowed_networks: [127.0.0.0/8], allowed_hosts: [127.0.0.1], \
         comments: {{token: \"file:{token}\", api: \"{}/api/v1\"}}",
        forge.endpoint
    );
    let stacks = stacks(&home, &repository, &comments);
    let serving = start(&home, &engine, &stacks);
    source(&serving, "stack web", |source| source["state"] == "ready");
    let store = format!("sqlite:{}", home.path("skep.db").display());
    let show = |number: u64| {
        let number = number.to_string();
        home.run(&["stack", "preview", &number, "--store", &store, "-o", "json"])
    };
    let preview = |number: u64, commit: &str| {
        wait("the preview", || {
            let run = show(number);
            let Ok(value) = serde_json::from_str::<Value>(&run.stdout()) else {
                return Err(run.to_string());
            };
            let is_done = value["stacks"][0]["commit"] == commit && !value["comment"].is_null();
            if is_done { Ok((run.code(), value)) } else { Err(value.to_string()) }
        })
    };

    // It comes from a fork: nothing but the request's own reference has it.
    let head = repository.propose("refs/pull/7/head", |folder| {
        std::fs::write(folder.join("web.yml"), web("w:2")).unwrap();
    });
    let (status, answer) =
        deliver(&serving, "pull_request", &proposal(&repository, 7, "opened", &head));
    assert!(status.contains(" 202 "), "{status} {answer}");
    let (code, planned) = preview(7, &head);
    assert_eq!(code, 0, "{planned:#}");
    let step = &planned["stacks"][0]["steps"][1];
    assert_eq!((&step["target"], &step["action"]), (&json!("web_web"), &json!("deploy_service")));
    assert_eq!(step["provenance"]["file"], "web.yml");
    assert!(planned.to_string().contains("w:2"), "{planned:#}");
    assert!(!planned.to_string().contains("canary"), "{planned:#}");
    let listed = home.run(&["stack", "previews", "--store", &store]);
    assert!(listed.stdout().contains("mallory") && listed.stdout().contains("web"), "{listed}");

    // What a hostile one may try.
    std::fs::write(home.path("outside.yml"), "services: {x: {image: \"canary-outside\"}}").unwrap();
    let outside = home.path("outside.yml").display().to_string();
    type Attack<'a> = (&'a str, Box<dyn Fn(&Path) + 'a>, &'a str);
    let text = |text: String| -> Box<dyn Fn(&Path)> {
        Box::new(move |folder: &Path| std::fs::write(folder.join("web.yml"), &text).unwrap())
    };
    let attacks: Vec<Attack<'_>> = vec![
        (
            "a link out",
            Box::new(|folder: &Path| {
                std::fs::remove_file(folder.join("web.yml")).unwrap();
                std::os::unix::fs::symlink(&outside, folder.join("web.yml")).unwrap();
            }),
            "leads out",
        ),
        ("a file outside", text(format!("{}    env_file: {outside}\n", web("w:1"))), "web.yml:5:5"),
        (
            "a secret outside",
            text(format!("{}secrets: {{s: {{file: ../../outside.yml}}}}\n", web("w:1"))),
            "web.yml:5:",
        ),
        (
            "a variable of the daemon",
            text("services: {web: {image: \"w:${FLEET_WEBHOOK_FORGEJO:?}\"}}\n".to_owned()),
            "FLEET_WEBHOOK_FORGEJO",
        ),
        (
            "a secret where it would be shown",
            text("services: {web: {image: \"w:${TOKEN}\"}}\n".to_owned()),
            "may only stand in the environment",
        ),
        (
            "too many services",
            text((0..600).fold("services:\n".to_owned(), |text, at| {
                format!("{text}  s{at}: {{image: \"w:1\"}}\n")
            })),
            "more than 500 services",
        ),
    ];
    for (number, (what, attack, expected)) in (8..).zip(&attacks) {
        let head = repository.propose(&format!("refs/pull/{number}/head"), attack);
        deliver(&serving, "pull_request", &proposal(&repository, number, "opened", &head));
        let (code, failed) = preview(number, &head);
        let problem = failed["stacks"][0]["problem"].as_str().unwrap_or_default();
        assert!(problem.contains(expected), "{what}: {failed:#}");
        assert!(!failed.to_string().contains("canary"), "{what}: {failed:#}");
        assert_eq!(code, 1, "{what}");
    }
    // One into another branch is nobody's.
    let mut elsewhere = proposal(&repository, 99, "opened", &head);
    elsewhere["pull_request"]["base"]["ref"] = json!("feature");
    deliver(&serving, "pull_request", &elsewhere);

    // A new commit: the same comment is meant, and the newest plan stands.
    let newer = repository.propose("refs/pull/7/head", |folder| {
        std::fs::write(folder.join("web.yml"), web("w:3")).unwrap();
    });
    deliver(&serving, "pull_request", &proposal(&repository, 7, "synchronized", &newer));
    let (_, planned) = preview(7, &newer);
    assert!(planned.to_string().contains("w:3"), "{planned:#}");
    assert_eq!(show(99).code(), 1);
    let asked = forge.requests();
    assert!(asked[0].0.starts_with("POST /api/v1/repos/"), "{}", asked[0].0);
    assert!(asked[0].0.contains("/issues/7/comments "), "{}", asked[0].0);
    assert!(asked[0].0.to_lowercase().contains("authorization: token canary-of-the-forge"));
    let body = String::from_utf8(asked[0].1.clone()).unwrap();
    assert!(body.contains("web_web") && !body.contains("canary"), "{body}");
    let changed = wait("the changed comment", || {
        let asked = forge.requests();
        let changed = asked.iter().find(|one| one.0.starts_with("PATCH "));
        changed.cloned().ok_or_else(|| format!("{asked:?}"))
    });
    assert!(changed.0.contains("/issues/comments/41 "), "{}", changed.0);
    assert!(String::from_utf8_lossy(&changed.1).contains("w:3"));
    let of_seven = |one: &&(String, Vec<u8>)| one.0.contains("/issues/7/comments ");
    assert_eq!(forge.requests().iter().filter(of_seven).count(), 1, "one comment");

    // Nothing was proposed but what the branch itself says, and nothing was written.
    let pending = home.run(&["approvals", "list", "--store", &store, "-o", "json"]).json();
    let pending = pending["items"].as_array().unwrap().clone();
    let of_proposals = pending.iter().filter(|one| one.to_string().contains("w:2"));
    assert_eq!(of_proposals.count(), 0, "{pending:#?}");
    assert_eq!(engine.writes(), Vec::<String>::new());
    serving.stop();
}

#[test]
fn each_forge_is_believed_by_its_secret_only() {
    let home = Home::new();
    let engine = FakeEngine::start(&home);
    let secret = format!("file:{}", home.file("secret", SECRET));
    let variables = [
        ("FLEET_WEBHOOK_FORGEJO", secret.as_str()),
        ("FLEET_WEBHOOK_GITEA", secret.as_str()),
        ("FLEET_WEBHOOK_GITHUB", secret.as_str()),
        ("FLEET_WEBHOOK_GITLAB", secret.as_str()),
    ];
    let open = Serving::start(&home, &engine, &variables);
    let closed = Serving::start(&home, &engine, &[]);
    let body = "{}";
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let code: String =
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let prefixed = format!("sha256={code}");
    for (forge, event, signature) in [
        ("forgejo", ("X-Forgejo-Event", "release"), ("X-Forgejo-Signature", code.as_str())),
        ("gitea", ("X-Gitea-Event", "release"), ("X-Gitea-Signature", code.as_str())),
        ("github", ("X-GitHub-Event", "ping"), ("X-Hub-Signature-256", prefixed.as_str())),
        ("gitlab", ("X-Gitlab-Event", "Note Hook"), ("X-Gitlab-Token", SECRET)),
    ] {
        let (status, answer) = post(&open, forge, &[event, signature], body);
        assert!(status.contains(" 202 "), "{forge}: {status} {answer}");
        assert_eq!(answer["status"], "ignored", "{forge}");
        for (serving, headers) in [(&open, vec![event]), (&closed, vec![event, signature])] {
            let (status, answer) = post(serving, forge, &headers, body);
            assert!(status.contains(" 401 "), "{forge}: {status} {answer}");
            assert_eq!(answer["error"]["code"], "WEBHOOK_REFUSED", "{forge}");
        }
    }
    let (_, metrics) = open.get("/metrics");
    for forge in ["forgejo", "gitea", "github", "gitlab"] {
        for result in ["ignored", "bad_signature"] {
            let line =
                format!("fleet_gitops_webhook_total{{forge=\"{forge}\",result=\"{result}\"}} 1\n");
            assert!(metrics.contains(&line), "{line}{metrics}");
        }
    }
    open.stop();
    closed.stop();
}
