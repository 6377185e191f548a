//! Personal data: addresses of people and of their machines.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::Span;
use super::random::is_algorithm;

/// Which kinds are replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PersonalOptions {
    /// E-mail addresses; those of reserved domains (`example.org`, `.test`) stay.
    pub email_addresses: bool,
    /// IPv4 addresses of the public network. Off unless set: four numbers with dots are more
    /// often a version than a machine.
    pub ip_addresses: bool,
}

impl Default for PersonalOptions {
    fn default() -> Self {
        Self { email_addresses: true, ip_addresses: false }
    }
}

/// Adds what `options` ask for to `found`.
pub(super) fn find(text: &str, options: &PersonalOptions, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    if options.email_addresses {
        let spans = memchr::memchr_iter(b'@', bytes).filter_map(|at| email(bytes, at));
        found.extend(spans.map(|(start, end)| Span::new("email", start, end)));
    }
    if options.ip_addresses {
        addresses(bytes, found);
    }
}

/// Top-level domains beside those of two letters. A list, because in code `x@self.weight` is a product.
const DOMAINS: &[&str] = &[
    "com",
    "org",
    "net",
    "edu",
    "gov",
    "mil",
    "int",
    "info",
    "biz",
    "name",
    "pro",
    "mobi",
    "app",
    "dev",
    "xyz",
    "online",
    "site",
    "tech",
    "cloud",
    "email",
    "blog",
    "studio",
    "agency",
    "solutions",
    "systems",
    "software",
    "company",
    "digital",
    "network",
    "world",
    "live",
    "life",
    "today",
    "space",
    "store",
    "shop",
    "academy",
    "foundation",
    "institute",
    "science",
    "university",
    "school",
    "consulting",
    "engineering",
    "ventures",
    "group",
    "team",
    "work",
    "works",
    "zone",
    "tools",
];

/// The address around the `@` at `at`.
fn email(bytes: &[u8], at: usize) -> Option<(usize, usize)> {
    let local_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-' | b'+' | b'%');
    let local = bytes[..at].iter().rev().take(65).take_while(|byte| local_byte(byte)).count();
    let domain_byte = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let mut domain = bytes[at + 1..].iter().take(254).take_while(|byte| domain_byte(byte)).count();
    // A full stop or a dash that ends the sentence is not part of the address.
    while domain > 0 && matches!(bytes[at + domain], b'.' | b'-') {
        domain -= 1;
    }
    let mut start = at - local;
    while start < at && matches!(bytes[start], b'.' | b'-' | b'+' | b'%') {
        start += 1;
    }
    let (user, host, end) = (&bytes[start..at], &bytes[at + 1..at + 1 + domain], at + 1 + domain);
    let host = std::str::from_utf8(host).ok()?;
    let (rest, top) = host.rsplit_once('.')?;
    let known = DOMAINS.iter().any(|known| top.eq_ignore_ascii_case(known))
        || top.len() == 2 && top.bytes().all(|byte| byte.is_ascii_lowercase());
    let well_formed = host.split('.').all(|label| !label.is_empty() && !label.starts_with('-'));
    let called = bytes.get(end).is_some_and(|byte| matches!(byte, b'(' | b'_' | b'['));
    // `git@host:path` is the address of a repository, `user:password@host` is another rule's.
    let service =
        user == b"git" || user == b"svn" || user == b"hg" || start > 0 && matches!(bytes[start - 1], b'/' | b':');
    let usable = !user.is_empty() && local <= 64 && known && well_formed && !called && !service;
    let usable = usable && !is_extension(user, host);
    (usable && !is_reserved(host, rest)).then_some((start, end))
}

/// Names that a maker gave to an algorithm or a message of a protocol, in the form RFC 4251 asks for:
/// `aes256-gcm@openssh.com`. People of those domains have plain names, without digit or dash.
fn is_extension(user: &[u8], host: &str) -> bool {
    const MAKERS: [&str; 8] = [
        "openssh.com",
        "libssh.org",
        "ssh.com",
        "tinyssh.org",
        "lysator.liu.se",
        "putty.projects.tartarus.org",
        "matt.ucc.asn.au",
        "lag.net",
    ];
    const MESSAGES: [&str; 16] = [
        "keepalive",
        "statvfs",
        "fstatvfs",
        "fsync",
        "hardlink",
        "lsetstat",
        "limits",
        "eow",
        "tun",
        "zlib",
        "signed",
        "none",
        "nonamelen",
        "publickey",
        "subsystem",
        "etm",
    ];
    let made = MAKERS.iter().any(|maker| host.eq_ignore_ascii_case(maker));
    let marked = user.iter().any(|byte| byte.is_ascii_digit() || *byte == b'-');
    is_algorithm(user) || made && (marked || MESSAGES.iter().any(|name| user == name.as_bytes()))
}

/// Domains that belong to nobody (RFC 2606, RFC 6761) and answers nobody reads.
fn is_reserved(host: &str, rest: &str) -> bool {
    let host = host.to_ascii_lowercase();
    let last = rest.rsplit('.').next().unwrap_or(rest).to_ascii_lowercase();
    let top = host.rsplit('.').next().unwrap_or_default();
    last == "example" && matches!(top, "com" | "org" | "net" | "edu") || host.ends_with("users.noreply.github.com")
}

fn addresses(bytes: &[u8], found: &mut Vec<Span>) {
    let mut at = 0;
    while let Some(dot) = memchr::memchr(b'.', &bytes[at..]) {
        let dot = at + dot;
        at = dot + 1;
        let digits = bytes[..dot].iter().rev().take(4).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > 3 {
            continue;
        }
        let start = dot - digits;
        let length = bytes[start..].iter().take(16).take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
        let joined = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let apart = start.checked_sub(1).is_none_or(|at| !joined(bytes[at]))
            && bytes.get(start + length).is_none_or(|byte| !joined(*byte));
        let address = std::str::from_utf8(&bytes[start..start + length]).ok().and_then(|text| text.parse().ok());
        if let Some(address) = address.filter(|address| apart && is_public(*address)) {
            let _: Ipv4Addr = address;
            found.push(Span::new("ip_address", start, start + length));
            at = start + length;
        }
    }
}

/// An address that may be somebody's machine: not private, reserved, documented or a well-known resolver.
fn is_public(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    let special = address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_multicast()
        || address.is_documentation()
        || address.is_broadcast()
        || first == 0
        || first >= 240
        || first == 100 && second & 0xc0 == 64;
    let resolver = matches!(address.octets(), [8, 8, 8, 8] | [8, 8, 4, 4] | [1, 1, 1, 1] | [1, 0, 0, 1] | [9, 9, 9, 9]);
    !special && !resolver
}
