//! The engine: one model that any number of callers ask at once.

use std::sync::atomic::{AtomicU64, Ordering};

use candle_core::Tensor;
use recon_kernels::sampling::Mask;
use recon_llama::{AttentionCtx, Llama, PagedKv, Params, Unit};
use recon_lm::{Branch, GenJob, Generation, Generator, Limits, ScoreJob, Scored, Scorer};
use recon_schema::trajectory::ModelRef;
use recon_text::Tokenizer;

use crate::branch::Places;
use crate::caller::{Caller, Served};
use crate::callers::Desk;
use crate::core::Core;
use crate::options::{EngineOptions, Stats};
use crate::pool::PagePool;
use crate::{Error, Result};

static ENGINES: AtomicU64 = AtomicU64::new(0);

/// A Llama that scores and writes. What is asked at the same time, by whomever, is computed together; an answer does
/// not depend on who else asks.
pub struct Engine {
    served: Served,
    pool: PagePool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("model", &self.served.model)
            .field("limits", &self.served.limits)
            .finish_non_exhaustive()
    }
}

/// Cache pages of an engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachePages {
    /// Held by no branch.
    pub free: usize,
    /// In all.
    pub total: usize,
    /// Tokens of one page.
    pub page_tokens: usize,
}

impl Engine {
    /// An engine over a model that is already in memory, for example one in training. Parameters
    /// are read anew in every forward; branches made before they changed keep the old keys and
    /// values.
    ///
    /// # Errors
    /// If the tokenizer needs ids that the model has no embeddings for, or the options do not fit
    /// together.
    pub fn from_parts(
        llama: Llama,
        params: impl Params + Send + Sync + 'static,
        tokenizer: impl Into<Option<Tokenizer>>,
        model: ModelRef,
        options: &EngineOptions,
    ) -> Result<Self> {
        let (config, tokenizer) = (llama.config(), tokenizer.into());
        if let Some(tokenizer) = &tokenizer {
            recon_text::check_fits(tokenizer, config.vocab_size)?;
        }
        let ends = config.other(EOS_TOKEN_ID).map(|ids| end_ids(ids, "config.json")).transpose()?.unwrap_or_default();
        let context_tokens = context_tokens(config.max_position_embeddings, options)?;
        let limits = Limits { context_tokens, vocabulary: config.vocab_size };
        let page_tokens = options.page_tokens.get() as usize;
        let pages = options.cache_tokens.get().div_ceil(options.page_tokens.get());
        let (device, dtype) = {
            let lease = params.lease(Unit::Embed)?;
            (lease.flat().device().clone(), lease.flat().dtype())
        };
        let cache = PagedKv::new(config, pages as usize, page_tokens, &device, dtype)?;
        tracing::info!(model = model.name, context_tokens, pages, page_tokens, "engine opened");
        let is_text = |id| tokenizer.as_ref().is_none_or(|tokenizer| tokenizer.token_bytes(id).is_some());
        let (id, pool) = (ENGINES.fetch_add(1, Ordering::Relaxed), PagePool::new(pages, page_tokens));
        let (prefill_tokens, refusal_tokens) =
            (options.prefill_tokens.get() as usize, options.refusal_tokens.get() as usize);
        let core = Core {
            id,
            llama,
            params: Box::new(params),
            cache,
            pool: pool.clone(),
            places: Places::default(),
            text_ids: Mask::new(limits.vocabulary, is_text),
            ends: Vec::new(),
            prefill_tokens,
            stats: Stats::default(),
        };
        let desk = Desk::new(core);
        let served = Served { model, tokenizer, limits, id, prefill_tokens, refusal_tokens, desk };
        Ok(Self { served, pool }.ending_with(&ends))
    }

    /// The same engine, whose texts end at these ids beside those a job names. Ids without an
    /// embedding are never drawn and left out.
    pub(crate) fn ending_with(self, ids: &[u32]) -> Self {
        let known = ids.iter().copied().filter(|id| (*id as usize) < self.served.limits.vocabulary);
        self.served.desk.with_core(|core| core.ends = known.collect());
        self
    }

    /// The same engine under the name the user gave its model.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.served.model.name = name.into();
        self
    }

    /// The model's tokenizer.
    ///
    /// # Panics
    /// In an engine opened [for ids](Engine::open_for_ids).
    pub fn tokenizer(&self) -> &Tokenizer {
        self.served.tokenizer()
    }

    /// Which model this is.
    pub fn model_ref(&self) -> &ModelRef {
        &self.served.model
    }

    /// Somebody who asks on behalf of one repository, and whose costs are counted alone. Forwards are divided fairly
    /// among callers.
    pub fn caller(&self) -> Caller<'_> {
        Caller::new(&self.served)
    }

    /// What was done since the engine was opened.
    pub fn stats(&self) -> Stats {
        self.served.desk.stats()
    }

    /// Logits `[T, V]` (f32) after each of `ids` `[T]`, as one document; the cache is not touched.
    /// For comparisons with other programs: scoring never holds this many logits.
    ///
    /// # Errors
    /// No ids, more than the context, or one outside the vocabulary.
    pub fn logits(&self, ids: &[u32]) -> recon_lm::Result<Tensor> {
        let Limits { context_tokens: limit, vocabulary } = self.served.limits;
        match ids.iter().find(|id| **id as usize >= vocabulary) {
            _ if ids.is_empty() => return Err(recon_lm::Error::EmptyContext),
            _ if ids.len() > limit => return Err(recon_lm::Error::ContextTooLong { asked: ids.len(), limit }),
            Some(&id) => return Err(recon_lm::Error::UnknownToken { id, vocabulary }),
            None => {}
        }
        let positions: Vec<u32> = (0..ids.len() as u32).collect();
        let document = [0..ids.len()];
        let failed = |error: recon_llama::Error| recon_lm::Error::Engine(error.to_string());
        self.served.desk.with_core(|core| {
            let context = AttentionCtx::Packed { spans: &document };
            let hidden = core.llama.hidden(core.params.as_ref(), ids, &positions, &context).map_err(failed)?;
            core.llama.logits(core.params.as_ref(), &hidden).map_err(failed)
        })
    }

    /// How much of the cache is held by branches.
    pub fn cache_pages(&self) -> CachePages {
        let pool = &self.pool;
        CachePages { free: pool.free(), total: pool.total(), page_tokens: pool.page_tokens() }
    }
}

/// Key of the ids that end a text, in `config.json` and `generation_config.json`.
pub(crate) const EOS_TOKEN_ID: &str = "eos_token_id";

/// One id or a list of them; `null` is none.
pub(crate) fn end_ids(value: &serde_json::Value, file: &'static str) -> Result<Vec<u32>> {
    let one = |value: &serde_json::Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids = match value {
        serde_json::Value::Null => Some(Vec::new()),
        serde_json::Value::Array(ids) => ids.iter().map(one).collect(),
        id => one(id).map(|id| vec![id]),
    };
    ids.ok_or_else(|| Error::EndIds { file, found: value.to_string() })
}

/// Longest document: what was asked for, or what both the model and the cache can hold.
fn context_tokens(positions: usize, options: &EngineOptions) -> Result<usize> {
    let cache = options.cache_tokens.get() as usize;
    match options.context_tokens.map(|tokens| tokens.get() as usize) {
        Some(asked) if asked > positions => Err(Error::ContextTooLong { asked, limit: positions }),
        Some(asked) if asked > cache => Err(Error::CacheTooSmall { asked, cache }),
        Some(asked) => Ok(asked),
        None => {
            if cache < positions {
                tracing::warn!(cache, positions, "documents are limited by `engine.cache_tokens`");
            }
            Ok(positions.min(cache))
        }
    }
}

impl Scorer for Engine {
    fn limits(&self) -> Limits {
        self.served.limits
    }

    fn extend(&self, at: Option<&Branch>, ids: &[u32]) -> recon_lm::Result<Branch> {
        self.caller().extend(at, ids)
    }

    fn score(&self, jobs: &[ScoreJob<'_>]) -> Vec<recon_lm::Result<Scored>> {
        self.caller().score(jobs)
    }
}

impl Generator for Engine {
    fn generate(&self, jobs: &[GenJob<'_>]) -> Vec<recon_lm::Result<Generation>> {
        self.caller().generate(jobs)
    }
}
