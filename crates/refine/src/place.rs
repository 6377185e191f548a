//! Where a thought is searched for, and the thought that stands there.

use recon_lm::{Branch, Generator, Scorer};
use recon_schema::trajectory::ModelRef;
use recon_text::Renderer;
use recon_thought::Thought;

use crate::RefineOptions;
use crate::cursor::Ahead;
use crate::target::Target;

/// The model that scores, and where there is one, the model that proposes.
pub struct Models<'a> {
    /// Computes likelihoods.
    pub scorer: &'a dyn Scorer,
    /// Proposes thoughts; needed where the options name the model as an author.
    pub generator: Option<&'a dyn Generator>,
    /// Turns steps into tokens, the same here as in packing and training.
    pub renderer: &'a Renderer<'a>,
    /// Goes into the record.
    pub model: Option<ModelRef>,
}

/// Where a thought is searched for.
pub(crate) struct Place<'a> {
    pub(crate) models: &'a Models<'a>,
    pub(crate) options: &'a RefineOptions,
    /// The document up to the thought.
    pub(crate) document: &'a Branch,
    /// The same, with the thought's header.
    pub(crate) header: &'a Branch,
    pub(crate) targets: &'a [Target],
    /// Longest turn after the header that the document has room for, tokens.
    pub(crate) room_tokens: usize,
}

impl Place<'_> {
    pub(crate) fn target_tokens(&self) -> u64 {
        self.targets.iter().map(|target| target.content.len() as u64).sum()
    }

    pub(crate) fn target_bytes(&self) -> u64 {
        self.targets.iter().map(|target| target.text.len() as u64).sum()
    }
}

/// The thought that stands, until a better one does.
pub(crate) struct Incumbent {
    pub(crate) thought: Thought,
    /// Likelihood of the targets behind it.
    pub(crate) nats: f64,
    /// The places behind it.
    pub(crate) ahead: Ahead,
}
