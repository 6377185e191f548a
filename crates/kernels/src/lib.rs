//! Tensor operations of a Llama, forward and backward, written by hand.
//!
//! Legend: `N` rows (tokens), `D` hidden, `F` intermediate, `V` vocabulary, `H` query heads, `K` key/value heads,
//! `E` head dimension, `P` pages.
//!
//! Candle tensors go in and come out; they carry storage and device, the derivatives are ours. Each operation family
//! is one module with its formula, shapes, accumulation and determinism in the header.
//!
//! Invariants:
//! - Activations and their gradients are fresh tensors. Parameter gradients, optimiser state and key/value pages are
//!   written in place: gradients accumulate (`+=`) into views of flat buffers, at the view's offset.
//! - Inputs are contiguous. An operation never writes to a storage it also reads; asking for that is an error.
//! - A row's result does not depend on the other rows of the call, nor any result on the number of threads: work is
//!   split over independent outputs only and every sum has one fixed order.
//! - The CPU computes in f32 or f64. With the feature `cuda`, tensors on a GPU are computed there by `kernels/*.cu`, in f32
//!   or bf16, with the second invariant bounded instead of exact where a matrix product is involved (see [`device`]).
//!   Another device or type is an [`Error`] that names the operation and it.

/// Where the first operand lives on a device whose kernels are compiled in, the rest of the function is `$body`.
macro_rules! on_device {
    ($op:expr, $first:expr, $call:ident => $body:expr) => {
        #[cfg(recon_device)]
        if let Some($call) = crate::device::Call::open($op, $first) {
            return $body;
        }
    };
}

pub mod adamw;
mod attend;
pub mod attention;
pub mod cross_entropy;
pub mod device;
mod element;
pub mod embedding;
mod error;
mod fresh;
pub mod linear;
mod matmul;
mod memory;
pub mod norm;
mod operand;
pub mod paged;
pub mod rms_norm;
pub mod rope;
pub mod sampling;
pub mod swiglu;

pub use error::{Error, Result};
