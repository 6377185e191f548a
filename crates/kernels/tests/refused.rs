//! What a GPU refuses, and in which words: more memory than it has, operands that live in two places.

#![cfg(feature = "cuda")]

use candle_core::{DType, Device, Tensor};
use recon_kernels::{Error, device, linear};

fn gpu() -> Device {
    device::open("cuda").unwrap_or_else(|error| panic!("{error}"))
}

fn zeros(shape: (usize, usize), device: &Device) -> Tensor {
    Tensor::zeros(shape, DType::F32, device).unwrap()
}

#[test]
fn device_that_is_full_says_what_was_asked_for_and_what_is_free() {
    let gpu = gpu();
    let refused = device::zeros("cache", 1_usize << 42, DType::F32, &gpu).unwrap_err();
    // 2²⁰ · 2²² results of four bytes.
    let product = linear::forward(&zeros((1 << 20, 1), &gpu), &zeros((1 << 22, 1), &gpu)).unwrap_err();
    for (error, of) in [(refused, "cache"), (product, "linear::forward")] {
        let Error::OutOfMemory { op, asked_bytes, memory } = &error else { panic!("{error}") };
        assert_eq!((*op, *asked_bytes), (of, 16 << 40));
        assert!(0 < memory.free_bytes && memory.free_bytes <= memory.total_bytes, "{error}");
        assert!(error.to_string().starts_with(&format!("{of}: 16384.00 GiB were asked for, ")), "{error}");
    }
    // A refusal takes nothing away.
    assert_eq!(zeros((2, 2), &gpu).to_device(&Device::Cpu).unwrap().to_vec2::<f32>().unwrap(), [[0.0; 2]; 2]);
}

#[test]
fn device_operands_in_two_places_are_refused_by_name() {
    let (here, there) = (zeros((4, 8), &Device::Cpu), zeros((4, 8), &gpu()));
    let said = |x, w| linear::forward(x, w).unwrap_err().to_string();
    assert_eq!(said(&there, &here), "linear::forward: w lives on cpu, the first operand on cuda:0");
    assert_eq!(said(&here, &there), "linear::forward: w lives on cuda:0, the first operand on cpu");
}
