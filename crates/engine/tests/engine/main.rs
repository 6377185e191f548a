//! The engine on a small Llama with random weights: numbers, cache, errors, texts, many callers.
//!
//! Everything that can be exact is compared to the bit: one token's likelihood has one value,
//! however it came to be computed.

mod cache;
mod callers;
#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device;
mod documents;
mod generation;
mod opening;
mod scoring;
mod support;
