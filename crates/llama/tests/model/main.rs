//! The model against its witnesses: transformers, candle, finite differences, itself.

mod cases;
mod config;
mod derivatives;
mod golden;
mod paged;
