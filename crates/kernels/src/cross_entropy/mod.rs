//! The output head fused with the cross-entropy: hidden states in, nats and gradients out.
//!
//! Formula, with logits z = h · wᵀ: nats = ln Σ exp(z) − z[target]; dz = weight · (softmax(z) − onehot(target));
//! dh = dz · w; dw += dzᵀ · h.
//! Shapes: h, dh `[N, D]`, w, dw `[V, D]`, targets and weights `[N]`. A row of weight 0 is masked: it costs nothing and
//! its target is not looked at.
//! Memory: logits exist for one chunk of rows at a time (at most about 4 Mi elements, but at least 128 rows), and the
//! gradient takes their place.
//! Accumulation: in the element type; nats are summed over rows in f64; dw over chunks of rows in order.
//! Determinism: bit-equal over runs and thread counts; a row's nats do not depend on the other rows.

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::cross_entropy as device;
use crate::element::{Element, for_element, maximum, sum1, wide};
use crate::error::{Error, Result};
use crate::matmul::{Into, Mat, multiply_parallel};
use crate::operand::{Destination, Operand, check_indices, fresh, write};

const CHUNK_ELEMENTS: usize = 1 << 22;
const CHUNK_ROWS: std::ops::RangeInclusive<usize> = 128..=1024;

/// A loss summed over tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Σ nats over the rows whose weight is not zero, unweighted.
    pub sum: f64,
    /// The number of those rows.
    pub tokens: u64,
}

/// A sum of nats that may still be on its way from a device.
#[derive(Debug)]
pub struct Nats(Held);

#[derive(Debug)]
enum Held {
    Here(f64),
    #[cfg(recon_device)]
    There(Tensor),
}

impl Nats {
    /// The sum; waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read(self) -> Result<f64> {
        match self.0 {
            Held::Here(nats) => Ok(nats),
            #[cfg(recon_device)]
            Held::There(nats) => {
                let read = nats.to_vec1::<f64>().map_err(Error::candle("cross_entropy::Nats::read"))?;
                Ok(read[0])
            }
        }
    }
}

/// The loss of h `[N, D]` under the head w `[V, D]`.
///
/// # Errors
/// Shapes that contradict each other, a target outside the vocabulary where the weight is not zero, an unsupported
/// device, element type or layout.
pub fn forward(h: &Tensor, w: &Tensor, targets: &[u32], weights: &[f32]) -> Result<Loss> {
    const OP: &str = "cross_entropy::forward";
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, weights)?;
        let sum = Nats(Held::There(head.sum(&head.nats()?)?)).read()?;
        Ok(Loss { sum, tokens: head.tokens() as u64 })
    });
    let head = Head::open(OP, h, w, targets, weights)?;
    for_element!(head.h.dtype(), T => {
        let nats = head.nats::<T>()?;
        Ok(Loss { sum: nats.iter().sum(), tokens: nats.len() as u64 })
    })
}

/// The log-probability in nats of each row's target, `[N]`.
///
/// # Errors
/// Shapes that contradict each other, a target outside the vocabulary, an unsupported device, element type or layout.
pub fn log_probs(h: &Tensor, w: &Tensor, targets: &[u32]) -> Result<Vec<f32>> {
    const OP: &str = "cross_entropy::log_probs";
    let weights = vec![1.0; targets.len()];
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, &weights)?;
        let nats = head.nats()?.to_vec1::<f32>().map_err(Error::candle(OP))?;
        Ok(nats[..head.tokens()].iter().map(|nats| -nats).collect())
    });
    let head = Head::open(OP, h, w, targets, &weights)?;
    for_element!(head.h.dtype(), T => Ok(head.nats::<T>()?.into_iter().map(|nats| -nats as f32).collect()))
}

/// (Σ nats over the rows whose weight is not zero, unweighted, dh `[N, D]`); the head's gradient is added to `dw` `[V, D]`. The
/// gradients are those of Σ weight · nats: the caller puts 1/(global number of trained tokens) into the weights.
///
/// # Errors
/// As [`forward`], or a `dw` that shares its storage with an input.
pub fn forward_backward(
    h: &Tensor,
    w: &Tensor,
    targets: &[u32],
    weights: &[f32],
    dw: &Tensor,
) -> Result<(Nats, Tensor)> {
    const OP: &str = "cross_entropy::forward_backward";
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, weights)?;
        let (nats, dh) = head.backward(dw)?;
        Ok((Nats(Held::There(head.sum(&nats)?)), dh))
    });
    let head = Head::open(OP, h, w, targets, weights)?;
    let destination = Destination { name: "dw", tensor: dw, shape: &[head.v, head.d] };
    for_element!(head.h.dtype(), T => {
        let (h, w) = (head.h.slice::<T>()?, head.w.slice::<T>()?);
        let mut dh = vec![T::ZERO; head.n * head.d];
        let nats = write(OP, &destination, &[&head.h, &head.w], |dw: &mut [T]| head.backward(h, w, &mut dh, dw))?;
        Ok((Nats(Held::Here(nats)), fresh(OP, dh, &[head.n, head.d])?))
    })
}

/// A row that carries loss.
#[derive(Clone, Copy)]
struct Row {
    row: usize,
    target: usize,
    weight: f64,
}

struct Head<'t> {
    h: Operand<'t>,
    w: Operand<'t>,
    n: usize,
    d: usize,
    v: usize,
    rows: Vec<Row>,
}

impl<'t> Head<'t> {
    fn open(op: &'static str, h: &'t Tensor, w: &'t Tensor, targets: &[u32], weights: &[f32]) -> Result<Self> {
        let (h, w) = (Operand::open(op, "h", h)?, Operand::open(op, "w", w)?);
        let [n, d] = h.dims("[N, D]")?;
        let [v, _] = w.dims("[V, D]")?;
        w.expect(&[v, d])?;
        if targets.len() != n || weights.len() != n {
            let message = format!("{n} rows, but {} targets and {} weights", targets.len(), weights.len());
            return Err(Error::Argument { op, message });
        }
        let mut rows = Vec::new();
        for (row, (&target, &weight)) in targets.iter().zip(weights).enumerate() {
            if weight != 0.0 {
                check_indices(op, "targets", &[target], v)?;
                rows.push(Row { row, target: target as usize, weight: f64::from(weight) });
            }
        }
        Ok(Self { h, w, n, d, v, rows })
    }

    fn chunk_rows(&self) -> usize {
        (CHUNK_ELEMENTS / self.v.max(1)).clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end())
    }

    /// The nats of every row that carries loss, in order.
    fn nats<T: Element>(&self) -> Result<Vec<f64>> {
        let (h, w) = (self.h.slice::<T>()?, self.w.slice::<T>()?);
        let mut nats = Vec::with_capacity(self.rows.len());
        for chunk in self.rows.chunks(self.chunk_rows()) {
            let mut z = self.logits(&self.gather(h, chunk), w);
            nats.extend(per_row(&mut z, self.v, chunk, |z, row| wide!(row_nats(z, row.target))));
        }
        Ok(nats)
    }

    fn backward<T: Element>(&self, h: &[T], w: &[T], dh: &mut [T], dw: &mut [T]) -> f64 {
        let (v, d) = (self.v, self.d);
        let mut nats = Vec::with_capacity(self.rows.len());
        for chunk in self.rows.chunks(self.chunk_rows()) {
            let h = self.gather(h, chunk);
            let mut z = self.logits(&h, w);
            nats.extend(per_row(&mut z, v, chunk, |z, row| wide!(row_gradient(z, row))));
            let dz = Mat::new(&z, chunk.len(), v);
            multiply_parallel(dw, Into::Add, dz.t(), Mat::new(&h, chunk.len(), d));
            let mut dh_chunk = vec![T::ZERO; chunk.len() * d];
            multiply_parallel(&mut dh_chunk, Into::Replace, dz, Mat::new(w, v, d));
            for (row, dh_row) in chunk.iter().zip(dh_chunk.chunks_exact(d.max(1))) {
                dh[row.row * d..(row.row + 1) * d].copy_from_slice(dh_row);
            }
        }
        nats.into_iter().sum()
    }

    fn gather<T: Element>(&self, h: &[T], chunk: &[Row]) -> Vec<T> {
        let mut rows = Vec::with_capacity(chunk.len() * self.d);
        for row in chunk {
            rows.extend_from_slice(&h[row.row * self.d..(row.row + 1) * self.d]);
        }
        rows
    }

    fn logits<T: Element>(&self, h: &[T], w: &[T]) -> Vec<T> {
        let rows = h.len() / self.d.max(1);
        let mut z = vec![T::ZERO; rows * self.v];
        multiply_parallel(&mut z, Into::Replace, Mat::new(h, rows, self.d), Mat::new(w, self.v, self.d).t());
        z
    }
}

fn per_row<T: Element>(z: &mut [T], v: usize, chunk: &[Row], f: impl Fn(&mut [T], &Row) -> f64 + Sync) -> Vec<f64> {
    z.par_chunks_exact_mut(v).zip(chunk).map(|(z, row)| f(z, row)).collect()
}

#[inline(always)]
fn row_nats<T: Element>(z: &[T], target: usize) -> f64 {
    let max = maximum(z);
    let sum = sum1(z, |z| (z - max).exp());
    sum.to_f64().ln() + (max.to_f64() - z[target].to_f64())
}

/// Replaces a row of logits by their gradient and returns its nats.
#[inline(always)]
fn row_gradient<T: Element>(z: &mut [T], row: &Row) -> f64 {
    let max = maximum(z);
    let shifted_target = z[row.target].to_f64() - max.to_f64();
    for z in &mut *z {
        *z = (*z - max).exp();
    }
    let sum = sum1(z, |e| e);
    let (scale, weight) = (T::rounded(row.weight) / sum, T::rounded(row.weight));
    let target_probability = z[row.target] / sum;
    for z in &mut *z {
        *z *= scale;
    }
    z[row.target] = (target_probability - T::ONE) * weight;
    sum.to_f64().ln() - shifted_target
}
