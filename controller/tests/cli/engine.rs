//! An engine of a few canned replies: an empty swarm that accepts nothing.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::{Arc, Mutex};

use crate::Home;

/// The engine; it ends with the test process.
pub(crate) struct FakeEngine {
    /// Its `DOCKER_HOST`.
    pub(crate) host: String,
    writes: Arc<Mutex<Vec<String>>>,
    replies: Replies,
}

/// Stands for a refusal that quotes the request.
const QUOTES: &str = "(quotes)";

type Replies = Arc<Mutex<BTreeMap<&'static str, String>>>;

impl FakeEngine {
    pub(crate) fn start(home: &Home) -> Self {
        let path = home.path("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        let writes = Arc::new(Mutex::new(Vec::new()));
        let replies = Arc::new(Mutex::new(BTreeMap::from([
            ("version", r#"{"ApiVersion": "1.41", "MinAPIVersion": "1.12"}"#.to_owned()),
            (
                "info",
                r#"{"ServerVersion": "20.10", "Swarm": {"LocalNodeState": "active",
                    "ControlAvailable": true, "Error": "", "Cluster": {"ID": "cluster1"}}}"#
                    .to_owned(),
            ),
            ("services", "[]".to_owned()),
            ("tasks", "[]".to_owned()),
            ("networks", "[]".to_owned()),
            ("secrets", "[]".to_owned()),
            ("configs", "[]".to_owned()),
            (
                "nodes",
                r#"[{"ID": "n1", "Spec": {"Availability": "active"}, "Status": {"State": "ready"},
                    "ManagerStatus": {"Leader": true, "Reachability": "reachable"}}]"#
                    .to_owned(),
            ),
        ])));
        let engine = Self {
            host: format!("unix://{}", path.display()),
            writes: Arc::clone(&writes),
            replies: Arc::clone(&replies),
        };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (writes, replies) = (Arc::clone(&writes), Arc::clone(&replies));
                std::thread::spawn(move || serve(stream.unwrap(), &writes, &replies));
            }
        });
        engine
    }

    /// Replaces a reply.
    pub(crate) fn says(&self, what: &'static str, reply: &str) {
        self.replies.lock().unwrap().insert(what, reply.to_owned());
    }

    /// From now on writes are answered: refused, in these words. Before that they get no answer.
    pub(crate) fn refuses_with(&self, message: &str) {
        self.says("refusal", &serde_json::json!({ "message": message }).to_string());
    }

    /// The same, and its words are the request's: each refusal quotes what it was sent.
    pub(crate) fn refuses_with_what_it_was_sent(&self) {
        self.says("refusal", QUOTES);
    }

    /// Requests that were no reads.
    pub(crate) fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }
}

fn serve(
    mut stream: UnixStream,
    writes: &Mutex<Vec<String>>,
    replies: &Mutex<BTreeMap<&str, String>>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut request = String::new();
        if reader.read_line(&mut request).unwrap_or(0) == 0 {
            return;
        }
        let (mut header, mut length) = (String::new(), 0);
        while header != "\r\n" {
            header.clear();
            if reader.read_line(&mut header).unwrap_or(0) == 0 {
                return;
            }
            let header = header.to_ascii_lowercase();
            if let Some(number) = header.strip_prefix("content-length:") {
                length = number.trim().parse().unwrap();
            }
        }
        if !request.starts_with("GET ") {
            writes.lock().unwrap().push(request);
            let Some(mut refusal) = replies.lock().unwrap().get("refusal").cloned() else { return };
            let mut body = Vec::new();
            reader.by_ref().take(length).read_to_end(&mut body).unwrap();
            if refusal == QUOTES {
                let said = format!("invalid: {}", String::from_utf8_lossy(&body));
                refusal = serde_json::json!({ "message": said }).to_string();
            }
            let reply = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{refusal}",
                refusal.len()
            );
            if stream.write_all(reply.as_bytes()).is_err() {
                return;
            }
            continue;
        }
        let path = request.split_whitespace().nth(1).unwrap();
        let what = path.split('?').next().unwrap().rsplit('/').next().unwrap();
        if what == "events" {
            // Nothing ever happens.
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            continue;
        }
        let body = replies.lock().unwrap().get(what).cloned();
        let (status, body) = match body {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", r#"{"message": "no such thing"}"#.to_owned()),
        };
        let reply = format!(
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(reply.as_bytes()).is_err() {
            return;
        }
    }
}
