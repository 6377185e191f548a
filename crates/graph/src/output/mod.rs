//! A graph as text for programs and people.
//!
//! Invariants: each function is a pure function of the graph; what a repository calls its files
//! can neither end a quoted string in DOT nor move the cursor of a terminal.

mod dot;
mod text;

use recon_schema::graph::RepoGraph;

pub use dot::dot;
pub use text::text;

/// The record `recon.graph/1` as indented JSON with a final newline.
pub fn json(graph: &RepoGraph) -> String {
    let mut json = serde_json::to_string_pretty(graph).expect("a graph has string keys and no floating-point numbers");
    json.push('\n');
    json
}
