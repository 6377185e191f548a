//! Drawing tokens: the largest, the nucleus, proportions, ties, masks, refusals; on a device the same ids.

mod common;

use candle_core::{DType, Device, Tensor};
use common::matrix;
use recon_kernels::sampling::{Draw, Mask, Masks, draw};

fn at(temperature: f64, top_p: f64, uniform: f64) -> Draw {
    Draw { temperature, top_p, uniform, mask: None }
}

fn one(z: &[f64], draws: Draw) -> u32 {
    draw(&matrix(z, &[1, z.len()], DType::F32), None, &[draws]).unwrap()[0].expect("something is finite")
}

#[test]
fn at_temperature_0_the_largest_wins_and_of_equals_the_lowest_id() {
    assert_eq!(one(&[1.0, 3.0, 2.0], at(0.0, 1.0, 0.9)), 1);
    assert_eq!(one(&[1.0, 3.0, 3.0], at(0.0, 0.1, 0.9)), 1);
    assert_eq!(one(&[f64::NEG_INFINITY, -5.0], at(0.0, 1.0, 0.0)), 1);
    assert_eq!(one(&[-0.0, 0.0], at(0.0, 1.0, 0.0)), 1);
    // So cold that the inverse is infinite: only what equals the largest is left.
    assert_eq!([0.0, 0.9].map(|uniform| one(&[1.0, 3.0, 2.0, 3.0], at(1e-320, 1.0, uniform))), [1, 3]);
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
fn what_a_mask_leaves_out_is_never_drawn_and_what_is_left_keeps_its_shares() {
    let v = 70;
    let z: Vec<f64> = (0..v).map(|id| if id == 1 { 50.0 } else { f64::from(id % 7) / 3.0 }).collect();
    let masks = [Mask::new(v as usize, |id| id % 3 == 0), Mask::new(v as usize, |id| id == 1 || id > 66)];
    let masks = Masks::new(&masks, &Device::Cpu).unwrap();
    let logits = matrix(&z, &[1, v as usize], DType::F32);
    let drawn = |mask, top_p, uniform| {
        draw(&logits, Some(&masks), &[Draw { mask, ..at(1.5, top_p, uniform) }]).unwrap()[0].unwrap()
    };
    let (mut found, count) = (vec![0; v as usize], 3000);
    for i in 0..count {
        found[drawn(Some(0), 1.0, (f64::from(i) + 0.5) / f64::from(count)) as usize] += 1;
    }
    let weight = |id: usize| if id.is_multiple_of(3) { (z[id] / 1.5).exp() } else { 0.0 };
    let total: f64 = (0..v as usize).map(weight).sum();
    for (id, &found) in found.iter().enumerate() {
        assert!((f64::from(found) - weight(id) / total * f64::from(count)).abs() <= 1.01, "{id}: {found}");
    }
    assert_eq!(drawn(Some(1), 0.5, 0.9), 1);
    assert_eq!(drawn(None, 0.5, 0.9), 1);
    assert!(drawn(Some(0), 0.01, 0.0) % 3 == 0);
}

#[test]
fn what_names_no_distribution_is_refused() {
    let z = matrix(&[0.0, 1.0], &[1, 2], DType::F32);
    for bad in [at(-1.0, 1.0, 0.5), at(f64::NAN, 1.0, 0.5), at(1.0, 0.0, 0.5), at(1.0, 1.1, 0.5), at(1.0, 1.0, 1.0)] {
        assert!(draw(&z, None, &[bad]).is_err(), "{bad:?}");
    }
    assert!(draw(&z, None, &[at(1.0, 1.0, 0.0); 2]).is_err());
    let masks = |vocabulary| Masks::new(&[Mask::new(vocabulary, |_| true)], &Device::Cpu).unwrap();
    let masked = Draw { mask: Some(1), ..at(1.0, 1.0, 0.5) };
    assert!(draw(&z, None, &[masked]).is_err() && draw(&z, Some(&masks(2)), &[masked]).is_err());
    assert!(draw(&z, Some(&masks(3)), &[at(1.0, 1.0, 0.5)]).is_err(), "a mask of another vocabulary");
    assert!(Masks::new(&[], &Device::Cpu).is_err());
    let empty = Tensor::zeros((0, 4), DType::F32, &Device::Cpu).unwrap();
    assert!(draw(&empty, None, &[]).unwrap().is_empty());
}

/// Rows of which nothing can be drawn, and one in their middle that is sound; mask 0 allows id 0, mask 1 nothing.
fn unsound(device: &Device) -> Vec<Option<u32>> {
    let (nan, infinity) = (f64::NAN, f64::INFINITY);
    let z = [nan, 0.0, infinity, 0.0, -infinity, -infinity, 0.0, 1.0, 0.0, nan, 0.0, 1.0, -infinity, 1.0];
    let logits = matrix(&z, &[7, 2], DType::F32).to_device(device).unwrap();
    let masks = Masks::new(&[Mask::new(2, |id| id == 0), Mask::new(2, |_| false)], device).unwrap();
    let choice = |mask| Draw { mask, ..at(1.0, 0.9, 0.5) };
    let draws = [None, None, None, Some(0), Some(0), Some(1), Some(0)].map(choice);
    draw(&logits, Some(&masks), &draws).unwrap()
}

#[test]
fn a_row_of_which_nothing_can_be_drawn_leaves_the_others_alone() {
    assert_eq!(unsound(&Device::Cpu), [None, None, None, Some(0), None, None, None]);
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{on_device, tensor};
    use super::common::values;
    use super::*;

    #[test]
    fn the_device_draws_what_the_cpu_draws() {
        for (v, spread) in [(1, 1.0), (2, 1.0), (37, 3.0), (513, 8.0), (5000, 4.0)] {
            let rows = 24;
            // Rounded to steps, so that ties are common.
            let z: Vec<f64> = values(rows * v, v as u64).iter().map(|x| (x * spread * 8.0).round() / 8.0).collect();
            // Masks that leave out the most likely ids, most ids, and none.
            let masks = [0.5, 0.05, 1.0].map(|share| {
                let keep = values(v, 9 + v as u64);
                Mask::new(v, |id| (keep[id as usize] + 1.0) / 2.0 < share || id as usize + 1 == v)
            });
            let draws: Vec<Draw> = (0..rows)
                .map(|i| Draw {
                    mask: [None, Some(0), Some(1), Some(2)][i % 4],
                    ..at([0.0, 0.7, 1.0, 1.5, 30.0][i % 5], [1.0, 0.9, 0.3][i % 3], (i as f64 * 0.377) % 1.0)
                })
                .collect();
            let ids = |device: &Device| {
                let masks = Masks::new(&masks, device).unwrap();
                draw(&tensor(&z, &[rows, v], DType::F32, device), Some(&masks), &draws).unwrap()
            };
            let want = ids(&Device::Cpu);
            assert!(want.iter().all(Option::is_some));
            assert_eq!(on_device(ids), want, "{v}");
        }
    }

    #[test]
    fn rows_of_which_nothing_can_be_drawn_are_named() {
        assert_eq!(on_device(unsound), unsound(&Device::Cpu));
    }
}
