//! `read`: the set of repositories, cleaned, into a store by shards.

use std::path::{Path, PathBuf};

use recon_corpus::{CorpusOptions, CorpusReport, Input, Settings, Store, gather};
use recon_repository::{CleanOptions, ReadOptions, Repository, SourceOptions};
use recon_schema::Sha256;
use recon_schema::file::{hash_file, write_json};
use serde::Serialize;

use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::observe::Observe;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "read";
/// File of the account of the whole set.
pub(crate) const REPORT: &str = "report.json";

#[derive(Serialize)]
struct Plan<'a> {
    read: &'a ReadOptions,
    source: &'a SourceOptions,
    clean: &'a CleanOptions,
    corpus: &'a CorpusOptions,
}

/// Reads the set into `root`, or reuses what was read.
pub(crate) fn run(
    config: &Config,
    root: &Path,
    input: Input,
    observe: &dyn Observe,
) -> Outcome<Finished<CorpusReport>> {
    let Config { read, source, clean, corpus, .. } = config;
    let mut key = Key::new(NAME, &["corpus"], &Plan { read, source, clean, corpus });
    match &input {
        Input::One(repository) => key = key.input("repository", digest(repository)),
        Input::Many(paths) => {
            for path in paths {
                key = key.input(path.display().to_string(), digest_of_path(path)?);
            }
        }
    }
    for path in &corpus.contamination.benchmarks {
        key = key.input(format!("benchmark {}", path.display()), digest_of_path(path)?);
    }
    let settings = Settings { read, source, clean, corpus };
    Stage::new(root, key).run(|directory| {
        observe.begin(NAME, 0);
        let report = gather(input, &settings, directory, &|name| observe.advance(name))?;
        write_json(&directory.join(REPORT), &report)?;
        Ok(report)
    })
}

/// The store that the stage left.
pub(crate) fn store(read: &Finished<CorpusReport>) -> Outcome<Store> {
    Ok(Store::open(&read.directory)?)
}

/// Digest over the files of one shard of the store: what its further stages depend on.
pub(crate) fn shard_digest(read: &Finished<CorpusReport>, store: &Store, shard: u32) -> Sha256 {
    let name = |path: PathBuf| path.file_name().expect("it is a file").to_string_lossy().into_owned();
    let digests = store.files(shard).map(|path| read.outputs[&name(path)].sha256.to_string());
    Sha256::of_fields(digests.iter().map(String::as_bytes))
}

/// Over everything that decides what follows: name, commit, each file's path and text, and what was not read.
fn digest(repository: &Repository) -> Sha256 {
    let reference = serde_json::to_vec(&repository.reference).expect("a reference has string keys");
    let skipped = serde_json::to_vec(&repository.skipped).expect("paths are strings");
    let texts = repository.files.iter().flat_map(|(path, text)| [path.as_bytes(), text.as_bytes()]);
    Sha256::of_fields([reference.as_slice(), skipped.as_slice()].into_iter().chain(texts))
}

/// Of a file its bytes; of a folder the names, sizes and times of what is in it, since a corpus
/// is too large to be read once more for this.
fn digest_of_path(path: &Path) -> Outcome<Sha256> {
    if path.is_file() {
        return Ok(hash_file(path)?.sha256);
    }
    let fail = |error: std::io::Error| {
        Failure::input(anyhow::Error::new(error).context(format!("failed to read {}", path.display())))
    };
    let (mut open, mut found) = (vec![path.to_path_buf()], Vec::new());
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(fail)? {
            let entry = entry.map_err(fail)?;
            let metadata = entry.metadata().map_err(fail)?;
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                let modified = metadata.modified().ok().and_then(|it| it.duration_since(std::time::UNIX_EPOCH).ok());
                found.push(format!("{} {} {modified:?}", entry.path().display(), metadata.len()));
            }
        }
    }
    found.sort_unstable();
    Ok(Sha256::of_fields(found.iter().map(String::as_bytes)))
}
