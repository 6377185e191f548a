//! What the kernel tests share: data, the precision bound with its control, finite differences, thread pools.
//!
//! The bound (STYLE.md): the error against float64 is at most twice that of a naive computation in the same precision,
//! measured as a root mean square and as a maximum over the tensor; where the naive error is smaller than a few
//! roundings of the largest value, those stand in for it. [`Case::check`] also shows that zeros and NaN fail.

#![expect(dead_code, reason = "each test binary uses its part")]

#[cfg(any(feature = "cuda", feature = "emulated"))]
pub(crate) mod device;

use std::iter::Sum;
use std::ops::{Add, Div, Mul, Neg, Sub};

use candle_core::{DType, Device, Tensor};

/// The precision a naive reference computes in.
pub(crate) trait Real:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + Sum
    + PartialOrd
{
    fn of(x: f64) -> Self;
    fn f64(self) -> f64;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
}

macro_rules! real {
    ($t:ident) => {
        impl Real for $t {
            fn of(x: f64) -> Self {
                x as $t
            }
            fn f64(self) -> f64 {
                f64::from(self)
            }
            fn exp(self) -> Self {
                $t::exp(self)
            }
            fn ln(self) -> Self {
                $t::ln(self)
            }
            fn sqrt(self) -> Self {
                $t::sqrt(self)
            }
        }
    };
}
real!(f32);
real!(f64);

/// Rounds every value to T.
pub(crate) fn all_of<T: Real>(values: &[f64]) -> Vec<T> {
    values.iter().map(|&x| T::of(x)).collect()
}

pub(crate) fn all_f64<T: Real>(values: &[T]) -> Vec<f64> {
    values.iter().map(|x| x.f64()).collect()
}

/// The same numbers every time, in (-1, 1), each exactly an f32.
pub(crate) fn values(count: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0xd1b5_4a32_d192_ed03;
    let mut next = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    (0..count).map(|_| (next() >> 41) as f64 / f64::from(1 << 22) - 1.0 + f64::from(f32::EPSILON)).collect()
}

pub(crate) fn matrix(data: &[f64], shape: &[usize], dtype: DType) -> Tensor {
    Tensor::from_slice(data, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
}

pub(crate) fn f64s(t: &Tensor) -> Vec<f64> {
    if t.elem_count() == 0 {
        return Vec::new();
    }
    let here = t.to_device(&Device::Cpu).unwrap();
    here.to_dtype(DType::F64).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// The bit patterns of an f32 or f64 tensor (an f32 widens to f64 exactly).
pub(crate) fn bits(t: &Tensor) -> Vec<u64> {
    f64s(t).into_iter().map(f64::to_bits).collect()
}

const BEFORE: usize = 5;
const AFTER: usize = 3;
const GUARD: f64 = 7.25;

/// A flat buffer, and a view of the given shape that begins at an odd offset in it and holds `data`.
pub(crate) fn view_of(data: &[f64], shape: &[usize], dtype: DType) -> (Tensor, Tensor) {
    let mut all = vec![GUARD; BEFORE];
    all.extend_from_slice(data);
    all.extend([GUARD; AFTER]);
    let flat = matrix(&all, &[all.len()], dtype);
    let view = flat.narrow(0, BEFORE, data.len()).unwrap().reshape(shape).unwrap();
    (flat, view)
}

/// The parts of the flat buffer outside the view are as they were.
pub(crate) fn check_untouched(flat: &Tensor, elements: usize) {
    let flat = f64s(flat);
    assert_eq!(flat.len(), BEFORE + elements + AFTER);
    assert!(flat[..BEFORE].iter().chain(&flat[BEFORE + elements..]).all(|&x| x == GUARD), "wrote outside the view");
}

/// What a result is measured against.
pub(crate) struct Case {
    exact: Vec<f64>,
    naive: Vec<f64>,
    /// One rounding of the type, relative.
    unit: f64,
}

impl Case {
    /// `naive` is the reference computed in f32.
    pub(crate) fn new(exact: Vec<f64>, naive: Vec<f64>) -> Self {
        assert_eq!(exact.len(), naive.len());
        Self { exact, naive, unit: f64::from(f32::EPSILON) }
    }

    pub(crate) fn check(&self, got: &Tensor, what: &str) {
        let got = f64s(got);
        assert_eq!(got.len(), self.exact.len(), "{what}: size");
        if let Err(message) = self.within(&got) {
            panic!("{what}: {message}");
        }
        if self.exact.iter().any(|&x| x != 0.0) {
            assert!(self.within(&vec![0.0; got.len()]).is_err(), "{what}: zeros pass, so the bound cannot fail");
            let mut poisoned = got;
            poisoned[0] = f64::NAN;
            assert!(self.within(&poisoned).is_err(), "{what}: NaN passes, so the bound cannot fail");
        }
    }

    fn within(&self, got: &[f64]) -> Result<(), String> {
        let largest = self.exact.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
        let rounding = largest * self.unit;
        let (rms, max) = errors(got, &self.exact);
        let (naive_rms, naive_max) = errors(&self.naive, &self.exact);
        // A NaN makes the root mean square NaN, which is not `<=` anything.
        if rms <= 2.0 * naive_rms.max(rounding) && max <= 2.0 * naive_max.max(rounding) {
            return Ok(());
        }
        Err(format!("rms error {rms:e} (naive {naive_rms:e}), largest {max:e} (naive {naive_max:e})"))
    }
}

/// Root mean square (NaN if any difference is) and largest difference.
fn errors(got: &[f64], exact: &[f64]) -> (f64, f64) {
    let mut squares = 0.0;
    let mut max = 0.0;
    for (a, b) in got.iter().zip(exact) {
        let difference = (a - b).abs();
        squares += difference * difference;
        max = f64::max(max, difference);
    }
    ((squares / got.len().max(1) as f64).sqrt(), max)
}

/// Compares a gradient with central differences of `loss` at every element of `at`, in f64.
pub(crate) fn check_gradient(what: &str, at: &[f64], gradient: &[f64], loss: impl Fn(&[f64]) -> f64) {
    const STEP: f64 = 1e-5;
    let largest = gradient.iter().fold(0.0_f64, |a, x| a.max(x.abs()));
    assert!(largest > 1e-6, "{what}: a gradient of zeros proves nothing");
    assert_eq!(at.len(), gradient.len(), "{what}: size");
    let mut point = at.to_vec();
    for i in 0..at.len() {
        point[i] = at[i] + STEP;
        let above = loss(&point);
        point[i] = at[i] - STEP;
        let below = loss(&point);
        point[i] = at[i];
        let slope = (above - below) / (2.0 * STEP);
        // Truncation is about STEP² times a third derivative, rounding about 1e-16 / STEP.
        assert!(
            (slope - gradient[i]).abs() <= 1e-8 * (1.0 + largest),
            "{what}[{i}]: {slope} by differences, {}",
            gradient[i]
        );
    }
}

/// Runs `f` with a rayon pool of that many threads.
pub(crate) fn in_pool<R: Send>(threads: usize, f: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// Σ aᵢ bᵢ, the loss whose gradient with respect to `a` is `b`.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
