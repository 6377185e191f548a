//! The model against its witnesses: transformers, candle, finite differences, itself.

mod cases;
mod config;
mod derivatives;
#[cfg(any(feature = "cuda", feature = "emulated"))]
mod device;
mod golden;
mod paged;
