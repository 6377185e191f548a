//! What an evaluation found: sums and counts; everything else is derived from them.

use serde::{Deserialize, Serialize};

/// Likelihood of a set of files.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Sum of −log p over the content tokens, nats.
    pub nats: f64,
    /// Content tokens scored.
    pub tokens: u64,
    /// Bytes they stand for.
    pub bytes: u64,
    /// Content tokens beyond the context, not scored.
    pub tokens_left_out: u64,
    /// Characters for which the model has no token, passed over.
    #[serde(default)]
    pub characters_left_out: u64,
    /// Each file, in the order given.
    pub files: Vec<FileReport>,
}

/// Likelihood of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileReport {
    /// Its repository.
    pub repository: String,
    /// Its path from the repository root.
    pub path: String,
    /// Sum of −log p over the content tokens, nats.
    pub nats: f64,
    /// Content tokens scored.
    pub tokens: u64,
    /// Bytes they stand for.
    pub bytes: u64,
    /// Content tokens cut off at the end because the context was full.
    pub tokens_left_out: u64,
    /// Characters for which the model has no token, passed over.
    #[serde(default)]
    pub characters_left_out: u64,
}

impl Report {
    /// Adds a file's sums.
    pub(crate) fn add(&mut self, file: FileReport) {
        self.nats += file.nats;
        self.tokens += file.tokens;
        self.bytes += file.bytes;
        self.tokens_left_out += file.tokens_left_out;
        self.characters_left_out += file.characters_left_out;
        self.files.push(file);
    }

    /// Mean −log p of a token, nats; none without tokens.
    pub fn nats_per_token(&self) -> Option<f64> {
        (self.tokens > 0).then(|| self.nats / self.tokens as f64)
    }

    /// e to the mean −log p of a token; none without tokens.
    pub fn perplexity(&self) -> Option<f64> {
        self.nats_per_token().map(f64::exp)
    }

    /// Mean bits per byte of text; none without bytes. Comparable across vocabularies.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / (std::f64::consts::LN_2 * self.bytes as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_follow_from_the_sums() {
        assert_eq!((Report::default().perplexity(), Report::default().bits_per_byte()), (None, None));
        let mut report = Report::default();
        for (nats, tokens, bytes) in [(2.0 * std::f64::consts::LN_2, 1, 2), (4.0 * std::f64::consts::LN_2, 2, 10)] {
            let (repository, path) = ("r".into(), "p".into());
            report.add(FileReport {
                repository,
                path,
                nats,
                tokens,
                bytes,
                tokens_left_out: 1,
                characters_left_out: 2,
            });
        }
        assert_eq!((report.tokens, report.bytes, report.tokens_left_out, report.characters_left_out), (3, 12, 2, 4));
        assert!((report.bits_per_byte().unwrap() - 0.5).abs() < 1e-12);
        assert!((report.perplexity().unwrap() - 4.0).abs() < 1e-12);
    }
}
