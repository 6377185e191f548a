//! The part of an engine that calls take turns with: the model, its cache, and one forward.
//!
//! Legend: `N` rows of a forward, `R` rows given to the head, `D` model width, `V` vocabulary.

use candle_core::Tensor;
use recon_kernels::sampling::{self, Draw, Mask, Masks};
use recon_llama::{AttentionCtx, Llama, PagedKv, PagedRun, Params};
use recon_lm::{Error, Result};

use crate::branch::Places;
use crate::options::Stats;
use crate::pool::PagePool;
use crate::prefix::{PageCopy, Prefix};

/// The model with its cache.
pub(crate) struct Core {
    /// Names the engine in its branches.
    pub(crate) id: u64,
    pub(crate) llama: Llama,
    pub(crate) params: Box<dyn Params + Send + Sync>,
    pub(crate) cache: PagedKv,
    pub(crate) pool: PagePool,
    pub(crate) places: Places,
    /// The ids that stand for text.
    pub(crate) text_ids: Mask,
    /// The ids that end any text, by the model's own account.
    pub(crate) ends: Vec<u32>,
    pub(crate) prefill_tokens: usize,
    pub(crate) stats: Stats,
}

/// Tokens for one forward and the prefix they follow, in which they are reserved.
pub(crate) struct Work<'a> {
    pub(crate) ids: &'a [u32],
    pub(crate) prefix: &'a Prefix,
}

/// What the model says when it fails, as the seam's error.
pub(crate) fn failed(error: impl std::error::Error) -> Error {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Error::Engine(text)
}

impl Core {
    /// One forward over a ragged batch: hidden states `[N, D]` after the final norm, rows in the
    /// order of `work`.
    pub(crate) fn forward(&mut self, work: &[Work<'_>]) -> Result<Tensor> {
        let (mut ids, mut positions, mut runs) = (Vec::new(), Vec::new(), Vec::new());
        for Work { ids: fresh, prefix } in work {
            let rows = ids.len()..ids.len() + fresh.len();
            ids.extend_from_slice(fresh);
            positions.extend(prefix.next_positions(fresh.len()).map(|position| position as u32));
            runs.push(PagedRun { rows, first_position: prefix.tokens(), pages: prefix.page_indices() });
        }
        self.stats.forwards += 1;
        self.stats.fresh_tokens += ids.len() as u64;
        self.stats.peak_pages = self.stats.peak_pages.max((self.pool.total() - self.pool.free()) as u64);
        let context = AttentionCtx::Paged { cache: &self.cache, runs: &runs };
        self.llama.hidden(&*self.params, &ids, &positions, &context).map_err(failed)
    }

    /// Copies one page in every layer.
    pub(crate) fn copy_page(&self, copy: &PageCopy) -> Result<()> {
        let copy_in = |pages: &Tensor| {
            let page = pages.narrow(0, copy.from.index() as usize, 1)?.force_contiguous()?;
            pages.slice_set(&page, 0, copy.to as usize)
        };
        (0..self.cache.layers()).try_for_each(|layer| {
            let (keys, values) = self.cache.layer(layer);
            copy_in(keys).and_then(|()| copy_in(values)).map_err(failed)
        })
    }

    /// Row `row` of `hidden` as `[1, D]` in memory of its own, so that keeping it keeps nothing else.
    pub(crate) fn row(&self, hidden: &Tensor, row: usize) -> Result<Tensor> {
        hidden.narrow(0, row, 1).and_then(|row| row.force_contiguous()).map_err(failed)
    }

    /// Log-probability of `targets[i]` after row `rows[i]` of the concatenated `parts`, nats.
    pub(crate) fn log_probs(&mut self, parts: &[Tensor], rows: Vec<u32>, targets: &[u32]) -> Result<Vec<f32>> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        self.stats.scored_tokens += rows.len() as u64;
        let hidden = pick_rows(parts, rows).map_err(failed)?;
        let mut logprobs = self.llama.log_probs(&*self.params, &hidden, targets).map_err(failed)?;
        for (logprob, target) in logprobs.iter_mut().zip(targets) {
            if !logprob.is_finite() {
                return Err(Error::Engine(format!("the log-probability of token {target} is {logprob}")));
            }
            // Early refusal rests on no term being negative; rounding may lift a certain token above 0.
            *logprob = logprob.min(0.0);
        }
        Ok(logprobs)
    }

    /// The token drawn after each place; none where the logits allow none. Logits stay where they
    /// were computed.
    pub(crate) fn draw<'a>(
        &self,
        places: impl Iterator<Item = &'a Prefix>,
        masks: &Masks,
        draws: &[Draw],
    ) -> Result<Vec<Option<u32>>> {
        let rows = places.map(|place| place.last().cloned().ok_or(Error::EmptyContext)).collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let hidden = Tensor::cat(&rows, 0).map_err(failed)?;
        let logits = self.llama.logits(&*self.params, &hidden).map_err(failed)?;
        let logits = logits.to_dtype(candle_core::DType::F32).map_err(failed)?;
        sampling::draw(&logits, Some(masks), draws).map_err(failed)
    }
}

/// Concatenates `[·, D]` parts and picks `rows` of them.
fn pick_rows(parts: &[Tensor], rows: Vec<u32>) -> candle_core::Result<Tensor> {
    let all = if parts.len() == 1 { parts[0].clone() } else { Tensor::cat(parts, 0)? };
    let count = rows.len();
    all.index_select(&Tensor::from_vec(rows, count, all.device())?, 0)
}
