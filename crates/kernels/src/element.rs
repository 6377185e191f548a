//! The element types kernels compute in, and the loops they share.
//!
//! f32 is what models run in; f64 makes finite differences exact enough to test every derivative.
//!
//! Invariant: a sum over a slice has one order, set by [`LANES`] and nothing else, so it is the same on every
//! instruction set. None of these loops contracts a product and a sum into one rounding but where `fused` says so.

use candle_core::{CpuStorage, DType, WithDType};

/// Parallel accumulators in a sum. Element `i` goes to accumulator `i % LANES`; 16 f32 fill one AVX-512 register.
pub(crate) const LANES: usize = 16;

/// A float the kernels compute in.
pub(crate) trait Element: WithDType + std::ops::Neg<Output = Self> + std::iter::Sum {
    const ZERO: Self;
    const ONE: Self;
    /// Below every finite value.
    const NEG_INFINITY: Self;

    /// self · factor + sum, rounded once.
    fn fused(self, factor: Self, sum: Self) -> Self;
    fn sqrt(self) -> Self;
    fn ln(self) -> Self;
    /// eˣ, in f32 to within 2 units in the last place; below the smallest normal number the result is zero.
    fn exp(self) -> Self;

    /// The whole storage, if it holds this type.
    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]>;

    /// The slice itself, if this type is f32.
    fn narrow(slice: &[Self]) -> Option<&[f32]>;
    fn narrow_mut(slice: &mut [Self]) -> Option<&mut [f32]>;

    /// The nearest value.
    fn rounded(value: f64) -> Self {
        Self::from_f64(value)
    }
}

impl Element for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F32(data) = storage { Some(data) } else { None }
    }

    fn narrow(slice: &[Self]) -> Option<&[f32]> {
        Some(slice)
    }

    fn narrow_mut(slice: &mut [Self]) -> Option<&mut [f32]> {
        Some(slice)
    }

    #[inline(always)]
    fn fused(self, factor: Self, sum: Self) -> Self {
        f32::mul_add(self, factor, sum)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f32::sqrt(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f32::ln(self)
    }

    /// Branch-free so that loops over it vectorise: x = n·ln 2 + r with |r| ≤ ln 2 / 2, then 2ⁿ · P(r) with the
    /// polynomial of Cephes' `expf`.
    #[inline(always)]
    fn exp(self) -> Self {
        /// Adding it rounds to an integer, which then stands in the low bits of the mantissa.
        const ROUND: f32 = 12_582_912.0;
        /// ln 2 in two parts; the first has 10 significant bits, so n · LN2_HIGH is exact.
        const LN2_HIGH: f32 = 0.693_359_4;
        const LN2_LOW: f32 = -2.121_944_4e-4;
        const LOWEST: f32 = -87.336_54;
        const HIGHEST: f32 = 88.722_83;
        // Written so that NaN passes through both comparisons.
        let x = if self > HIGHEST { HIGHEST } else { self };
        let x = if x < LOWEST { LOWEST } else { x };
        let shifted = x * std::f32::consts::LOG2_E + ROUND;
        let n = shifted - ROUND;
        let r = x - n * LN2_HIGH - n * LN2_LOW;
        let p = 1.987_569_1e-4;
        let p = p * r + 1.398_199_9e-3;
        let p = p * r + 8.333_452e-3;
        let p = p * r + 4.166_579_6e-2;
        let p = p * r + 1.666_666_5e-1;
        let p = p * r + 0.5;
        let e = p * (r * r) + r + 1.0;
        // Two factors, since 2ⁿ alone may leave the range that e · 2ⁿ stays in.
        let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()).cast_signed();
        let power = |n: i32| f32::from_bits(n.wrapping_add(127).cast_unsigned().wrapping_shl(23));
        let e = e * power(n >> 1) * power(n.wrapping_sub(n >> 1));
        let e = if self < LOWEST { 0.0 } else { e };
        if self > HIGHEST { f32::INFINITY } else { e }
    }
}

impl Element for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    fn storage_mut(storage: &mut CpuStorage) -> Option<&mut [Self]> {
        if let CpuStorage::F64(data) = storage { Some(data) } else { None }
    }

    fn narrow(_: &[Self]) -> Option<&[f32]> {
        None
    }

    fn narrow_mut(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }

    #[inline(always)]
    fn fused(self, factor: Self, sum: Self) -> Self {
        f64::mul_add(self, factor, sum)
    }

    #[inline(always)]
    fn sqrt(self) -> Self {
        f64::sqrt(self)
    }

    #[inline(always)]
    fn ln(self) -> Self {
        f64::ln(self)
    }

    #[inline(always)]
    fn exp(self) -> Self {
        f64::exp(self)
    }
}

/// Runs an expression compiled for the widest instruction set of this machine. Calls inside must inline for it to help.
///
/// A macro, so that no closure goes without its attribute: one that is left as a function of its own is compiled for the
/// narrowest instruction set, with the same result and several times slower.
macro_rules! wide {
    ($body:expr) => {
        pulp::Arch::new().dispatch(
            #[inline(always)]
            || $body,
        )
    };
}
pub(crate) use wide;

#[inline(always)]
fn fold_lanes<T: Element>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for i in 0..width {
            let other = lanes[i + width];
            lanes[i] += other;
        }
        width /= 2;
    }
    lanes[0]
}

/// Σ f(aᵢ, bᵢ) over two slices of one length.
#[inline(always)]
pub(crate) fn sum2<T: Element>(a: &[T], b: &[T], f: impl Fn(T, T) -> T) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (a_full, a_rest) = a.as_chunks::<LANES>();
    let (b_full, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_full.iter().zip(b_full) {
        for i in 0..LANES {
            lanes[i] += f(a[i], b[i]);
        }
    }
    for (lane, (&a, &b)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane += f(a, b);
    }
    fold_lanes(lanes)
}

/// Σ f(aᵢ).
#[inline(always)]
pub(crate) fn sum1<T: Element>(a: &[T], f: impl Fn(T) -> T) -> T {
    sum2(a, a, |x, _| f(x))
}

/// The largest element, negative infinity for an empty slice; NaN is not looked for.
#[inline(always)]
pub(crate) fn maximum<T: Element>(a: &[T]) -> T {
    let larger = |x: T, y: T| if x > y { x } else { y };
    let mut lanes = [T::NEG_INFINITY; LANES];
    let (full, rest) = a.as_chunks::<LANES>();
    for chunk in full {
        for i in 0..LANES {
            lanes[i] = larger(chunk[i], lanes[i]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = larger(x, *lane);
    }
    lanes.into_iter().fold(T::NEG_INFINITY, larger)
}

/// dst += src.
#[inline(always)]
pub(crate) fn add_assign<T: Element>(dst: &mut [T], src: &[T]) {
    for (dst, &src) in dst.iter_mut().zip(src) {
        *dst += src;
    }
}

pub(crate) const COMPUTED: &str = "F32 or F64";

/// Whether kernels compute in `dtype`.
pub(crate) fn computed(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F64)
}

/// Runs `$body` with `$T` bound to the Rust type of `$dtype`, which an opened operand has already proven to be one of
/// the two.
macro_rules! for_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            _ => {
                type $T = f32;
                $body
            }
        }
    };
}
pub(crate) use for_element;

#[cfg(test)]
mod tests {
    use super::*;

    /// One unit in the last place of `x`, as an f64.
    fn ulp(x: f32) -> f64 {
        f64::from(f32::from_bits(x.to_bits() + 1)) - f64::from(x)
    }

    #[test]
    fn exp_is_within_two_ulp_over_its_whole_range() {
        let mut worst: f64 = 0.0;
        let mut x = -87.3_f32;
        while x < 88.7 {
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(Element::exp(x)) - exact).abs() / ulp(exact as f32));
            x += 1.7e-4;
        }
        assert!(worst <= 2.0, "{worst} ulp");
        assert!(worst > 0.3, "the comparison sees no rounding at all: {worst} ulp");
    }

    #[test]
    fn exp_keeps_the_special_values() {
        assert_eq!(Element::exp(0.0_f32), 1.0);
        assert_eq!(Element::exp(-0.0_f32), 1.0);
        assert_eq!(Element::exp(f32::NEG_INFINITY), 0.0);
        assert_eq!(Element::exp(-1000.0_f32), 0.0);
        assert_eq!(Element::exp(f32::INFINITY), f32::INFINITY);
        assert_eq!(Element::exp(1000.0_f32), f32::INFINITY);
        assert!(Element::exp(f32::NAN).is_nan());
    }

    #[test]
    fn a_sum_is_the_same_inside_and_outside_the_wide_path() {
        let a: Vec<f32> = (0..1003).map(|i| (i as f32 * 0.37).sin()).collect();
        let narrow = sum1(&a, |x| x * x);
        let broad = wide!(sum1(&a, |x| x * x));
        assert_eq!(narrow.to_bits(), broad.to_bits());
    }
}
