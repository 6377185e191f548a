//! Launches of `adamw.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use super::options::{AdamW, Coefficients, Weights};
use crate::device::{Address, Call, Stream, extent};
use crate::error::Result;

#[repr(C)]
struct AdamWArgs {
    param: Address,
    master: Address,
    grad: Address,
    m: Address,
    v: Address,
    elements: i64,
    seed: u64,
    step: u64,
    first: u64,
    beta1: f32,
    one_minus_beta1: f32,
    beta2: f32,
    one_minus_beta2: f32,
    decay: f32,
    step_size: f32,
    root_correction: f32,
    eps: f32,
    kind: i32,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn adamw_step(args: *const AdamWArgs, stream: Stream) -> i32;
}

pub(super) fn step(
    call: &Call<'_>,
    param: &Tensor,
    weights: Weights<'_>,
    grad: &Tensor,
    [m, v]: [&Tensor; 2],
    options: &AdamW,
) -> Result<()> {
    let shape = param.dims();
    let grad = call.read_shaped("grad", grad, shape, DType::F32)?;
    let (kind, param_dtype, moment_dtype) = match weights {
        Weights::Float => (0, DType::F32, DType::F32),
        Weights::Master(_) => (1, DType::BF16, DType::F32),
        Weights::Stochastic { .. } => (2, DType::BF16, DType::BF16),
    };
    let param_at = call.write("param", param, shape, param_dtype)?;
    let master = match weights {
        Weights::Master(master) => call.write("master", master, shape, DType::F32)?,
        _ => Address::NULL,
    };
    let (seed, first) = match weights {
        Weights::Stochastic { seed, first } => (seed, first),
        _ => (0, 0),
    };
    let c = Coefficients::<f32>::new(options);
    let args = AdamWArgs {
        param: param_at,
        master,
        grad,
        m: call.write("m", m, shape, moment_dtype)?,
        v: call.write("v", v, shape, moment_dtype)?,
        elements: extent(param.elem_count()),
        seed,
        step: options.step,
        first,
        beta1: c.beta1,
        one_minus_beta1: c.one_minus_beta1,
        beta2: c.beta2,
        one_minus_beta2: c.one_minus_beta2,
        decay: c.decay,
        step_size: c.step_size,
        root_correction: c.root_correction,
        eps: c.eps,
        kind,
    };
    call.launch(adamw_step, &args)
}
