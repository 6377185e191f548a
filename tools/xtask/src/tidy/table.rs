//! The table of crates in ARCHITECTURE.md: a layer and a name a row.
//!
//! Input: the section "The crates", rows `| layer | crate | … |`. A layer is a number, or `–` for tools; a cell may name
//! several crates, each in backquotes. Output: who stands where, and a violation for each row that says something else.

use std::collections::BTreeMap;

use super::tree::{CRATES, TOOLS};
use super::{Tree, Violation};

const PAGE: &str = "ARCHITECTURE.md";
const SECTION: &str = "## The crates";

/// Where a crate stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    /// A crate of the product; it uses lower numbers only.
    Product(u32),
    /// Beside the layers: it may use any crate, and no crate of the product may use it.
    Tool,
}

impl Layer {
    /// The folder that holds crates of this kind.
    pub(super) fn folder(self) -> &'static str {
        match self {
            Self::Product(_) => CRATES,
            Self::Tool => TOOLS,
        }
    }
}

/// The table, as far as it can be read.
pub(super) struct Table {
    layers: BTreeMap<String, Layer>,
    /// Rows that are no rows.
    faults: Vec<Violation>,
}

impl Table {
    pub(super) fn read(tree: &Tree) -> Self {
        let mut table = Self { layers: BTreeMap::new(), faults: Vec::new() };
        let page = tree.files.get(PAGE).map_or("", |file| file.text.as_str());
        let section = page.lines().enumerate().skip_while(|(_, line)| line.trim() != SECTION).skip(1);
        for (at, line) in section.take_while(|(_, line)| !line.starts_with("## ")) {
            let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
            let is_row = line.starts_with('|') && cells.len() > 1 && cells[0] != "Layer" && !cells[0].starts_with("--");
            if is_row {
                table.row(at + 1, cells[0], cells[1]);
            }
        }
        if table.layers.is_empty() {
            table.fault(1, format!("no row of a table was found below `{SECTION}`"));
        }
        table
    }

    fn row(&mut self, line: usize, layer: &str, names: &str) {
        let layer = match (layer, layer.parse()) {
            ("–", _) => Layer::Tool,
            (_, Ok(number)) => Layer::Product(number),
            _ => return self.fault(line, format!("`{layer}` is no layer: a number, or – for a tool")),
        };
        let named: Vec<&str> = names.split('`').skip(1).step_by(2).collect();
        if named.is_empty() {
            self.fault(line, "the row names no crate in backquotes".into());
        }
        for name in named {
            if self.layers.insert(name.to_owned(), layer).is_some() {
                self.fault(line, format!("`{name}` stands in the table twice"));
            }
        }
    }

    fn fault(&mut self, line: usize, message: String) {
        self.faults.push(Violation { rule: "layers", place: format!("{PAGE}:{line}"), message });
    }

    /// The layer of a crate by its folder's name.
    pub(super) fn layer(&self, name: &str) -> Option<Layer> {
        self.layers.get(name).copied()
    }

    /// Every crate of the table, by name.
    pub(super) fn rows(&self) -> impl Iterator<Item = (&str, Layer)> {
        self.layers.iter().map(|(name, layer)| (name.as_str(), *layer))
    }

    /// What is wrong with the page itself.
    pub(super) fn faults(&self) -> &[Violation] {
        &self.faults
    }

    /// A violation for each name that a rule was written for and the table lacks.
    pub(super) fn lacks(&self, rule: &'static str, names: &[&str]) -> Vec<Violation> {
        let gone = names.iter().filter(|name| self.layer(name).is_none());
        let message = |name: &&str| format!("the rule `{rule}` speaks of `{name}`, which the table of crates lacks");
        gone.map(|name| Violation { rule, place: PAGE.into(), message: message(name) }).collect()
    }
}
