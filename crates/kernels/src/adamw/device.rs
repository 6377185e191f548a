//! Launches of `adamw.cu`.

use candle_core::{DType, Tensor};

use super::call::{Address, Call, extent};
use super::ffi;
use crate::adamw::{AdamW, Weights};
use crate::error::Result;

pub(crate) fn step(
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
    let correction = |beta: f64| 1.0 - beta.powf(options.step as f64);
    let args = ffi::AdamWArgs {
        param: param_at,
        master,
        grad,
        m: call.write("m", m, shape, moment_dtype)?,
        v: call.write("v", v, shape, moment_dtype)?,
        elements: extent(param.elem_count()),
        seed,
        step: options.step,
        first,
        beta1: options.beta1 as f32,
        one_minus_beta1: (1.0 - options.beta1) as f32,
        beta2: options.beta2 as f32,
        one_minus_beta2: (1.0 - options.beta2) as f32,
        decay: (options.lr * options.weight_decay) as f32,
        step_size: (options.lr / correction(options.beta1)) as f32,
        root_correction: (1.0 / correction(options.beta2).sqrt()) as f32,
        eps: options.eps as f32,
        kind,
    };
    call.launch(ffi::adamw_step, &args)
}
