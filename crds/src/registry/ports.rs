//! Published ports beyond the one of `host_port`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use skep_yaml::{Cursor, Resolved};

use super::document::Port;
use crate::format::{Format, Text, mapping, word};

/// One published port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublishedPort {
    /// The port in the container.
    pub target: u16,
    /// The port outside; `None` lets the swarm choose one.
    pub published: Option<u16>,
    /// The protocol.
    pub protocol: Protocol,
    /// Who listens.
    pub mode: PublishMode,
    /// A name for people.
    pub name: Option<String>,
}

/// What is spoken on a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// Who listens on a published port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PublishMode {
    /// Every node, for tasks anywhere.
    Ingress,
    /// The node of a task, for that task.
    Host,
}

/// How clients find the tasks of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointMode {
    /// One virtual address.
    Vip,
    /// The addresses of all tasks.
    Dnsrr,
}

const PROTOCOLS: [(&str, Protocol); 3] =
    [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];
const MODES: [(&str, PublishMode); 2] =
    [("ingress", PublishMode::Ingress), ("host", PublishMode::Host)];
const ENDPOINT_MODES: [(&str, EndpointMode); 2] =
    [("vip", EndpointMode::Vip), ("dnsrr", EndpointMode::Dnsrr)];

word!(Protocol, PROTOCOLS);
word!(PublishMode, MODES);
word!(EndpointMode, ENDPOINT_MODES);

mapping! {
    /// A published port.
    pub(crate) struct PortDocument {
        /// The port in the container.
        target: Port,
        /// The port outside; the swarm chooses one when left out.
        published: Option<Port>,
        /// tcp, udp or sctp; tcp when left out.
        protocol: Option<Protocol>,
        /// ingress: every node listens; host: only nodes with a task; ingress when left out.
        mode: Option<PublishMode>,
        /// A name for people.
        name: Option<Text>,
    }
}

/// `published:target[/protocol]`, `target`, or the long form.
impl Format for PublishedPort {
    type Value = Self;

    fn read(at: &Cursor<'_>) -> Option<Self> {
        if at.scalar().is_some() {
            return short(at);
        }
        let read = PortDocument::read(at)?;
        Some(Self {
            target: read.target,
            published: read.published,
            protocol: read.protocol.unwrap_or(Protocol::Tcp),
            mode: read.mode.unwrap_or(PublishMode::Ingress),
            name: read.name,
        })
    }

    fn schema(generator: &mut SchemaGenerator) -> Schema {
        let (port, long) = (Port::schema(generator), PortDocument::schema(generator));
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": "^([0-9]+:)?[0-9]+(/(tcp|udp|sctp))?$" },
                port,
                long,
            ],
        })
    }
}

fn short(at: &Cursor<'_>) -> Option<PublishedPort> {
    let text = match at.resolved() {
        Some(Resolved::Int(_)) => at.scalar()?.raw.clone(),
        _ => at.filled_text()?,
    };
    let (ports, protocol) = text.split_once('/').unwrap_or((&text, "tcp"));
    let (published, target) = match ports.split_once(':') {
        Some((published, target)) => (Some(published), target),
        None => (None, ports),
    };
    let port = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let protocol = PROTOCOLS.iter().find(|(word, _)| *word == protocol);
    match (published.map(port), port(target), protocol) {
        (None | Some(Some(_)), Some(target), Some((_, protocol))) => Some(PublishedPort {
            target,
            published: published.and_then(port),
            protocol: *protocol,
            mode: PublishMode::Ingress,
            name: None,
        }),
        _ => {
            let hint = "write published:target, such as \"8080:80\" or \"53:53/udp\"; the long \
                form has more";
            at.refuse_with("BAD_PORT", "not a published port", hint);
            None
        }
    }
}
