//! Published ports: the long form, and `[[ADDRESS:]HOST:]CONTAINER[/PROTOCOL]` with ranges.

use std::net::IpAddr;

use serde::Serialize;
use skep_yaml::{Cursor, Kind, Resolved};

use super::amounts::PortNumber;
use super::merge::{Merge, Zero, by_key, replace};
use super::read::{Read, Rules, kind};

kind! {
    /// A published port.
    Port {
        /// `ingress` (the swarm's mesh) or `host`.
        "mode" mode: String,
        /// The container's port.
        "target" target: PortNumber,
        /// The port that others reach; left out, the engine chooses one.
        "published" published: PortNumber,
        /// `tcp`, `udp` or `sctp`.
        "protocol" protocol: String,
    }
}

/// Published ports.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Ports(pub Vec<Port>);

/// The version from which on the long form may be used.
const LONG_SINCE: u32 = 2;

impl Merge for PortNumber {
    fn merge(&mut self, later: Self) {
        replace(self, later);
    }
}

impl Zero for Ports {
    fn is_zero(&self) -> bool {
        self.0.is_empty()
    }
}

impl Merge for Ports {
    fn merge(&mut self, later: Self) {
        by_key(&mut self.0, later.0, |port| port.published);
    }
}

impl Read for Ports {
    fn read(at: &Cursor<'_>, rules: &Rules) -> Option<Self> {
        let items = at.list()?;
        let mut ports = Vec::new();
        let mut seen: Vec<String> = Vec::new();
        for item in &items {
            if let Some(text) = item.scalar().map(|scalar| scalar.raw.clone()) {
                if seen.contains(&text) {
                    item.refuse_with(
                        "DUPLICATE_ITEM",
                        "the same stands here twice",
                        "take one of the two out",
                    );
                }
                seen.push(text);
            }
            let more = one(item, rules).unwrap_or_default();
            if !rules.publish(more.len()) {
                let hint = "publish fewer; there are 65536 ports";
                item.refuse_with("TOO_MANY_PORTS", "the file publishes too many ports", hint);
                break;
            }
            ports.extend(more);
        }
        Some(Self(ports))
    }
}

fn one(at: &Cursor<'_>, rules: &Rules) -> Option<Vec<Port>> {
    if let Kind::Mapping(_) = at.node().kind {
        if rules.minor < LONG_SINCE {
            let message = format!("the long form needs version 3.{LONG_SINCE}");
            at.refuse_with("NEEDS_NEWER_VERSION", message, "take `version` out");
        }
        let map = at.map()?;
        let port = Port::fields(&map, rules);
        check(at, &port);
        return Some(vec![port]);
    }
    let text = match at.resolved() {
        Some(Resolved::Int(number)) => number.to_string(),
        Some(Resolved::Text(text)) => text,
        _ => {
            at.expected("a port such as 8080, \"80:8080\", or a mapping");
            return None;
        }
    };
    match parse(&text) {
        Ok(short) => {
            if short.address.is_some_and(|address| !address.is_unspecified()) {
                rules.warn(
                    at,
                    "ADDRESS_IGNORED",
                    "Swarm publishes on every address of a node; this address is passed over"
                        .to_owned(),
                    "leave the address out, or close the port with a firewall",
                );
            }
            Some(short.ports)
        }
        Err(why) => {
            at.refuse_with("BAD_PORT", why, "write \"80:8080\", \"8080\" or \"80:8080/udp\"");
            None
        }
    }
}

/// What the engine refuses or silently takes for its default.
fn check(at: &Cursor<'_>, port: &Port) {
    let field =
        |key: &str| at.map().and_then(|map| map.optional(key)).unwrap_or_else(|| at.clone());
    if !matches!(&*port.mode, "" | "ingress" | "host") {
        field("mode").refuse_with("UNKNOWN_WORD", "not a mode of a port", "one of: ingress, host");
    }
    if !matches!(&*port.protocol, "" | "tcp" | "udp" | "sctp") {
        field("protocol").refuse_with("UNKNOWN_WORD", "not a protocol", "one of: tcp, udp, sctp");
    }
    if port.target.0 == 0 {
        at.refuse_with("MISSING_KEY", "the container's port is missing", "add `target: PORT`");
    }
}

/// A short form, read.
#[derive(Debug)]
struct Short {
    address: Option<IpAddr>,
    ports: Vec<Port>,
}

fn parse(text: &str) -> Result<Short, &'static str> {
    let (front, container) = match text.rsplit_once(':') {
        Some((front, container)) => (Some(front), container),
        None => (None, text),
    };
    let (address, host) = match front.map(|front| front.rsplit_once(':').unwrap_or(("", front))) {
        Some((address, host)) => (address, host),
        None => ("", ""),
    };
    let (container, protocol) = container.split_once('/').unwrap_or((container, ""));
    let protocol =
        if protocol.is_empty() { "tcp".to_owned() } else { protocol.to_ascii_lowercase() };
    if !matches!(&*protocol, "tcp" | "udp" | "sctp") {
        return Err("the protocol must be tcp, udp or sctp");
    }
    let address = address.strip_prefix('[').and_then(|a| a.strip_suffix(']')).unwrap_or(address);
    let address = match address {
        "" => None,
        address => Some(address.parse::<IpAddr>().map_err(|_| "not an IP address")?),
    };
    if container.is_empty() {
        return Err("the container's port is missing");
    }
    let inner = range(container).ok_or("the container's port is no port and no range of ports")?;
    let outer = match host {
        "" => None,
        host => Some(range(host).ok_or("the published port is no port and no range of ports")?),
    };
    let width = |(first, last): (u32, u32)| last - first;
    let mut ports: Vec<Port> = Vec::new();
    let mut publish = |target: u32, published: u32| {
        ports.push(Port {
            mode: "ingress".to_owned(),
            target: PortNumber(target),
            published: PortNumber(published),
            protocol: protocol.clone(),
        });
    };
    match outer {
        None => (inner.0..=inner.1).for_each(|target| publish(target, 0)),
        Some(outer) if width(outer) == width(inner) => {
            (inner.0..=inner.1)
                .zip(outer.0..=outer.1)
                .for_each(|(target, host)| publish(target, host));
        }
        // All of them lead to the one port.
        Some(outer) if width(inner) == 0 => {
            (outer.0..=outer.1).for_each(|host| publish(inner.0, host));
        }
        Some(_) => return Err("the two ranges of ports are not equally long"),
    }
    // Docker orders the ports of a range as texts.
    ports.sort_by_key(|port| (port.target.0.to_string(), port.published));
    Ok(Short { address, ports })
}

fn range(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| text.parse::<u16>().ok()).flatten().map(u32::from)
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some((first, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(u32, u32, String)> {
        let short = parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
        short.ports.into_iter().map(|p| (p.published.0, p.target.0, p.protocol)).collect()
    }

    #[test]
    fn short_forms_are_docker_s() {
        let tcp = |pairs: &[(u32, u32)]| -> Vec<(u32, u32, String)> {
            pairs.iter().map(|(host, target)| (*host, *target, "tcp".to_owned())).collect()
        };
        assert_eq!(read("3000"), tcp(&[(0, 3000)]));
        assert_eq!(read("3000-3002"), tcp(&[(0, 3000), (0, 3001), (0, 3002)]));
        assert_eq!(read("80:8080"), tcp(&[(80, 8080)]));
        assert_eq!(read(":8080"), tcp(&[(0, 8080)]));
        assert_eq!(read("9-11:8-10"), tcp(&[(11, 10), (9, 8), (10, 9)]));
        assert_eq!(read("90-92:80"), tcp(&[(90, 80), (91, 80), (92, 80)]));
        assert_eq!(read("127.0.0.1:80:8080"), tcp(&[(80, 8080)]));
        assert_eq!(read("[::1]:80:8080"), tcp(&[(80, 8080)]));
        assert_eq!(read("::1:80:8080"), tcp(&[(80, 8080)]));
        assert_eq!(read("80:8080/UDP"), [(80, 8080, "udp".to_owned())]);
        assert_eq!(read("80:8080/"), tcp(&[(80, 8080)]));
        for bad in [
            "",
            "x",
            "80:",
            "99999",
            "80:8080/icmp",
            "1-2:3-5",
            "5-3",
            "1.2.3:80:80",
            "80/tcp/udp",
            "-1",
            "+1",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
