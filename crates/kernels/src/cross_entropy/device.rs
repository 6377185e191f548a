//! The output head with the cross-entropy on the device: products by `linear.cu`, softmax by `cross_entropy.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.
//! Memory: f32 logits of one chunk of rows (at most 201 million elements, 0.8 GB, but at least 128 rows); their gradient takes
//! their place. Rows that carry no loss are left out before the first product.

use candle_core::{DType, Tensor};

use super::{Held, Nats};
use crate::device::matmul::{Matrix, product};
use crate::device::{Address, Call, FLOATS, Stream, dtype_code, extent, gradient_dtype};
use crate::embedding;
use crate::error::{Error, Result};
use crate::operand::check_indices;

#[repr(C)]
struct CrossEntropyArgs {
    logits: Address,
    targets: Address,
    weights: Address,
    nats: Address,
    rows: i64,
    vocabulary: i64,
    gradient_dtype: i32,
}

#[repr(C)]
struct ScatterArgs {
    chunk: Address,
    to: Address,
    all: Address,
    rows: i64,
    width: i64,
    dtype: i32,
}

#[repr(C)]
struct SumArgs {
    values: Address,
    sum: Address,
    count: i64,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn cross_entropy_nats(args: *const CrossEntropyArgs, stream: Stream) -> i32;
    fn cross_entropy_gradient(args: *const CrossEntropyArgs, stream: Stream) -> i32;
    fn cross_entropy_scatter(args: *const ScatterArgs, stream: Stream) -> i32;
    fn cross_entropy_sum(args: *const SumArgs, stream: Stream) -> i32;
}

/// Long enough that the head's f32 gradient, which every chunk reads and writes, does not count.
const CHUNK_ELEMENTS: usize = 3 << 26;
/// Whole tiles of the products.
const CHUNK_ROWS: std::ops::RangeInclusive<usize> = TILE_ROWS..=8192;
const TILE_ROWS: usize = 128;

/// The head with the rows that carry loss.
pub(super) struct Head<'c, 't> {
    call: &'c Call<'t>,
    h: &'t Tensor,
    w: Matrix,
    n: usize,
    d: usize,
    v: usize,
    dtype: DType,
    rows: Vec<u32>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

/// One chunk of rows.
struct Chunk {
    at: std::ops::Range<usize>,
    h: Tensor,
    rows: Tensor,
    logits: Address,
    _logits: Tensor,
}

impl<'c, 't> Head<'c, 't> {
    pub(super) fn open(
        call: &'c Call<'t>,
        h: &'t Tensor,
        w: &'t Tensor,
        targets: &[u32],
        weights: &[f32],
    ) -> Result<Self> {
        let [n, d] = call.dims("h", h, "[N, D]")?;
        let [v, _] = call.dims("w", w, "[V, D]")?;
        let dtype = h.dtype();
        call.read("h", h, FLOATS)?;
        let w = Matrix::new(call.read_shaped("w", w, &[v, d], dtype)?, v, d, dtype);
        if targets.len() != n || weights.len() != n {
            let message = format!("{n} rows, but {} targets and {} weights", targets.len(), weights.len());
            return Err(Error::Argument { op: call.op, message });
        }
        let mut head = Self { call, h, w, n, d, v, dtype, rows: Vec::new(), targets: Vec::new(), weights: Vec::new() };
        for ((row, &target), &weight) in (0_u32..).zip(targets).zip(weights) {
            if weight != 0.0 {
                check_indices(call.op, "targets", &[target], v)?;
                head.rows.push(row);
                head.targets.push(target);
                head.weights.push(weight);
            }
        }
        Ok(head)
    }

    /// Rows that carry loss.
    pub(super) fn tokens(&self) -> usize {
        self.rows.len()
    }

    fn tensor<T: candle_core::WithDType>(&self, values: &[T]) -> Result<Tensor> {
        Tensor::from_slice(values, values.len(), self.call.device).map_err(Error::candle(self.call.op))
    }

    fn chunks(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let rows = (CHUNK_ELEMENTS / self.v.max(1)).clamp(*CHUNK_ROWS.start(), *CHUNK_ROWS.end());
        let rows = rows - rows % TILE_ROWS;
        let all = self.rows.len();
        (0..all).step_by(rows).map(move |start| start..all.min(start + rows))
    }

    fn logits(&self, at: std::ops::Range<usize>) -> Result<Chunk> {
        let (call, count) = (self.call, at.len());
        let rows = self.tensor(&self.rows[at.clone()])?;
        let h = embedding::device::forward(call, &rows, self.h)?;
        let (logits, logits_at) = call.fresh(DType::F32, &[count, self.v])?;
        let h_matrix = Matrix::new(call.read("h", &h, FLOATS)?, count, self.d, self.dtype);
        product(call, h_matrix, self.w.t(), Matrix::new(logits_at, count, self.v, DType::F32), None)?;
        Ok(Chunk { at, h, rows, logits: logits_at, _logits: logits })
    }

    fn arguments(&self, chunk: &Chunk, nats: &Tensor) -> Result<(CrossEntropyArgs, [Tensor; 2])> {
        let (targets, weights) =
            (self.tensor(&self.targets[chunk.at.clone()])?, self.tensor(&self.weights[chunk.at.clone()])?);
        let part = nats.narrow(0, chunk.at.start, chunk.at.len()).map_err(Error::candle(self.call.op))?;
        let args = CrossEntropyArgs {
            logits: chunk.logits,
            targets: self.call.read("targets", &targets, &[DType::U32])?,
            weights: self.call.read("weights", &weights, &[DType::F32])?,
            nats: self.call.within(&part)?,
            rows: extent(chunk.at.len()),
            vocabulary: extent(self.v),
            gradient_dtype: dtype_code(self.dtype),
        };
        Ok((args, [targets, weights]))
    }

    /// The nats of the rows that carry loss, f32, in order; one element at least.
    pub(super) fn nats(&self) -> Result<Tensor> {
        let (nats, _) = self.call.fresh(DType::F32, &[self.rows.len().max(1)])?;
        for at in self.chunks() {
            let chunk = self.logits(at)?;
            let (args, _held) = self.arguments(&chunk, &nats)?;
            self.call.launch(cross_entropy_nats, &args)?;
        }
        Ok(nats)
    }

    /// (nats as [`Head::nats`], dh `[N, D]`); the head's gradient is added to `dw` f32 `[V, D]`.
    pub(super) fn backward(&self, dw: &Tensor) -> Result<(Tensor, Tensor)> {
        let Self { call, n, d, v, dtype, .. } = *self;
        let dw_at = call.write("dw", dw, &[v, d], gradient_dtype(dtype))?;
        let dw = Matrix::new(dw_at, v, d, DType::F32);
        let (nats, _) = call.fresh(DType::F32, &[self.rows.len().max(1)])?;
        let (dh, dh_at) = call.fresh(dtype, &[n, d])?;
        if self.rows.len() < n {
            dh.zero_set().map_err(Error::candle(call.op))?;
        }
        for at in self.chunks() {
            let chunk = self.logits(at)?;
            let count = chunk.at.len();
            let (args, _held) = self.arguments(&chunk, &nats)?;
            call.launch(cross_entropy_gradient, &args)?;
            // bf16 gradients stand where f32 logits stood: every second row's worth is left unused.
            let row_stride = self.v * DType::F32.size_in_bytes() / dtype.size_in_bytes();
            let dz = Matrix { row_stride, ..Matrix::new(chunk.logits, count, v, dtype) };
            let h = Matrix::new(call.read("h", &chunk.h, FLOATS)?, count, d, dtype);
            product(call, dz.t(), h, dw, Some(dw.at))?;
            let (_part, part) = call.fresh(dtype, &[count, d])?;
            product(call, dz, self.w, Matrix::new(part, count, d, dtype), None)?;
            let to = call.read("rows", &chunk.rows, &[DType::U32])?;
            let (rows, width, dtype) = (extent(count), extent(d), dtype_code(dtype));
            call.launch(cross_entropy_scatter, &ScatterArgs { chunk: part, to, all: dh_at, rows, width, dtype })?;
        }
        Ok((nats, dh))
    }

    /// The nats with their sum.
    pub(super) fn gathered(&self, each: Tensor) -> Result<Nats> {
        let sum = self.sum(&each)?;
        Ok(Nats(Held::There { each, rows: self.rows.len(), sum }))
    }

    /// Σ nats, f64 `[1]`, on the device.
    fn sum(&self, nats: &Tensor) -> Result<Tensor> {
        let values = self.call.read("nats", nats, &[DType::F32])?;
        let (sum, sum_at) = self.call.fresh(DType::F64, &[1])?;
        let args = SumArgs { values, sum: sum_at, count: extent(self.rows.len()) };
        self.call.launch(cross_entropy_sum, &args)?;
        Ok(sum)
    }
}
