//! What each of several sources gave to a step: rows, tokens and loss.
//!
//! A micro-batch is rows of several sources laid end to end; the model says the loss of each document in it, in order.

use recon_llama::Loss;

use crate::data::{Taken, document_tokens};
use crate::{Drawn, SourceMetrics};

/// The figures of a step by source; empty where there is one source.
pub(crate) struct Shares {
    drawn: Vec<Drawn>,
    /// Nats and trained tokens of this step.
    losses: Vec<Loss>,
}

impl Shares {
    /// Counts that go on from `before`, in the order of `names`.
    pub(crate) fn new(names: Vec<String>, before: &[Drawn]) -> Self {
        let losses = vec![Loss { nats: 0.0, tokens: 0 }; names.len()];
        let named = names.into_iter().enumerate();
        let drawn = named.map(|(at, source)| Drawn { source, ..before.get(at).cloned().unwrap_or_default() }).collect();
        Self { drawn, losses }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.drawn.is_empty()
    }

    /// Counts a micro-batch, of which `documents` has the loss of every document that is not empty; returns its nats.
    pub(crate) fn add(&mut self, micro_batch: &[Taken], documents: &[Loss]) -> f64 {
        let mut documents = documents.iter();
        let mut nats = 0.0;
        for Taken { source, row } in micro_batch {
            let (drawn, loss) = (&mut self.drawn[*source], &mut self.losses[*source]);
            drawn.rows += 1;
            drawn.tokens += document_tokens(row);
            drawn.trained_tokens += row.trained_tokens();
            let count = row.spans.iter().filter(|span| !span.is_empty()).count();
            for document in documents.by_ref().take(count) {
                loss.nats += document.nats;
                loss.tokens += document.tokens;
                nats += document.nats;
            }
        }
        nats
    }

    /// The figures of the step.
    pub(crate) fn metrics(self) -> Vec<SourceMetrics> {
        let mean = |loss: Loss| (loss.tokens > 0).then(|| loss.nats / loss.tokens as f64);
        let both = self.drawn.into_iter().zip(self.losses);
        both.map(|(drawn, loss)| SourceMetrics { drawn, loss_nats: mean(loss) }).collect()
    }
}
