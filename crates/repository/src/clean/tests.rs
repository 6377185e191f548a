//! Rules together: what is found, what is not, and that a clean repository stays as it is.

use recon_schema::Sha256;

use super::*;

/// Letters and digits that look random; no real token stands in this file.
fn noise(length: usize) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    (0..length as u64)
        .map(|at| LETTERS[((at + 7).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % 62] as char)
        .collect()
}

fn found(text: &str) -> Vec<(String, String)> {
    let options = CleanOptions {
        personal: PersonalOptions { ip_addresses: true, ..PersonalOptions::default() },
        ..CleanOptions::default()
    };
    let spans = find("a.txt", text, &options);
    spans.into_iter().map(|it| (it.rule, text[it.start as usize..it.end as usize].to_owned())).collect()
}

#[test]
fn every_secret_is_found_whole_and_alone() {
    let upper = noise(16).to_uppercase();
    let hex: String = (0..64).map(|at| char::from_digit((at * 7 + at / 3) % 16, 16).unwrap()).collect();
    let cases: Vec<(&str, String, String)> = vec![
        ("aws_access_key", "key = '{}'".into(), format!("AKIA{upper}")),
        ("aws_secret_key", "aws_secret_access_key = \"{}\"".into(), noise(40)),
        ("github_token", "curl -H 'token {}'".into(), format!("ghp_{}", noise(36))),
        ("github_token", "{}".into(), format!("github_pat_{}", noise(82))),
        ("gitlab_token", "x={};".into(), format!("glpat-{}", noise(20))),
        ("slack_token", "\"{}\"".into(), format!("xoxb-{}-{}", "1234567890", noise(24))),
        (
            "slack_webhook",
            "https://hooks.slack.com/services/{}".into(),
            format!("T{}/B{}/{}", noise(8), noise(8), noise(24)),
        ),
        ("google_api_key", "key={}&x=1".into(), format!("AIza{}", noise(35))),
        ("stripe_key", "{}".into(), format!("sk_live_{}", noise(24))),
        ("openai_key", "OPENAI = '{}'".into(), format!("sk-proj-{}", noise(48))),
        ("openai_key", "OPENAI = '{}'".into(), format!("sk-{}", noise(48))),
        ("anthropic_key", "'{}'".into(), format!("sk-ant-{}", noise(90))),
        ("huggingface_token", "login('{}')".into(), format!("hf_{}", noise(34))),
        ("npm_token", "//registry/:_authToken={}".into(), format!("npm_{}", noise(36))),
        ("digitalocean_token", "{}".into(), format!("dop_v1_{hex}")),
        ("json_web_token", "Bearer {}".into(), format!("eyJ{}.eyJ{}.{}", noise(20), noise(30), noise(43))),
        ("telegram_token", "bot{}x".replace("bot{}x", "'{}'"), format!("123456789:AA{}", noise(33))),
        ("url_password", "postgres://admin:{}@db.internal:5432/x".into(), "hunter22".into()),
        ("assigned_secret", "DB_PASSWORD: '{}',".into(), noise(24)),
        ("assigned_secret", "const API_KEY: &str = \"{}\";".into(), noise(32)),
        ("assigned_secret", "{\"client_secret\": \"[]\"}".replace("[]", "{}").replacen("{\"", "\"", 1), noise(32)),
        ("email", "Written by A. Person <{}>.".into(), "a.person+code@mail.some-host.de".into()),
        ("ip_address", "host = \"{}\"".into(), "93.184.216.34".into()),
    ];
    for (rule, frame, secret) in cases {
        let text = frame.replacen("{}", &secret, 1);
        assert_eq!(found(&text), [(rule.to_owned(), secret)], "{text}");
    }
    let body: String = (0..6).map(|_| format!("{}\n", noise(64))).collect();
    for kind in ["RSA PRIVATE KEY", "PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
        let text = format!("key = \"\"\"-----BEGIN {kind}-----\n{body}-----END {kind}-----\"\"\"\n");
        assert_eq!(found(&text), [("private_key".to_owned(), body.trim_end().to_owned())], "{kind}");
    }
}

#[test]
fn what_only_begins_like_a_secret_stays() {
    let public = noise(64);
    for text in [
        "AKIAEXAMPLE",
        "task_id = 'sk-button-primary'",
        "ghp_short",
        "password = os.environ['PASSWORD']",
        "password: String,",
        "secret = \"correct horse battery staple\"",
        "api_key = '${API_KEY_FROM_VAULT_123456}'",
        "password = 'changeme'",
        "let token = \"a-rather-long-name-without-digits\";",
        "https://host.org/a:b@c/d",
        "https://user:password@host.org/",
        "git clone git@github.com:a/b.git",
        "@decorator.name\ndef f(): pass",
        "y = x@self.weight\nz = x@w.to(device)",
        "mail someone@example.org or root@localhost",
        "icon@2x.png",
        "eyJ is how they begin",
        "version = \"1.2.3.4.5\"\nhost = '192.168.0.1' or '127.0.0.1' or '10.1.2.3'",
        &format!("-----BEGIN PUBLIC KEY-----\n{public}\n-----END PUBLIC KEY-----"),
        "if line.startswith('-----BEGIN RSA PRIVATE KEY-----'): pass",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn names_of_protocols_are_nobodys_address() {
    for text in [
        "ciphers = ['aes256-gcm@openssh.com', 'chacha20-poly1305@openssh.com']",
        "hmac-sha2-512-etm@openssh.com, ssh-ed25519-cert-v01@openssh.com, statvfs@openssh.com",
        "curve25519-sha256@libssh.org rijndael-cbc@lysator.liu.se",
        "sntrup761x25519-sha512@openssh.com hostkeys-00@openssh.com",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
    assert_eq!(found("Reported by djm@openssh.com.").len(), 1, "a person of the same domain");
    assert_eq!(found("mail aes@some-host.de").len(), 1);
}

#[test]
fn redactions_keep_different_values_apart() {
    let text = "OWNERS = {'a@some-host.de': 1, 'b@some-host.de': 2}\nLEAD = 'a@some-host.de'\n";
    let mut repository = Repository::from_files("r", [("a.py", text)]);
    clean(&mut repository, &CleanOptions::default());
    let expected = "OWNERS = {'<redacted:email>': 1, '<redacted:email:2>': 2}\nLEAD = '<redacted:email>'\n";
    assert_eq!(repository.files["a.py"], expected);
    assert_eq!(clean(&mut repository, &CleanOptions::default()), CleanReport::default(), "nothing is found again");
}

fn dirty() -> Repository {
    let good: String = (0..30).map(|at| format!("def handle_{at}(request): return request.answer\n")).collect();
    Repository::from_files(
        "r",
        [
            ("a.py", format!("TOKEN = 'ghp_{}'\n# mail a.person@some-host.de\n{good}", noise(36))),
            ("b.py", good.clone()),
            ("c_pb2.py", good.clone()),
            ("vendor/d.py", good.clone()),
            ("e.py", format!("{good}DATA = '{}'\n", noise(1_100))),
            ("f.py", "value = other_value\n".repeat(60)),
        ],
    )
}

#[test]
fn every_drop_and_redaction_is_accounted_for() {
    let mut repository = dirty();
    let original = repository.files["a.py"].clone();
    let report = clean(&mut repository, &CleanOptions::default());
    let dropped: Vec<(&str, &str)> = report.dropped.iter().map(|it| (it.path.as_str(), it.rule.as_str())).collect();
    let expected = [
        ("c_pb2.py", "generated_name"),
        ("e.py", "encoded_data"),
        ("f.py", "max_duplicate_lines"),
        ("vendor/d.py", "vendored"),
    ];
    assert_eq!(dropped, expected);
    assert_eq!(repository.kept().map(|(path, _)| path).collect::<Vec<_>>(), ["a.py", "b.py"]);
    let rules: Vec<(&str, u64)> = report.redacted.iter().map(|it| (it.rule.as_str(), it.spans)).collect();
    assert_eq!(rules, [("email", 1), ("github_token", 1)]);
    for (path, rule) in expected {
        assert!(
            repository.untrained.contains_key(path) && repository.files.contains_key(path),
            "{path} keeps its text"
        );
        assert!(repository.diagnostics.iter().any(|it| it.path == path && it.rule == rule));
    }
    let file = repository.content("a.py").unwrap();
    assert_eq!(file.sha256, Sha256::of(original.as_bytes()), "the digest is that of the original");
    assert!(file.text.starts_with("TOKEN = '<redacted:github_token>'\n# mail <redacted:email>\n"), "{}", file.text);
}

#[test]
fn cleaning_twice_is_cleaning_once() {
    let mut repository = dirty();
    clean(&mut repository, &CleanOptions::default());
    let once = repository.clone();
    assert_eq!(clean(&mut repository, &CleanOptions::default()), CleanReport::default());
    assert_eq!(repository, once);
}

#[test]
fn each_family_of_rules_can_be_switched_off() {
    let off = CleanOptions {
        generated: false,
        vendored: false,
        encoded_data: false,
        shape: ShapeOptions {
            max_line_chars: None,
            max_mean_line_chars: None,
            max_duplicate_lines: None,
            ..ShapeOptions::default()
        },
        secrets: false,
        personal: PersonalOptions { email_addresses: false, ip_addresses: false },
        licences: LicenceOptions::default(),
    };
    let mut repository = dirty();
    assert_eq!(clean(&mut repository, &off), CleanReport::default());
    assert_eq!(repository, dirty());
}
