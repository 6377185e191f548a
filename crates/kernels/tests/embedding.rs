//! Table look-up and its scattered gradient.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Case, bits, check_gradient, check_untouched, dot, f64s, in_pool, matrix, values, view_of};
use recon_kernels::{Error, embedding};

fn ids(ids: &[u32]) -> Tensor {
    Tensor::from_slice(ids, ids.len(), &Device::Cpu).unwrap()
}

/// Ids that repeat often, from both ends of several bands of the table.
fn skewed(n: usize, v: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * i * 31 + i / 3) % v.min(i + 1)) as u32).chain([v as u32 - 1]).collect()
}

#[test]
fn rows_are_copied_exactly() {
    let table = values(300 * 7, 1);
    let rows = skewed(50, 300);
    let x = f64s(&embedding::forward(&ids(&rows), &matrix(&table, &[300, 7], DType::F32)).unwrap());
    for (x, &id) in x.chunks(7).zip(&rows) {
        assert_eq!(x, &table[id as usize * 7..][..7]);
    }
    let none = embedding::forward(&ids(&[]), &matrix(&table, &[300, 7], DType::F32)).unwrap();
    assert_eq!(none.dims(), [0, 7]);
}

#[test]
fn gradients_accumulate_into_a_view() {
    for (n, v, d) in [(0, 1, 1), (1, 1, 3), (40, 129, 5), (700, 1000, 64)] {
        let rows = skewed(n, v);
        let (dx, start) = (values(rows.len() * d, 1), values(v * d, 2));
        let (flat, dtable) = view_of(&start, &[v, d], DType::F32);
        embedding::backward(&matrix(&dx, &[rows.len(), d], DType::F32), &ids(&rows), &dtable).unwrap();
        let (mut exact, mut rough) = (start.clone(), start.iter().map(|&x| x as f32).collect::<Vec<_>>());
        for (dx, &id) in dx.chunks(d).zip(&rows) {
            for (i, &dx) in dx.iter().enumerate() {
                exact[id as usize * d + i] += dx;
                rough[id as usize * d + i] += dx as f32;
            }
        }
        Case::new(exact, rough.into_iter().map(f64::from).collect()).check(&dtable, &format!("{n} {v} {d}"));
        check_untouched(&flat, v * d);
    }
}

#[test]
fn the_derivative_is_that_of_the_forward_pass() {
    let (rows, table, dx) = (ids(&[2, 0, 2, 4]), values(5 * 3, 1), values(4 * 3, 2));
    let dtable = Tensor::zeros((5, 3), DType::F64, &Device::Cpu).unwrap();
    embedding::backward(&matrix(&dx, &[4, 3], DType::F64), &rows, &dtable).unwrap();
    check_gradient("dtable", &table, &f64s(&dtable), |table| {
        dot(&f64s(&embedding::forward(&rows, &matrix(table, &[5, 3], DType::F64)).unwrap()), &dx)
    });
}

#[test]
fn threads_change_nothing() {
    let rows = skewed(5000, 400);
    let dx = matrix(&values(rows.len() * 33, 1), &[rows.len(), 33], DType::F32);
    let run = || {
        let dtable = Tensor::zeros((400, 33), DType::F32, &Device::Cpu).unwrap();
        embedding::backward(&dx, &ids(&rows), &dtable).unwrap();
        bits(&dtable)
    };
    let one = in_pool(1, run);
    assert!(in_pool(2, run) == one && in_pool(4, run) == one);
}

#[test]
fn an_id_outside_the_table_is_refused() {
    let table = matrix(&values(6, 1), &[2, 3], DType::F32);
    assert!(matches!(embedding::forward(&ids(&[0, 2]), &table), Err(Error::Index { index: 2, limit: 2, .. })));
    let dx = matrix(&values(6, 1), &[2, 3], DType::F32);
    assert!(matches!(embedding::backward(&dx, &ids(&[0, 2]), &table), Err(Error::Index { .. })));
    assert!(matches!(embedding::backward(&dx, &ids(&[0, 1]), &dx), Err(Error::Aliased { operand: "dtable", .. })));
    let signed = ids(&[0]).to_dtype(DType::I64).unwrap();
    assert!(matches!(embedding::forward(&signed, &table), Err(Error::DType { operand: "ids", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, indices, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn rows_are_copied_exactly_and_unknown_ids_are_nan() {
        for dtype in DTYPES {
            for d in [1, 7, 64] {
                let table = rounded(&values(300 * d, 1), dtype);
                let rows = skewed(50, 300);
                on_device(|device| {
                    let t = tensor(&table, &[300, d], dtype, device);
                    let x = f64s(&embedding::forward(&indices(&rows, device), &t).unwrap());
                    for (x, &id) in x.chunks(d).zip(&rows) {
                        assert_eq!(x, &table[id as usize * d..][..d]);
                    }
                    let x = f64s(&embedding::forward(&indices(&[299, 300, u32::MAX], device), &t).unwrap());
                    assert!(x[..d] == table[299 * d..] && x[d..].iter().all(|x| x.is_nan()));
                });
            }
        }
    }

    #[test]
    fn gradients_accumulate_into_a_view() {
        for dtype in DTYPES {
            for (n, v, d) in [(0, 1, 1), (1, 1, 3), (40, 129, 5), (600, 40, 16), (20, 9, 2100)] {
                let rows = skewed(n, v);
                let (dx, start) = (rounded(&values(rows.len() * d, 1), dtype), values(v * d, 2));
                let (mut exact, mut rough) = (start.clone(), start.iter().map(|&x| x as f32).collect::<Vec<_>>());
                for (dx, &id) in dx.chunks(d).zip(&rows) {
                    for (i, &dx) in dx.iter().enumerate() {
                        exact[id as usize * d + i] += dx;
                        rough[id as usize * d + i] += dx as f32;
                    }
                }
                let rough = rough.into_iter().map(f64::from).collect();
                let case = Case::new(exact, rough);
                on_device(|device| {
                    let (flat, dtable) = view(&start, &[v, d], DType::F32, device);
                    let dx = tensor(&dx, &[rows.len(), d], dtype, device);
                    embedding::backward(&dx, &indices(&rows, device), &dtable).unwrap();
                    case.check(&dtable, &format!("{n} {v} {d} {dtype:?}"));
                    check_untouched(&flat, v * d);
                    // An id outside the table changes nothing.
                    let before = bits(&dtable);
                    let unknown = vec![v as u32; rows.len()];
                    embedding::backward(&dx, &indices(&unknown, device), &dtable).unwrap();
                    assert!(bits(&dtable) == before);
                    check_untouched(&flat, v * d);
                    before
                });
            }
        }
    }
}
