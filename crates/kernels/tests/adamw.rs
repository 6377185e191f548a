//! AdamW: against float64 over many steps, views, the first step's closed form, refusals.

mod common;

use candle_core::{DType, Device, Tensor};
use common::{Case, Real, all_f64, all_of, bits, check_untouched, f64s, in_pool, matrix, values, view_of};
use recon_kernels::Error;
use recon_kernels::adamw::{AdamW, step};

fn options(step: u64) -> AdamW {
    AdamW { lr: 3e-3, beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, step }
}

/// `steps` steps as PyTorch's documentation writes them.
fn naive<T: Real>(param: &[f64], gradients: &[Vec<f64>]) -> [Vec<f64>; 3] {
    let mut p = all_of::<T>(param);
    let (mut m, mut v) = (vec![T::of(0.0); p.len()], vec![T::of(0.0); p.len()]);
    for (t, gradient) in (1_u64..).zip(gradients) {
        let o = options(t);
        let [lr, b1, b2, eps] = [o.lr, o.beta1, o.beta2, o.eps].map(T::of);
        let correct = |beta: f64| T::of(1.0 - beta.powf(t as f64));
        for (i, g) in all_of::<T>(gradient).into_iter().enumerate() {
            p[i] = p[i] - lr * T::of(o.weight_decay) * p[i];
            m[i] = b1 * m[i] + (T::of(1.0) - b1) * g;
            v[i] = b2 * v[i] + (T::of(1.0) - b2) * g * g;
            let (m_hat, v_hat) = (m[i] / correct(o.beta1), v[i] / correct(o.beta2));
            p[i] = p[i] - lr * m_hat / (v_hat.sqrt() + eps);
        }
    }
    [&p, &m, &v].map(|x| all_f64(x))
}

fn gradients(n: usize, steps: u64) -> Vec<Vec<f64>> {
    (0..steps).map(|t| values(n, 100 + t)).collect()
}

#[test]
fn ten_steps_are_as_good_as_naive_ones_inside_views() {
    for n in [1, 17, 1000, 40_001] {
        let (start, gradients) = (values(n, 1), gradients(n, 10));
        let (flat, param) = view_of(&start, &[n], DType::F32);
        let (flat_m, m) = view_of(&vec![0.0; n], &[n], DType::F32);
        let (flat_v, v) = view_of(&vec![0.0; n], &[n], DType::F32);
        for (t, gradient) in (1..).zip(&gradients) {
            step(&param, &matrix(gradient, &[n], DType::F32), &m, &v, &options(t)).unwrap();
        }
        let (exact, rough) = (naive::<f64>(&start, &gradients), naive::<f32>(&start, &gradients));
        for (((exact, rough), got), name) in exact.into_iter().zip(rough).zip([&param, &m, &v]).zip(["param", "m", "v"])
        {
            Case::new(exact, rough).check(got, &format!("{name} of {n}"));
        }
        for flat in [flat, flat_m, flat_v] {
            check_untouched(&flat, n);
        }
    }
}

#[test]
fn the_first_step_has_the_size_of_the_learning_rate() {
    let zeros = || Tensor::zeros(3, DType::F64, &Device::Cpu).unwrap();
    let (param, m, v) = (zeros(), zeros(), zeros());
    step(&param, &matrix(&[5.0, -0.01, 0.0], &[3], DType::F64), &m, &v, &options(1)).unwrap();
    for (got, want) in f64s(&param).into_iter().zip([-3e-3, 3e-3, 0.0]) {
        assert!((got - want).abs() < 1e-8, "{got} for {want}");
    }
}

#[test]
fn threads_change_nothing() {
    let n = 100_003;
    let run = || {
        let (param, zeros) = (matrix(&values(n, 1), &[n], DType::F32), vec![0.0; n]);
        let (m, v) = (matrix(&zeros, &[n], DType::F32), matrix(&zeros, &[n], DType::F32));
        step(&param, &matrix(&values(n, 2), &[n], DType::F32), &m, &v, &options(1)).unwrap();
        [bits(&param), bits(&m), bits(&v)]
    };
    assert!(in_pool(1, run) == in_pool(4, run));
}

#[test]
fn shared_storages_and_step_zero_are_refused() {
    let t = || matrix(&values(4, 1), &[4], DType::F32);
    let (param, grad, m) = (t(), t(), t());
    assert!(matches!(step(&param, &grad, &m, &m, &options(1)), Err(Error::Aliased { operand: "m", other: "v", .. })));
    assert!(matches!(step(&param, &param, &m, &t(), &options(1)), Err(Error::Aliased { operand: "param", .. })));
    assert!(matches!(step(&param, &grad, &grad, &m, &options(1)), Err(Error::Aliased { operand: "m", .. })));
    assert!(matches!(step(&param, &grad, &m, &t(), &options(0)), Err(Error::Argument { .. })));
    assert!(matches!(step(&param, &grad.narrow(0, 0, 3).unwrap(), &m, &t(), &options(1)), Err(Error::Shape { .. })));
}

#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device {
    use recon_kernels::adamw::{Weights, step_narrow};

    use super::common::device::{on_device, rounded, tensor, view};
    use super::*;

    #[test]
    fn ten_steps_are_as_good_as_naive_ones_with_and_without_masters() {
        for n in [1, 17, 1000, 20_001] {
            let (start, gradients) = (values(n, 1), gradients(n, 10));
            let (exact, rough) = (naive::<f64>(&start, &gradients), naive::<f32>(&start, &gradients));
            let cases: Vec<Case> = exact.into_iter().zip(rough).map(|(e, r)| Case::new(e, r)).collect();
            on_device(|device| {
                let float = |v: &[f64]| view(v, &[n], DType::F32, device);
                let ((flat, param), (flat_m, m), (flat_v, v)) =
                    (float(&start), float(&vec![0.0; n]), float(&vec![0.0; n]));
                let (_, master) = float(&start);
                let [m2, v2] = [0, 1].map(|_| tensor(&vec![0.0; n], &[n], DType::F32, device));
                let (flat_bf16, copy) = view(&start, &[n], DType::BF16, device);
                for (t, gradient) in (1..).zip(&gradients) {
                    let gradient = tensor(gradient, &[n], DType::F32, device);
                    step(&param, &gradient, &m, &v, &options(t)).unwrap();
                    step_narrow(&copy, Weights::Master(&master), &gradient, &m2, &v2, &options(t)).unwrap();
                }
                for ((case, got), name) in cases.iter().zip([&param, &m, &v]).zip(["param", "m", "v"]) {
                    case.check(got, &format!("{name} of {n}"));
                }
                assert!(bits(&master) == bits(&param) && bits(&m2) == bits(&m) && bits(&v2) == bits(&v));
                assert!(f64s(&copy) == rounded(&f64s(&master), DType::BF16), "the copy is the rounded master");
                for flat in [flat, flat_m, flat_v, flat_bf16] {
                    check_untouched(&flat, n);
                }
                [bits(&param), bits(&m), bits(&v)]
            });
        }
    }

    #[test]
    fn stochastic_rounding_is_right_on_average_and_blind_to_how_the_buffer_is_cut() {
        let n = 20_000;
        let start = rounded(&values(n, 1), DType::BF16);
        let gradient = values(n, 2);
        let zeros = vec![0.0; n];
        let exact = naive::<f64>(&start, std::slice::from_ref(&gradient));
        on_device(|device| {
            let run = |cuts: &[usize], seed: u64, base: u64| {
                let [p, m, v] = [&start, &zeros, &zeros].map(|x| tensor(x, &[n], DType::BF16, device));
                let g = tensor(&gradient, &[n], DType::F32, device);
                for pair in cuts.windows(2) {
                    let part = |t: &Tensor| t.narrow(0, pair[0], pair[1] - pair[0]).unwrap();
                    let weights = Weights::Stochastic { seed, first: base + pair[0] as u64 };
                    step_narrow(&part(&p), weights, &part(&g), &part(&m), &part(&v), &options(1)).unwrap();
                }
                [p, m, v].map(|t| f64s(&t))
            };
            let whole = run(&[0, n], 7, 4);
            assert!(run(&[0, 1, 2, 777, 778, 10_001, n], 7, 4) == whole, "cuts");
            assert!(run(&[0, n], 8, 4) != whole && run(&[0, n], 7, 5) != whole, "the seed or the place has no effect");
            for ((got, exact), name) in whole.iter().zip(&exact).zip(["param", "m", "v"]) {
                let (mut bias, mut variance, mut moved) = (0.0, 0.0, 0);
                for (&got, &exact) in got.iter().zip(exact) {
                    // One of the two neighbours, and each with its share: the mean error is a coin's.
                    let step = 2.0_f64.powi(exact.abs().max(1e-30).log2().floor() as i32 - 7);
                    assert!((got - exact).abs() <= step * 1.001, "{name}: {got} for {exact}");
                    let low = (exact / step).floor() * step;
                    let share = (exact - low) / step;
                    bias += (got - exact) / step;
                    variance += share * (1.0 - share);
                    moved += usize::from((got - exact).abs() > step / 2.0 * 1.001);
                }
                assert!(bias.abs() <= 5.0 * variance.sqrt(), "{name}: mean error {} of a step", bias / n as f64);
                assert!(moved > n / 50, "{name} is rounded to the nearest, not at random");
            }
            whole
        });
    }
}
