//! The configuration of a run: one self-contained TOML file.

mod load;

pub use load::load;
