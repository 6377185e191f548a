//! A second set of planted secrets and look-alikes, of other shapes than [`planted`](super::planted)
//! has: files of tools and deployments, headers, options of commands, connection strings; tokens of
//! other issuers; passwords as generators and people make them. It was written before the rules were
//! held against it. `--nocapture` prints the figures.

use super::planted::{BASE62, BASE64, Draw, HEX, LOWER, UPPER, found_in};

/// File, text before, text after.
const FRAMES: &[(&str, &str, &str)] = &[
    ("main.tf", "resource \"db\" \"a\" {\n  username = \"app\"\n  password = \"", "\"\n}\n"),
    ("prod.tfvars", "db_master_password = \"", "\"\n"),
    ("k8s/secret.yaml", "kind: Secret\nstringData:\n  DATABASE_PASSWORD: ", "\n"),
    ("docker-compose.yml", "    environment:\n      - POSTGRES_PASSWORD=", "\n      - TZ=UTC\n"),
    ("docker-compose.yml", "    environment:\n      RABBITMQ_DEFAULT_PASS_TOKEN: '", "'\n"),
    ("ci.yml", "env:\n  DEPLOY_TOKEN: \"", "\" # rotate\n"),
    ("values.yaml", "auth: {user: app, password: ", ", enabled: true}\n"),
    ("settings.xml", "<server><id>a</id><password>", "</password></server>\n"),
    ("web.config", "<add key=\"ApiKey\" value=\"x\" secret=\"", "\" />\n"),
    ("appsettings.json", "  \"Db\": \"Server=db;User Id=sa;Password=", ";Encrypt=True\"\n"),
    ("Program.cs", "var c = \"Server=db;User Id=sa;Password=", ";Encrypt=True\";\n"),
    ("Db.java", "getConnection(\"jdbc:mysql://db/app?user=app&password=", "\");\n"),
    ("deploy.ps1", "$adminPassword = \"", "\"\n"),
    ("release.sh", "vault login --token ", " && ./go\n"),
    ("release.sh", "twine upload --password=", " dist/*\n"),
    ("release.sh", "curl -H \"X-Api-Key: ", "\" https://api.some-host.de\n"),
    ("client.py", "headers = {'X-Auth-Token': '", "'}\n"),
    ("client.py", "session.headers.update({\"Authorization\": \"Bearer ", "\"})\n"),
    ("client.go", "req.Header.Set(\"Authorization\", \"Bearer ", "\")\n"),
    ("README.md", "    curl -H 'Authorization: Bearer ", "' https://api.some-host.de\n"),
    ("client.rb", "  :password => \"", "\",\n"),
    ("Client.kt", "private val apiKey = \"", "\"\n"),
    ("Client.swift", "let clientSecret: String = \"", "\"\n"),
    ("client.lua", "local auth_token = \"", "\"\n"),
    ("client.ts", "const secretKey = `", "`;\n"),
    ("client.cpp", "std::string access_token{}; access_token = \"", "\";\n"),
    ("client.js", "process.env.API_SECRET || '", "'; const apiSecret = 1;\n"),
    ("gradle.properties", "signing.password=", "\n"),
    ("my.cnf", "[client]\npassword = \"", "\"\n"),
    ("pip.conf", "api-token: ", "\n"),
    ("notes.txt", "The admin password: ", "\n"),
];

/// Places that say nothing: only the form of the token proves it.
const NEUTRAL: &[(&str, &str, &str)] = &[
    ("app.go", "call(ctx, \"", "\")\n"),
    ("log.txt", "2024-05-01 sent ", " ok\n"),
    ("a.json", "[\"", "\"]\n"),
    ("a.csv", "1,", ",2\n"),
    ("a.html", "<meta content='", "'>\n"),
];

fn issued(draw: &mut Draw) -> String {
    match draw.below(16) {
        0 => format!("ghs_{}", draw.text(BASE62, 36, 36)),
        1 => format!("github_pat_{}_{}", draw.text(BASE62, 22, 22), draw.text(BASE62, 59, 59)),
        2 => format!("ASIA{}", draw.text(UPPER, 16, 16)),
        3 => format!("SG.{}.{}", draw.text(BASE62, 22, 22), draw.text(BASE62, 43, 43)),
        4 => format!("shpat_{}", draw.text(HEX, 32, 32)),
        5 => format!("dop_v1_{}", draw.text(HEX, 64, 64)),
        6 => format!("GOCSPX-{}", draw.text(BASE62, 28, 28)),
        7 => format!("ya29.{}", draw.text(BASE62, 60, 120)),
        8 => format!("sk-ant-api03-{}", draw.text(BASE62, 93, 93)),
        9 => format!("hvs.{}", draw.text(BASE62, 24, 90)),
        10 => format!("key-{}", draw.text(HEX, 32, 32)),
        11 => format!("dapi{}", draw.text(HEX, 32, 32)),
        12 => format!("sq0atp-{}", draw.text(BASE62, 22, 22)),
        13 => format!("glsa_{}_{}", draw.text(BASE62, 32, 32), draw.text(HEX, 8, 8)),
        14 => format!("AGE-SECRET-KEY-1{}", draw.text(UPPER, 58, 58)),
        _ => format!("{}:AA{}", draw.text("123456789", 9, 10), draw.text(BASE62, 33, 33)),
    }
}

/// As password managers, `openssl rand`, UUIDs and people make them.
fn drawn(draw: &mut Draw) -> String {
    match draw.below(8) {
        0 => {
            let mut part = |length| draw.text(HEX, length, length);
            format!("{}-{}-4{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
        }
        1 => draw.text(HEX, 40, 40).to_uppercase(),
        2 => format!("{}-{}-{}", draw.text(BASE62, 6, 6), draw.text(BASE62, 6, 6), draw.text(BASE62, 6, 6)),
        3 => format!("{}!{}", draw.text(BASE62, 10, 14), draw.text(BASE62, 4, 6)),
        4 => draw.text(UPPER, 26, 32),
        5 => format!("{}==", draw.text(BASE64, 22, 22)),
        6 => draw.text(LOWER, 24, 32),
        _ => draw.text(BASE62, 20, 64),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what one runs this test for")]
fn secrets_of_other_forms_are_found() {
    let mut draw = Draw(0x5eed_0002);
    let (mut planted, mut found, mut missed) = (0, 0, Vec::new());
    for at in 0..1_240 {
        let (frame, value) = match at % 4 {
            0 => (NEUTRAL[draw.below(NEUTRAL.len())], issued(&mut draw)),
            _ => (FRAMES[at % FRAMES.len()], drawn(&mut draw)),
        };
        planted += 1;
        if found_in(frame, &value).iter().any(|it| it.contains(value.trim_end_matches('='))) {
            found += 1;
        } else {
            missed.push(format!("{}: {}{value}{}", frame.0, frame.1, frame.2));
        }
    }
    println!("secrets of other forms: {found} of {planted} found");
    assert!(f64::from(found) >= 0.99 * f64::from(planted), "{found} of {planted}; missed {missed:#?}");
}

const WORDS: &[&str] = &[
    "billing",
    "payment",
    "invoice",
    "gateway",
    "customer",
    "profile",
    "search",
    "index",
    "worker",
    "queue",
    "scheduler",
    "mailer",
    "template",
    "upload",
    "download",
    "metric",
    "alert",
    "audit",
    "tenant",
    "partner",
    "signing",
    "rotation",
    "issuer",
    "audience",
    "callback",
    "redirect",
    "middleware",
    "adapter",
    "fixture",
    "mock",
];

/// What people write where a secret could stand.
fn alike(draw: &mut Draw) -> String {
    let count = 2 + draw.below(3);
    let words: Vec<&str> = (0..count).map(|_| draw.of(WORDS)).collect();
    let number = draw.below(10_000);
    match draw.below(20) {
        0 => format!("{}-{}", words.join("-"), ["prod", "dev", "eu-west-1", "v2"][number % 4]),
        1 => format!("vault:secret/data/{}#{}", words.join("/"), words[0]),
        2 => format!("projects/{}/secrets/{}/versions/{}", words[0], words.join("-"), number % 9),
        3 => format!("op://{}/{}/{}", words[0], words[1], words[0]),
        4 => format!("{{{{ {} }}}}", words.join("_")),
        5 => format!("$({}_{})", words[0], words[1]),
        6 => format!("%{}%", words.join("_").to_uppercase()),
        7 => format!("@Microsoft.KeyVault(SecretUri=https://{}.vault.azure.net/secrets/{})", words[0], words[1]),
        8 => format!("com.{}.{}.{}Provider", words[0], words[1], words[0]),
        9 => format!("{}::{}::from_env", words[0], words[1]),
        10 => format!("{}.{}()", words[0], words.join("_")),
        11 => format!("[{}]", words.join(" ")),
        12 => "*".repeat(8 + number % 20),
        13 => format!("{}{}", "0".repeat(16), number),
        14 => format!("<{}>", words.join("_").to_uppercase()),
        15 => format!("TODO-{}", words.join("-")),
        16 => format!("test-{}-{}", words[0], words[1]),
        17 => format!("s3://{}-{}/{}/{number}.pem", words[0], words[1], words.join("/")),
        18 => format!("{}, {} and {}", words[0], words[1], words[0]),
        _ => format!("not-a-real-{}-{}", words[0], words[1]),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what one runs this test for")]
fn values_of_other_forms_are_kept() {
    let mut draw = Draw(0x5eed_0003);
    let (mut shown, mut alarms) = (0, Vec::new());
    for at in 0..1_240 {
        shown += 1;
        let (frame, value) = match at % 8 {
            0 => (("yarn.lock", "  integrity sha512-", "\n"), format!("{}==", draw.text(BASE64, 86, 86))),
            1 => (("go.sum", "github.com/a/b v1.0.0 h1:", "\n"), format!("{}=", draw.text(BASE64, 43, 43))),
            2 => (("ci.yml", "  - uses: actions/checkout@", " # token: none\n"), draw.text(HEX, 40, 40)),
            3 => (("a.py", "token_sha256 = hashes['", "']\n"), draw.text(HEX, 64, 64)),
            _ => (FRAMES[at % FRAMES.len()], alike(&mut draw)),
        };
        if !found_in(frame, &value).is_empty() {
            alarms.push(format!("{}: {}{value}{}", frame.0, frame.1, frame.2));
        }
    }
    println!("look-alikes of other forms: {} of {shown} taken for secrets", alarms.len());
    assert!(alarms.len() as f64 <= 0.01 * f64::from(shown), "{alarms:#?}");
}
