//! Turns a repository into a graph of files: outlines, import edges, an order.
//!
//! [`Repository`] → [`build`] → [`RepoGraph`](recon_schema::graph::RepoGraph) → [`output`] (JSON, DOT, text).
//!
//! Invariants: building never fails, a fault of the corpus becomes a diagnostic; the graph is a
//! function of the files' paths and bytes alone, whatever the thread count or the order in
//! which they were met; every file that was read takes part in what imports mean, and only the
//! order and the outlines leave out what is not trained on; no syntax, however deep, is walked by
//! recursion; manifests are read, build tools are never run.

mod arrangement;
mod assemble;
mod component;
mod faults;
mod feedback;
mod grammar;
mod languages;
mod order;
pub mod output;
mod role;
mod syntax;

pub use assemble::{build, link, withhold};
pub use faults::{Problem, SyntaxFault, syntax_faults};
pub use grammar::grammar;
pub use role::{Role, role};
// What the languages' modules read.
use recon_repository as repository;
pub use recon_repository::Repository;
use recon_repository::paths;
