//! The model against its witnesses: transformers, candle, finite differences, itself.

mod common;
mod config;
mod derivatives;
mod golden;
mod paged;
