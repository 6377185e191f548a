//! What the two binaries share: configuration, commands, progress, and exit codes.
//!
//! Flags say *where*, configuration says *what*. Data goes to stdout, logs to stderr.

pub mod config;
pub mod failure;
pub mod stage;
