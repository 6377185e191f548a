//! The engine on a small Llama with random weights: numbers, cache, errors, texts.
//!
//! Everything that can be exact is compared to the bit: one token's likelihood has one value,
//! however it came to be computed.

mod cache;
#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device;
mod generation;
mod opening;
mod scoring;
mod support;
