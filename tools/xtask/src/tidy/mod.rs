//! Holds the source tree against the rules of ARCHITECTURE.md.
//!
//! Each rule is a function from the tree to violations; none changes anything. A rule that no
//! longer finds what it looks at (a renamed folder, say) would pass in silence, so `run` also
//! reports how much each rule looked at, and the tests feed every rule a tree that breaks it.

mod layers;
mod source;
mod tree;

use std::path::Path;

pub(crate) use tree::Tree;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// Path from the root, with a line where there is one.
    pub(crate) place: String,
    /// What is wrong and what would be right.
    pub(crate) message: String,
}

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
    anyhow::ensure!(tree.crates().len() > 1, "found no crates under {}", root.display());
    Ok(violations.is_empty())
}

#[cfg(test)]
mod tests;
