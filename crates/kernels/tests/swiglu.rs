//! The gated activation: against float64, finite differences, extreme gates.

mod common;

use candle_core::{DType, Tensor};
use common::{Case, Real, all_f64, all_of, bits, check_gradient, dot, f64s, in_pool, matrix, values};
use recon_kernels::{Error, swiglu};

fn naive<T: Real>(g: &[f64], u: &[f64], dy: &[f64]) -> [Vec<f64>; 3] {
    let (g, u, dy) = (all_of::<T>(g), all_of::<T>(u), all_of::<T>(dy));
    let (one, mut y, mut dg, mut du) = (T::of(1.0), Vec::new(), Vec::new(), Vec::new());
    for ((&g, &u), &dy) in g.iter().zip(&u).zip(&dy) {
        let s = one / (one + (-g).exp());
        y.push(g * s * u);
        dg.push(dy * u * (s * (one + g * (one - s))));
        du.push(dy * (g * s));
    }
    [&y, &dg, &du].map(|v| all_f64(v))
}

fn inputs(n: usize, f: usize) -> [Vec<f64>; 3] {
    [values(n * f, 1).into_iter().map(|g| g * 12.0).collect(), values(n * f, 2), values(n * f, 3)]
}

fn run(n: usize, f: usize, numbers: &[Vec<f64>; 3], dtype: DType) -> [Tensor; 3] {
    let [g, u, dy] = [0, 1, 2].map(|i| matrix(&numbers[i], &[n, f], dtype));
    let (dg, du) = swiglu::backward(&dy, &g, &u).unwrap();
    [swiglu::forward(&g, &u).unwrap(), dg, du]
}

#[test]
fn it_is_as_good_as_a_naive_activation() {
    for (n, f) in [(1, 1), (1, 3), (5, 17), (64, 704), (33, 768)] {
        let inputs = inputs(n, f);
        let (exact, rough) =
            (naive::<f64>(&inputs[0], &inputs[1], &inputs[2]), naive::<f32>(&inputs[0], &inputs[1], &inputs[2]));
        let got = run(n, f, &inputs, DType::F32);
        for (((exact, rough), got), name) in exact.into_iter().zip(rough).zip(got).zip(["y", "dgate", "dup"]) {
            Case::new(exact, rough).check(&got, &format!("{name} {n} x {f}"));
        }
    }
}

#[test]
fn the_derivatives_are_those_of_the_forward_pass() {
    let numbers = inputs(3, 5);
    let [_, dg, du] = run(3, 5, &numbers, DType::F64);
    let loss = |g: &[f64], u: &[f64]| {
        let y = swiglu::forward(&matrix(g, &[3, 5], DType::F64), &matrix(u, &[3, 5], DType::F64)).unwrap();
        dot(&f64s(&y), &numbers[2])
    };
    check_gradient("dgate", &numbers[0], &f64s(&dg), |g| loss(g, &numbers[1]));
    check_gradient("dup", &numbers[1], &f64s(&du), |u| loss(&numbers[0], u));
}

#[test]
fn extreme_gates_stay_finite_and_nan_stays_nan() {
    let gates = [-1e4, -100.0, -0.0, 0.0, 100.0, 1e4, f64::NAN];
    let [y, dg, du] = run(1, 7, &[gates.to_vec(), vec![1.0; 7], vec![1.0; 7]], DType::F32).map(|t| f64s(&t));
    assert_eq!(y[..6], [0.0, 0.0, 0.0, 0.0, 100.0, 1e4]);
    assert_eq!(dg[..6], [0.0, 0.0, 0.5, 0.5, 1.0, 1.0]);
    assert_eq!(du[..6], y[..6]);
    assert!([y[6], dg[6], du[6]].iter().all(|x| x.is_nan()));
}

#[test]
fn neither_rows_nor_threads_change_a_number() {
    let numbers = inputs(100, 705);
    let all = in_pool(1, || run(100, 705, &numbers, DType::F32).map(|t| bits(&t)));
    assert!(in_pool(4, || run(100, 705, &numbers, DType::F32).map(|t| bits(&t))) == all, "threads");
    for n in [0, 1, 3] {
        let few = run(n, 705, &numbers.clone().map(|v| v[..n * 705].to_vec()), DType::F32);
        for (few, all) in few.iter().zip(&all) {
            assert!(bits(few) == all[..n * 705], "{n} rows");
        }
    }
}

#[test]
fn shapes_must_agree() {
    let (a, b) = (matrix(&values(6, 1), &[2, 3], DType::F32), matrix(&values(6, 1), &[3, 2], DType::F32));
    assert!(matches!(swiglu::forward(&a, &b), Err(Error::Shape { operand: "up", .. })));
    assert!(matches!(swiglu::backward(&b, &a, &a), Err(Error::Shape { operand: "gate", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn it_is_as_good_as_a_naive_activation() {
        for dtype in DTYPES {
            for (n, f) in [(1, 1), (1, 3), (5, 17), (64, 704), (33, 768)] {
                let inputs = inputs(n, f).map(|v| rounded(&v, dtype));
                let [g, u, dy] = &inputs;
                let (exact, rough) = (naive::<f64>(g, u, dy), naive::<f32>(g, u, dy));
                let cases: Vec<Case> = exact.into_iter().zip(rough).map(|(e, r)| Case::typed(e, r, dtype)).collect();
                on_device(|device| {
                    let run = |[g, u, dy]: [Tensor; 3]| {
                        let (dg, du) = swiglu::backward(&dy, &g, &u).unwrap();
                        let got = [swiglu::forward(&g, &u).unwrap(), dg, du];
                        for ((case, got), name) in cases.iter().zip(&got).zip(["y", "dgate", "dup"]) {
                            case.check(got, &format!("{name} {n} x {f} {dtype:?}"));
                        }
                        got.map(|t| bits(&t))
                    };
                    let aligned = run([g, u, dy].map(|v| tensor(v, &[n, f], dtype, device)));
                    assert!(run([g, u, dy].map(|v| view(v, &[n, f], dtype, device).1)) == aligned);
                    aligned
                });
            }
        }
    }

    #[test]
    fn extreme_gates_stay_finite_and_nan_stays_nan() {
        on_device(|device| {
            let gates = tensor(&[-1e4, -100.0, -0.0, 0.0, 100.0, 1e4, f64::NAN], &[1, 7], DType::F32, device);
            let ones = tensor(&[1.0; 7], &[1, 7], DType::F32, device);
            let (dg, du) = swiglu::backward(&ones, &gates, &ones).unwrap();
            for t in [swiglu::forward(&gates, &ones).unwrap(), dg, du] {
                let t = f64s(&t);
                assert!(t[..6].iter().all(|x| x.is_finite()) && t[6].is_nan(), "{t:?}");
            }
        });
    }
}
