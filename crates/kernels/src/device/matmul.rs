//! Matrix products on a device: launches of `linear.cu`, which asks cuBLASLt.
//!
//! A device's handle and workspace are made once; cuBLASLt's choice for a shape is asked for once and kept.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, OnceLock, PoisonError};

use candle_core::{DType, DeviceLocation, Tensor};

use super::address::{Address, Stream};
use super::call::{Call, dtype_code, extent};
use crate::error::{Error, Result};

/// What NVIDIA recommends for Hopper.
const WORKSPACE_BYTES: usize = 32 << 20;

/// `linear.cu`
#[repr(C)]
struct LinearArgs {
    a: Address,
    b: Address,
    c: Address,
    d: Address,
    m: i64,
    n: i64,
    k: i64,
    a_stride: i64,
    b_stride: i64,
    d_stride: i64,
    transpose_a: i32,
    transpose_b: i32,
    input_dtype: i32,
    output_dtype: i32,
    handle: Address,
    workspace: Address,
    workspace_bytes: i64,
}

/// `linear.cu`: cuBLASLt's choice, or our own kernel.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct LinearChoice {
    data: [u64; 8],
    own: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn linear_handle(handle: *mut Address) -> i32;
    fn linear_choose(args: *const LinearArgs, choice: *mut LinearChoice) -> i32;
    fn linear_run(args: *const LinearArgs, choice: *const LinearChoice, stream: Stream) -> i32;
}

/// A row-major matrix in device memory.
#[derive(Clone, Copy)]
pub(crate) struct Matrix {
    pub(crate) at: Address,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) row_stride: usize,
    pub(crate) dtype: DType,
    pub(crate) transposed: bool,
}

impl Matrix {
    /// Without gaps.
    pub(crate) fn new(at: Address, rows: usize, columns: usize, dtype: DType) -> Self {
        Self { at, rows, columns, row_stride: columns, dtype, transposed: false }
    }

    /// The transpose.
    pub(crate) fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }

    fn extents(&self) -> (usize, usize) {
        if self.transposed { (self.columns, self.rows) } else { (self.rows, self.columns) }
    }
}

/// Everything cuBLASLt's choice depends on: extents, strides, flags and alignments.
type Shape = ([i64; 6], [i32; 4], Option<usize>, [usize; 3]);

struct Library {
    handle: Address,
    workspace: Tensor,
    choices: HashMap<Shape, LinearChoice>,
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
    let status = unsafe { linear_handle(&raw mut handle) };
    call.status(status)?;
    let (workspace, _) = call.fresh(DType::U8, &[WORKSPACE_BYTES])?;
    Ok(Library { handle, workspace, choices: HashMap::new() })
}

/// d = a · b, or c + a · b, where c lies as d does and may be d. With an empty depth or result nothing is written.
pub(crate) fn product(call: &Call<'_>, a: Matrix, b: Matrix, d: Matrix, c: Option<Address>) -> Result<()> {
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
    let args = LinearArgs {
        a: a.at,
        b: b.at,
        c: c.unwrap_or(Address::NULL),
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
        handle: library.handle,
        workspace: call.within(&library.workspace)?,
        workspace_bytes: extent(WORKSPACE_BYTES),
    };
    let low = |at: Address| at.past_multiple_of(256);
    let shape = (
        [args.m, args.n, args.k, args.a_stride, args.b_stride, args.d_stride],
        [args.transpose_a, args.transpose_b, args.input_dtype, args.output_dtype],
        c.map(low),
        [low(a.at), low(b.at), low(d.at)],
    );
    // Before the choice, which looks at the device that is current on this thread.
    let stream = call.stream()?;
    let choice = match library.choices.get(&shape) {
        Some(choice) => *choice,
        None => {
            let mut choice = LinearChoice::default();
            #[expect(unsafe_code, reason = "a C function")]
            // SAFETY: it reads one structure and writes the other.
            let status = unsafe { linear_choose(&raw const args, &raw mut choice) };
            call.status(status)?;
            library.choices.insert(shape, choice);
            choice
        }
    };
    #[expect(unsafe_code, reason = "an entry point is a C function")]
    // SAFETY: as `Call::launch`; the caller's matrices lie inside tensors whose addresses the call gave out. The
    // workspace is used by one product at a time, since the stream runs them one after another.
    let status = unsafe { linear_run(&raw const args, &raw const choice, stream) };
    call.status(status)
}

/// base + a · b, rounded once, in the type of `base`.
pub(crate) fn sum(call: &Call<'_>, a: Matrix, b: Matrix, base: &Tensor) -> Result<Tensor> {
    let ((m, k), (_, n)) = (a.extents(), b.extents());
    let at = call.read_shaped("base", base, &[m, n], a.dtype)?;
    if k == 0 {
        return Ok(base.clone());
    }
    let (d, d_at) = call.fresh(a.dtype, &[m, n])?;
    product(call, a, b, Matrix::new(d_at, m, n, a.dtype), Some(at))?;
    Ok(d)
}

/// a · b in `dtype`; zeros where the depth is empty.
pub(crate) fn result(call: &Call<'_>, a: Matrix, b: Matrix, dtype: DType) -> Result<Tensor> {
    let ((m, k), (_, n)) = (a.extents(), b.extents());
    if k == 0 {
        return Tensor::zeros((m, n), dtype, call.device).map_err(Error::candle(call.op));
    }
    let (d, d_at) = call.fresh(dtype, &[m, n])?;
    product(call, a, b, Matrix::new(d_at, m, n, dtype), None)?;
    Ok(d)
}
