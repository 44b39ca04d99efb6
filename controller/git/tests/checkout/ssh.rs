//! Over ssh: a real server on loopback.

use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use skep_git::{Access, Credentials, DialError, Error, Limits, RemoteUrl, Source};

use crate::lab::{Lab, Names, programs, secret, texts};

struct Sshd {
    child: Child,
    port: u16,
    host_key: String,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn key(lab: &Lab, name: &str) -> (String, String) {
    let path = lab.path(name);
    let mut keygen = Command::new("ssh-keygen");
    keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"]).arg(&path);
    lab.run(keygen);
    let read = |path| std::fs::read_to_string(path).unwrap();
    (read(path.clone()), read(path.with_extension("pub")))
}

impl Sshd {
    /// Lets the one key in.
    fn start(lab: &Lab, public: &str) -> Self {
        let (_, host_key) = key(lab, "host");
        std::fs::write(lab.path("authorized"), public).unwrap();
        let is_root = skep_testkit::is_root();
        if is_root {
            // What sshd insists on, and its package makes only when its service starts.
            std::fs::create_dir_all("/run/sshd").unwrap();
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = lab.path(".").display().to_string();
        let config = format!(
            "ListenAddress 127.0.0.1:{port}\nHostKey {folder}/host\nPidFile none\n\
             AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nMaxStartups 100\n"
        );
        std::fs::write(lab.path("sshd_config"), config).unwrap();
        let program = skep_testkit::find_program("sshd").unwrap();
        let log = std::fs::File::create(lab.path("sshd.log")).unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f"])
            .arg(lab.path("sshd_config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(lab.path("sshd.log")).unwrap();
            assert!(Instant::now() < deadline, "{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port, host_key }
    }

    fn known_hosts(&self, host_key: &str) -> String {
        let key = host_key.split(' ').take(2).collect::<Vec<_>>().join(" ");
        format!("[git.test]:{} {key}\n", self.port)
    }

    fn source(&self, lab: &Lab, key: &str, known_hosts: &str) -> Source {
        let user = lab.run({
            let mut id = Command::new("id");
            id.arg("-un");
            id
        });
        let path = lab.path("origin.git").display().to_string();
        let url = format!("ssh://{user}@git.test:{}{path}", self.port);
        let credentials = Credentials::Key { key: secret(key), known_hosts: secret(known_hosts) };
        Source { credentials, ..Source::new(RemoteUrl::parse(&url).unwrap()) }
    }
}

#[tokio::test]
async fn a_key_opens_a_known_host_and_nothing_else_does() {
    let lab = Lab::new();
    let id = lab.push("a.yml", "a");
    let (private, public) = key(&lab, "user");
    let (stranger, strange_public) = key(&lab, "stranger");
    let sshd = Sshd::start(&lab, &public);
    let known = sshd.known_hosts(&sshd.host_key);
    let source = |key: &str, known: &str| sshd.source(&lab, key, known);

    let reader = lab.reader();
    // Without the line break at its end, as a variable gives it.
    let snapshot = reader.read(&source(private.trim(), &known), None).await.unwrap();
    assert_eq!((snapshot.commit.id.as_str(), texts(&snapshot)["a.yml"].as_str()), (&*id, "a"));
    assert!(!lab.is_written_below("kept", "PRIVATE KEY"), "the key is left on disk");

    let error = reader.read(&source(&stranger, &known), None).await.unwrap_err();
    assert!(matches!(error, Error::Unauthorised { .. }), "{error}");
    let another = sshd.known_hosts(&strange_public);
    for known in [another.as_str(), "", "git.example.com ssh-ed25519 AAAA"] {
        let error = reader.read(&source(&private, known), None).await.unwrap_err();
        assert!(matches!(error, Error::HostKey { .. }), "{known}: {error}");
    }
    let open = Source { credentials: Credentials::None, ..source(&private, &known) };
    let error = reader.read(&open, None).await.unwrap_err();
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    assert!(error.hint().contains("ssh-keyscan"), "{}", error.hint());
}

#[tokio::test]
async fn an_address_that_is_not_public_is_never_dialled() {
    let lab = Lab::new();
    lab.push("a.yml", "a");
    let (private, _) = key(&lab, "user");
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let url = format!("ssh://git@git.test:{port}/origin.git");
    let credentials = Credentials::Key { key: secret(&private), known_hosts: secret("") };
    let source = Source { credentials, ..Source::new(RemoteUrl::parse(&url).unwrap()) };
    let names = Names::of(&["127.0.0.1"]);
    let reader = lab.reader_of(programs(), Access::default(), Limits::default(), names);
    let error = reader.read(&source, None).await.unwrap_err();
    assert!(matches!(error, Error::Dial { problem: DialError::Forbidden { .. }, .. }), "{error}");
    let nobody = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(nobody.is_err(), "it was dialled");
}
