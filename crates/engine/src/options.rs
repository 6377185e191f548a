//! What a user sets of an engine, and what it counts.

use std::num::NonZeroU32;

use recon_llama::Precision;
use serde::{Deserialize, Serialize};

/// Settings of an engine; `[engine]` in the configuration.
///
/// One cached token takes `2 · layers · key-value heads · head width` numbers: 256 KiB for
/// Llama-3-8B in f32, half of it in bf16.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EngineOptions {
    /// Where it computes: `cpu`, `cuda` (the first GPU) or `cuda:N`.
    pub device: String,
    /// `f32` or `bf16`; none takes bf16 on a GPU and f32 on the CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<Precision>,
    /// Tokens whose keys and values can be held at once, over all branches: one document and what
    /// its candidates add. On the CPU memory is used as it is touched, on a GPU at once.
    pub cache_tokens: NonZeroU32,
    /// Tokens of one cache page; a fork that goes its own way copies at most one page.
    pub page_tokens: NonZeroU32,
    /// Most tokens computed in one forward.
    pub prefill_tokens: NonZeroU32,
    /// Most tokens of a job that can be refused that are computed before it is judged again.
    pub refusal_tokens: NonZeroU32,
    /// Most repositories of a shard that ask at the same time; no more do than the cache holds documents. The result
    /// is the same, whatever their number.
    pub callers: NonZeroU32,
    /// Longest document; none takes what both the model's positions and the cache can hold.
    pub context_tokens: Option<NonZeroU32>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        let count = |tokens| NonZeroU32::new(tokens).expect("the defaults are not zero");
        Self {
            device: "cpu".into(),
            precision: None,
            cache_tokens: count(32_768),
            page_tokens: count(64),
            prefill_tokens: count(512),
            refusal_tokens: count(128),
            callers: count(8),
            context_tokens: None,
        }
    }
}

/// What an engine has done since it was opened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Stats {
    /// Tokens run through the model.
    pub fresh_tokens: u64,
    /// Tokens that jobs stood on without computing them.
    pub reused_tokens: u64,
    /// Tokens whose likelihood was computed.
    pub scored_tokens: u64,
    /// Tokens drawn.
    pub generated_tokens: u64,
    /// Jobs dropped because they could no longer win.
    pub refused_jobs: u64,
    /// Jobs set back to their start for want of pages, to run again later.
    pub rewound_jobs: u64,
    /// Branches that gave up their pages; what goes on from one computes them again.
    pub evicted_branches: u64,
    /// Forwards made.
    pub forwards: u64,
    /// Time spent inside calls.
    pub seconds: f64,
    /// Most cache pages held at once.
    pub peak_pages: u64,
}

impl Stats {
    /// Adds what other jobs cost.
    pub(crate) fn add(&mut self, other: &Self) {
        self.fresh_tokens += other.fresh_tokens;
        self.reused_tokens += other.reused_tokens;
        self.scored_tokens += other.scored_tokens;
        self.generated_tokens += other.generated_tokens;
        self.refused_jobs += other.refused_jobs;
        self.rewound_jobs += other.rewound_jobs;
        self.evicted_branches += other.evicted_branches;
        self.forwards += other.forwards;
        self.seconds += other.seconds;
        self.peak_pages = self.peak_pages.max(other.peak_pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_and_zeros_are_refused() {
        let parse = serde_json::from_str::<EngineOptions>;
        assert_eq!(parse("{}").unwrap(), EngineOptions::default());
        assert_eq!(parse(r#"{"page_tokens": 16}"#).unwrap().page_tokens.get(), 16);
        assert!(parse(r#"{"page_token": 16}"#).is_err());
        assert!(parse(r#"{"page_tokens": 0}"#).is_err());
    }
}
