//! The thought search from outside, with models that are functions.

mod gate;
mod scene;
mod search;
