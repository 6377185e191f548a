//! The head on the CPU, one chunk of rows at a time: products on all threads, then the softmax row by row.

use candle_core::Tensor;
use rayon::prelude::*;

use crate::element::{Element, maximum, sum1, wide};
use crate::error::{Error, Result};
use crate::matmul::{Into, Mat, multiply_parallel};
use crate::operand::{Operand, check_indices};

/// Logits of one chunk.
const CHUNK_ELEMENTS: usize = 1 << 22;
const CHUNK_ROWS: std::ops::RangeInclusive<usize> = 128..=1024;

/// A row that carries loss.
#[derive(Clone, Copy)]
struct Row {
    row: usize,
    target: usize,
    weight: f64,
}

/// The head with the rows that carry loss.
pub(super) struct Head<'t> {
    pub(super) h: Operand<'t>,
    pub(super) w: Operand<'t>,
    pub(super) n: usize,
    pub(super) d: usize,
    pub(super) v: usize,
    rows: Vec<Row>,
}

impl<'t> Head<'t> {
    pub(super) fn open(
        op: &'static str,
        h: &'t Tensor,
        w: &'t Tensor,
        targets: &[u32],
        weights: &[f32],
    ) -> Result<Self> {
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
    pub(super) fn nats<T: Element>(&self) -> Result<Vec<f64>> {
        let (h, w) = (self.h.slice::<T>()?, self.w.slice::<T>()?);
        let mut nats = Vec::with_capacity(self.rows.len());
        for chunk in self.rows.chunks(self.chunk_rows()) {
            let mut z = self.logits(&self.gather(h, chunk), w);
            nats.extend(per_row(&mut z, self.v, chunk, |z, row| wide!(row_nats(z, row.target))));
        }
        Ok(nats)
    }

    /// (Nats of the rows that carry loss, dh `[N, D]`); the head's gradient is added to `dw`.
    pub(super) fn backward<T: Element>(&self, h: &[T], w: &[T], dw: &mut [T]) -> (Vec<f64>, Vec<T>) {
        let (v, d) = (self.v, self.d);
        let mut nats = Vec::with_capacity(self.rows.len());
        let mut dh = vec![T::ZERO; self.n * d];
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
        (nats, dh)
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
