//! One document under construction: its steps, its length, and its place in the model's tree.

use std::collections::BTreeMap;

use recon_lm::{Branch, Scorer};
use recon_schema::trajectory::{Fault, Step};
use recon_text::Renderer;

/// Steps so far. The branch follows lazily: tokens reach the model when a thought is asked for.
pub(crate) struct Document<'a> {
    renderer: &'a Renderer<'a>,
    pub(crate) steps: Vec<Step>,
    /// Length of the document, tokens.
    pub(crate) tokens: usize,
    /// Room kept for thoughts to grow into, tokens.
    pub(crate) reserved: usize,
    /// Files written.
    pub(crate) files: usize,
    /// Files that no document can hold, with their size in tokens.
    pub(crate) left_out: BTreeMap<String, u64>,
    /// Files that the tokenizer cannot restore, with the first character it has no token for.
    pub(crate) unencodable: BTreeMap<String, char>,
    /// First thoughts of the model that were none.
    pub(crate) first_refused: BTreeMap<Fault, u64>,
    unsent: Vec<u32>,
    branch: Option<Branch>,
}

impl<'a> Document<'a> {
    pub(crate) fn new(renderer: &'a Renderer<'a>) -> Self {
        let unsent = renderer.begin();
        Self {
            renderer,
            steps: Vec::new(),
            tokens: unsent.len(),
            reserved: 0,
            files: 0,
            left_out: BTreeMap::new(),
            unencodable: BTreeMap::new(),
            first_refused: BTreeMap::new(),
            unsent,
            branch: None,
        }
    }

    pub(crate) fn push(&mut self, step: Step) {
        let ids = self.renderer.step(&step).ids;
        self.tokens += ids.len();
        self.unsent.extend(ids);
        self.steps.push(step);
    }

    /// The place after the last step.
    pub(crate) fn branch(&mut self, scorer: &dyn Scorer) -> recon_lm::Result<&Branch> {
        if !self.unsent.is_empty() {
            self.branch = Some(scorer.extend(self.branch.as_ref(), &self.unsent)?);
            self.unsent.clear();
        }
        Ok(self.branch.as_ref().expect("a document begins with a turn, so it was sent"))
    }
}
