//! Sources and corpora as they are met: whole, damaged, hostile.

mod corpora;
mod fixture;
mod fuzz;
mod sources;
