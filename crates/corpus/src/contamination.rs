//! Files that share text with a benchmark.
//!
//! Benchmarks → the hashes of every run of `run_words` words in them → a file is refused when it
//! holds at least `min_shared_runs` of those. Letters' case counts; layout and punctuation do not.
//! Runs in the texts of licences, and in the comment of a licence that opens a file, are everybody's
//! and do not count.
//!
//! A benchmark is a file or a folder of files: of JSON Lines and JSON every text value counts by
//! itself, of any other file the whole. Source: n-gram overlap as in Llama 3 (arXiv 2407.21783,
//! section 3.1) and OpenCoder (10-grams).

use std::collections::HashSet;
use std::fs;
use std::hash::{BuildHasherDefault, Hasher};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use recon_repository::SourceOptions;
use recon_repository::clean::Refusal;
use recon_repository::source::open_stream;
use recon_schema::graph::SkipReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::words::for_each_run;
use crate::{Error, Result};

/// Which benchmarks, and what counts as sharing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ContaminationOptions {
    /// Files or folders; none switches the rule off.
    pub benchmarks: Vec<PathBuf>,
    /// Words in a run.
    pub run_words: usize,
    /// Different runs a file must share to be refused.
    pub min_shared_runs: usize,
}

impl Default for ContaminationOptions {
    fn default() -> Self {
        Self { benchmarks: Vec::new(), run_words: 10, min_shared_runs: 1 }
    }
}

/// Hashes are mixed already.
#[derive(Default)]
struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only 64-bit keys are hashed");
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

/// What stands in the benchmarks.
pub struct Benchmarks {
    runs: HashSet<u64, BuildHasherDefault<Identity>>,
    /// One bit for each of the last 20 bits of a hash: most runs of a file are refused by it alone.
    filter: Vec<u64>,
    options: ContaminationOptions,
}

const FILTER_BITS: usize = 1 << 20;

impl Benchmarks {
    /// Reads the benchmarks that `options` name.
    ///
    /// # Errors
    /// When one cannot be read, or none of them holds a run.
    pub fn read(options: &ContaminationOptions) -> Result<Self> {
        let runs = HashSet::default();
        let mut benchmarks = Self { runs, filter: vec![0; FILTER_BITS / 64], options: options.clone() };
        for path in &options.benchmarks {
            benchmarks.add(path)?;
        }
        if !benchmarks.runs.is_empty() {
            benchmarks.forget_licences();
        }
        if !options.benchmarks.is_empty() && benchmarks.runs.is_empty() {
            let path = options.benchmarks[0].clone();
            return Err(Error::NoBenchmark { path, run_words: options.run_words });
        }
        Ok(benchmarks)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let fail = |source| Error::Read { path: path.into(), source };
        if path.is_dir() {
            let entries = fs::read_dir(path).and_then(Iterator::collect::<std::io::Result<Vec<_>>>).map_err(fail)?;
            let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).collect();
            paths.sort();
            return paths.iter().try_for_each(|path| self.add(path));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut stream = BufReader::new(open_stream(path, &SourceOptions::default()).map_err(fail)?);
        if name.contains(".json") {
            for line in stream.lines() {
                // A line that is no JSON by itself is part of a larger document: its text counts.
                let line = line.map_err(fail)?;
                match serde_json::from_str::<Value>(&line) {
                    Ok(value) => self.add_value(value),
                    Err(_) => self.add_text(&line),
                }
            }
        } else {
            let mut text = Vec::new();
            stream.read_to_end(&mut text).map_err(fail)?;
            self.add_text(&String::from_utf8_lossy(&text));
        }
        Ok(())
    }

    fn add_value(&mut self, value: Value) {
        let mut open = vec![value];
        while let Some(value) = open.pop() {
            match value {
                Value::String(text) => self.add_text(&text),
                Value::Array(values) => open.extend(values),
                Value::Object(fields) => open.extend(fields.into_iter().map(|(_, value)| value)),
                _ => {}
            }
        }
    }

    /// A text with fewer words than a run says too little to be recognised by.
    fn add_text(&mut self, text: &str) {
        let text = without_licence(text);
        if crate::words::words(text).nth(self.options.run_words - 1).is_none() {
            return;
        }
        for_each_run(text, self.options.run_words, |hash| {
            self.runs.insert(hash);
            let bit = hash as usize % FILTER_BITS;
            self.filter[bit / 64] |= 1 << (bit % 64);
        });
    }

    /// Takes the runs out that stand in a licence of the SPDX list; the notices that a licence asks
    /// for stand in its text.
    fn forget_licences(&mut self) {
        for licence in spdx::identifiers::LICENSES.iter().filter_map(|licence| spdx::license_id(licence.name)) {
            if licence.is_osi_approved() {
                for_each_run(licence.text(), self.options.run_words, |hash| {
                    self.runs.remove(&hash);
                });
            }
        }
    }

    /// Runs known.
    pub fn len(&self) -> usize {
        self.runs.len()
    }

    /// Whether no benchmark was given.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Why a file of this text is refused, if it is.
    pub(crate) fn refuse(&self, text: &str) -> Option<Refusal> {
        if self.runs.is_empty() {
            return None;
        }
        let mut shared = HashSet::<u64, BuildHasherDefault<Identity>>::default();
        for_each_run(without_licence(text), self.options.run_words, |hash| {
            let bit = hash as usize % FILTER_BITS;
            if self.filter[bit / 64] >> (bit % 64) & 1 == 1 && self.runs.contains(&hash) {
                shared.insert(hash);
            }
        });
        (!shared.is_empty() && shared.len() >= self.options.min_shared_runs).then(|| {
            let message = format!("shares {} runs of {} words with a benchmark", shared.len(), self.options.run_words);
            Refusal::new("benchmark", SkipReason::Contaminated, message)
        })
    }
}

/// A text without the comment that opens it, if that speaks of a licence or of rights.
fn without_licence(text: &str) -> &str {
    const MARKS: [&str; 6] = ["//", "#", "*", "--", ";", "%"];
    const BLOCKS: [(&str, &str); 3] = [("/*", "*/"), ("\"\"\"", "\"\"\""), ("<!--", "-->")];
    let (mut end, mut closed_by, mut any) = (0, None, false);
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        if let Some(close) = closed_by {
            closed_by = (!trimmed.contains(close)).then_some(close);
        } else if let Some((open, close)) = BLOCKS.iter().find(|(open, _)| trimmed.starts_with(open)) {
            closed_by = (!trimmed[open.len()..].contains(close)).then_some(*close);
        } else if trimmed.is_empty() && any
            || !trimmed.is_empty() && !MARKS.iter().any(|mark| trimmed.starts_with(mark))
        {
            break;
        }
        any |= !trimmed.is_empty();
        end += line.len();
    }
    let head = text[..end].to_ascii_lowercase();
    let speaks = ["licen", "copyright", "all rights reserved"].iter().any(|word| head.contains(word));
    // A comment that never closes is no comment.
    if speaks && closed_by.is_none() { &text[end..] } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_a_benchmarks_text_is_refused_whatever_its_layout() {
        let folder = tempfile::tempdir().unwrap();
        let task = "def has_close_elements(numbers, threshold): for index, elem in enumerate(numbers): return True";
        let row = serde_json::json!({"id": 1, "prompt": task, "tests": ["assert f(1) == 2"]});
        fs::write(folder.path().join("eval.jsonl"), format!("{row}\n")).unwrap();
        fs::write(folder.path().join("notes.txt"), "one two three four five six seven eight nine ten eleven").unwrap();
        let options = ContaminationOptions { benchmarks: vec![folder.path().into()], ..Default::default() };
        let benchmarks = Benchmarks::read(&options).unwrap();
        let copied = format!("# mine\nimport os\n\n{}\n", task.replace(": ", ":\n    ").replace(", ", ","));
        assert_eq!(benchmarks.refuse(&copied).unwrap().reason, SkipReason::Contaminated);
        assert!(benchmarks.refuse("x one two three four five six seven eight nine ten y").is_some());
        assert!(benchmarks.refuse("one two three four five six seven eight nine 10 eleven").is_none(), "nine words");
        assert!(benchmarks.refuse("assert f(1) == 2").is_none(), "too short to be recognised by");
        let strict = ContaminationOptions { min_shared_runs: 3, ..options };
        assert!(
            Benchmarks::read(&strict)
                .unwrap()
                .refuse("one two three four five six seven eight nine ten eleven")
                .is_none()
        );
    }

    #[test]
    fn a_shared_licence_is_no_contamination() {
        let folder = tempfile::tempdir().unwrap();
        let notice = "Copyright 2019 A Company whose lawyers wrote ten words and more of their own here\n";
        let task = "def has_close_elements(numbers, threshold): for index, elem in enumerate(numbers): return True";
        let apache = "Licensed under the Apache License, Version 2.0 (the \"License\"); you may not use this file except \
                      in compliance with the License.";
        fs::write(folder.path().join("a.py"), format!("# {notice}# All of its terms.\n\n{task}\n# {apache}\n"))
            .unwrap();
        let options = ContaminationOptions { benchmarks: vec![folder.path().into()], ..Default::default() };
        let benchmarks = Benchmarks::read(&options).unwrap();
        assert!(benchmarks.refuse(&format!("# {notice}\nx = 1\n")).is_none(), "the leading comment");
        assert!(benchmarks.refuse(&format!("/*\n * {notice} */\nint x;\n")).is_none(), "in another language");
        assert!(benchmarks.refuse(&format!("x = 1\ny = `{apache}`\n")).is_none(), "a known text, anywhere");
        assert!(benchmarks.refuse(&format!("# {notice}\n{task}\n")).is_some(), "what follows the comment counts");
        assert!(benchmarks.refuse(&format!("# {task}\n")).is_some(), "a comment about anything else counts");
    }

    #[test]
    fn a_benchmark_that_says_nothing_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("short.txt"), "too short").unwrap();
        let options = ContaminationOptions { benchmarks: vec![folder.path().into()], ..Default::default() };
        assert!(matches!(Benchmarks::read(&options), Err(Error::NoBenchmark { .. })));
        let missing = ContaminationOptions { benchmarks: vec![folder.path().join("nowhere")], ..options };
        assert!(matches!(Benchmarks::read(&missing), Err(Error::Read { .. })));
        assert!(Benchmarks::read(&ContaminationOptions::default()).unwrap().is_empty());
    }
}
