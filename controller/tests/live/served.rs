//! A git repository served on loopback, and the forge that announces what is pushed to it.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{Fleet, PATIENCE, Serve, text, wait};

/// The secret that this forge signs with.
pub(crate) const SECRET: &str = "a webhook secret of good length";

/// A repository with a work tree, served over ssh.
pub(crate) struct Served<'a> {
    fleet: &'a Fleet,
    sshd: Child,
    port: u16,
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        let _ = self.sshd.kill();
        let _ = self.sshd.wait();
    }
}

fn run(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl<'a> Served<'a> {
    pub(crate) fn start(fleet: &'a Fleet) -> Self {
        for name in ["host_key", "user_key"] {
            let mut keygen = Command::new("ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(fleet.path(name));
            run(keygen);
        }
        if skep_testkit::is_root() {
            // What sshd insists on, and its package makes only when its service starts.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let path = |name: &str| fleet.path(name).display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\n\
             StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n\
             PasswordAuthentication no\nKbdInteractiveAuthentication no\n",
            path("host_key"),
            path("user_key.pub"),
        );
        std::fs::write(fleet.path("sshd_config"), config).unwrap();
        let host_key = std::fs::read_to_string(fleet.path("host_key.pub")).unwrap();
        let host_key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let known = format!("[127.0.0.1]:{port} {host_key}\n");
        std::fs::write(fleet.path("known_hosts"), known).unwrap();
        let log = std::fs::File::create(fleet.path("sshd.log")).unwrap();
        let sshd = Command::new(skep_testkit::find_program("sshd").unwrap())
            .args(["-D", "-e", "-f"])
            .arg(fleet.path("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let served = Self { fleet, sshd, port };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(fleet.path("sshd.log")).unwrap();
            assert!(Instant::now() < deadline, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        std::fs::create_dir(served.folder()).unwrap();
        served.git(&["init", "--quiet", "--initial-branch", "main"]);
        served
    }

    fn folder(&self) -> PathBuf {
        self.fleet.path("repository")
    }

    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-C"]);
        git.arg(self.folder()).args(arguments);
        run(git)
    }

    pub(crate) fn commit(&self, content: &str) -> String {
        std::fs::write(self.folder().join("web.yml"), content).unwrap();
        self.git(&["add", "web.yml"]);
        self.git(&["commit", "--quiet", "--message", "Change the web"]);
        self.git(&["rev-parse", "HEAD"])
    }

    fn url(&self) -> String {
        let mut id = Command::new("id");
        id.arg("-un");
        format!("ssh://{}@127.0.0.1:{}{}", run(id), self.port, self.folder().display())
    }

    /// The source of a stack, in a stacks file.
    pub(crate) fn source(&self) -> String {
        let path = |name: &str| self.fleet.path(name).display().to_string();
        format!(
            "{{git: {{url: \"{}\", branch: main, allowed_networks: [127.0.0.0/8], \
             credentials: {{ssh_key: \"{}\", known_hosts: \"{}\"}}}}}}",
            self.url(),
            path("user_key"),
            path("known_hosts"),
        )
    }

    /// Announces the newest commit, signed; it must be taken.
    pub(crate) fn announce(&self, serve: &Serve) {
        let address = wait(serve, "the address", || address(&serve.log()));
        let (before, after) =
            (self.git(&["rev-parse", "HEAD~1"]), self.git(&["rev-parse", "HEAD"]));
        let body = json!({
            "ref": "refs/heads/main", "before": before, "after": after, "total_commits": 1,
            "commits": [{"id": after, "modified": ["web.yml"]}],
            "repository": {"ssh_url": self.url(), "default_branch": "main"},
            "pusher": {"login": "ada"},
        })
        .to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let code = mac.finalize().into_bytes();
        let code: String = code.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut stream = TcpStream::connect(&address).unwrap();
        write!(
            stream,
            "POST /api/v1/webhooks/forgejo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Content-Type: application/json\r\nX-Forgejo-Event: push\r\n\
             X-Forgejo-Signature: {code}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        assert!(reply.starts_with("HTTP/1.1 202 "), "{reply}");
    }
}

/// Where it listens, as its log says.
fn address(log: &str) -> Option<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut started = lines.filter(|line| line["message"] == "serve.started");
    started.next().and_then(|line| line["http.address"].as_str().map(str::to_owned))
}
