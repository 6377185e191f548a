//! Rotary embedding: against float64, its inverse, finite differences, long positions.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Case, Real, all_f64, all_of, bits, check_gradient, dot, f64s, in_pool, matrix, values};
use recon_kernels::{Error, rope};

fn frequencies(dim: usize) -> Vec<f64> {
    (0..dim / 2).map(|i| 500_000_f64.powf(-2.0 * i as f64 / dim as f64)).collect()
}

fn table(dim: usize, positions: usize, dtype: DType) -> rope::Table {
    rope::Table::new(&frequencies(dim), positions, dtype, &Device::Cpu).unwrap()
}

fn at(positions: &[u32]) -> Tensor {
    Tensor::from_slice(positions, positions.len(), &Device::Cpu).unwrap()
}

/// The rotation with sines and cosines rounded to T; `sign` −1 rotates back.
fn naive<T: Real>(x: &[f64], positions: &[u32], dim: usize, sign: f64) -> Vec<f64> {
    let x = all_of::<T>(x);
    let (row, half) = (x.len() / positions.len().max(1), dim / 2);
    let mut y = x.clone();
    for (n, &position) in positions.iter().enumerate() {
        for head in (n * row..(n + 1) * row).step_by(dim) {
            for (i, f) in frequencies(dim).into_iter().enumerate() {
                let (sin, cos) = (f64::from(position) * f).sin_cos();
                let (sin, cos) = (T::of(sign * sin), T::of(cos));
                let (a, b) = (x[head + i], x[head + half + i]);
                y[head + i] = a * cos - b * sin;
                y[head + half + i] = b * cos + a * sin;
            }
        }
    }
    all_f64(&y)
}

const SHAPES: [(usize, usize, usize); 5] = [(1, 1, 2), (3, 2, 24), (65, 4, 64), (7, 3, 128), (130, 1, 6)];

#[test]
fn it_is_as_good_as_a_naive_rotation_both_ways() {
    for (n, h, dim) in SHAPES {
        let x = values(n * h * dim, 1);
        let positions: Vec<u32> = (0..n as u32).map(|i| (i * 7919 + 65_535) % 65_536).collect();
        let (xt, table) = (matrix(&x, &[n, h, dim], DType::F32), table(dim, 65_536, DType::F32));
        let y = rope::forward(&xt, &table, &at(&positions)).unwrap();
        assert_eq!(y.dims(), [n, h, dim]);
        let case = Case::new(naive::<f64>(&x, &positions, dim, 1.0), naive::<f32>(&x, &positions, dim, 1.0));
        case.check(&y, &format!("forward {n} {h} {dim}"));
        let dx = rope::backward(&xt, &table, &at(&positions)).unwrap();
        let case = Case::new(naive::<f64>(&x, &positions, dim, -1.0), naive::<f32>(&x, &positions, dim, -1.0));
        case.check(&dx, &format!("backward {n} {h} {dim}"));
    }
}

#[test]
fn the_derivative_is_that_of_the_forward_pass() {
    let (x, dy, positions) = (values(3 * 2 * 6, 1), values(3 * 2 * 6, 2), at(&[0, 5, 99]));
    let table = table(6, 100, DType::F64);
    let dx = rope::backward(&matrix(&dy, &[3, 2, 6], DType::F64), &table, &positions).unwrap();
    check_gradient("dx", &x, &f64s(&dx), |x| {
        dot(&f64s(&rope::forward(&matrix(x, &[3, 2, 6], DType::F64), &table, &positions).unwrap()), &dy)
    });
}

#[test]
fn position_zero_is_the_identity_and_threads_change_nothing() {
    let x = matrix(&values(200 * 2 * 16, 1), &[200, 2, 16], DType::F32);
    let table = table(16, 200, DType::F32);
    assert_eq!(table.max_positions(), 200);
    assert!(bits(&rope::forward(&x, &table, &at(&[0; 200])).unwrap()) == bits(&x));
    let positions: Vec<u32> = (0..200).collect();
    let run = || bits(&rope::forward(&x, &table, &at(&positions)).unwrap());
    assert!(in_pool(1, run) == in_pool(4, run));
    let none = rope::forward(&x.narrow(0, 0, 0).unwrap(), &table, &at(&[])).unwrap();
    assert_eq!(none.dims(), [0, 2, 16]);
}

#[test]
fn a_position_outside_the_table_is_refused() {
    let x = matrix(&values(8, 1), &[2, 1, 4], DType::F32);
    let table = table(4, 10, DType::F32);
    let refused = rope::forward(&x, &table, &at(&[9, 10]));
    assert!(matches!(refused, Err(Error::Index { operand: "positions", index: 10, limit: 10, .. })));
    assert!(matches!(rope::forward(&x, &table, &at(&[1])), Err(Error::Shape { operand: "positions", .. })));
    let double = x.to_dtype(DType::F64).unwrap();
    assert!(matches!(rope::forward(&double, &table, &at(&[1, 2])), Err(Error::DType { operand: "table", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, indices, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn it_is_as_good_as_a_naive_rotation_both_ways() {
        for dtype in DTYPES {
            for (n, h, dim) in SHAPES {
                let x = rounded(&values(n * h * dim, 1), dtype);
                let positions: Vec<u32> = (0..n as u32).map(|i| (i * 7919 + 65_535) % 65_536).collect();
                let case = |sign| {
                    let (exact, rough) =
                        (naive::<f64>(&x, &positions, dim, sign), naive::<f32>(&x, &positions, dim, sign));
                    Case::typed(exact, rough, dtype)
                };
                on_device(|device| {
                    let table = rope::Table::new(&frequencies(dim), 65_536, dtype, device).unwrap();
                    let at = indices(&positions, device);
                    // Once where 16 bytes may be read at a time, once where not.
                    let (_, odd) = view(&x, &[n, h, dim], dtype, device);
                    let all = [tensor(&x, &[n, h, dim], dtype, device), odd].map(|xt| {
                        let y = rope::forward(&xt, &table, &at).unwrap();
                        case(1.0).check(&y, &format!("forward {n} {h} {dim} {dtype:?}"));
                        let dx = rope::backward(&xt, &table, &at).unwrap();
                        case(-1.0).check(&dx, &format!("backward {n} {h} {dim} {dtype:?}"));
                        (bits(&y), bits(&dx))
                    });
                    assert!(all[0] == all[1], "alignment changes bits");
                    all
                });
            }
        }
    }

    #[test]
    fn a_position_outside_the_table_is_nan() {
        on_device(|device| {
            let table = rope::Table::new(&frequencies(4), 10, DType::F32, device).unwrap();
            let x = tensor(&values(3 * 4, 1), &[3, 1, 4], DType::F32, device);
            let y = f64s(&rope::forward(&x, &table, &indices(&[9, 10, u32::MAX], device)).unwrap());
            assert!(y[..4].iter().all(|y| y.is_finite()) && y[4..].iter().all(|y| y.is_nan()));
        });
    }
}
