//! Attention over rows that lie on several ranks: each has a part of the rows for all heads, and for the time of attention
//! all rows for a part of the heads.
//!
//! Legend: `W` ranks, `N` rows of the batch, `n` of them on this rank, `H` query heads, `KH` key/value heads, `E` head
//! dimension. Input and output: `[n, H, E]` and `[n, KH, E]`, as a layer has them. In between `[N, H/W, E]`, so documents,
//! which lie across ranks, are seen whole, and any [`Attend`] computes them.
//!
//! Invariant: attention of a head is the same call on the same rows as on one rank, so its result has the same bits. What
//! is summed over rows, the gradients of parameters, has other sums.
//!
//! Source: Jacobs et al. 2023 (DeepSpeed Ulysses).

use std::ops::Range;

use candle_core::Tensor;
use recon_comm::{Communicator as _, Group, even};
use recon_llama::{Attend, Error, Result};

/// Any attention, spread over the ranks of a group, which divide the heads of keys and values.
pub struct Ulysses<'a> {
    group: Group<'a>,
    inner: &'a dyn Attend,
}

impl<'a> Ulysses<'a> {
    /// `inner` over the ranks of `group`.
    pub fn new(group: Group<'a>, inner: &'a dyn Attend) -> Self {
        Self { group, inner }
    }

    /// From all heads of this rank's rows to this rank's heads of all `rows`.
    fn to_heads(&self, tensor: &Tensor, rows: usize) -> Result<Tensor> {
        let parts = even(tensor.dim(1)?, self.group.world());
        let own = &parts[self.group.rank()];
        let shapes = even(rows, self.group.world()).into_iter().map(|rows| with(tensor, [rows.len(), own.len()]));
        let received = self.exchange(tensor, 1, &parts, shapes)?;
        Ok(Tensor::cat(&received, 0)?)
    }

    /// Back from this rank's heads of all rows, of `heads` in all, to all heads of this rank's rows.
    fn to_rows(&self, tensor: &Tensor, heads: usize) -> Result<Tensor> {
        let parts = even(tensor.dim(0)?, self.group.world());
        let own = &parts[self.group.rank()];
        let shapes = even(heads, self.group.world()).into_iter().map(|heads| with(tensor, [own.len(), heads.len()]));
        let received = self.exchange(tensor, 0, &parts, shapes)?;
        Ok(Tensor::cat(&received, 1)?)
    }

    /// Sends each rank its part of `tensor` along `dim`; the parts that come have these shapes.
    fn exchange(
        &self,
        tensor: &Tensor,
        dim: usize,
        parts: &[Range<usize>],
        shapes: impl Iterator<Item = Vec<usize>>,
    ) -> Result<Vec<Tensor>> {
        let bytes = |part: &Range<usize>| -> Result<Vec<u8>> {
            let mut bytes = Vec::new();
            tensor.narrow(dim, part.start, part.len())?.contiguous()?.write_bytes(&mut bytes)?;
            Ok(bytes)
        };
        let messages = parts.iter().map(bytes).collect::<Result<_>>()?;
        let received = self.group.exchange(messages).map_err(|error| Error::Attend { source: error.into() })?;
        let tensors = received.iter().zip(shapes);
        Ok(tensors
            .map(|(bytes, shape)| Tensor::from_raw_buffer(bytes, tensor.dtype(), &shape, tensor.device()))
            .collect::<candle_core::Result<_>>()?)
    }
}

/// The shape of `tensor` with other rows and heads.
fn with(tensor: &Tensor, first: [usize; 2]) -> Vec<usize> {
    [&first[..], &tensor.dims()[2..]].concat()
}

fn all_rows(spans: &[Range<usize>]) -> usize {
    spans.last().map_or(0, |span| span.end)
}

impl Attend for Ulysses<'_> {
    fn own(&self, rows: usize) -> Range<usize> {
        even(rows, self.group.world())[self.group.rank()].clone()
    }

    fn forward(&self, qkv: [&Tensor; 3], spans: &[Range<usize>], scale: f64) -> Result<(Tensor, Tensor)> {
        let (rows, heads) = (all_rows(spans), qkv[0].dim(1)?);
        let [q, k, v] = qkv.map(|tensor| self.to_heads(tensor, rows));
        let (o, lse) = self.inner.forward([&q?, &k?, &v?], spans, scale)?;
        Ok((self.to_rows(&o, heads)?, self.to_rows(&lse, heads)?))
    }

    fn backward(
        &self,
        d_o: &Tensor,
        qkv: [&Tensor; 3],
        (o, lse): (&Tensor, &Tensor),
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<[Tensor; 3]> {
        let rows = all_rows(spans);
        let [query_heads, kv_heads] = [qkv[0].dim(1)?, qkv[1].dim(1)?];
        let [q, k, v] = qkv.map(|tensor| self.to_heads(tensor, rows));
        let [d_o, o, lse] = [d_o, o, lse].map(|tensor| self.to_heads(tensor, rows));
        let [d_q, d_k, d_v] = self.inner.backward(&d_o?, [&q?, &k?, &v?], (&o?, &lse?), spans, scale)?;
        Ok([self.to_rows(&d_q, query_heads)?, self.to_rows(&d_k, kv_heads)?, self.to_rows(&d_v, kv_heads)?])
    }
}
