//! Drawing tokens: the largest, the nucleus, proportions, ties, refusals; on a device the same ids.

mod common;

use candle_core::{DType, Device, Tensor};
use common::matrix;
use recon_kernels::sampling::{Draw, draw};

fn at(temperature: f64, top_p: f64, uniform: f64) -> Draw {
    Draw { temperature, top_p, uniform }
}

fn one(z: &[f64], draws: Draw) -> u32 {
    draw(&matrix(z, &[1, z.len()], DType::F32), &[draws]).unwrap()[0]
}

#[test]
fn at_temperature_0_the_largest_wins_and_of_equals_the_lowest_id() {
    assert_eq!(one(&[1.0, 3.0, 2.0], at(0.0, 1.0, 0.9)), 1);
    assert_eq!(one(&[1.0, 3.0, 3.0], at(0.0, 0.1, 0.9)), 1);
    assert_eq!(one(&[f64::NEG_INFINITY, -5.0], at(0.0, 1.0, 0.0)), 1);
}

#[test]
fn draws_have_the_shares_of_the_softmax() {
    let z = [0.0_f64, 1.0, -2.0, 0.5];
    for temperature in [0.5, 1.0, 2.0] {
        let weights: Vec<f64> = z.iter().map(|z| (z / temperature).exp()).collect();
        let total: f64 = weights.iter().sum();
        let count = 20_000;
        let mut found = [0; 4];
        for i in 0..count {
            found[one(&z, at(temperature, 1.0, (f64::from(i) + 0.5) / f64::from(count))) as usize] += 1;
        }
        for (found, weight) in found.iter().zip(&weights) {
            // Evenly spread numbers hit each share to within one.
            assert!((f64::from(*found) - weight / total * f64::from(count)).abs() <= 1.01, "{found} {weight}");
        }
    }
}

#[test]
fn the_nucleus_is_the_smallest_set_that_reaches_its_mass() {
    // Shares 0.5, 0.3, 0.2 in an order that is not theirs.
    let z = [0.3_f64, 0.5, 0.2].map(f64::ln);
    let drawn = |top_p| -> Vec<u32> {
        let mut ids: Vec<u32> = (0..100).map(|i| one(&z, at(1.0, top_p, f64::from(i) / 100.0))).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    };
    assert_eq!(drawn(0.4), [1]);
    assert_eq!(drawn(0.6), [0, 1]);
    assert_eq!(drawn(0.79), [0, 1]);
    assert_eq!(drawn(0.81), [0, 1, 2]);
    // Of equals the lowest ids are kept, as many as are needed.
    let mut ids: Vec<u32> = (0..100).map(|i| one(&[1.0; 8], at(1.0, 0.3, f64::from(i) / 100.0))).collect();
    ids.dedup();
    assert_eq!(ids, [0, 1, 2]);
}

#[test]
fn what_names_no_distribution_is_refused() {
    let z = matrix(&[0.0, 1.0], &[1, 2], DType::F32);
    for bad in [at(-1.0, 1.0, 0.5), at(f64::NAN, 1.0, 0.5), at(1.0, 0.0, 0.5), at(1.0, 1.1, 0.5), at(1.0, 1.0, 1.0)] {
        assert!(draw(&z, &[bad]).is_err(), "{bad:?}");
    }
    assert!(draw(&z, &[at(1.0, 1.0, 0.0); 2]).is_err());
    for bad in [[f64::NAN, 0.0], [f64::INFINITY, 0.0], [f64::NEG_INFINITY; 2]] {
        let error = draw(&matrix(&bad, &[1, 2], DType::F32), &[at(1.0, 1.0, 0.5)]).unwrap_err();
        assert!(error.to_string().contains("not finite"), "{error}");
    }
    let empty = Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(draw(&empty, &[]).unwrap().is_empty());
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{on_device, tensor};
    use super::common::values;
    use super::*;

    #[test]
    fn the_device_draws_what_the_cpu_draws() {
        for (v, spread) in [(1, 1.0), (2, 1.0), (37, 3.0), (513, 8.0), (5000, 4.0)] {
            let rows = 12;
            // Rounded to steps, so that ties are common.
            let z: Vec<f64> = values(rows * v, v as u64).iter().map(|x| (x * spread * 8.0).round() / 8.0).collect();
            let draws: Vec<Draw> = (0..rows)
                .map(|i| at([0.0, 0.7, 1.0, 1.5][i % 4], [1.0, 0.9, 0.3][i % 3], (i as f64 * 0.377) % 1.0))
                .collect();
            let want = draw(&matrix(&z, &[rows, v], DType::F32), &draws).unwrap();
            let got = on_device(|device| draw(&tensor(&z, &[rows, v], DType::F32, device), &draws).unwrap());
            assert_eq!(got, want, "{v}");
        }
    }

    #[test]
    fn rows_that_are_not_finite_are_refused() {
        on_device(|device| {
            for bad in [[f64::NAN, 0.0], [f64::INFINITY, 0.0], [f64::NEG_INFINITY; 2]] {
                let error = draw(&tensor(&bad, &[1, 2], DType::F32, device), &[at(1.0, 1.0, 0.5)]).unwrap_err();
                assert!(error.to_string().contains("not finite"), "{error}");
            }
        });
    }
}
