//! Root-mean-square normalisation: against float64, finite differences, accumulation, independence.

mod common;

use candle_core::{DType, Tensor};
use common::{
    Case, Real, all_f64, all_of, bits, check_gradient, check_untouched, dot, f64s, in_pool, matrix, values, view_of,
};
use recon_kernels::{Error, rms_norm};

const EPS: f64 = 1e-5;
const SHAPES: [(usize, usize); 6] = [(1, 1), (1, 256), (3, 7), (65, 256), (64, 33), (200, 1000)];

struct Results {
    y: Vec<f64>,
    r: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

fn naive<T: Real>(x: &[f64], w: &[f64], dy: &[f64], dw: &[f64]) -> Results {
    let (x, w, dy, mut dw) = (all_of::<T>(x), all_of::<T>(w), all_of::<T>(dy), all_of::<T>(dw));
    let (d, mut y, mut r, mut dx) = (w.len(), Vec::new(), Vec::new(), Vec::new());
    for (x, dy) in x.chunks(d).zip(dy.chunks(d)) {
        let mean = x.iter().map(|&x| x * x).sum::<T>() / T::of(d as f64);
        let inv = T::of(1.0) / (mean + T::of(EPS)).sqrt();
        r.push(inv);
        let g: Vec<T> = dy.iter().zip(&w).map(|(&dy, &w)| dy * w).collect();
        let c = g.iter().zip(x).map(|(&g, &x)| g * x).sum::<T>() * inv * inv * inv / T::of(d as f64);
        for i in 0..d {
            y.push(x[i] * inv * w[i]);
            dx.push(g[i] * inv - x[i] * c);
            dw[i] = dw[i] + dy[i] * x[i] * inv;
        }
    }
    let [y, r, dx, dw] = [&y, &r, &dx, &dw].map(|v| all_f64(v));
    Results { y, r, dx, dw }
}

fn inputs(n: usize, d: usize) -> [Vec<f64>; 4] {
    [values(n * d, 1), values(d, 2), values(n * d, 3), values(d, 4)]
}

#[test]
fn it_is_as_good_as_a_naive_norm() {
    for (n, d) in SHAPES {
        let [x, w, dy, start] = inputs(n, d);
        let [xt, dyt] = [&x, &dy].map(|v| matrix(v, &[n, d], DType::F32));
        let wt = matrix(&w, &[d], DType::F32);
        let (y, r) = rms_norm::forward(&xt, &wt, EPS).unwrap();
        let (flat, dw) = view_of(&start, &[d], DType::F32);
        let dx = rms_norm::backward(&dyt, &xt, &wt, &r, &dw).unwrap();
        let (exact, rough) = (naive::<f64>(&x, &w, &dy, &start), naive::<f32>(&x, &w, &dy, &start));
        let what = |name: &str| format!("{name} {n} x {d}");
        Case::new(exact.y, rough.y).check(&y, &what("y"));
        Case::new(exact.r, rough.r).check(&r, &what("r"));
        if d > 1 {
            // With one element y is the sign of x and dx is what ε leaves of a cancellation.
            Case::new(exact.dx, rough.dx).check(&dx, &what("dx"));
        }
        Case::new(exact.dw, rough.dw).check(&dw, &what("dw"));
        check_untouched(&flat, d);
    }
}

#[test]
fn the_derivatives_are_those_of_the_forward_pass() {
    for (n, d) in [(1, 1), (3, 5), (2, 17)] {
        let [x, w, dy, _] = inputs(n, d);
        let forward = |x: &[f64], w: &[f64]| {
            rms_norm::forward(&matrix(x, &[n, d], DType::F64), &matrix(w, &[d], DType::F64), 0.1).unwrap()
        };
        let (_, r) = forward(&x, &w);
        let dw = Tensor::zeros(d, DType::F64, r.device()).unwrap();
        let [xt, dyt] = [&x, &dy].map(|v| matrix(v, &[n, d], DType::F64));
        let dx = rms_norm::backward(&dyt, &xt, &matrix(&w, &[d], DType::F64), &r, &dw).unwrap();
        check_gradient("dx", &x, &f64s(&dx), |x| dot(&f64s(&forward(x, &w).0), &dy));
        check_gradient("dw", &w, &f64s(&dw), |w| dot(&f64s(&forward(&x, w).0), &dy));
    }
}

#[test]
fn neither_rows_nor_threads_change_a_number() {
    let (n, d) = (333, 129);
    let [x, w, dy, start] = inputs(n, d);
    let run = |n: usize| {
        let [xt, dyt] = [&x, &dy].map(|v| matrix(&v[..n * d], &[n, d], DType::F32));
        let (wt, dw) = (matrix(&w, &[d], DType::F32), matrix(&start, &[d], DType::F32));
        let (y, r) = rms_norm::forward(&xt, &wt, EPS).unwrap();
        let dx = rms_norm::backward(&dyt, &xt, &wt, &r, &dw).unwrap();
        (bits(&y), bits(&dx), bits(&dw))
    };
    let all = in_pool(1, || run(n));
    for threads in [2, 4] {
        assert!(in_pool(threads, || run(n)) == all, "{threads} threads");
    }
    for rows in [0, 1, 2, 64, 65] {
        let (y, dx, _) = run(rows);
        assert!(y == all.0[..rows * d] && dx == all.1[..rows * d], "{rows} rows");
    }
}

#[test]
fn refusals_name_the_operand() {
    let x = matrix(&values(6, 1), &[2, 3], DType::F32);
    let w = matrix(&values(2, 1), &[2], DType::F32);
    assert!(matches!(rms_norm::forward(&x, &w, EPS), Err(Error::Shape { operand: "weight", .. })));
    let (w, r) = (matrix(&values(3, 1), &[3], DType::F32), matrix(&values(2, 1), &[2], DType::F32));
    assert!(matches!(rms_norm::backward(&x, &x, &w, &r, &w), Err(Error::Aliased { operand: "dweight", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn it_is_as_good_as_a_naive_norm() {
        for dtype in DTYPES {
            for (n, d) in [(1, 1), (1, 256), (3, 7), (65, 264), (33, 1000), (5, 4096)] {
                let [x, w, dy, start] = inputs(n, d);
                let [x, w, dy] = [x, w, dy].map(|v| rounded(&v, dtype));
                let (exact, rough) = (naive::<f64>(&x, &w, &dy, &start), naive::<f32>(&x, &w, &dy, &start));
                let cases = [
                    (Case::typed(exact.y, rough.y, dtype), "y"),
                    (Case::typed(exact.r, rough.r, DType::F32), "r"),
                    (Case::typed(exact.dx, rough.dx, dtype), "dx"),
                    (Case::typed(exact.dw, rough.dw, DType::F32), "dw"),
                ];
                on_device(|device| {
                    let [xt, dyt] = [&x, &dy].map(|v| tensor(v, &[n, d], dtype, device));
                    let wt = tensor(&w, &[d], dtype, device);
                    let (y, r) = rms_norm::forward(&xt, &wt, EPS).unwrap();
                    let (flat, dw) = view(&start, &[d], DType::F32, device);
                    let dx = rms_norm::backward(&dyt, &xt, &wt, &r, &dw).unwrap();
                    check_untouched(&flat, d);
                    for ((case, name), got) in cases.iter().zip([&y, &r, &dx, &dw]) {
                        // With one element dx is what ε leaves of a cancellation.
                        if d > 1 || *name != "dx" {
                            case.check(got, &format!("{name} {n} x {d} {dtype:?}"));
                        }
                    }
                    [bits(&y), bits(&r), bits(&dx), bits(&dw)]
                });
            }
        }
    }

    #[test]
    fn the_residual_sum_is_normalised_as_it_is_stored_and_passes_its_gradient() {
        for dtype in DTYPES {
            for (n, d) in [(1, 8), (19, 264), (4, 33)] {
                let [x, w, dy, start] = inputs(n, d);
                let branch = values(n * d, 9);
                let round = |v: &[f64]| rounded(v, dtype);
                on_device(|device| {
                    let [xt, bt, dyt] = [&x, &branch, &dy].map(|v| tensor(v, &[n, d], dtype, device));
                    let wt = tensor(&w, &[d], dtype, device);
                    let (sum, y, r) = rms_norm::forward_residual(&xt, &bt, &wt, EPS).unwrap();
                    let want: Vec<f64> = round(&x).iter().zip(round(&branch)).map(|(a, b)| a + b).collect();
                    assert!(f64s(&sum) == round(&want), "{n} x {d} {dtype:?}");
                    let (y2, r2) = rms_norm::forward(&sum, &wt, EPS).unwrap();
                    assert!(bits(&y) == bits(&y2) && bits(&r) == bits(&r2), "{n} x {d} {dtype:?}");
                    let [dw, dw2] = [0, 1].map(|_| tensor(&start, &[d], DType::F32, device));
                    let dx = rms_norm::backward_residual(&dyt, &sum, &wt, &r, &dw, &bt).unwrap();
                    assert!(
                        bits(&dw) == {
                            rms_norm::backward(&dyt, &sum, &wt, &r, &dw2).unwrap();
                            bits(&dw2)
                        }
                    );
                    let s = f64s(&sum);
                    let (w, dy) = (round(&w), round(&dy));
                    let add = |dx: Vec<f64>| dx.iter().zip(round(&branch)).map(|(a, b)| a + b).collect::<Vec<_>>();
                    let case = {
                        let (exact, rough) =
                            (naive::<f64>(&s, &w, &dy, &start).dx, naive::<f32>(&s, &w, &dy, &start).dx);
                        Case::typed(add(exact), add(rough), dtype)
                    };
                    case.check(&dx, &format!("dx {n} x {d} {dtype:?}"));
                    [bits(&sum), bits(&y), bits(&dx)]
                });
            }
        }
    }

    #[test]
    fn no_rows_nan_and_refusals() {
        for dtype in DTYPES {
            on_device(|device| {
                let w = tensor(&[1.0, 2.0], &[2], dtype, device);
                let none = tensor(&[], &[0, 2], dtype, device);
                let (y, r) = rms_norm::forward(&none, &w, EPS).unwrap();
                assert_eq!((y.dims(), r.dims()), (&[0, 2][..], &[0][..]));
                let poisoned = tensor(&[1.0, f64::NAN, 1.0, 1.0], &[2, 2], dtype, device);
                let y = f64s(&rms_norm::forward(&poisoned, &w, EPS).unwrap().0);
                assert!(y[..2].iter().all(|y| y.is_nan()) && y[2..].iter().all(|y| y.is_finite()));
                let three = tensor(&[1.0; 3], &[3], dtype, device);
                assert!(matches!(
                    rms_norm::forward(&poisoned, &three, EPS),
                    Err(Error::Shape { operand: "weight", .. })
                ));
                let double = poisoned.to_dtype(DType::F64).unwrap();
                assert!(matches!(rms_norm::forward(&double, &w, EPS), Err(Error::DType { operand: "x", .. })));
                let turned = poisoned.t().unwrap();
                assert!(matches!(rms_norm::forward(&turned, &w, EPS), Err(Error::Layout { operand: "x", .. })));
                let (dy, r) =
                    (tensor(&[1.0; 4], &[2, 2], DType::F32, device), tensor(&[1.0; 2], &[2], DType::F32, device));
                let aliased = rms_norm::backward(&dy, &dy, &r, &r, &r);
                assert!(matches!(aliased, Err(Error::Aliased { operand: "dweight", .. })));
            });
        }
    }
}
