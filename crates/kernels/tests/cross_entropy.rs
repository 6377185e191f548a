//! The fused head: against float64, finite differences, masks, chunks, accumulation.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{
    Case, Real, all_f64, all_of, bits, check_gradient, check_untouched, f64s, in_pool, matrix, values, view_of,
};
use recon_kernels::{Error, cross_entropy};

struct Inputs {
    n: usize,
    v: usize,
    d: usize,
    h: Vec<f64>,
    w: Vec<f64>,
    targets: Vec<u32>,
    weights: Vec<f32>,
}

impl Inputs {
    /// About a third of the rows is masked; a masked row's target need not exist.
    fn new(n: usize, v: usize, d: usize) -> Self {
        let h = values(n * d, 1).into_iter().map(|x| x * 3.0).collect();
        let weights: Vec<f32> = (0..n).map(|i| if i % 3 == 1 { 0.0 } else { 0.25 + (i % 5) as f32 / 8.0 }).collect();
        let targets =
            weights.iter().enumerate().map(|(i, &w)| if w == 0.0 { u32::MAX } else { (i * 7 % v) as u32 }).collect();
        Self { n, v, d, h, w: values(v * d, 2), targets, weights }
    }

    fn tensors(&self, dtype: DType) -> [Tensor; 2] {
        [matrix(&self.h, &[self.n, self.d], dtype), matrix(&self.w, &[self.v, self.d], dtype)]
    }
}

struct Results {
    nats: Vec<f64>,
    dh: Vec<f64>,
    dw: Vec<f64>,
}

fn naive<T: Real>(inputs: &Inputs, start: &[f64]) -> Results {
    naive_storing::<T>(inputs, start, |x| x)
}

/// The gradient of the logits is stored through `store`, as a tensor of a narrower type would be.
fn naive_storing<T: Real>(inputs: &Inputs, start: &[f64], store: fn(f64) -> f64) -> Results {
    let &Inputs { n, v, d, .. } = inputs;
    let (h, w, mut dw) = (all_of::<T>(&inputs.h), all_of::<T>(&inputs.w), all_of::<T>(start));
    let (mut nats, mut dh) = (Vec::new(), vec![T::of(0.0); n * d]);
    for row in (0..n).filter(|&row| inputs.weights[row] != 0.0) {
        let (target, weight) = (inputs.targets[row] as usize, T::of(f64::from(inputs.weights[row])));
        let z: Vec<T> = (0..v).map(|j| (0..d).map(|i| h[row * d + i] * w[j * d + i]).sum()).collect();
        let max = z.iter().fold(z[0], |a, &b| if b > a { b } else { a });
        let sum: T = z.iter().map(|&z| (z - max).exp()).sum();
        nats.push(sum.ln() + (max - z[target]));
        for j in 0..v {
            let p = (z[j] - max).exp() / sum;
            let dz = (if j == target { p - T::of(1.0) } else { p }) * weight;
            let dz = T::of(store(dz.f64()));
            for i in 0..d {
                dh[row * d + i] = dh[row * d + i] + dz * w[j * d + i];
                dw[j * d + i] = dw[j * d + i] + dz * h[row * d + i];
            }
        }
    }
    let [nats, dh, dw] = [&nats, &dh, &dw].map(|x| all_f64(x));
    Results { nats, dh, dw }
}

#[test]
fn it_is_as_good_as_a_naive_head() {
    // The last case takes more than one chunk of rows.
    for (n, v, d) in [(1, 1, 1), (1, 2, 3), (5, 17, 8), (40, 300, 64), (1600, 33, 24)] {
        let inputs = Inputs::new(n, v, d);
        let start = values(v * d, 3);
        let (exact, rough) = (naive::<f64>(&inputs, &start), naive::<f32>(&inputs, &start));
        let [h, w] = inputs.tensors(DType::F32);
        let (flat, dw) = view_of(&start, &[v, d], DType::F32);
        let (sum, dh) = cross_entropy::forward_backward(&h, &w, &inputs.targets, &inputs.weights, &dw).unwrap();
        let sum = sum.read().unwrap();
        let what = |name: &str| format!("{name} {n} {v} {d}");
        Case::new(exact.dh, rough.dh).check(&dh, &what("dh"));
        Case::new(exact.dw, rough.dw).check(&dw, &what("dw"));
        check_untouched(&flat, v * d);

        let loss = cross_entropy::forward(&h, &w, &inputs.targets, &inputs.weights).unwrap();
        assert_eq!((loss.sum.to_bits(), loss.tokens), (sum.to_bits(), exact.nats.len() as u64), "{}", what("loss"));
        let active: Vec<u32> = (0..n as u32).filter(|&i| inputs.weights[i as usize] != 0.0).collect();
        let targets: Vec<u32> = active.iter().map(|&i| inputs.targets[i as usize]).collect();
        let rows = h.index_select(&Tensor::new(active, &Device::Cpu).unwrap(), 0).unwrap();
        let log_probs = cross_entropy::log_probs(&rows, &w, &targets).unwrap();
        let (each, _) = cross_entropy::forward_backward(&h, &w, &inputs.targets, &inputs.weights, &dw).unwrap();
        let each: Vec<f32> = each.read_each().unwrap().iter().map(|&nats| -(nats as f32)).collect();
        assert_eq!(each, log_probs, "{}", what("each"));
        let nats: Vec<f64> = log_probs.iter().map(|&x| -f64::from(x)).collect();
        let total: f64 = nats.iter().sum();
        assert!((total - sum).abs() <= 1e-6 * (1.0 + total), "{}: {total} {sum}", what("log_probs"));
        Case::new(exact.nats, rough.nats).check(&matrix(&nats, &[nats.len()], DType::F32), &what("nats"));
    }
}

#[test]
fn the_derivatives_are_those_of_the_weighted_loss() {
    let inputs = Inputs::new(4, 6, 3);
    let [h, w] = inputs.tensors(DType::F64);
    let dw = Tensor::zeros((6, 3), DType::F64, &Device::Cpu).unwrap();
    let (_, dh) = cross_entropy::forward_backward(&h, &w, &inputs.targets, &inputs.weights, &dw).unwrap();
    let loss = |h: &[f64], w: &[f64]| -> f64 {
        let (h, w) = (matrix(h, &[4, 3], DType::F64), matrix(w, &[6, 3], DType::F64));
        let row = |row: usize| {
            let mut only = vec![0.0; 4];
            only[row] = 1.0;
            cross_entropy::forward(&h, &w, &inputs.targets, &only).unwrap().sum
        };
        (0..4).filter(|&i| inputs.weights[i] != 0.0).map(|i| f64::from(inputs.weights[i]) * row(i)).sum()
    };
    check_gradient("dh", &inputs.h, &f64s(&dh), |h| loss(h, &inputs.w));
    check_gradient("dw", &inputs.w, &f64s(&dw), |w| loss(&inputs.h, w));
}

#[test]
fn masked_rows_change_nothing_and_get_nothing() {
    let inputs = Inputs::new(7, 50, 16);
    let [h, w] = inputs.tensors(DType::F32);
    let before = values(50 * 16, 9);
    let dw = matrix(&before, &[50, 16], DType::F32);
    let (sum, dh) = cross_entropy::forward_backward(&h, &w, &[u32::MAX; 7], &[0.0; 7], &dw).unwrap();
    assert_eq!((sum.read().unwrap(), f64s(&dw)), (0.0, before));
    assert!(f64s(&dh).iter().all(|&x| x == 0.0));
    let none = cross_entropy::forward(&h.narrow(0, 0, 0).unwrap(), &w, &[], &[]).unwrap();
    assert_eq!(none, cross_entropy::Loss { sum: 0.0, tokens: 0 });
}

#[test]
fn neither_rows_nor_threads_change_a_number() {
    let (n, v, d) = (1300, 200, 64);
    let (h, w) = (matrix(&values(n * d, 1), &[n, d], DType::F32), matrix(&values(v * d, 2), &[v, d], DType::F32));
    let targets: Vec<u32> = (0..n).map(|i| (i % v) as u32).collect();
    let run = |rows: usize| {
        let h = h.narrow(0, 0, rows).unwrap();
        let dw = Tensor::zeros((v, d), DType::F32, &Device::Cpu).unwrap();
        let weights = vec![0.01; rows];
        let (sum, dh) = cross_entropy::forward_backward(&h, &w, &targets[..rows], &weights, &dw).unwrap();
        (
            cross_entropy::log_probs(&h, &w, &targets[..rows]).unwrap(),
            bits(&dh),
            bits(&dw),
            sum.read().unwrap().to_bits(),
        )
    };
    let all = in_pool(1, || run(n));
    for threads in [2, 4] {
        assert!(in_pool(threads, || run(n)) == all, "{threads} threads");
    }
    for rows in [1, 2, 3, 130] {
        let (log_probs, dh, ..) = run(rows);
        assert!(log_probs == all.0[..rows] && dh == all.1[..rows * d], "{rows} rows");
    }
}

#[test]
fn large_logits_do_not_overflow() {
    let h = matrix(&[1.0, -1.0], &[2, 1], DType::F32);
    let w = matrix(&[2e4, -2e4, 0.0], &[3, 1], DType::F32);
    let log_probs = cross_entropy::log_probs(&h, &w, &[0, 0]).unwrap();
    assert_eq!(log_probs, [0.0, -4e4]);
}

#[test]
fn a_target_outside_the_vocabulary_is_refused() {
    let inputs = Inputs::new(2, 5, 3);
    let [h, w] = inputs.tensors(DType::F32);
    let refused = cross_entropy::forward(&h, &w, &[4, 5], &[1.0, 1.0]);
    assert!(matches!(refused, Err(Error::Index { operand: "targets", index: 5, limit: 5, .. })));
    assert!(matches!(cross_entropy::log_probs(&h, &w, &[0]), Err(Error::Argument { .. })));
    let aliased = cross_entropy::forward_backward(&h, &w, &[0, 1], &[1.0, 1.0], &w);
    assert!(matches!(aliased, Err(Error::Aliased { operand: "dw", .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use super::common::device::{DTYPES, narrow, on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn it_is_as_good_as_a_naive_head() {
        for dtype in DTYPES {
            for (n, v, d) in [(1, 1, 1), (1, 2, 3), (5, 17, 8), (40, 1300, 16), (9, 511, 24), (260, 33, 8)] {
                let mut inputs = Inputs::new(n, v, d);
                (inputs.h, inputs.w) = (rounded(&inputs.h, dtype), rounded(&inputs.w, dtype));
                let start = values(v * d, 3);
                let (exact, rough) =
                    (naive::<f64>(&inputs, &start), naive_storing::<f32>(&inputs, &start, narrow(dtype)));
                let total: f64 = exact.nats.iter().sum();
                let tokens = exact.nats.len();
                let dh_case = Case::typed(exact.dh, rough.dh, dtype);
                let dw_case = Case::typed(exact.dw, rough.dw, DType::F32);
                let nats_case = Case::typed(exact.nats, rough.nats, DType::F32);
                on_device(|device| {
                    let (h, w) = (tensor(&inputs.h, &[n, d], dtype, device), tensor(&inputs.w, &[v, d], dtype, device));
                    let (flat, dw) = view(&start, &[v, d], DType::F32, device);
                    let (nats, dh) =
                        cross_entropy::forward_backward(&h, &w, &inputs.targets, &inputs.weights, &dw).unwrap();
                    let what = |name: &str| format!("{name} {n} {v} {d} {dtype:?}");
                    dh_case.check(&dh, &what("dh"));
                    dw_case.check(&dw, &what("dw"));
                    check_untouched(&flat, v * d);
                    let sum = nats.read().unwrap();
                    assert!((sum - total).abs() <= 1e-6 * (1.0 + total), "{}: {sum} {total}", what("sum"));
                    let loss = cross_entropy::forward(&h, &w, &inputs.targets, &inputs.weights).unwrap();
                    assert_eq!((loss.sum.to_bits(), loss.tokens), (sum.to_bits(), tokens as u64), "{}", what("loss"));
                    let active: Vec<usize> = (0..n).filter(|&i| inputs.weights[i] != 0.0).collect();
                    let targets: Vec<u32> = active.iter().map(|&i| inputs.targets[i]).collect();
                    let rows: Vec<f64> = active.iter().flat_map(|&i| inputs.h[i * d..(i + 1) * d].to_vec()).collect();
                    let rows = tensor(&rows, &[active.len(), d], dtype, device);
                    let log_probs = cross_entropy::log_probs(&rows, &w, &targets).unwrap();
                    let again = tensor(&start, &[v, d], DType::F32, device);
                    let (each, _) =
                        cross_entropy::forward_backward(&h, &w, &inputs.targets, &inputs.weights, &again).unwrap();
                    let each: Vec<f32> = each.read_each().unwrap().iter().map(|&nats| -(nats as f32)).collect();
                    assert_eq!(each, log_probs, "{}", what("each"));
                    let nats: Vec<f64> = log_probs.iter().map(|&x| -f64::from(x)).collect();
                    nats_case.check(&matrix(&nats, &[nats.len()], DType::F32), &what("nats"));
                    (bits(&dh), bits(&dw), sum.to_bits())
                });
            }
        }
    }

    #[test]
    fn masks_infinities_and_nan() {
        for dtype in DTYPES {
            on_device(|device| {
                let before = rounded(&values(50 * 16, 9), DType::F32);
                let (h, w) = (values(7 * 16, 1), values(50 * 16, 2));
                let (h, w) = (tensor(&h, &[7, 16], dtype, device), tensor(&w, &[50, 16], dtype, device));
                let dw = tensor(&before, &[50, 16], DType::F32, device);
                let (nats, dh) = cross_entropy::forward_backward(&h, &w, &[u32::MAX; 7], &[0.0; 7], &dw).unwrap();
                assert_eq!((nats.read().unwrap(), f64s(&dw)), (0.0, before));
                assert!(f64s(&dh).iter().all(|&x| x == 0.0));
                // Logits of ±3e4: the likely target costs nothing, an unlikely one 6e4, neither overflows.
                let h = tensor(&[1.0], &[1, 1], dtype, device);
                let w = tensor(&[30_000.0, -30_000.0], &[2, 1], dtype, device);
                let log_probs = [0, 1].map(|t| cross_entropy::log_probs(&h, &w, &[t]).unwrap()[0]);
                assert!(log_probs[0] == 0.0 && (log_probs[1] + 60_000.0).abs() < 600.0, "{log_probs:?}");
                let poisoned = tensor(&[f64::NAN], &[1, 1], dtype, device);
                assert!(cross_entropy::log_probs(&poisoned, &w, &[0]).unwrap()[0].is_nan());
                let refused = cross_entropy::log_probs(&h, &w, &[2]);
                assert!(matches!(refused, Err(Error::Index { operand: "targets", index: 2, limit: 2, .. })));
            });
        }
    }
}
