//! Holds the source tree against the rules of ARCHITECTURE.md.
//!
//! Each rule is a function from the tree to violations; none changes anything. A rule that no
//! longer finds what it looks at (a renamed folder, say) would pass in silence, so `run` also
//! reports how much each rule looked at, and the tests feed every rule a tree that breaks it.

mod circles;
mod docs;
mod layers;
mod modules;
mod scopes;
mod source;
mod table;
mod tree;

use std::path::Path;

use tree::{Tree, Violation};

type Rule = fn(&Tree) -> Vec<Violation>;

const RULES: &[(&str, Rule)] = &[
    ("layers", layers::layers),
    ("no-accelerator", layers::no_accelerator),
    ("lints", layers::lints),
    ("size", source::size),
    ("header", source::header),
    ("names", source::names),
    ("kernel-pairs", source::kernel_pairs),
    ("no-autograd", source::no_autograd),
    ("no-stubs", source::no_stubs),
    ("assets", source::assets),
    ("docs", docs::docs),
    ("no-circles", circles::no_circles),
];

/// Checks the tree at `root`; true when it is tidy.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let tree = Tree::read(root)?;
    let mut violations: Vec<Violation> = RULES.iter().flat_map(|(_, rule)| rule(&tree)).collect();
    violations.sort();
    for Violation { rule, place, message } in &violations {
        eprintln!("{place}: {message} [{rule}]");
    }
    eprintln!("tidy: {} files, {} rules, {} violations", tree.files.len(), RULES.len(), violations.len());
    anyhow::ensure!(tree.members().len() > 1, "found no crates under {}", root.display());
    Ok(violations.is_empty())
}

#[cfg(test)]
mod tests;
