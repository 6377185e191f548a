//! Draws one token from each row of logits.
//!
//! Formula, temperature T > 0, z a row, max its largest: w = round(2⁴⁰ · exp((z − max)/T)). Kept are the likeliest tokens
//! whose w first sum to `top_p` of all, of equals the lowest ids. The draw is the first kept token, in order of ids, at
//! which the running sum exceeds uniform · (sum of the kept). T = 0 takes the largest logit, of equals the lowest id.
//! Shapes: logits f32 `[N, V]`.
//! Accumulation: exponentials in f64, sums in 64-bit integers: exact, so CPU and device draw the same tokens.
//! Determinism: bit-equal; a row's draw does not depend on the others.
//! Source of top-p: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019.

use candle_core::Tensor;
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::elementwise as device;
use crate::error::{Error, Result};
use crate::operand::Operand;

/// How one row is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Divides the logits; 0 takes the largest.
    pub temperature: f64,
    /// Share of the mass that is kept, in (0, 1].
    pub top_p: f64,
    /// Random number in [0, 1).
    pub uniform: f64,
}

/// The token drawn from each row of logits `[N, V]`. From a device the ids come back in one copy.
///
/// # Errors
/// Shapes that contradict each other, parameters that name no distribution, a row that holds NaN or infinity or nothing
/// finite, an unsupported device, element type or layout.
pub fn draw(logits: &Tensor, draws: &[Draw]) -> Result<Vec<u32>> {
    const OP: &str = "sampling::draw";
    for (row, draw) in draws.iter().enumerate() {
        let Draw { temperature, top_p, uniform } = *draw;
        let good = temperature.is_finite() && temperature >= 0.0 && top_p > 0.0 && top_p <= 1.0;
        if !good || !(0.0..1.0).contains(&uniform) {
            return Err(Error::Argument { op: OP, message: format!("row {row} cannot be drawn from with {draw:?}") });
        }
    }
    let ids = all(OP, logits, draws)?;
    match ids.iter().position(|&id| id == u32::MAX) {
        Some(row) => Err(Error::Argument { op: OP, message: format!("the logits of row {row} are not finite") }),
        None => Ok(ids),
    }
}

fn all(op: &'static str, logits: &Tensor, draws: &[Draw]) -> Result<Vec<u32>> {
    on_device!(op, logits, call => device::draw(&call, logits, draws));
    let logits = Operand::open(op, "logits", logits)?;
    let [n, v] = logits.dims("[N, V]")?;
    check_rows(op, n, draws)?;
    let rows = logits.slice::<f32>()?;
    Ok(draws.par_iter().enumerate().map(|(row, draw)| draw_row(&rows[row * v..(row + 1) * v], draw)).collect())
}

pub(crate) fn check_rows(op: &'static str, n: usize, draws: &[Draw]) -> Result<()> {
    if draws.len() == n {
        return Ok(());
    }
    Err(Error::Argument { op, message: format!("{n} rows, but {} draws", draws.len()) })
}

/// The id drawn; `u32::MAX` where the row is not finite.
fn draw_row(z: &[f32], draw: &Draw) -> u32 {
    const NONE: u32 = u32::MAX;
    if z.iter().any(|z| z.is_nan() || *z == f32::INFINITY) {
        return NONE;
    }
    let largest = (0_u32..).zip(z).reduce(|best, other| if other.1 > best.1 { other } else { best });
    let Some((best, &max)) = largest.filter(|(_, max)| max.is_finite()) else { return NONE };
    if draw.temperature == 0.0 {
        return best;
    }
    let mass = |z: f32| {
        let exact = ((f64::from(z) - f64::from(max)) / draw.temperature).exp() * 2_f64.powi(40);
        (exact + 0.5).floor() as u64
    };
    let mut tokens: Vec<(u32, u64)> = (0_u32..).zip(z).map(|(id, &z)| (id, mass(z))).collect();
    let total: u64 = tokens.iter().map(|(_, mass)| mass).sum();
    let wanted = ((draw.top_p * total as f64).ceil() as u64).clamp(1, total);
    // −0 and 0 are two keys of the device's order, so here too.
    tokens.sort_by(|(a, _), (b, _)| z[*b as usize].total_cmp(&z[*a as usize]).then(a.cmp(b)));
    let mut kept = 0;
    let count = 1 + tokens
        .iter()
        .take_while(|(_, mass)| {
            kept += mass;
            kept < wanted
        })
        .count();
    tokens.truncate(count);
    tokens.sort_by_key(|(id, _)| *id);
    let point = ((draw.uniform * kept as f64).floor() as u64).min(kept - 1);
    let mut sum = 0;
    let at = tokens.iter().find(|(_, mass)| {
        sum += mass;
        point < sum
    });
    at.map_or(NONE, |(id, _)| *id)
}
