//! `recon pack` on plain texts, and its proof that documents of a row stay apart.

mod support;

use std::fs;
use std::path::Path;

use recon_pack::Loader;
use recon_text::Tokenizer;
use support::{Ran, in_repository, recon, small_package, write};

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// Texts of unequal length, one longer than a row, one with a control token's name in it and one empty.
fn texts() -> Vec<String> {
    let chapter = |at: usize| format!("Chapter {at}. ").repeat(1 + at * 7 % 30);
    (0..40).map(chapter).chain(["long ".repeat(700), "a <|end_of_text|> b".into(), String::new()]).collect()
}

fn pack(file: &Path, out: &Path, more: &[&str]) -> Ran {
    let arguments = ["pack", "--text", text(file), "--out", text(out), "--set", "pack.row_tokens=256"];
    recon(&[&arguments, more].concat())
}

fn nano() -> Tokenizer {
    let directory = tempfile::tempdir().unwrap();
    let model = directory.path().join("nano");
    recon(&["export", "--model", "nano", "--out", text(&model)]).expect(0);
    Tokenizer::from_dir(&model).unwrap()
}

#[test]
fn texts_become_rows_that_open_close_and_are_trained_but_for_their_first_token() {
    let work = tempfile::tempdir().unwrap();
    let (file, out) = (work.path().join("books.jsonl"), work.path().join("rows"));
    let lines: String = texts().iter().map(|text| format!("{}\n", serde_json::json!({"text": text}))).collect();
    write(work.path(), &[("books.jsonl", &lines)]);
    let report = pack(&file, &out, &["--format", "json"]).expect(0).json();
    assert_eq!((report["documents"].as_u64(), report["untrained"].as_u64()), (Some(43), Some(1)), "{report}");
    assert!(report["fill"].as_f64() > Some(0.9), "{report}");

    let tokenizer = nano();
    let (begin, end) = (tokenizer.opening(), tokenizer.special_id("<|end_of_text|>").unwrap());
    let expected =
        |text: &String| -> Vec<u32> { begin.into_iter().chain(tokenizer.encode(text)).chain([end]).collect() };
    let mut expected: Vec<Vec<u32>> = texts().iter().filter(|text| !text.is_empty()).map(expected).collect();
    let loader = Loader::open(&out, 0).unwrap();
    let mut found = Vec::new();
    for position in 0..loader.rows() {
        let row = loader.at(position).unwrap();
        assert!(row.ids.len() <= 256);
        for span in row.spans {
            assert!(row.mask[span.start] == 0 && row.mask[span.start + 1..span.end].iter().all(|bit| *bit == 1));
            found.push(row.ids[span].to_vec());
        }
    }
    // Documents longer than a row are cut; what fits is whole.
    expected.retain(|ids| ids.len() <= 256);
    assert_eq!(expected.len(), 41);
    assert!(expected.iter().all(|ids| found.contains(ids)));
    assert!(expected.iter().any(|ids| ids.iter().filter(|id| **id == end).count() == 1 && ids.len() < 30));

    proven(&out);
}

#[test]
fn documents_of_a_packed_repository_stay_apart() {
    let work = tempfile::tempdir().unwrap();
    let (repository, out) = (work.path().join("shop"), work.path().join("out"));
    small_package(&repository);
    let set = format!("repository={}", repository.display());
    let arguments = ["pack", "--config", "", "--out", text(&out), "--set", &set];
    let config = in_repository("configs/quickstart.toml");
    let mut arguments = arguments.to_vec();
    arguments[2] = text(&config);
    recon(&[&arguments[..], &["--set", "agents.arm=agent", "--set", "agents.context_tokens=800"]].concat()).expect(0);
    proven(&out.join("shop/pack/rows"));
}

/// The proof on one row, and that it can fail there.
fn proven(rows: &Path) {
    let ran = recon(&["pack", "--prove", text(rows), "--prove-rows", "1", "--format", "json"]).expect(0).json();
    assert_eq!(
        (ran["compared"]["logits_moved"].as_u64(), ran["compared"]["gradients_moved"].as_u64()),
        (Some(0), Some(0))
    );
    assert!(ran["compared"]["logits"].as_u64() > Some(0) && ran["control"]["logits_moved"].as_u64() > Some(0), "{ran}");
}

#[test]
fn what_is_no_text_is_one_line() {
    let work = tempfile::tempdir().unwrap();
    let (file, out) = (work.path().join("books.jsonl"), work.path().join("rows"));
    fs::write(&file, "{\"body\": \"a\"}\n{\"body\": \"b\"}\n").unwrap();
    let ran = pack(&file, &out, &[]).expect(1);
    assert!(ran.error().contains("2 of 2 rows have no text in `text`"), "{}", ran.error());
    assert!(!out.join("manifest.json").exists());
    pack(&file, &out, &["--column", "body"]).expect(0);
    let ran = pack(&in_repository("README.md"), &out, &[]).expect(2);
    assert!(ran.error().contains("no file of texts"), "{}", ran.error());
    let ran = pack(&work.path().join("absent.jsonl"), &out, &[]).expect(2);
    assert!(ran.error().contains("absent.jsonl"), "{}", ran.error());
    let ran = recon(&["pack", "--text", text(&file)]).expect(2);
    assert!(ran.stderr.contains("hint: add `--out DIR`"), "{}", ran.stderr);
    let ran = recon(&["pack", "--prove", text(work.path())]).expect(2);
    assert!(ran.error().contains("index.json"), "{}", ran.error());
}
