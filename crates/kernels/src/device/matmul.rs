//! Launches of `linear.cu`: products through cuBLASLt.
//!
//! A device's handle and workspace are made once; cuBLASLt's choice for a shape is asked for once and kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, DeviceLocation, Tensor};

use super::call::{Address, Call, FLOATS, dtype_code, extent};
use super::ffi;
use crate::error::Result;

/// What NVIDIA recommends for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;

/// A row-major matrix in device memory.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    pub(super) at: Address,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) dtype: DType,
    pub(super) transposed: bool,
}

impl Matrix {
    /// Without gaps.
    pub(super) fn new(at: Address, rows: usize, columns: usize, dtype: DType) -> Self {
        Self { at, rows, columns, row_stride: columns, dtype, transposed: false }
    }

    /// The transpose.
    pub(super) fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    fn extents(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// Everything cuBLASLt's choice depends on: extents, strides, flags and alignments.
type Shape = ([i64; 6], [i32; 5], [usize; 3]);

struct Library {
    handle: Address,
    workspace: Tensor,
    choices: HashMap<Shape, ffi::LinearChoice>,
}

#[expect(unsafe_code, reason = "a handle that any thread may use")]
// SAFETY: cuBLASLt's handle may be used from any thread, and it is behind a lock here.
unsafe impl Send for Library {}

static LIBRARIES: OnceLock<Mutex<HashMap<usize, Library>>> = OnceLock::new();

fn make(call: &Call<'_>) -> Result<Library> {
    call.stream()?;
    let mut handle = Address::NULL;
    #[expect(unsafe_code, reason = "a C function")]
    // SAFETY: it writes one pointer.
    let status = unsafe { ffi::linear_handle(&raw mut handle) };
    call.status(status)?;
    let (workspace, _) = call.fresh(DType::U8, &[WORKSPACE_BYTES])?;
    Ok(Library { handle, workspace, choices: HashMap::new() })
}

/// d (+)= a · b. An empty depth makes the sum zero, an empty result nothing.
pub(super) fn product(call: &Call<'_>, a: Matrix, b: Matrix, d: Matrix, accumulate: bool) -> Result<()> {
    let ((m, k), (_, n)) = (a.extents(), b.extents());
    debug_assert!(b.extents().0 == k && d.extents() == (m, n) && !d.transposed && a.dtype == b.dtype);
    if m == 0 || n == 0 || k == 0 {
        return Ok(());
    }
    let ordinal = match call.device.location() {
        DeviceLocation::Cuda { gpu_id } => gpu_id,
        _ => 0,
    };
    let mut libraries = LIBRARIES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    let library = match libraries.entry(ordinal) {
        Entry::Occupied(made) => made.into_mut(),
        Entry::Vacant(place) => place.insert(make(call)?),
    };
    let args = ffi::LinearArgs {
        a: a.at,
        b: b.at,
        d: d.at,
        m: extent(m),
        n: extent(n),
        k: extent(k),
        a_stride: extent(a.row_stride),
        b_stride: extent(b.row_stride),
        d_stride: extent(d.row_stride),
        transpose_a: i32::from(a.transposed),
        transpose_b: i32::from(b.transposed),
        input_dtype: dtype_code(a.dtype),
        output_dtype: dtype_code(d.dtype),
        accumulate: i32::from(accumulate),
        handle: library.handle,
        workspace: super::place::address_mut(call.op, &library.workspace)?,
        workspace_bytes: extent(WORKSPACE_BYTES),
    };
    let low = |at: Address| at.0 as usize % 256;
    let shape = (
        [args.m, args.n, args.k, args.a_stride, args.b_stride, args.d_stride],
        [args.transpose_a, args.transpose_b, args.input_dtype, args.output_dtype, args.accumulate],
        [low(a.at), low(b.at), low(d.at)],
    );
    // Before the choice, which looks at the device that is current on this thread.
    let stream = call.stream()?;
    let choice = match library.choices.get(&shape) {
        Some(choice) => *choice,
        None => {
            let mut choice = ffi::LinearChoice::default();
            #[expect(unsafe_code, reason = "a C function")]
            // SAFETY: it reads one structure and writes the other.
            let status = unsafe { ffi::linear_choose(&raw const args, &raw mut choice) };
            call.status(status)?;
            library.choices.insert(shape, choice);
            choice
        }
    };
    #[expect(unsafe_code, reason = "an entry point is a C function")]
    // SAFETY: as `Call::launch`; the caller's matrices lie inside tensors whose addresses the call gave out. The
    // workspace is used by one product at a time, since the stream runs them one after another.
    let status = unsafe { ffi::linear_run(&raw const args, &raw const choice, stream) };
    call.status(status)
}

/// y `[N, O]` = x `[N, I]` · w `[O, I]`ᵀ, in `output` type.
pub(crate) fn forward(call: &Call<'_>, x: &Tensor, w: &Tensor, output: DType) -> Result<Tensor> {
    let [n, i] = call.dims("x", x, "[N, I]")?;
    let [o, _] = call.dims("w", w, "[O, I]")?;
    let dtype = x.dtype();
    let x = Matrix::new(call.read("x", x, FLOATS)?, n, i, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    result(call, x, w.t(), output)
}

/// dx `[N, I]` = dy `[N, O]` · w `[O, I]`.
pub(crate) fn backward_input(call: &Call<'_>, dy: &Tensor, w: &Tensor) -> Result<Tensor> {
    let [n, o] = call.dims("dy", dy, "[N, O]")?;
    let [_, i] = call.dims("w", w, "[O, I]")?;
    let dtype = dy.dtype();
    let dy = Matrix::new(call.read("dy", dy, FLOATS)?, n, o, dtype);
    let w = Matrix::new(call.read_shaped("w", w, &[o, i], dtype)?, o, i, dtype);
    result(call, dy, w, dtype)
}

/// dw `[O, I]` f32 += dy `[N, O]`ᵀ · x `[N, I]`.
pub(crate) fn backward_weight(call: &Call<'_>, dy: &Tensor, x: &Tensor, dw: &Tensor) -> Result<()> {
    let [n, o] = call.dims("dy", dy, "[N, O]")?;
    let [_, i] = call.dims("x", x, "[N, I]")?;
    let dtype = dy.dtype();
    let dy = Matrix::new(call.read("dy", dy, FLOATS)?, n, o, dtype);
    let x = Matrix::new(call.read_shaped("x", x, &[n, i], dtype)?, n, i, dtype);
    let dw = Matrix::new(call.write("dw", dw, &[o, i], DType::F32)?, o, i, DType::F32);
    product(call, dy.t(), x, dw, true)
}

fn result(call: &Call<'_>, a: Matrix, b: Matrix, dtype: DType) -> Result<Tensor> {
    let ((m, k), (_, n)) = (a.extents(), b.extents());
    if k == 0 {
        return Tensor::zeros((m, n), dtype, call.device).map_err(crate::error::Error::candle(call.op));
    }
    let (d, d_at) = call.fresh(dtype, &[m, n])?;
    product(call, a, b, Matrix::new(d_at, m, n, dtype), false)?;
    Ok(d)
}
