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
