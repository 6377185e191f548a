//! The linear map: against float64, row and thread independence, accumulation into views, refusals.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Case, bits, in_pool, matrix, values, view_of};
use recon_kernels::{Error, linear};

/// y[i, j] = Σ a[i, k] b[j, k], naively, in T.
fn naive<T: common::Real>(a: &[f64], b: &[f64], n: usize, o: usize, i: usize) -> Vec<f64> {
    let mut y = Vec::with_capacity(n * o);
    for row in 0..n {
        for column in 0..o {
            let mut sum = T::of(0.0);
            for k in 0..i {
                sum = sum + T::of(a[row * i + k]) * T::of(b[column * i + k]);
            }
            y.push(sum.f64());
        }
    }
    y
}

fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..columns).flat_map(|c| (0..rows).map(move |r| a[r * columns + c])).collect()
}

const SHAPES: [(usize, usize, usize); 9] = [
    (1, 1, 1),
    (1, 3, 5),
    (2, 7, 2),
    (3, 16, 33),
    (5, 130, 64),
    (17, 64, 1),
    (64, 96, 257),
    (33, 128, 700),
    (129, 65, 1100),
];

#[test]
fn forward_is_as_good_as_a_naive_product() {
    for (seed, (n, o, i)) in SHAPES.into_iter().enumerate() {
        let (x, w) = (values(n * i, seed as u64), values(o * i, 100 + seed as u64));
        let y = linear::forward(&matrix(&x, &[n, i], DType::F32), &matrix(&w, &[o, i], DType::F32)).unwrap();
        assert_eq!(y.dims(), [n, o]);
        let case = Case::new(naive::<f64>(&x, &w, n, o, i), naive::<f32>(&x, &w, n, o, i));
        case.check(&y, &format!("forward {n} {o} {i}"));
    }
}

#[test]
fn backward_input_is_as_good_as_a_naive_product() {
    for (seed, (n, o, i)) in SHAPES.into_iter().enumerate() {
        let (dy, w) = (values(n * o, seed as u64), values(o * i, 100 + seed as u64));
        let dx = linear::backward_input(&matrix(&dy, &[n, o], DType::F32), &matrix(&w, &[o, i], DType::F32)).unwrap();
        assert_eq!(dx.dims(), [n, i]);
        let wt = transposed(&w, o, i);
        let case = Case::new(naive::<f64>(&dy, &wt, n, i, o), naive::<f32>(&dy, &wt, n, i, o));
        case.check(&dx, &format!("backward_input {n} {o} {i}"));
    }
}

#[test]
fn backward_weight_accumulates_into_a_view() {
    for (seed, (n, o, i)) in SHAPES.into_iter().enumerate() {
        let (dy, x) = (values(n * o, seed as u64), values(n * i, 100 + seed as u64));
        let start = values(o * i, 200);
        let (flat, dw) = view_of(&start, &[o, i], DType::F32);
        linear::backward_weight(&matrix(&dy, &[n, o], DType::F32), &matrix(&x, &[n, i], DType::F32), &dw).unwrap();
        let (dyt, xt) = (transposed(&dy, n, o), transposed(&x, n, i));
        let plus_start = |y: Vec<f64>, round: fn(f64) -> f64| -> Vec<f64> {
            y.iter().zip(&start).map(|(y, s)| round(y + s)).collect()
        };
        let exact = plus_start(naive::<f64>(&dyt, &xt, o, i, n), |x| x);
        let rough = plus_start(naive::<f32>(&dyt, &xt, o, i, n), |x| f64::from(x as f32));
        Case::new(exact, rough).check(&dw, &format!("backward_weight {n} {o} {i}"));
        common::check_untouched(&flat, o * i);
    }
}

#[test]
fn no_rows_give_no_rows_and_leave_the_gradient_alone() {
    let (x, w) = (matrix(&[], &[0, 5], DType::F32), matrix(&values(15, 1), &[3, 5], DType::F32));
    assert_eq!(linear::forward(&x, &w).unwrap().dims(), [0, 3]);
    let dy = matrix(&[], &[0, 3], DType::F32);
    assert_eq!(linear::backward_input(&dy, &w).unwrap().dims(), [0, 5]);
    let before = bits(&w);
    linear::backward_weight(&dy, &x, &w).unwrap();
    assert_eq!(bits(&w), before);
}

#[test]
fn a_row_does_not_depend_on_how_many_rows_there_are() {
    const ROWS: usize = 257;
    for (o, i) in [
        (256, 256),
        (704, 256),
        (256, 704),
        (128, 256),
        (64, 64),
        (24, 24),
        (7, 3),
        (5, 600),
        (1, 65),
        (2, 130),
        (3, 40),
        (17, 530),
        (4352, 256),
        (1100, 2050), // long enough for one row to be split by columns
        (1100, 2049), // and a last part of one column, which must not be
    ] {
        let (x, w) = (values(ROWS * i, 3), matrix(&values(o * i, 4), &[o, i], DType::F32));
        let (dy, wt) = (values(ROWS * o, 5), w.clone());
        let all = bits(&linear::forward(&matrix(&x, &[ROWS, i], DType::F32), &w).unwrap());
        let all_dx = bits(&linear::backward_input(&matrix(&dy, &[ROWS, o], DType::F32), &wt).unwrap());
        for rows in [1, 2, 3, 5, 8, 9, 16, 17, 64, 200] {
            let y = linear::forward(&matrix(&x[..rows * i], &[rows, i], DType::F32), &w).unwrap();
            assert_eq!(bits(&y), all[..rows * o], "forward, {rows} rows, {o} from {i}");
            let dx = linear::backward_input(&matrix(&dy[..rows * o], &[rows, o], DType::F32), &wt).unwrap();
            assert_eq!(bits(&dx), all_dx[..rows * i], "backward, {rows} rows, {o} from {i}");
        }
    }
}

/// Products of few rows have their own paths, which leave the general one at odd extents and odd places.
#[test]
fn few_rows_have_the_bits_of_many_at_every_extent() {
    const ROWS: usize = 40;
    for dtype in [DType::F32, DType::F64] {
        for i in [15, 16, 17, 31, 33, 511, 512, 513, 530, 1025] {
            for o in [2, 15, 16, 17, 31, 33, 49, 700] {
                let (x, dy) = (values(ROWS * i, 3), values(ROWS * o, 5));
                let (_, w) = view_of(&values(o * i, 4), &[o, i], dtype);
                let product = |rows| linear::forward(&matrix(&x[..rows * i], &[rows, i], dtype), &w).unwrap();
                let back = |rows| linear::backward_input(&matrix(&dy[..rows * o], &[rows, o], dtype), &w).unwrap();
                let (all, all_dx) = (bits(&product(ROWS)), bits(&back(ROWS)));
                for rows in [1, 2, 3, 4, 5, 8, 9, 16] {
                    let what = format!("{rows} rows, {o} from {i}, {dtype:?}");
                    assert_eq!(bits(&product(rows)), all[..rows * o], "forward, {what}");
                    assert_eq!(bits(&back(rows)), all_dx[..rows * i], "backward, {what}");
                }
            }
        }
    }
}

#[test]
fn threads_change_nothing() {
    let (n, o, i) = (333, 300, 700);
    let run = || {
        let x = matrix(&values(n * i, 1), &[n, i], DType::F32);
        let (w, dy) = (matrix(&values(o * i, 2), &[o, i], DType::F32), matrix(&values(n * o, 3), &[n, o], DType::F32));
        let dw = Tensor::zeros((o, i), DType::F32, &Device::Cpu).unwrap();
        linear::backward_weight(&dy, &x, &dw).unwrap();
        (bits(&linear::forward(&x, &w).unwrap()), bits(&linear::backward_input(&dy, &w).unwrap()), bits(&dw))
    };
    let one = in_pool(1, run);
    for threads in [1, 2, 4] {
        assert!(in_pool(threads, run) == one, "{threads} threads");
    }
}

/// What a model's bits rest on: onto a base is the product and then the sum, whatever the threads.
#[test]
fn onto_a_base_is_the_product_and_then_the_sum() {
    let [n, o, i] = [37, 530, 600];
    let of = |count, seed, shape: [usize; 2]| matrix(&values(count, seed), &shape, DType::F32);
    let (x, w, dy) = (of(n * i, 1, [n, i]), of(o * i, 2, [o, i]), of(n * o, 3, [n, o]));
    for threads in [1, 4] {
        in_pool(threads, || {
            let y = linear::forward_onto(&x, &w, &dy).unwrap();
            assert!(bits(&y) == bits(&(&dy + linear::forward(&x, &w).unwrap()).unwrap()));
            let dx = linear::backward_input_onto(&dy, &w, &x).unwrap();
            assert!(bits(&dx) == bits(&(&x + linear::backward_input(&dy, &w).unwrap()).unwrap()));
        });
    }
    let error = linear::forward_onto(&x, &w, &x).unwrap_err();
    assert!(matches!(error, Error::Shape { operand: "base", .. }), "{error}");
}

#[test]
fn refusals_name_the_operand() {
    let x = matrix(&values(6, 1), &[2, 3], DType::F32);
    let w = matrix(&values(8, 1), &[2, 4], DType::F32);
    assert!(matches!(linear::forward(&x, &w), Err(Error::Shape { operand: "w", .. })));
    let half = x.to_dtype(DType::F16).unwrap();
    let error = linear::forward(&half, &x).unwrap_err();
    assert_eq!(error.to_string(), "linear::forward: x has element type F16, expected F32 or F64");
    let double = x.to_dtype(DType::F64).unwrap();
    assert!(matches!(linear::forward(&x, &double), Err(Error::DType { operand: "w", .. })));
    assert!(matches!(linear::forward(&x.t().unwrap(), &x), Err(Error::Layout { operand: "x", .. })));
    let flat = matrix(&values(16, 1), &[16], DType::F32);
    let part = |at: usize| flat.narrow(0, at, 4).unwrap().reshape((2, 2)).unwrap();
    let aliased = linear::backward_weight(&part(0), &part(4), &part(8));
    assert!(matches!(aliased, Err(Error::Aliased { operand: "dw", other: "dy", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::check_untouched;
    use super::common::device::{DTYPES, on_device, rounded, tensor, view};
    use super::*;

    /// As `naive`, the way a matrix unit adds products of bf16 into f32: a few at a time (eight before Hopper, there
    /// sixteen), and what the sum has beyond 24 bits is cut off, not rounded.
    /// Source: Fasi, Higham, Mikaitis, Pranesh, Numerical behavior of NVIDIA tensor cores, 2021; Khattak, Mikaitis,
    /// Accurate Models of NVIDIA Tensor Cores, 2025.
    fn cut_off(a: &[f64], b: &[f64], n: usize, o: usize, i: usize) -> Vec<f64> {
        let toward_zero = |x: f64| {
            let nearest = x as f32;
            let beyond = f64::from(nearest).abs() > x.abs();
            f64::from(if beyond { f32::from_bits(nearest.to_bits() - 1) } else { nearest })
        };
        let (mut y, dot) = (Vec::new(), |a: &[f64], b: &[f64]| -> f64 { a.iter().zip(b).map(|(a, b)| a * b).sum() });
        for a in a.chunks_exact(i).take(n) {
            for b in b.chunks_exact(i).take(o) {
                let steps = a.chunks(8).zip(b.chunks(8));
                y.push(steps.fold(0.0, |sum, (a, b)| toward_zero(sum + dot(a, b))));
            }
        }
        y
    }

    #[test]
    fn products_are_as_good_as_naive_ones() {
        for dtype in DTYPES {
            for (seed, (n, o, i)) in SHAPES.into_iter().enumerate() {
                let round = |count, seed| rounded(&values(count, seed), dtype);
                let (x, w, dy) = (round(n * i, seed as u64), round(o * i, 100 + seed as u64), round(n * o, 300));
                let start = values(o * i, 200);
                let case = |a: &[f64], b: &[f64], rows, columns, depth, dtype| {
                    let (exact, rough) =
                        (naive::<f64>(a, b, rows, columns, depth), naive::<f32>(a, b, rows, columns, depth));
                    Case::typed(exact, rough, dtype)
                };
                let add = |v: Vec<f64>| v.iter().zip(&start).map(|(a, b)| a + b).collect::<Vec<_>>();
                let (dyt, xt, wt) = (transposed(&dy, n, o), transposed(&x, n, i), transposed(&w, o, i));
                // Wide results are not rounded to bf16, so how the sum itself is rounded shows.
                let wide_case = match dtype {
                    DType::BF16 => Case::new(naive::<f64>(&x, &w, n, o, i), cut_off(&x, &w, n, o, i)),
                    _ => case(&x, &w, n, o, i, DType::F32),
                };
                let dw_case = Case::typed(
                    add(naive::<f64>(&dyt, &xt, o, i, n)),
                    add(naive::<f32>(&dyt, &xt, o, i, n)),
                    DType::F32,
                );
                on_device(|device| {
                    let [xd, wd, dyd] =
                        [(&x, [n, i]), (&w, [o, i]), (&dy, [n, o])].map(|(v, shape)| tensor(v, &shape, dtype, device));
                    let what = |name: &str| format!("{name} {n} {o} {i} {dtype:?}");
                    let y = linear::forward(&xd, &wd).unwrap();
                    case(&x, &w, n, o, i, dtype).check(&y, &what("y"));
                    let wide = linear::forward_wide(&xd, &wd).unwrap();
                    assert_eq!(wide.dtype(), DType::F32);
                    wide_case.check(&wide, &what("wide y"));
                    let dx = linear::backward_input(&dyd, &wd).unwrap();
                    case(&dy, &wt, n, i, o, dtype).check(&dx, &what("dx"));
                    let (y_base, dx_base) = (round(n * o, 400), round(n * i, 500));
                    let onto = |a: &[f64], b: &[f64], rows, columns, depth, base: &[f64]| {
                        let on = |v: Vec<f64>| v.iter().zip(base).map(|(a, b)| a + b).collect::<Vec<_>>();
                        let (exact, rough) =
                            (naive::<f64>(a, b, rows, columns, depth), naive::<f32>(a, b, rows, columns, depth));
                        Case::typed(on(exact), on(rough), dtype)
                    };
                    let y_onto = linear::forward_onto(&xd, &wd, &tensor(&y_base, &[n, o], dtype, device)).unwrap();
                    onto(&x, &w, n, o, i, &y_base).check(&y_onto, &what("y onto a base"));
                    let base = tensor(&dx_base, &[n, i], dtype, device);
                    let dx_onto = linear::backward_input_onto(&dyd, &wd, &base).unwrap();
                    onto(&dy, &wt, n, i, o, &dx_base).check(&dx_onto, &what("dx onto a base"));
                    let (flat, dw) = view(&start, &[o, i], DType::F32, device);
                    linear::backward_weight(&dyd, &xd, &dw).unwrap();
                    dw_case.check(&dw, &what("dw"));
                    check_untouched(&flat, o * i);
                    [bits(&y), bits(&wide), bits(&dx), bits(&y_onto), bits(&dx_onto), bits(&dw)]
                });
            }
        }
    }

    #[test]
    fn weights_at_odd_places_and_no_rows() {
        for dtype in DTYPES {
            let (x, w) = (rounded(&values(3 * 16, 1), dtype), rounded(&values(5 * 16, 2), dtype));
            on_device(|device| {
                let (_, odd) = view(&w, &[5, 16], dtype, device);
                let y = linear::forward(&tensor(&x, &[3, 16], dtype, device), &odd).unwrap();
                let case = Case::typed(naive::<f64>(&x, &w, 3, 5, 16), naive::<f32>(&x, &w, 3, 5, 16), dtype);
                case.check(&y, "odd place");
                let none = tensor(&[], &[0, 16], dtype, device);
                assert_eq!(linear::forward(&none, &odd).unwrap().dims(), [0, 5]);
                let dw = tensor(&[1.0; 80], &[5, 16], DType::F32, device);
                linear::backward_weight(&tensor(&[], &[0, 5], dtype, device), &none, &dw).unwrap();
                assert!(super::common::f64s(&dw) == [1.0; 80]);
            });
        }
    }
}
