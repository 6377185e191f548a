//! Passwords in URLs that are written to be read.
//!
//! User, password and host → whether they are an example's: a word in use for examples, a host that
//! belongs to nobody, a person of the manuals; or the own machine with a password that nobody drew.

use super::random::{is_placeholder, looks_random};

/// Words in use as the password of an example, with or without digits behind them.
const PASSWORDS: &[&str] = &[
    "admin",
    "apples",
    "bar",
    "baz",
    "foo",
    "foobar",
    "guest",
    "masterkey",
    "mypass",
    "mypassword",
    "my-password",
    "opensesame",
    "oranges",
    "pass",
    "passw",
    "passwd",
    "password",
    "postgres",
    "pw",
    "pwd",
    "root",
    "secret",
    "test",
    "token",
    "user",
    "userpass",
    "xxx",
];

/// People who live in examples only.
const USERS: &[&str] = &["user", "username", "usr", "user1", "user2", "u", "me", "foo", "test", "scott", "someuser"];

/// Whether `scheme://user:password@host` is written to be read.
pub(super) fn is_example(user: &[u8], password: &[u8], host: &[u8]) -> bool {
    let nobody = USERS.iter().any(|name| user.eq_ignore_ascii_case(name.as_bytes()));
    let drawn = looks_random(password) || is_mixed(password);
    // Oracle's first user, whose name and password every manual has.
    let manual = user.eq_ignore_ascii_case(b"scott") && password.starts_with(b"tiger");
    manual
        || user == password
        || is_word_of_examples(password)
        || is_placeholder(password)
        || is_host_of_examples(host)
        || !drawn && (nobody || is_near(host))
}

/// Whether the credentials of a `Basic` header, in base64, are written to be read: nothing says which
/// host they are for.
pub(super) fn is_example_header(value: &[u8]) -> bool {
    let Some(decoded) = decoded(value) else { return false };
    let colon = decoded.iter().position(|byte| *byte == b':');
    colon.is_some_and(|colon| is_example(&decoded[..colon], &decoded[colon + 1..], b"localhost"))
}

/// The bytes that base64 stands for (RFC 4648).
fn decoded(value: &[u8]) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for byte in value.iter().take_while(|byte| **byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    Some(bytes)
}

/// One of [`PASSWORDS`], with signs for letters and digits behind it, or nothing but a few digits.
fn is_word_of_examples(password: &[u8]) -> bool {
    let letter = |byte: &u8| match byte {
        b'@' => b'a',
        b'0' => b'o',
        b'$' => b's',
        other => other.to_ascii_lowercase(),
    };
    let plain = password.to_ascii_lowercase();
    let end = plain.iter().rposition(|byte| byte.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    let word: Vec<u8> = plain[..end].iter().map(letter).collect();
    let capitals = password.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'_') && password.contains(&b'_');
    let digits = password.len() <= 6 && password.iter().all(u8::is_ascii_digit);
    capitals || digits || PASSWORDS.iter().any(|example| word == example.as_bytes())
}

/// Letters and digits, as many as a service asks for, and none of the escapes that tests of URLs are about.
fn is_mixed(password: &[u8]) -> bool {
    let (digit, letter) = (password.iter().any(u8::is_ascii_digit), password.iter().any(u8::is_ascii_alphabetic));
    password.len() >= 8 && digit && letter && !password.contains(&b'%')
}

/// Hosts that belong to nobody (RFC 2606, RFC 6761) or are no name at all.
fn is_host_of_examples(host: &[u8]) -> bool {
    let name = name_of(host);
    let labels: Vec<&[u8]> = name.split(|byte| *byte == b'.').collect();
    let reserved = |label: &[u8]| [b"example".as_slice(), b"test", b"invalid"].contains(&label);
    labels.iter().rev().take(2).any(|label| reserved(label))
        || [b"host".as_slice(), b"hostname", b"server"].contains(&&name[..])
}

/// The own machine, or a name without a domain.
fn is_near(host: &[u8]) -> bool {
    let name = name_of(host);
    !name.contains(&b'.') || name.starts_with(b"127.") || name == b"0.0.0.0" || name.ends_with(b".local")
}

fn name_of(host: &[u8]) -> Vec<u8> {
    host.split(|byte| matches!(byte, b':' | b',' | b';')).next().unwrap_or(host).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_examples_are_told_from_those_of_machines() {
        for (user, password, host) in [
            ("scott", "tiger", "localhost"),
            ("scott", "tiger", "db.some-host.de"),
            ("user", "p%40ss%2Fword", "mail.some-host.de"),
            ("admin", "p@ssw0rd", "mail.some-host.de"),
            ("admin", "Passw0rd!", "mail.some-host.de"),
            ("celery", "bosco", "rabbit"),
            ("a", "12345", "mail.some-host.de"),
            ("sas", "SAS_KEY", "queue.some-host.de"),
            ("sysdba", "masterkey", "db.some-host.de"),
            ("me", "hunter2", "10.0.0.1"),
            ("a", "whatever", "api.example.com"),
            ("scott", "tiger^5HHH", "db.some-host.de"),
        ] {
            assert!(is_example(user.as_bytes(), password.as_bytes(), host.as_bytes()), "{user}:{password}@{host}");
        }
        for (user, password, host) in [
            ("admin", "hunt3r22", "db.internal:5432"),
            ("deploy", "correcthorse", "git.some-host.de"),
            ("app", "kX92lsQp0", "db:5432"),
            ("user", "kX92lsQp0", "localhost"),
            ("svc", "Winter2024", "127.0.0.1"),
        ] {
            assert!(!is_example(user.as_bytes(), password.as_bytes(), host.as_bytes()), "{user}:{password}@{host}");
        }
    }

    #[test]
    fn credentials_of_examples_are_known_in_base64() {
        for (header, said) in [
            ("dXNlcm5hbWU6cGFzc3dvcmQ=", b"username:password".as_slice()),
            ("OnNlY3JldA==", b":secret"),
            ("am9objpzZWNyZXQ=", b"john:secret"),
            ("czZCaGRSa3F0MzpnWDFmQmF0M2JW", b"s6BhdRkqt3:gX1fBat3bV"),
            ("Zm9vOmJhcg==", b"foo:bar"),
        ] {
            assert_eq!(decoded(header.as_bytes()).as_deref(), Some(said));
            assert!(is_example_header(header.as_bytes()), "{header}");
        }
        assert_eq!(decoded(b"ZGVwbG95OmtYOTJsc1FwMFo=").as_deref(), Some(b"deploy:kX92lsQp0Z".as_slice()));
        for header in ["ZGVwbG95OmtYOTJsc1FwMFo=", "bm90IGNyZWRlbnRpYWxz", "a!b"] {
            assert!(!is_example_header(header.as_bytes()), "{header}");
        }
    }
}
