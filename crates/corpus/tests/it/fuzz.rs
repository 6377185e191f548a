//! Random and damaged shards: nothing panics, nothing is kept that may not be.

use std::fs;

use recon_corpus::{CorpusOptions, Input, Settings, gather};
use recon_repository::{CleanOptions, ReadOptions, SourceOptions};

use crate::archives::gzip;
use crate::damage::{Damage, damaged, damages, runner};

const LIMITS: SourceOptions = SourceOptions { max_expanded_bytes: 1 << 20, max_ratio: 200, max_entries: 1_000 };

#[test]
fn shards_never_panic() {
    let work = tempfile::tempdir().unwrap();
    let rows: Vec<crate::corpora::Row> =
        (0..12).map(|at| (format!("r{}", at % 4), format!("f{at}.py"), "x = 1\n".repeat(at))).collect();
    let table = work.path().join("seed.parquet");
    crate::corpora::parquet(&table, &rows, ["repository", "path", "content", "licence"]);
    let lines = crate::corpora::json(&rows);
    let seeds = [("a.parquet", fs::read(table).unwrap()), ("a.jsonl", lines.clone()), ("a.jsonl.gz", gzip(&lines))];
    let (options, cleaning) = (ReadOptions::default(), CleanOptions::default());
    let corpus = CorpusOptions { max_skipped_fraction: 1.0, max_row_bytes: 10_000, ..CorpusOptions::default() };
    let settings = Settings { read: &options, source: &LIMITS, clean: &cleaning, corpus: &corpus };
    let run = |(seed, damages): (usize, Vec<Damage>)| {
        let (name, bytes) = &seeds[seed];
        let path = work.path().join(name);
        fs::write(&path, damaged(bytes.clone(), &damages)).unwrap();
        let out = tempfile::tempdir().unwrap();
        if let Err(error) = gather(Input::Many(vec![path]), &settings, out.path(), &|_| {}) {
            assert!(!error.to_string().contains('\n'), "one line: {error}");
        }
        Ok(())
    };
    runner(300).run(&(0..seeds.len(), damages()), run).unwrap();
}
