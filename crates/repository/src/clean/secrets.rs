//! Keys, tokens and passwords, found by the marks their issuers gave them.
//!
//! One automaton looks for all marks at once; a found mark is then held to the full form of its
//! token (alphabet, length, what may stand beside it), so that a word that begins like a token is
//! not one. Passwords have no form: they are taken from URLs and from assignments ([`assigned`])
//! whose value looks random ([`super::random`]).

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, MatchKind};

use super::examples::{is_example, is_example_header};
use super::published::is_published_token;
use super::random::{is_placeholder, looks_random};
use super::{Span, assigned};

/// Letters a token is made of.
#[derive(Clone, Copy)]
enum Alphabet {
    UpperDigits,
    Alphanumeric,
    Hex,
    /// Base64 for URLs: letters, digits, `-` and `_`.
    Url,
    /// Base64: letters, digits, `+`, `/` and `=`.
    Base64,
    /// Letters, digits, `-`, `_`, `.`.
    Dotted,
    /// What may stand in a path of a URL.
    Path,
}

impl Alphabet {
    fn holds(self, byte: u8) -> bool {
        match self {
            Self::UpperDigits => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Self::Alphanumeric => byte.is_ascii_alphanumeric(),
            Self::Hex => byte.is_ascii_hexdigit(),
            Self::Url => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Self::Base64 => byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'),
            Self::Path => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/'),
        }
    }
}

/// What follows a mark.
#[derive(Clone, Copy)]
enum Form {
    /// So many letters, at least and at most; the next byte is none of them.
    Token(Alphabet, usize, usize),
    /// Three parts joined by dots, the mark being the beginning of the first.
    WebToken,
    /// Up to the closing line.
    PrivateKey,
    /// `name = "value"`, the value being so many letters.
    Assigned(Alphabet, usize, usize),
    /// The same, the value being of any form that looks random.
    AssignedRandom,
    /// `user:password@` after `://`.
    UrlPassword,
    /// Digits before the mark, letters after it.
    Telegram,
    /// What an `Authorization` header says after the name of its scheme.
    Header,
}

use Alphabet::{Alphanumeric, Base64, Dotted, Hex, Path, UpperDigits, Url};
use Form::{Assigned, AssignedRandom, Header, PrivateKey, Telegram, Token, UrlPassword, WebToken};

/// Mark, rule, form. Marks are matched without regard to case; a form that needs it says so by
/// its alphabet, and [`exact`] holds marks that stand for tokens to theirs.
const MARKS: &[(&str, &str, Form)] = &[
    ("-----BEGIN ", "private_key", PrivateKey),
    ("AKIA", "aws_access_key", Token(UpperDigits, 16, 16)),
    ("ASIA", "aws_access_key", Token(UpperDigits, 16, 16)),
    ("aws_secret_access_key", "aws_secret_key", Assigned(Base64, 40, 40)),
    ("aws_secret_key", "aws_secret_key", Assigned(Base64, 40, 40)),
    ("ghp_", "github_token", Token(Alphanumeric, 36, 255)),
    ("gho_", "github_token", Token(Alphanumeric, 36, 255)),
    ("ghu_", "github_token", Token(Alphanumeric, 36, 255)),
    ("ghs_", "github_token", Token(Alphanumeric, 36, 255)),
    ("ghr_", "github_token", Token(Alphanumeric, 36, 255)),
    ("github_pat_", "github_token", Token(Url, 60, 255)),
    ("glpat-", "gitlab_token", Token(Url, 20, 64)),
    ("gldt-", "gitlab_token", Token(Url, 20, 64)),
    ("xoxb-", "slack_token", Token(Url, 20, 255)),
    ("xoxp-", "slack_token", Token(Url, 20, 255)),
    ("xoxa-", "slack_token", Token(Url, 20, 255)),
    ("xoxr-", "slack_token", Token(Url, 20, 255)),
    ("xoxs-", "slack_token", Token(Url, 20, 255)),
    ("xapp-", "slack_token", Token(Url, 20, 255)),
    ("hooks.slack.com/services/", "slack_webhook", Token(Path, 30, 120)),
    ("discord.com/api/webhooks/", "discord_webhook", Token(Path, 60, 200)),
    ("discordapp.com/api/webhooks/", "discord_webhook", Token(Path, 60, 200)),
    ("AIza", "google_api_key", Token(Url, 35, 35)),
    ("GOCSPX-", "google_client_secret", Token(Url, 28, 28)),
    ("ya29.", "google_oauth_token", Token(Dotted, 40, 2_048)),
    ("sk_live_", "stripe_key", Token(Alphanumeric, 16, 255)),
    ("rk_live_", "stripe_key", Token(Alphanumeric, 16, 255)),
    ("sk_test_", "stripe_key", Token(Alphanumeric, 16, 255)),
    ("whsec_", "stripe_key", Token(Base64, 32, 64)),
    ("sk-proj-", "openai_key", Token(Url, 40, 255)),
    ("sk-svcacct-", "openai_key", Token(Url, 40, 255)),
    ("sk-ant-", "anthropic_key", Token(Url, 40, 255)),
    ("sk-", "openai_key", Token(Alphanumeric, 40, 64)),
    ("hf_", "huggingface_token", Token(Alphanumeric, 34, 40)),
    ("npm_", "npm_token", Token(Alphanumeric, 36, 36)),
    ("pypi-AgEIcHlwaS5vcmc", "pypi_token", Token(Url, 50, 1_024)),
    ("rubygems_", "rubygems_token", Token(Hex, 48, 48)),
    ("dckr_pat_", "docker_token", Token(Url, 20, 64)),
    ("SG.", "sendgrid_key", Token(Dotted, 60, 72)),
    ("dop_v1_", "digitalocean_token", Token(Hex, 64, 64)),
    ("shpat_", "shopify_token", Token(Hex, 32, 32)),
    ("shpss_", "shopify_token", Token(Hex, 32, 32)),
    ("lin_api_", "linear_token", Token(Alphanumeric, 32, 64)),
    ("PMAK-", "postman_key", Token(Url, 40, 80)),
    ("hvs.", "vault_token", Token(Url, 24, 255)),
    ("AccountKey=", "azure_storage_key", Token(Base64, 86, 88)),
    ("SharedAccessKey=", "azure_storage_key", Token(Base64, 40, 88)),
    ("eyJ", "json_web_token", WebToken),
    ("AGE-SECRET-KEY-1", "age_key", Token(UpperDigits, 58, 58)),
    ("ATATT3xFfGF0", "atlassian_token", Token(Dotted, 40, 255)),
    ("dapi", "databricks_token", Token(Hex, 32, 32)),
    ("dp.pt.", "doppler_token", Token(Alphanumeric, 40, 44)),
    ("EAACEdEose0cBA", "facebook_token", Token(Alphanumeric, 20, 255)),
    ("figd_", "figma_token", Token(Url, 36, 64)),
    ("glsa_", "grafana_token", Token(Url, 40, 64)),
    ("gsk_", "groq_key", Token(Alphanumeric, 48, 64)),
    ("glptt-", "gitlab_token", Token(Hex, 40, 40)),
    ("glrt-", "gitlab_token", Token(Url, 20, 64)),
    ("key-", "mailgun_key", Token(Hex, 32, 32)),
    ("NRAK-", "new_relic_key", Token(UpperDigits, 27, 27)),
    ("nvapi-", "nvidia_key", Token(Url, 60, 80)),
    ("sntrys_", "sentry_token", Token(Base64, 40, 512)),
    ("shpca_", "shopify_token", Token(Hex, 32, 32)),
    ("shppa_", "shopify_token", Token(Hex, 32, 32)),
    ("sq0atp-", "square_token", Token(Url, 22, 22)),
    ("sq0csp-", "square_token", Token(Url, 43, 43)),
    ("rk_test_", "stripe_key", Token(Alphanumeric, 16, 255)),
    ("xai-", "xai_key", Token(Alphanumeric, 70, 90)),
    ("sk-or-v1-", "openrouter_key", Token(Hex, 64, 64)),
    ("bearer ", "authorization", Header),
    ("basic ", "authorization", Header),
    (":AA", "telegram_token", Telegram),
    ("://", "url_password", UrlPassword),
    ("password", "assigned_secret", AssignedRandom),
    ("passwd", "assigned_secret", AssignedRandom),
    ("secret", "assigned_secret", AssignedRandom),
    ("api_key", "assigned_secret", AssignedRandom),
    ("apikey", "assigned_secret", AssignedRandom),
    ("api-key", "assigned_secret", AssignedRandom),
    ("access_key", "assigned_secret", AssignedRandom),
    ("auth_token", "assigned_secret", AssignedRandom),
    ("access_token", "assigned_secret", AssignedRandom),
    ("private_token", "assigned_secret", AssignedRandom),
    ("credential", "assigned_secret", AssignedRandom),
    ("passphrase", "assigned_secret", AssignedRandom),
    ("authtoken", "assigned_secret", AssignedRandom),
    ("token", "assigned_secret", AssignedRandom),
    ("pwd", "assigned_secret", AssignedRandom),
    ("accesskey", "assigned_secret", AssignedRandom),
    ("private_key", "assigned_secret", AssignedRandom),
    ("encryption_key", "assigned_secret", AssignedRandom),
    ("signing_key", "assigned_secret", AssignedRandom),
    ("auth_key", "assigned_secret", AssignedRandom),
];

/// Longest `user:password` looked at.
const MAX_URL_USER: usize = 256;
/// Longest private key.
const MAX_KEY_BYTES: usize = 32 << 10;
/// Longest value of a header.
const MAX_HEADER: usize = 2_048;
/// Longest stretch from `Authorization` to the name of the scheme.
const MAX_HEADER_NAME: usize = 32;
static SEARCH: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let marks = MARKS.iter().map(|(mark, ..)| mark);
    let builder =
        AhoCorasick::builder().ascii_case_insensitive(true).match_kind(MatchKind::LeftmostLongest).build(marks);
    builder.expect("a short list of short patterns")
});

/// Adds every secret in the text of the file at `path` to `found`.
pub(super) fn find(path: &str, text: &str, found: &mut Vec<Span>) {
    let bytes = text.as_bytes();
    // What stands bare in source code is an expression, in every other file a value.
    let bare = crate::language::of_path(path).is_none();
    for mark in SEARCH.find_iter(bytes) {
        let (word, rule, form) = MARKS[mark.pattern().as_usize()];
        let span = match form {
            Token(..) | WebToken | PrivateKey | UrlPassword | Telegram | Header => issued(bytes, &mark, word, form),
            Assigned(alphabet, least, most) => assigned::value(bytes, mark.range(), true).and_then(|value| {
                let text = &bytes[value.start..value.end];
                let of_form = (least..=most).contains(&text.len()) && text.iter().all(|byte| alphabet.holds(*byte));
                (of_form && !is_placeholder(text)).then_some((value.start, value.end))
            }),
            AssignedRandom => assigned::value(bytes, mark.range(), bare)
                .filter(|value| looks_random(&bytes[value.start..value.end]))
                .map(|value| (value.start, value.end)),
        };
        if let Some((start, end)) = span {
            found.push(Span::new(rule, start, end));
        }
    }
}

/// Adds every secret in a path that its form alone proves.
pub(super) fn find_in_path(path: &str, found: &mut Vec<Span>) {
    let bytes = path.as_bytes();
    for mark in SEARCH.find_iter(bytes) {
        let (word, rule, form) = MARKS[mark.pattern().as_usize()];
        if matches!(form, Token(..) | WebToken | Telegram)
            && let Some((start, end)) = issued(bytes, &mark, word, form)
        {
            found.push(Span::new(rule, start, end));
        }
    }
}

/// What carries its issuer's mark.
fn issued(bytes: &[u8], mark: &aho_corasick::Match, word: &str, form: Form) -> Option<(usize, usize)> {
    match form {
        Token(alphabet, least, most) if exact(bytes, mark.start(), word) => {
            let end = token(bytes, mark.end(), alphabet, least, most)?;
            // A webhook's host is public; what follows it is not.
            let start = if word.ends_with(['/', '=']) { mark.end() } else { mark.start() };
            Some((start, end))
        }
        WebToken if exact(bytes, mark.start(), word) => web_token(bytes, mark.start()),
        PrivateKey => private_key(bytes, mark.end()),
        UrlPassword => url_password(bytes, mark.end()),
        Telegram => telegram(bytes, mark.start(), mark.end()),
        Header => header(bytes, mark.start(), mark.end()),
        _ => None,
    }
}

/// Whether the mark stands there in its own case, and not inside a word.
fn exact(bytes: &[u8], start: usize, word: &str) -> bool {
    let before = start.checked_sub(1).map(|at| bytes[at]);
    let own_case = bytes[start..].starts_with(word.as_bytes());
    // The letter of an escape, as in `\nghp_…`, belongs to no word.
    let escaped = start >= 2 && bytes[start - 2] == b'\\' && before.is_some_and(|byte| b"nrtbf0".contains(&byte));
    let inside = before.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_') && !escaped;
    own_case && (!inside || word.contains('/'))
}

/// The end of a token that begins at `start` and is held to its length.
fn token(bytes: &[u8], start: usize, alphabet: Alphabet, least: usize, most: usize) -> Option<usize> {
    let length = bytes[start..].iter().take(most + 1).take_while(|byte| alphabet.holds(**byte)).count();
    let value = &bytes[start..start + length];
    // Words in a row are a name, `<prefix>_example…` is a placeholder.
    let drawn =
        || value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic) || looks_random(value);
    ((least..=most).contains(&length) && !is_placeholder(value) && drawn()).then_some(start + length)
}

fn web_token(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let part = |from: usize| from + bytes[from..].iter().take_while(|byte| Url.holds(**byte)).count();
    let header = part(start);
    let second = bytes.get(header..)?.strip_prefix(b".eyJ").map(|_| header + 1)?;
    let payload = part(second);
    let third = (bytes.get(payload) == Some(&b'.')).then_some(payload + 1)?;
    let end = part(third);
    let whole = header - start >= 16 && payload - second >= 8 && end - third >= 16;
    (whole && !is_published_token(&bytes[start..end])).then_some((start, end))
}

/// The body of a private key; its opening and closing lines stay, so that code that looks for
/// them still reads.
fn private_key(bytes: &[u8], after_begin: usize) -> Option<(usize, usize)> {
    let window = &bytes[after_begin..bytes.len().min(after_begin + MAX_KEY_BYTES)];
    let label = memchr::memmem::find(&window[..window.len().min(64)], b"-----")?;
    let name = &window[..label];
    let private = memchr::memmem::find(name, b"PRIVATE KEY").is_some();
    let label_only = name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ');
    if !private || !label_only {
        return None;
    }
    let body = label + 5;
    let end = body + memchr::memmem::find(&window[body..], b"-----END")?;
    let letters = window[body..end].iter().filter(|byte| Base64.holds(**byte)).count();
    let blank = |byte: u8| matches!(byte, b'\n' | b'\r' | b' ' | b'\t' | b'"' | b'\'' | b'+' | b'\\' | b',' | b';');
    let (mut first, mut last) = (body, end);
    while first < last && blank(window[first]) {
        first += 1;
    }
    while last > first && blank(window[last - 1]) {
        last -= 1;
    }
    // `\n` written as an escape is part of the frame, not of the key.
    if window[first..last].starts_with(b"n") && window[..first].ends_with(b"\\") {
        first += 1;
    }
    (letters >= 64).then_some((after_begin + first, after_begin + last))
}

/// The password of `scheme://user:password@host`.
fn url_password(bytes: &[u8], start: usize) -> Option<(usize, usize)> {
    let window = &bytes[start..bytes.len().min(start + MAX_URL_USER)];
    let ends = |byte: u8| {
        byte.is_ascii_whitespace()
            || matches!(
                byte,
                b'/' | b'"'
                    | b'\''
                    | b'`'
                    | b'<'
                    | b'>'
                    | b'{'
                    | b'}'
                    | b'$'
                    | b'('
                    | b'['
                    | b'\\'
                    | b'?'
                    | b'#'
                    | b'|'
                    | b'*'
            )
    };
    let length = window.iter().position(|byte| ends(*byte)).unwrap_or(window.len());
    let authority = &window[..length];
    let at = memchr::memrchr(b'@', authority)?;
    let colon = memchr::memchr(b':', &authority[..at])?;
    let (user, password) = (&authority[..colon], &authority[colon + 1..at]);
    let host = &authority[at + 1..];
    (password.len() >= 3 && !host.is_empty() && !is_example(user, password, host))
        .then_some((start + colon + 1, start + at))
}

/// The credentials after `Authorization: Bearer ` or `Basic `.
fn header(bytes: &[u8], mark: usize, after: usize) -> Option<(usize, usize)> {
    let before = bytes[mark.saturating_sub(MAX_HEADER_NAME)..mark].to_ascii_lowercase();
    let named = memchr::memmem::rfind(&before, b"authorization").is_some_and(|at| !before[at..].contains(&b'\n'));
    let holds = |byte: &u8| byte.is_ascii_graphic() && !b"\"'`\\<>,;".contains(byte);
    let length = bytes[after..].iter().take(MAX_HEADER).take_while(|byte| holds(byte)).count();
    let value = &bytes[after..after + length];
    let example = is_published_token(value) || is_example_header(value);
    (named && !example && looks_random(value)).then_some((after, after + length))
}

fn telegram(bytes: &[u8], mark: usize, after: usize) -> Option<(usize, usize)> {
    let digits = bytes[..mark].iter().rev().take(11).take_while(|byte| byte.is_ascii_digit()).count();
    let start = mark - digits;
    let apart = start.checked_sub(1).is_none_or(|at| !bytes[at].is_ascii_alphanumeric());
    let length = bytes[after..].iter().take(34).take_while(|byte| Url.holds(**byte)).count();
    ((8..=10).contains(&digits) && apart && length == 33 && &bytes[mark..after] == b":AA")
        .then_some((start, after + length))
}
