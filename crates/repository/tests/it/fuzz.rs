//! Random and damaged input to every reader: nothing panics, nothing is kept that may not be.
//!
//! A fixed number of cases from a fixed seed, so a failure is the same everywhere.

use std::fs;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use recon_repository::{CleanOptions, ReadOptions, Repository, Source, SourceOptions, clean};

use crate::archives::{gzip, tar_entry, tar_link, tar_of, tar_pax, zip_of, zstd};
use crate::damage::{Damage, damaged, damages, runner};
use crate::git::Git;

const LIMITS: SourceOptions = SourceOptions { max_expanded_bytes: 1 << 20, max_ratio: 200, max_entries: 1_000 };

/// What every repository keeps, wherever it came from.
fn holds(repository: &Repository, read: &ReadOptions) {
    let paths = repository.files.keys().chain(repository.skipped.keys());
    for path in paths {
        assert!(!path.starts_with('/') && path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{path}");
    }
    assert!(repository.files.keys().all(|path| !repository.skipped.contains_key(path)));
    assert!(repository.files.len() <= read.max_files && repository.skipped.len() <= read.max_listed);
    assert!(repository.files.values().map(String::len).sum::<usize>() as u64 <= read.max_bytes);
}

fn read(path: &Path) {
    let options = ReadOptions { max_file_bytes: 4_096, max_files: 20, max_bytes: 16 << 10, max_listed: 30 };
    match Source::locate(path).read(&options, &LIMITS) {
        Ok(repository) => holds(&repository, &options),
        Err(error) => assert!(!error.to_string().contains('\n'), "one line: {error}"),
    }
}

fn small_archive() -> Vec<u8> {
    let mut tar = tar_of(&[("a/b.py".into(), b"import c\n".to_vec()), ("a/c.py".into(), b"x = 1\n".repeat(300))]);
    tar.truncate(tar.len() - 1024);
    tar.extend(tar_link("a/l.py", "../../x", b'2'));
    tar.extend(tar_pax(&format!("{}/x.py", "d".repeat(200)), b"x = 2\n"));
    tar.extend(tar_entry(b"caf\xe9.py", b"x = 1\n"));
    tar.extend([0; 1024]);
    tar
}

#[test]
fn archives_never_panic() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("a");
    let tar = small_archive();
    let zip = zip_of(&[("a/b.py".into(), b"import c\n".to_vec()), ("a/c.py".into(), b"x = 1\n".repeat(300))]);
    let seeds = [tar.clone(), gzip(&tar), zstd(&tar), zip];
    let strategy = (0..seeds.len(), damages());
    let run = |(seed, damages): (usize, Vec<Damage>)| {
        fs::write(&path, damaged(seeds[seed].clone(), &damages)).unwrap();
        read(&path);
        Ok(())
    };
    runner(1_500).run(&strategy, run).unwrap();
    let noise = |bytes: Vec<u8>| {
        fs::write(&path, bytes).unwrap();
        read(&path);
        Ok(())
    };
    runner(300).run(&vec(any::<u8>(), 0..3_000), noise).unwrap();
}

#[test]
fn tar_headers_of_any_content_with_a_right_sum_never_panic() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("a.tar");
    let strategy = (vec(any::<u8>(), 512), vec(any::<u8>(), 0..1_500), 0..12_usize);
    let run = |(mut header, content, kind): (Vec<u8>, Vec<u8>, usize)| {
        header[156] = b"0125LKxgS7\0\xff"[kind];
        // Sizes that are numbers: small, huge, and in base 256.
        match content.len() % 3 {
            0 => header[124..136].copy_from_slice(b"00000001000\0"),
            1 => header[124..136].copy_from_slice(b"77777777777\0"),
            _ => header[124] |= 0x80,
        }
        let sum: u32 = header
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
            .sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        fs::write(&path, [header, content].concat()).unwrap();
        read(&path);
        Ok(())
    };
    runner(1_500).run(&strategy, run).unwrap();
}

#[test]
fn git_objects_never_panic() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("r.git");
    let git = Git::bare(&path);
    git.commit(&[("a/b.py".into(), b"import c\n".to_vec()), ("c.py".into(), b"x = 1\n".to_vec())], "v1");
    let mut objects = Vec::new();
    for folder in fs::read_dir(path.join("objects")).unwrap().map(|entry| entry.unwrap().path()) {
        let inside = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        objects.extend(inside.filter(|path| path.is_file()).map(|path| (fs::read(&path).unwrap(), path)));
    }
    assert!(objects.len() >= 5, "a commit, two trees, two files");
    let run = |(at, damages): (usize, Vec<Damage>)| {
        let (bytes, path_of) = &objects[at % objects.len()];
        crate::git::overwrite(path_of, &damaged(bytes.clone(), &damages));
        read(&path);
        crate::git::overwrite(path_of, bytes);
        Ok(())
    };
    runner(400).run(&(any::<usize>(), damages()), run).unwrap();
}

#[test]
fn cleaning_any_text_replays_and_settles() {
    let pieces = [
        "ghp_",
        "AKIA",
        "://user:",
        "@",
        "password = \"",
        "-----BEGIN RSA PRIVATE KEY-----",
        "-----END",
        "eyJ",
        ".eyJ",
        "a.person@some-host.de",
        "Zm9vYmFyMTIz",
        "é",
        "\u{fffd}",
        "\n",
        "\"",
        "'",
        "=",
        ":AA",
        "123456789",
        "/*",
        "*/",
        "# ",
        "x = 1\n",
        "<redacted:email>",
        "secret: ",
        "\0",
        "\r\n",
        " ",
    ];
    let strategy = vec((0..pieces.len(), vec(any::<char>(), 0..6)), 0..60);
    let run = |parts: Vec<(usize, Vec<char>)>| {
        let text: String =
            parts.iter().flat_map(|(at, chars)| pieces[*at].chars().chain(chars.iter().copied())).collect();
        let mut repository = Repository::from_files("r", [("a.py", text.clone()), ("b.txt", text.clone())]);
        clean(&mut repository, &CleanOptions::default());
        for path in ["a.py", "b.txt"] {
            let Some(file) = repository.content(path) else { continue };
            let mut replayed = Vec::new();
            let mut kept = 0;
            for span in &file.redactions {
                replayed.extend_from_slice(&text.as_bytes()[kept..span.start as usize]);
                replayed.extend_from_slice(span.replacement.as_bytes());
                kept = span.end as usize;
            }
            replayed.extend_from_slice(&text.as_bytes()[kept..]);
            assert_eq!(file.text.as_bytes(), replayed, "the spans say what was done");
        }
        Ok(())
    };
    runner(1_500).run(&strategy, run).unwrap();
}
