//! Draws on the CPU, a row a task.

use rayon::prelude::*;

use super::draws::{Draw, NONE};
use crate::element::wide;

/// The id drawn from each row of logits `[N, V]`; `words` holds the masks.
pub(super) fn draw(rows: &[f32], v: usize, words: &[u32], draws: &[Draw]) -> Vec<u32> {
    let each = v.div_ceil(32);
    let one = |(row, draw): (usize, &Draw)| {
        let mask = draw.mask.map(|mask| &words[mask * each..(mask + 1) * each]);
        draw_row(&rows[row * v..(row + 1) * v], mask, draw)
    };
    draws.par_iter().enumerate().map(one).collect()
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
