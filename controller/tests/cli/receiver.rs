//! A receiver of traces, messages and comments: one HTTP listener that keeps what is posted to it.

use std::io::{BufRead, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;

/// Head and body, as they came.
type Request = (String, Vec<u8>);

pub(crate) struct Receiver {
    pub(crate) endpoint: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) fn start() -> Self {
        Self::answering("")
    }

    /// One that gives everybody this answer.
    pub(crate) fn answering(answer: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let kept = Arc::clone(&kept);
                std::thread::spawn(move || {
                    let mut reader = BufReader::new(stream.try_clone().unwrap());
                    while let Some(request) = post(&mut reader) {
                        kept.lock().unwrap().push(request);
                        let length = answer.len();
                        let reply =
                            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{answer}");
                        stream.write_all(reply.as_bytes()).unwrap();
                    }
                });
            }
        });
        Self { endpoint, requests }
    }

    /// What came so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }

    /// What came as traces.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let decoded = |(head, body): Request| {
            assert!(head.starts_with("POST /v1/traces "), "{head}");
            assert!(head.to_lowercase().contains("\r\ncontent-type: application/x-protobuf\r\n"));
            ExportTraceServiceRequest::decode(body.as_slice()).unwrap().resource_spans
        };
        let resources = self.requests().into_iter().flat_map(decoded);
        resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
    }
}

fn post(reader: &mut impl BufRead) -> Option<Request> {
    let mut head = String::new();
    reader.read_line(&mut head).ok().filter(|read| *read > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        head.push_str(&header);
        let header = header.trim().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Some((head, body))
}
