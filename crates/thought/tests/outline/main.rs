//! The outline author from outside: what it tells at each level, and that all of it is true.

mod claims;
mod facts;
mod fixtures;
mod grammar;
mod levels;
mod truth;
