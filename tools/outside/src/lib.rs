//! What the tools take from outside: other programs, and packages of registries.
//!
//! Shared by `xtask`, `oracles` and `nano`; light, because `cargo xtask` waits for it. Errors are texts for a person: the
//! tools report them and stop.

pub mod folder;
pub mod program;
pub mod registry;
