//! Cleaning, duplicates and memory over a growing corpus.
//!
//! `cargo bench -p recon-corpus --bench speed -- FOLDER…`, each folder inside a FOLDER a repository.
//! Prints one JSON object; figures are of processor time. Cleaning runs on one thread, texts in
//! memory, over the files that no rule drops by their names or heads: the others are hardly read.
//! Beside it, bare reading: the bytes of the same files from the disk, nothing looked at.
//! Duplicates are found over n, 2n and 4n files, made by rewriting words of the real ones, so that
//! they are as many and not the same. Memory: the program calls itself with `--memory N`, makes a
//! corpus of N repositories as JSON Lines, runs over it, and tells its own peak.

use std::collections::HashSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use recon_corpus::duplicates::{DuplicateOptions, Fingerprint, Index};
use recon_corpus::{CorpusOptions, Input, Settings, gather};
use recon_repository::{CleanOptions, ReadOptions, Repository, SourceOptions, clean, read_directory};

#[path = "../../graph/benches/processor/mod.rs"]
mod processor;

const ROUNDS: usize = 3;
/// Files of the smallest corpus whose duplicates are found.
const DUPLICATE_FILES: usize = 4_000;
/// Repositories of the smallest corpus whose memory is measured; each has about 40 KB.
const MEMORY_REPOSITORIES: u64 = 1_000;

fn repositories(folders: &[String]) -> Vec<(PathBuf, Repository)> {
    let inside = |folder| std::fs::read_dir(folder).expect("the folder is read").map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = folders.iter().flat_map(inside).collect();
    folders.sort();
    let options = ReadOptions { max_files: usize::MAX, max_bytes: u64::MAX, ..ReadOptions::default() };
    let read = |folder: PathBuf| Some((folder.clone(), read_directory(&folder, &options).ok()?));
    folders.into_iter().filter_map(read).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--memory", count] => memory(count.parse().expect("a number of repositories")),
        [_, ..] => measure(&arguments),
        _ => eprintln!("usage: cargo bench -p recon-corpus --bench speed -- FOLDER..."),
    }
}

fn measure(folders: &[String]) {
    let mut read = repositories(folders);
    for (_, repository) in &mut read {
        let report = clean(&mut repository.clone(), &CleanOptions::default());
        let unread = |rule: &str| matches!(rule, "vendored" | "generated_name" | "generated_marker");
        let dropped: HashSet<String> =
            report.dropped.into_iter().filter(|file| unread(&file.rule)).map(|file| file.path).collect();
        repository.files.retain(|path, _| !dropped.contains(path));
    }
    let reading = (0..ROUNDS).map(|_| bare_reading(&read)).min().expect("at least one round");
    let repositories: Vec<Repository> = read.into_iter().map(|(_, repository)| repository).collect();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a pool of one thread");
    let bytes: usize = repositories.iter().flat_map(|it| it.files.values()).map(String::len).sum();
    let mut cleaning = Duration::MAX;
    for _ in 0..ROUNDS {
        let mut copies = repositories.clone();
        let start = processor::time();
        pool.install(|| copies.iter_mut().for_each(|it| drop(clean(it, &CleanOptions::default()))));
        cleaning = cleaning.min(processor::time() - start);
    }
    let texts: Vec<&str> = repositories.iter().flat_map(|it| it.files.values()).map(String::as_str).collect();
    let texts: Vec<&str> = texts.into_iter().filter(|text| text.len() > 1_000).take(DUPLICATE_FILES).collect();
    let start = processor::time();
    let prints: Vec<Fingerprint> = pool.install(|| texts.iter().map(|text| Fingerprint::of(text)).collect());
    let hashing = processor::time() - start;
    let hashed: usize = texts.iter().map(|text| text.len()).sum();
    drop(prints);
    let duplicates: Vec<String> = [1, 2, 4].iter().map(|times| pool.install(|| duplicates(&texts, *times))).collect();
    let memory: Vec<String> = [1, 2, 4].iter().map(|times| peak_of(MEMORY_REPOSITORIES * times)).collect();
    let line = format!(
        "{{\"cleaning_bytes\": {bytes}, \"reading_s\": {:.6}, \"cleaning_s\": {:.6}, \"cleaning_mb_per_s\": {:.1}, \"minhash_mb_per_s\": {:.1}, \
         \"duplicates\": [{}], \"memory\": [{}]}}\n",
        reading.as_secs_f64(),
        cleaning.as_secs_f64(),
        bytes as f64 / cleaning.as_secs_f64() / 1e6,
        hashed as f64 / hashing.as_secs_f64() / 1e6,
        duplicates.join(", "),
        memory.join(", "),
    );
    std::io::stdout().write_all(line.as_bytes()).expect("stdout takes the result");
}

/// The processor time of reading every file that takes part.
fn bare_reading(read: &[(PathBuf, Repository)]) -> Duration {
    let start = processor::time();
    for (folder, repository) in read {
        for path in repository.files.keys() {
            std::hint::black_box(std::fs::read(folder.join(path)).expect("it was read before"));
        }
    }
    processor::time() - start
}

/// Fingerprints and groups `times` as many files as there are texts.
fn duplicates(texts: &[&str], times: usize) -> String {
    let directory = tempfile::tempdir().expect("a folder for the index");
    let made: Vec<String> = (0..times)
        .flat_map(|time| texts.iter().map(move |text| if time == 0 { (*text).into() } else { rewritten(text, time) }))
        .collect();
    let start = processor::time();
    let mut index = Index::create(directory.path()).expect("the index is made");
    for files in made.chunks(20) {
        let prints: Vec<Fingerprint> = files.iter().map(|text| Fingerprint::of(text)).collect();
        index.add(&prints).expect("the index is written");
    }
    let hashed = processor::time() - start;
    let mut verdicts = index.finish(&DuplicateOptions::default()).expect("the index is read");
    let grouped = processor::time() - start;
    let dropped: usize = (0..made.chunks(20).len() as u64).map(|it| verdicts.dropped_files(it).len()).sum();
    let bytes: usize = made.iter().map(String::len).sum();
    format!(
        "{{\"files\": {}, \"bytes\": {bytes}, \"fingerprints_s\": {:.6}, \"grouping_s\": {:.6}, \"dropped\": {dropped}}}",
        made.len(),
        hashed.as_secs_f64(),
        (grouped - hashed).as_secs_f64()
    )
}

/// The text with every letter of every word turned, so that no run of words is shared.
fn rewritten(text: &str, by: usize) -> String {
    let turn = |c: char| match c {
        'a'..='z' => char::from(b'a' + (c as u8 - b'a' + by as u8) % 26),
        'A'..='Z' => char::from(b'A' + (c as u8 - b'A' + by as u8) % 26),
        other => other,
    };
    text.chars().map(turn).collect()
}

fn peak_of(repositories: u64) -> String {
    let program = std::env::current_exe().expect("the program knows itself");
    let output = std::process::Command::new(program).args(["--memory", &repositories.to_string()]).output();
    String::from_utf8(output.expect("the program starts again").stdout).expect("JSON").trim().into()
}

/// Runs over a generated corpus of `count` repositories and prints the peak of this process.
fn memory(count: u64) {
    let work = tempfile::tempdir().expect("a folder for the corpus");
    let path = work.path().join("corpus.jsonl");
    let mut file = std::io::BufWriter::new(std::fs::File::create(&path).expect("the corpus is made"));
    let mut bytes = 0;
    // Rows of a repository stand apart, so that they must be regrouped.
    for file_number in 0..10_u64 {
        for repository in 0..count {
            let word =
                |at: u64| ((at + 1) * (repository * 10 + file_number + 7)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
            let text: String =
                (0..80).map(|at| format!("def f_{:x}(value): return value + {}\\n", word(at), word(at) % 7)).collect();
            bytes += text.len() as u64;
            writeln!(
                file,
                "{{\"repository\":\"r{repository}\",\"path\":\"f{file_number}.py\",\"content\":\"{text}\"}}"
            )
            .expect("the corpus is written");
        }
    }
    file.into_inner().expect("the corpus is written");
    let (read, source, cleaning) = (ReadOptions::default(), SourceOptions::default(), CleanOptions::default());
    // Parts small against the corpus: what is bounded must show at this size.
    let corpus = CorpusOptions { partition_bytes: 8 << 20, batch_bytes: 8 << 20, ..CorpusOptions::default() };
    let settings = Settings { read: &read, source: &source, clean: &cleaning, corpus: &corpus };
    let out = work.path().join("out");
    std::fs::create_dir(&out).expect("a folder for results");
    let start = Instant::now();
    let report = gather(Input::Many(vec![path]), &settings, &out, &|_| {}).expect("the corpus is read");
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let line = format!(
        "{{\"repositories\": {count}, \"bytes\": {bytes}, \"kept\": {}, \"seconds\": {:.2}, \"peak_bytes\": {}}}\n",
        report.kept_repositories,
        start.elapsed().as_secs_f64(),
        peak.unwrap_or_default() * 1024
    );
    std::io::stdout().write_all(line.as_bytes()).expect("stdout takes the result");
}
