//! Tests on a device: a GPU (feature `cuda`; without one they fail) or the emulation (feature `emulated`).
//!
//! Every closure runs twice and must give the same bits. The emulation's second run has blocks and threads in the
//! opposite order, so that a missing barrier shows.

use candle_core::{DType, Device, Tensor};

use super::{AFTER, BEFORE, Case, GUARD, f64s};

pub(crate) const DTYPES: [DType; 2] = [DType::F32, DType::BF16];

/// Runs `f` twice on the device and returns what it returned.
pub(crate) fn on_device<R: PartialEq>(f: impl Fn(&Device) -> R) -> R {
    #[cfg(feature = "emulated")]
    let runs = {
        use recon_kernels::device::{Order, emulate};
        [Order::Ascending, Order::Descending].map(|order| emulate(order, || f(&Device::Cpu)))
    };
    #[cfg(not(feature = "emulated"))]
    let runs = {
        let device = recon_kernels::device::open("cuda").unwrap_or_else(|error| panic!("{error}"));
        [f(&device), f(&device)]
    };
    let [first, second] = runs;
    assert!(first == second, "two runs differ");
    first
}

/// The numbers as `dtype` holds them.
pub(crate) fn rounded(values: &[f64], dtype: DType) -> Vec<f64> {
    f64s(&tensor(values, &[values.len()], dtype, &Device::Cpu))
}

pub(crate) fn tensor(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    if values.is_empty() {
        // Devices refuse allocations of nothing: a view of no rows of something.
        let mut some = shape.to_vec();
        some.iter_mut().for_each(|extent| *extent = (*extent).max(1));
        let all = Tensor::zeros(some, dtype, device).unwrap();
        let empty = shape.iter().position(|&extent| extent == 0).expect("a shape of no elements");
        return all.narrow(empty, 0, 0).unwrap();
    }
    let cpu = Tensor::from_slice(values, shape, &Device::Cpu).unwrap().to_dtype(dtype).unwrap();
    cpu.to_device(device).unwrap()
}

pub(crate) fn indices(values: &[u32], device: &Device) -> Tensor {
    Tensor::from_slice(values, values.len(), device).unwrap()
}

/// As `view_of`, on the device.
pub(crate) fn view(values: &[f64], shape: &[usize], dtype: DType, device: &Device) -> (Tensor, Tensor) {
    let mut all = vec![GUARD; BEFORE];
    all.extend_from_slice(values);
    all.extend([GUARD; AFTER]);
    let flat = tensor(&all, &[all.len()], dtype, device);
    let view = flat.narrow(0, BEFORE, values.len()).unwrap().reshape(shape).unwrap();
    (flat, view)
}

/// Rounds to bf16 where that is the type.
pub(crate) fn narrow(dtype: DType) -> fn(f64) -> f64 {
    match dtype {
        DType::BF16 => |x| f64::from(half::bf16::from_f64(x)),
        _ => |x| x,
    }
}

impl Case {
    /// Results in `dtype`: `naive` is f32 arithmetic, its results rounded to the type.
    pub(crate) fn typed(exact: Vec<f64>, naive: Vec<f64>, dtype: DType) -> Self {
        assert_eq!(exact.len(), naive.len());
        let unit = if dtype == DType::BF16 { 2.0_f64.powi(-9) } else { f64::from(f32::EPSILON) };
        let naive = if dtype == DType::BF16 { rounded(&naive, dtype) } else { naive };
        Self { exact, naive, unit }
    }
}
