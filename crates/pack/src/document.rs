//! One document to pack: ids, mask, places where it may be cut, and where it came from.

use recon_schema::graph::RepositoryRef;
use recon_schema::trajectory::Trajectory;
use recon_text::Renderer;

use crate::{Error, Result};

/// A tokenized document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackDocument {
    /// Unique in its corpus; the id of the trajectory where it is one.
    pub id: String,
    /// The tokens.
    pub ids: Vec<u32>,
    /// `mask[i] = 1`: token `i` is predicted. As long as `ids`.
    pub mask: Vec<u8>,
    /// Places where the document is cut if it must be, ascending; turn starts, for a trajectory.
    pub cuts: Vec<usize>,
    /// Where the document came from.
    pub repository: Option<RepositoryRef>,
}

impl PackDocument {
    /// A document that may be cut anywhere and names no repository.
    pub fn new(id: impl Into<String>, ids: Vec<u32>, mask: Vec<u8>) -> Self {
        Self { id: id.into(), ids, mask, cuts: Vec::new(), repository: None }
    }

    /// A trajectory as rendered; cut at turn starts.
    pub fn from_trajectory(renderer: &Renderer<'_>, trajectory: &Trajectory) -> Self {
        let document = renderer.document(trajectory);
        Self {
            id: trajectory.id.clone(),
            ids: document.ids,
            mask: document.mask,
            cuts: document.steps.iter().map(|step| step.ids.start).collect(),
            repository: Some(trajectory.repository.clone()),
        }
    }

    pub(crate) fn check(&self) -> Result<()> {
        let reason = if self.ids.len() != self.mask.len() {
            format!("{} ids and {} mask values", self.ids.len(), self.mask.len())
        } else if let Some(value) = self.mask.iter().find(|&&value| value > 1) {
            format!("mask value {value}")
        } else if !self.cuts.is_sorted() {
            "cuts are not ascending".into()
        } else {
            return Ok(());
        };
        Err(Error::Document { id: self.id.clone(), reason })
    }
}
