//! Repositories from every kind of source, and sources as they are met: whole, damaged, hostile.

mod archives;
mod damage;
mod fuzz;
mod git;
mod reading;
mod sources;
