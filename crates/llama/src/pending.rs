//! The loss of a batch whose gradients have been asked of a device, while it may still be on its way from there.

use recon_kernels::cross_entropy::Nats;

use crate::packed::Rows;
use crate::{Loss, Result};

/// The loss of a packed row; whoever reads it waits for the device.
#[derive(Debug)]
pub struct PendingLoss {
    nats: Nats,
    tokens: u64,
    /// Trained tokens of every document that is not empty and has a row here, in their order.
    documents: Vec<usize>,
}

impl PendingLoss {
    pub(crate) fn new(nats: Nats, rows: &Rows) -> Self {
        Self { nats, tokens: rows.trained_tokens(), documents: rows.trained_of_documents().collect() }
    }

    /// The loss of all documents.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read(self) -> Result<Loss> {
        Ok(Loss { nats: self.nats.read()?, tokens: self.tokens })
    }

    /// The loss of every document that is not empty, in their order.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read_each(self) -> Result<Vec<Loss>> {
        let mut nats = self.nats.read_each()?.into_iter();
        let of_document = |tokens| Loss { nats: nats.by_ref().take(tokens).sum(), tokens: tokens as u64 };
        Ok(self.documents.into_iter().map(of_document).collect())
    }
}
