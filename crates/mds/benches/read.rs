//! Reading a set in random order from the page cache, its shards' hashes checked.
//!
//! `cargo bench -p recon-mds --bench read -- FOLDER` writes rows of 65,536 ids with mask and spans to FOLDER (512 MB, xxh64),
//! once, and prints one JSON object: GB/s of the best of five passes. `scripts/bench/streaming_read.py FOLDER` reads the
//! same with MosaicML Streaming.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::path::PathBuf;
use std::time::Instant;

use recon_mds::{Array, Dataset, HashAlgorithm, Sample, Writer, WriterOptions};

const ROW_TOKENS: u32 = 65_536;
const ROWS: u32 = 1_600;

fn main() {
    let folder = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let folder = PathBuf::from(folder.expect("a folder to write to"));
    if !folder.join("index.json").exists() {
        write(&folder);
    }
    let bytes = u64::from(ROWS) * u64::from(ROW_TOKENS) * 5;
    let (mut verified, mut read) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..5 {
        let started = Instant::now();
        let dataset = Dataset::open(&folder).expect("it was written");
        dataset.verify().expect("it is whole");
        verified = verified.min(started.elapsed().as_secs_f64());
        let started = Instant::now();
        // A walk by a prime visits every row once, never the next one.
        let ids: usize = (0..dataset.len()).map(|at| ids_of(&dataset, at * 1_009 % dataset.len())).sum();
        read = read.min(started.elapsed().as_secs_f64());
        assert_eq!(ids as u64 * 5, bytes);
    }
    let rate = |seconds: f64| bytes as f64 / seconds / 1e9;
    println!(
        "{{\"bytes\": {bytes}, \"verify_gb_s\": {:.2}, \"read_gb_s\": {:.2}, \"both_gb_s\": {:.2}}}",
        rate(verified),
        rate(read),
        rate(verified + read)
    );
}

fn ids_of(dataset: &Dataset, row: usize) -> usize {
    let sample = dataset.read(row, &["input_ids", "mask", "indices"]).expect("it is whole");
    sample["input_ids"].as_u32().expect("ids are of 32 bits").len()
}

fn write(folder: &std::path::Path) {
    let columns = [("indices", "ndarray:uint32"), ("input_ids", "ndarray:uint32"), ("mask", "ndarray:uint8")];
    let columns = columns.map(|(name, encoding)| (name, encoding.parse().expect("it is an encoding")));
    let options = WriterOptions { hashes: vec![HashAlgorithm::Xxh64], ..WriterOptions::default() };
    let mut writer = Writer::create(folder, columns, options).expect("the folder can be written");
    for row in 0..ROWS {
        let ids: Vec<u32> = (0..ROW_TOKENS).map(|at| (row * 31 + at).wrapping_mul(2_654_435_761) % 128_256).collect();
        let sample = Sample::from([
            ("indices".into(), Array::new(vec![1, 2], vec![0, ROW_TOKENS]).expect("one span").into()),
            ("input_ids".into(), Array::vector(ids).into()),
            ("mask".into(), Array::vector(vec![1_u8; ROW_TOKENS as usize]).into()),
        ]);
        writer.write(&sample).expect("the disk has room");
    }
    writer.finish().expect("the disk has room");
}
