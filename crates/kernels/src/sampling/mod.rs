//! Draws one token from each row of logits.
//!
//! Legend: `N` rows, `V` vocabulary, `M` masks.
//!
//! Formula, temperature T > 0, z the logits of the ids that the row's mask allows, max their largest:
//! w = round(2⁴⁰ · exp((z − max) · (1/T))). Kept are the likeliest ids whose w first sum to `top_p` of all, of equals the
//! lowest ids. The draw is the first kept id, in order of ids, at which the running sum exceeds
//! uniform · (sum of the kept). T = 0 takes the largest logit. Of equals the lowest id; −0 counts as below 0.
//! Shapes: logits f32 `[N, V]`, masks u32 `[M, ⌈V/32⌉]`.
//! Accumulation: exponentials in f64 by operations that IEEE 754 defines to the bit, sums in 64-bit integers: exact, so
//! CPU and device draw the same tokens.
//! Determinism: bit-equal; a row's draw does not depend on the others.
//! Source of top-p: Holtzman et al., The Curious Case of Neural Text Degeneration, 2019.

use candle_core::{Device, Tensor};
use rayon::prelude::*;

#[cfg(recon_device)]
use crate::device::elementwise as device;
use crate::element::wide;
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
    /// Which of the masks says what may be drawn; none allows every id.
    pub mask: Option<usize>,
}

impl Draw {
    /// Whether temperature and `top_p` name a distribution.
    pub fn names_a_distribution(&self) -> bool {
        self.temperature.is_finite() && self.temperature >= 0.0 && self.top_p > 0.0 && self.top_p <= 1.0
    }
}

/// A set of ids, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mask {
    words: Vec<u32>,
    vocabulary: usize,
}

impl Mask {
    /// The ids below `vocabulary` that `allowed` names.
    pub fn new(vocabulary: usize, allowed: impl Fn(u32) -> bool) -> Self {
        let mut mask = Self { words: vec![0; vocabulary.div_ceil(32)], vocabulary };
        (0_u32..).take(vocabulary).filter(|&id| allowed(id)).for_each(|id| mask.allow(id));
        mask
    }

    /// Adds an id; one outside the vocabulary names nothing.
    pub fn allow(&mut self, id: u32) {
        if (id as usize) < self.vocabulary {
            self.words[id as usize / 32] |= 1 << (id % 32);
        }
    }
}

/// Masks where the logits are.
#[derive(Debug, Clone)]
pub struct Masks {
    words: Tensor,
    count: usize,
    vocabulary: usize,
}

impl Masks {
    /// Copies masks to a device.
    ///
    /// # Errors
    /// No mask, masks of different vocabularies, no memory left on the device.
    pub fn new(masks: &[Mask], device: &Device) -> Result<Self> {
        const OP: &str = "sampling::masks";
        let vocabulary = masks.first().map_or(0, |mask| mask.vocabulary);
        if vocabulary == 0 || masks.iter().any(|mask| mask.vocabulary != vocabulary) {
            let message = format!("{} masks must be some, and of one vocabulary", masks.len());
            return Err(Error::Argument { op: OP, message });
        }
        let words: Vec<u32> = masks.iter().flat_map(|mask| &mask.words).copied().collect();
        let shape = (masks.len(), vocabulary.div_ceil(32));
        let words = Tensor::from_vec(words, shape, device).map_err(Error::candle(OP))?;
        Ok(Self { words, count: masks.len(), vocabulary })
    }

    #[cfg(recon_device)]
    pub(crate) fn words(&self) -> &Tensor {
        &self.words
    }
}

/// The token drawn from each row of logits `[N, V]`; none where the row holds NaN or +∞, allowed or not, or allows
/// nothing finite. From a device the ids come back in one copy, and nothing else does.
///
/// # Errors
/// Shapes that contradict each other, parameters that name no distribution, a mask that is not there, an unsupported
/// device, element type or layout.
pub fn draw(logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<Option<u32>>> {
    let ids = all("sampling::draw", logits, masks, draws)?;
    Ok(ids.into_iter().map(|id| (id != NONE).then_some(id)).collect())
}

/// Stands for no id.
const NONE: u32 = u32::MAX;

fn all(op: &'static str, logits: &Tensor, masks: Option<&Masks>, draws: &[Draw]) -> Result<Vec<u32>> {
    on_device!(op, logits, call => device::draw(&call, logits, masks, draws));
    let logits = Operand::open(op, "logits", logits)?;
    let [n, v] = logits.dims("[N, V]")?;
    check_draws(op, (n, v), masks, draws)?;
    let rows = logits.slice::<f32>()?;
    let words = masks.map(|masks| Operand::open_indices(op, "masks", &masks.words)).transpose()?;
    let words = words.as_ref().map(Operand::slice::<u32>).transpose()?.unwrap_or_default();
    let each = v.div_ceil(32);
    let one = |(row, draw): (usize, &Draw)| {
        let mask = draw.mask.map(|mask| &words[mask * each..(mask + 1) * each]);
        draw_row(&rows[row * v..(row + 1) * v], mask, draw)
    };
    Ok(draws.par_iter().enumerate().map(one).collect())
}

pub(crate) fn check_draws(
    op: &'static str,
    (n, v): (usize, usize),
    masks: Option<&Masks>,
    draws: &[Draw],
) -> Result<()> {
    let refuse = |message: String| Err(Error::Argument { op, message });
    if draws.len() != n {
        return refuse(format!("{n} rows, but {} draws", draws.len()));
    }
    if let Some(masks) = masks.filter(|masks| masks.vocabulary != v) {
        return refuse(format!("masks of {} ids for {v} logits", masks.vocabulary));
    }
    let count = masks.map_or(0, |masks| masks.count);
    for (row, draw) in draws.iter().enumerate() {
        if !draw.names_a_distribution() || !(0.0..1.0).contains(&draw.uniform) {
            return refuse(format!("row {row} cannot be drawn from with {draw:?}"));
        }
        if let Some(mask) = draw.mask.filter(|&mask| mask >= count) {
            return refuse(format!("row {row} asks for mask {mask} of {count}"));
        }
    }
    Ok(())
}

/// An id with its logit and its mass.
type Token = (u32, f32, u64);

fn draw_row(z: &[f32], mask: Option<&[u32]>, draw: &Draw) -> u32 {
    if z.iter().any(|z| z.is_nan() || *z == f32::INFINITY) {
        return NONE;
    }
    let allowed = |id: u32| mask.is_none_or(|words| words[id as usize / 32] >> (id % 32) & 1 == 1);
    let ids = (0_u32..).zip(z).filter(|(id, _)| allowed(*id));
    let largest = ids.reduce(|best, other| if other.1.total_cmp(best.1).is_gt() { other } else { best });
    let Some((best, &max)) = largest.filter(|(_, max)| max.is_finite()) else { return NONE };
    if draw.temperature == 0.0 {
        return best;
    }
    let masses = masses(z, max, 1.0 / draw.temperature);
    let tokens = (0_u32..).zip(z).zip(masses).map(|((id, &z), mass)| (id, z, mass));
    let mut tokens: Vec<Token> = tokens.filter(|&(id, _, mass)| mass > 0 && allowed(id)).collect();
    if draw.top_p < 1.0 {
        let share = (draw.top_p * sum(&tokens) as f64).ceil() as u64;
        let kept = nucleus(&mut tokens, share.max(1));
        tokens.truncate(kept);
        tokens.sort_unstable_by_key(|(id, ..)| *id);
    }
    let kept = sum(&tokens);
    let point = ((draw.uniform * kept as f64).floor() as u64).min(kept - 1);
    let mut before = 0;
    let at = tokens.iter().find(|(.., mass)| {
        before += mass;
        point < before
    });
    at.map_or(NONE, |(id, ..)| *id)
}

fn sum(tokens: &[Token]) -> u64 {
    tokens.iter().map(|(.., mass)| mass).sum()
}

/// round(2⁴⁰ · exp((z − max) · factor)) of every logit.
fn masses(z: &[f32], max: f32, factor: f64) -> Vec<u64> {
    wide!(z.iter().map(|&z| mass(if z == max { 0.0 } else { (f64::from(z) - f64::from(max)) * factor })).collect())
}

/// round(2⁴⁰ · eˣ) for x ≤ 0: x = n·ln 2 + r with |r| ≤ ln 2 / 2, then 2ⁿ times the Taylor polynomial of degree 11, which
/// is within 1e-14. The device does the same operations in the same order.
#[inline(always)]
fn mass(x: f64) -> u64 {
    const LN2_LOW: f64 = 2.319_046_813_846_299_6e-17;
    /// 1/k!, highest first.
    const FACTORS: [f64; 12] = [
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ];
    // Below −29 it is less than a half.
    let reduced = if x > -29.0 { x } else { -29.0 };
    let n = (reduced * std::f64::consts::LOG2_E).round_ties_even();
    let r = f64::mul_add(-n, LN2_LOW, f64::mul_add(-n, std::f64::consts::LN_2, reduced));
    let p = FACTORS.into_iter().reduce(|p, factor| f64::mul_add(p, r, factor)).expect("twelve factors");
    let power = f64::from_bits(((n as i64 + 40 + 1023).cast_unsigned()) << 52);
    let mass = (p * power + 0.5).floor();
    if x > -29.0 { mass as u64 } else { 0 }
}

/// Puts the likeliest tokens whose mass first reaches `wanted`, of equals the lowest ids, in front; how many they are:
/// all, where they do not reach it.
/// Each step halves what is left, so a row is looked at about three times.
fn nucleus(tokens: &mut [Token], wanted: u64) -> usize {
    let (mut start, mut end, mut before) = (0, tokens.len(), 0);
    while end - start > 1 {
        let middle = start + (end - start) / 2;
        let order = |a: &Token, b: &Token| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0));
        tokens[start..end].select_nth_unstable_by(middle - start, order);
        let mass = sum(&tokens[start..middle]);
        if before + mass >= wanted {
            end = middle;
        } else {
            before += mass;
            start = middle;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_are_the_exponential() {
        let mut worst = 0.0_f64;
        for i in 0..=290_000 {
            let x = f64::from(i) * -1e-4;
            let exact = x.exp() * 2_f64.powi(40);
            worst = worst.max((mass(x) as f64 - exact).abs() / (0.5 + exact * 1e-14));
        }
        assert!(worst <= 1.0, "{worst}");
        assert_eq!([mass(0.0), mass(-28.0), mass(-29.0), mass(f64::NEG_INFINITY)], [1 << 40, 1, 0, 0]);
    }

    #[test]
    fn a_nucleus_is_what_sorting_finds() {
        for count in [1, 2, 3, 17, 200] {
            let tokens: Vec<Token> = (0..count)
                .map(|id| {
                    let z = (id * 7919 % 23) as f32;
                    (id, z, u64::from(id * 7919 % 23) + 1)
                })
                .collect();
            let mut sorted = tokens.clone();
            sorted.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
            for wanted in [1, 2, sum(&tokens) / 3, sum(&tokens) / 2, sum(&tokens)].map(|wanted| wanted.max(1)) {
                let mut mass = 0;
                let reached = sorted.iter().position(|token| {
                    mass += token.2;
                    mass >= wanted
                });
                let kept = reached.map_or(sorted.len(), |last| last + 1);
                let mut found = tokens.clone();
                let end = nucleus(&mut found, wanted);
                found.truncate(end);
                found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
                assert_eq!(found, sorted[..kept]);
            }
        }
    }
}
