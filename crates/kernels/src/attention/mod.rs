//! Causal attention over a packed row of documents, for training.
//!
//! Formula, inside each span and per query head h with key/value head h / (H/K): s = scale · q · kᵀ for keys up to the
//! query's position, p = softmax(s), o = p · v, lse = ln Σ exp(s). Backward, with δ = Σ do · o:
//! ds = p · (do · vᵀ − δ), dq = scale · ds · k, dk = scale · dsᵀ · q, dv = pᵀ · do.
//! Shapes: q, o `[N, H, E]`, k, v `[N, K, E]`, lse `[N, H]`; spans are disjoint ranges of rows. Rows in no span attend
//! to nothing: their o, lse and gradients are zero.
//! Memory: O(N) beside the outputs; scores exist for one tile at a time. Blocks beyond the diagonal are skipped.
//! Accumulation: in the element type; blocks of 128 keys in ascending order, and in the backward pass blocks of 64
//! queries in ascending order.
//! Determinism: bit-equal over runs and thread counts; a span's result does not depend on the other spans.
//! Source: Dao, FlashAttention-2, 2023.

mod cpu;
#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(recon_device)]
mod device;
#[cfg(recon_device)]
mod packed;
mod spans;

use std::ops::Range;

use candle_core::Tensor;

use crate::attend::Heads;
use crate::device::DeviceError;
use crate::element::{Element, for_element};
use crate::error::Result;
use crate::operand::{Operand, fresh};
use spans::check_spans;

/// Who computes attention on a GPU. The CPU has one way, whatever is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Backend {
    /// `kernels/attention.cu`.
    #[default]
    Own,
    /// cuDNN's graphs: bf16, head dimensions up to 128; needs the feature `cudnn` and the library.
    Cudnn {
        /// Whether two backward passes give the same bits.
        deterministic: bool,
    },
}

impl Backend {
    /// Refuses a backend that this program or this machine does not have.
    ///
    /// # Errors
    /// [`DeviceError::WithoutCudnn`] and [`DeviceError::Cudnn`].
    pub fn check(self) -> Result<(), DeviceError> {
        match self {
            Self::Own => Ok(()),
            #[cfg(feature = "cudnn")]
            Self::Cudnn { deterministic } => cudnn::check(deterministic),
            #[cfg(not(feature = "cudnn"))]
            Self::Cudnn { .. } => Err(DeviceError::WithoutCudnn),
        }
    }

    /// As [`forward`].
    ///
    /// # Errors
    /// As [`forward`]; from cuDNN also its own refusals.
    pub fn forward(
        self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<(Tensor, Tensor)> {
        #[cfg(feature = "cudnn")]
        if let Self::Cudnn { .. } = self {
            on_device!("attention::forward", q, call => cudnn::forward(&call, [q, k, v], spans, scale));
        }
        forward(q, k, v, spans, scale)
    }

    /// As [`backward`].
    ///
    /// # Errors
    /// As [`backward`]; from cuDNN also its own refusals.
    #[expect(clippy::too_many_arguments, reason = "the operands of one formula, none of them optional")]
    pub fn backward(
        self,
        d_o: &Tensor,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        o: &Tensor,
        lse: &Tensor,
        spans: &[Range<usize>],
        scale: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        #[cfg(feature = "cudnn")]
        if let Self::Cudnn { deterministic } = self {
            on_device!("attention::backward", d_o, call =>
                cudnn::backward(&call, [q, k, v], [d_o, o, lse], spans, scale, deterministic));
        }
        backward(d_o, q, k, v, o, lse, spans, scale)
    }
}

/// (o `[N, H, E]`, log-sum-exp `[N, H]`).
///
/// # Errors
/// Shapes that contradict each other, spans that overlap or leave the row, an unsupported device, element type or
/// layout.
pub fn forward(q: &Tensor, k: &Tensor, v: &Tensor, spans: &[Range<usize>], scale: f64) -> Result<(Tensor, Tensor)> {
    const OP: &str = "attention::forward";
    on_device!(OP, q, call => device::forward(&call, [q, k, v], spans, scale));
    let (q, k, v) = (Operand::open(OP, "q", q)?, Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let (n, heads) = extents(OP, &q, &k, &v)?;
    check_spans(OP, spans, n)?;
    for_element!(q.dtype(), T => {
        let qkv = [q.slice::<T>()?, k.slice()?, v.slice()?];
        let (o, lse) = cpu::forward(qkv, heads, n, spans, T::rounded(scale));
        Ok((fresh(OP, o, &[n, heads.query, heads.dim])?, fresh(OP, lse, &[n, heads.query])?))
    })
}

/// (dq `[N, H, E]`, dk `[N, K, E]`, dv `[N, K, E]`) from the gradient of o and what the forward pass read and returned.
///
/// # Errors
/// As [`forward`].
#[expect(clippy::too_many_arguments, reason = "the operands of one formula, none of them optional")]
pub fn backward(
    d_o: &Tensor,
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    o: &Tensor,
    lse: &Tensor,
    spans: &[Range<usize>],
    scale: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    const OP: &str = "attention::backward";
    on_device!(OP, d_o, call => device::backward(&call, [q, k, v], [d_o, o, lse], spans, scale));
    let (q, k, v) = (Operand::open(OP, "q", q)?, Operand::open(OP, "k", k)?, Operand::open(OP, "v", v)?);
    let (d_o, o, lse) = (Operand::open(OP, "d_o", d_o)?, Operand::open(OP, "o", o)?, Operand::open(OP, "lse", lse)?);
    let (n, heads) = extents(OP, &q, &k, &v)?;
    d_o.expect(&[n, heads.query, heads.dim])?;
    o.expect(&[n, heads.query, heads.dim])?;
    lse.expect(&[n, heads.query])?;
    check_spans(OP, spans, n)?;
    for_element!(q.dtype(), T => {
        let saved = cpu::Saved::<T> {
            q: q.slice()?,
            k: k.slice()?,
            v: v.slice()?,
            o: o.slice()?,
            lse: lse.slice()?,
            d_o: d_o.slice()?,
            heads,
            scale: T::rounded(scale),
        };
        let cpu::Gradients { dq, dk, dv } = cpu::backward(&saved, n, spans);
        let (query_shape, kv_shape) = ([n, heads.query, heads.dim], [n, heads.kv, heads.dim]);
        Ok((fresh(OP, dq, &query_shape)?, fresh(OP, dk, &kv_shape)?, fresh(OP, dv, &kv_shape)?))
    })
}

fn extents(op: &'static str, q: &Operand<'_>, k: &Operand<'_>, v: &Operand<'_>) -> Result<(usize, Heads)> {
    let [n, query, dim] = q.dims("[N, H, E]")?;
    let [_, kv, _] = k.dims("[N, K, E]")?;
    k.expect(&[n, kv, dim])?;
    v.expect(&[n, kv, dim])?;
    Heads::new(op, query, kv, dim).map(|heads| (n, heads))
}
