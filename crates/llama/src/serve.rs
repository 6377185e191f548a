//! What a server lends the model: where keys and values live, and which rows belong together.
//!
//! Legend: `P` pages of `page` tokens each; `[P, page, KH, hd]` per layer for keys and for values.
//! Page policy (who owns a page, when it is copied or evicted) is the engine's.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};
use recon_kernels::device::zeros;

use crate::packed::check_spans;
use crate::{Config, Error, Result};

pub use recon_kernels::paged::PagedRun;

/// How rows attend to each other.
pub enum AttentionCtx<'a> {
    /// Causally inside each span of the batch; nothing is kept.
    Packed {
        /// The documents, ascending and disjoint, covering every row.
        spans: &'a [Range<usize>],
    },
    /// To their own earlier rows in the cache; the new keys and values are written first.
    Paged {
        /// Keys and values of all layers.
        cache: &'a PagedKv,
        /// The runs of the batch, covering every row once.
        runs: &'a [PagedRun],
    },
}

/// Keys and values of every layer in pages. Written in place; a clone shares the storage.
#[derive(Clone)]
pub struct PagedKv {
    layers: Vec<(Tensor, Tensor)>,
    pages: usize,
    page_tokens: usize,
    device: Device,
}

impl PagedKv {
    /// Allocates `pages` zeroed pages of `page_tokens` tokens for every layer.
    pub fn new(config: &Config, pages: usize, page_tokens: usize, device: &Device, dtype: DType) -> Result<Self> {
        let shape = (pages, page_tokens, config.num_key_value_heads, config.head_dim);
        let layer = |_| Ok((zeros("keys", shape, dtype, device)?, zeros("values", shape, dtype, device)?));
        let layers = (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, pages, page_tokens, device: device.clone() })
    }

    /// Keys and values of one layer, `[P, page, KH, hd]` each.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        let (keys, values) = &self.layers[layer];
        (keys, values)
    }

    /// Where it lies.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Number of layers.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// Number of pages (`P`).
    pub fn pages(&self) -> usize {
        self.pages
    }

    /// Tokens a page holds.
    pub fn page_tokens(&self) -> usize {
        self.page_tokens
    }
}

/// Refuses spans that do not cover `rows` rows exactly.
pub(crate) fn check_packed(spans: &[Range<usize>], rows: usize) -> Result<()> {
    check_spans(spans, rows)?;
    let covered: usize = spans.iter().map(ExactSizeIterator::len).sum();
    if covered != rows {
        return Err(Error::Input(format!("the spans cover {covered} of {rows} rows")));
    }
    Ok(())
}

/// The slot (`page · page_tokens + offset`) each row's key and value are written to.
///
/// # Errors
/// Where `runs` do not cover every row once, disagree with `positions`, or lack a page.
pub(crate) fn slots(cache: &PagedKv, runs: &[PagedRun], positions: &[u32]) -> Result<Vec<u32>> {
    let mut slots = vec![None; positions.len()];
    for run in runs {
        for (position, row) in (run.first_position..).zip(run.rows.clone()) {
            let refuse = |problem: String| Err(Error::Input(format!("row {row} of a paged batch {problem}")));
            if positions.get(row).copied() != u32::try_from(position).ok() {
                return refuse(format!("is at position {:?}, its run says {position}", positions.get(row)));
            }
            let Some(page) = run.pages.get(position / cache.page_tokens).filter(|page| (**page as usize) < cache.pages)
            else {
                return refuse(format!("at position {position} has no page in the cache"));
            };
            let slot = *page as usize * cache.page_tokens + position % cache.page_tokens;
            if slots[row].replace(slot as u32).is_some() {
                return refuse("is in two runs".into());
            }
        }
    }
    let all: Option<Vec<u32>> = slots.into_iter().collect();
    all.ok_or_else(|| Error::Input("a row of a paged batch is in no run".into()))
}
