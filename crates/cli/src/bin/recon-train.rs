//! The `recon` binary.
fn main() {}
