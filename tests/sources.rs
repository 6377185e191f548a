//! Repositories from archives and corpora through the binary, and redactions end to end.

mod support;

use std::fs;
use std::path::Path;

use support::{in_repository, recon, small_package, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// A token made up here, in the form its issuer gives them.
fn made_up_token() -> String {
    let letters: String = (0..36_u64).map(|at| char::from(b'a' + (at * at * 7 % 26) as u8)).collect();
    format!("ghp_{}", letters.replace('c', "7").replace('h', "Q"))
}

fn archive(folder: &Path, to: &Path) {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_dir_all("shop-1.0", folder).unwrap();
    fs::write(to, builder.into_inner().unwrap()).unwrap();
}

#[test]
fn a_redacted_trajectory_is_checked_against_the_original_bytes() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out) = (work.path().join("shop"), work.path().join("out"));
    small_package(&repository);
    let token = made_up_token();
    let secret = format!(
        "\"\"\"Where receipts go; ask a.person@some-host.de.\"\"\"\nfrom .receipt import receipt\n\nTOKEN = \"{token}\"\n\n\n\
         def send(cart, post):\n    return post(receipt(cart), TOKEN)\n"
    );
    write(&repository, &[("shop/send.py", &secret), ("shop/main.py", "from .send import send\n\nprint(send)\n")]);
    let config = in_repository("configs/quickstart.toml");
    let named = format!("repository={}", text(&repository));
    let synth = ["synth", "--config", text(&config), "--out", text(&out), "--set", &named, "--set", "holdout.files=0"];
    recon(&synth).expect(0);
    let trajectories = out.join("shop/shards/00000/synth/trajectories.jsonl.zst");
    let written = String::from_utf8(zstd::decode_all(fs::File::open(&trajectories).unwrap()).unwrap()).unwrap();
    assert!(!written.contains(&token) && !written.contains("a.person@"), "neither stands in any step");
    assert!(written.contains("<redacted:github_token>") && written.contains("<redacted:email>"));
    let account = zstd::decode_all(fs::File::open(out.join("shop/read/accounts.jsonl.zst")).unwrap()).unwrap();
    let account = String::from_utf8(account).unwrap();
    assert!(account.contains("github_token") && account.contains("shop/send.py"), "{account}");

    let check = |repository: &Path| recon(&["check", text(&trajectories), "--repository", text(repository)]);
    check(&repository).expect(0);
    let tar = work.path().join("shop-1.0.tar");
    archive(&repository, &tar);
    check(&tar).expect(0);
    // One byte of the secret itself: it stands in no step, and is still found.
    let path = repository.join("shop/send.py");
    let mut other = token.clone().into_bytes();
    other[10] ^= 1;
    let flipped = secret.replace(&token, &String::from_utf8(other).expect("a letter or a digit"));
    assert_ne!(flipped, secret);
    fs::write(&path, flipped).unwrap();
    assert!(check(&repository).expect(1).error().contains("send.py"));
    fs::write(&path, &secret).unwrap();
    check(&repository).expect(0);
}

#[test]
fn an_archive_is_a_repository_to_every_command() {
    let work = tempfile::tempdir().unwrap();
    let (repository, tar) = (work.path().join("shop"), work.path().join("shop.tar"));
    small_package(&repository);
    archive(&repository, &tar);
    let graph = |of: &Path| {
        let mut graph = recon(&["graph", text(of), "--format", "json"]).expect(0).json();
        graph["repository"] = serde_json::Value::Null;
        graph
    };
    assert_eq!(graph(&tar), graph(&repository));
    let zst = work.path().join("shop.tar.zst");
    fs::write(&zst, zstd::encode_all(fs::File::open(&tar).unwrap(), 3).unwrap()).unwrap();
    assert_eq!(graph(&zst), graph(&repository));
    let bytes = fs::read(&tar).unwrap();
    fs::write(&tar, &bytes[..bytes.len() / 2]).unwrap();
    assert!(recon(&["graph", text(&tar)]).expect(2).error().contains("damaged archive"));
    let revision = format!("{}@v1", text(&repository));
    assert!(recon(&["graph", &revision]).expect(2).error().contains("git"), "a directory without a history");
}
