//! Launches of `sampling.cu`.
//!
//! Invariant: each argument structure equals the one of the same name in the `.cu` file, field for field; the tests
//! launch every entry point with every field set to a value of its own.

use candle_core::{DType, Tensor};

use super::draws::{Draw, Masks, check_draws};
use crate::device::{Address, Call, Stream, extent};
use crate::error::{Error, Result};

#[repr(C)]
struct SamplingArgs {
    logits: Address,
    choices: Address,
    masks: Address,
    ids: Address,
    rows: i64,
    vocabulary: i64,
}

#[expect(unsafe_code, reason = "declarations of C functions")]
unsafe extern "C" {
    fn sampling_draw(args: *const SamplingArgs, stream: Stream) -> i32;
}

/// The ids drawn, `u32::MAX` where a row has none; waits for the device.
pub(super) fn draw(call: &Call<'_>, logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<u32>> {
    let [n, v] = call.dims("logits", logits, "[N, V]")?;
    check_draws(call.op, (n, v), masks, draws)?;
    if n == 0 {
        return Ok(Vec::new());
    }
    let choice = |draw: &Draw| {
        let mask = draw.mask.map_or(-1.0, |mask| mask as f64);
        [draw.temperature, draw.top_p, draw.uniform, mask]
    };
    let choices: Vec<f64> = draws.iter().flat_map(choice).collect();
    let choices = Tensor::from_vec(choices, (n, 4), call.device).map_err(Error::candle(call.op))?;
    let (ids, ids_at) = call.fresh(DType::U32, &[n])?;
    let args = SamplingArgs {
        logits: call.read("logits", logits, &[DType::F32])?,
        choices: call.read("choices", &choices, &[DType::F64])?,
        masks: match masks {
            Some(masks) => call.read("masks", masks.words(), &[DType::U32])?,
            None => Address::NULL,
        },
        ids: ids_at,
        rows: extent(n),
        vocabulary: extent(v),
    };
    call.launch(sampling_draw, &args)?;
    ids.to_vec1().map_err(Error::candle(call.op))
}
