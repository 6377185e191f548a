//! What a server lends the model: where keys and values live, and which rows belong together.
//!
//! Legend: `P` pages of `page` tokens each; `[P, page, KH, hd]` per layer for keys and for values.
//! Page policy (who owns a page, when it is copied or evicted) is the engine's.

use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use crate::{Config, Result};

/// One request's rows in a ragged batch, and the pages its keys and values live in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedRun {
    /// Its rows in the batch.
    pub rows: Range<usize>,
    /// Position of the first of them in its document.
    pub first_position: usize,
    /// Pages from position 0 to the last row's.
    pub pages: Vec<u32>,
}

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
}

impl PagedKv {
    /// Allocates `pages` zeroed pages of `page_tokens` tokens for every layer.
    pub fn new(config: &Config, pages: usize, page_tokens: usize, device: &Device, dtype: DType) -> Result<Self> {
        let shape = (pages, page_tokens, config.num_key_value_heads, config.head_dim);
        let layer = |_| Ok((Tensor::zeros(shape, dtype, device)?, Tensor::zeros(shape, dtype, device)?));
        let layers = (0..config.num_hidden_layers).map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, pages, page_tokens })
    }

    /// Keys and values of one layer, `[P, page, KH, hd]` each.
    pub fn layer(&self, layer: usize) -> (&Tensor, &Tensor) {
        let (keys, values) = &self.layers[layer];
        (keys, values)
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
