//! Repositories from every kind of source, and sources as they are met in the wild.

mod fixture;
mod reading;
mod sources;
