//! Which IP addresses are not public. Pure: what is done about it is decided elsewhere.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is that no repository on the Internet has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// This machine.
    Loopback,
    /// A private network (RFC 1918, unique local).
    Private,
    /// This link only.
    LinkLocal,
    /// Where a cloud gives out a machine's own credentials.
    Metadata,
    /// The network of a provider behind its address translation (RFC 6598).
    Shared,
    /// No single machine.
    Multicast,
    /// No machine at all.
    Unspecified,
    /// Set aside: documentation, benchmarks, protocols, future use.
    Reserved,
    /// An address inside of another whose meaning depends on who translates it.
    Translated,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine itself",
            Self::Private => "a private network",
            Self::LinkLocal => "the local link",
            Self::Metadata => "a cloud's metadata service",
            Self::Shared => "a provider's shared network",
            Self::Multicast => "a multicast group",
            Self::Unspecified => "no machine",
            Self::Reserved => "a reserved range",
            Self::Translated => "a tunnel or a translator",
        })
    }
}

/// Metadata services that do not have 169.254.169.254: Alibaba, Oracle, and AWS over IPv6.
const METADATA_V4: [Ipv4Addr; 4] = [
    Ipv4Addr::new(169, 254, 169, 254),
    Ipv4Addr::new(169, 254, 170, 2),
    Ipv4Addr::new(100, 100, 100, 200),
    Ipv4Addr::new(192, 0, 0, 192),
];
const METADATA_V6: [Ipv6Addr; 2] = [
    Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254),
    Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254),
];

/// What an address is when it is not public; an IPv4 address inside of an IPv6 one counts as what
/// it is.
#[must_use]
pub fn kind(address: IpAddr) -> Option<Kind> {
    match address.to_canonical() {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<Kind> {
    if METADATA_V4.contains(&address) {
        return Some(Kind::Metadata);
    }
    match address.octets() {
        [0, ..] => Some(Kind::Unspecified),
        [127, ..] => Some(Kind::Loopback),
        [10, ..] | [192, 168, ..] | [172, 16..=31, ..] => Some(Kind::Private),
        [169, 254, ..] => Some(Kind::LinkLocal),
        [100, 64..=127, ..] => Some(Kind::Shared),
        [192, 0, 0 | 2, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _] => {
            Some(Kind::Reserved)
        }
        // The relays of 6to4 are gone; whoever answers there now is nobody's choice.
        [192, 88, 99, _] => Some(Kind::Translated),
        [224..=239, ..] => Some(Kind::Multicast),
        [240..=255, ..] => Some(Kind::Reserved),
        _ => None,
    }
}

fn kind_v6(address: Ipv6Addr) -> Option<Kind> {
    if METADATA_V6.contains(&address) {
        return Some(Kind::Metadata);
    }
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Some(Kind::Unspecified),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some(Kind::Loopback),
        // IPv4-compatible (deprecated), NAT64 (well-known and local), 6to4, Teredo: which machine
        // that is depends on the network, and it may be a private one.
        [0, 0, 0, 0, 0, 0, ..] | [0x64, 0xff9b, ..] | [0x2002, ..] | [0x2001, 0, ..] => {
            Some(Kind::Translated)
        }
        [0, 0, 0, 0, ..] => Some(Kind::Reserved),
        [0xfc00..=0xfdff, ..] => Some(Kind::Private),
        [0xfe80..=0xfeff, ..] => Some(Kind::LinkLocal),
        [0xff00..=0xffff, ..] => Some(Kind::Multicast),
        // Only 2000::/3 has been given out; the rest of it is documentation and protocols.
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] | [0x2001, 1..=0x1ff, ..] => {
            Some(Kind::Reserved)
        }
        [0x2000..=0x3fff, ..] => None,
        _ => Some(Kind::Reserved),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_not_public_is_known() {
        for (text, expected) in [
            ("127.0.0.1", Kind::Loopback),
            ("127.255.0.9", Kind::Loopback),
            ("::1", Kind::Loopback),
            ("::ffff:127.0.0.1", Kind::Loopback),
            ("0.0.0.0", Kind::Unspecified),
            ("0.1.2.3", Kind::Unspecified),
            ("::", Kind::Unspecified),
            ("10.0.0.1", Kind::Private),
            ("172.16.0.1", Kind::Private),
            ("172.31.255.255", Kind::Private),
            ("192.168.1.1", Kind::Private),
            ("fd12:3456::1", Kind::Private),
            ("::ffff:10.0.0.1", Kind::Private),
            ("169.254.1.1", Kind::LinkLocal),
            ("fe80::1", Kind::LinkLocal),
            ("fec0::1", Kind::LinkLocal),
            ("169.254.169.254", Kind::Metadata),
            ("::ffff:169.254.169.254", Kind::Metadata),
            ("fd00:ec2::254", Kind::Metadata),
            ("100.100.100.200", Kind::Metadata),
            ("100.64.0.1", Kind::Shared),
            ("100.127.255.255", Kind::Shared),
            ("224.0.0.1", Kind::Multicast),
            ("ff02::1", Kind::Multicast),
            ("255.255.255.255", Kind::Reserved),
            ("240.0.0.1", Kind::Reserved),
            ("192.0.2.1", Kind::Reserved),
            ("198.18.0.1", Kind::Reserved),
            ("2001:db8::1", Kind::Reserved),
            ("64:ff9b::a00:1", Kind::Translated),
            ("64:ff9b:1::1", Kind::Translated),
            ("2002:a00:1::1", Kind::Translated),
            ("2001:0:1::1", Kind::Translated),
            ("::10.0.0.1", Kind::Translated),
            ("4000::1", Kind::Reserved),
        ] {
            assert_eq!(kind(text.parse().expect(text)), Some(expected), "{text}");
        }
        for text in [
            "1.1.1.1",
            "140.82.121.4",
            "172.32.0.1",
            "100.128.0.1",
            "2606:4700::1111",
            "::ffff:8.8.8.8",
        ] {
            assert_eq!(kind(text.parse().expect(text)), None, "{text}");
        }
    }

    proptest! {
        /// A mapped address is never judged by another measure than the plain one.
        #[test]
        fn mapping_hides_nothing(bits in any::<u32>()) {
            let plain = Ipv4Addr::from_bits(bits);
            prop_assert_eq!(kind(plain.into()), kind(plain.to_ipv6_mapped().into()));
            // What the standard library calls private and so on is never public here.
            if plain.is_private() || plain.is_loopback() || plain.is_link_local()
                || plain.is_multicast() || plain.is_broadcast() || plain.is_documentation()
            {
                prop_assert!(kind(plain.into()).is_some());
            }
        }
    }
}
