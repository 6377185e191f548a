//! A rehearsal: steps of a run as it is configured, from fresh weights over random ids. It tells what the machine does in
//! a step before the run has data or a model; nothing is read and nothing is written.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;

use recon_comm::Communicator;
use recon_llama::{Config, FlatParams, Packed};

use crate::data::fit_packed;
use crate::prefetch::Prefetch;
use crate::ranks::Ranks;
use crate::run::{Opened, open, require_memory};
use crate::trainer::Trainer;
use crate::{Duration, Observer, Result, RowSource, TrainOptions};

/// Rows of random ids, all of which are trained but the first of each document.
#[derive(Debug, Clone, Copy)]
pub struct RandomRows {
    /// Ids are below this.
    pub vocabulary: usize,
    /// Tokens of a row.
    pub row_tokens: NonZeroUsize,
    /// Tokens of a document; the last of a row may be shorter.
    pub document_tokens: NonZeroUsize,
    /// Rows of all steps.
    pub rows: u64,
}

impl RowSource for RandomRows {
    fn rows(&self) -> u64 {
        self.rows
    }

    fn row_tokens(&self) -> usize {
        self.row_tokens.get()
    }

    fn identity(&self) -> String {
        "random ids".into()
    }

    fn fit(&self, positions: usize) -> Result<()> {
        fit_packed(self.row_tokens.get(), positions)
    }

    fn row(&self, position: u64) -> Result<Packed> {
        let tokens = self.row_tokens.get();
        let first = position * tokens as u64;
        // Multiplicative hashing: the high bits of a multiple of 2⁶⁴ by the golden ratio.
        let id = |at: u64| (at.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) % self.vocabulary as u64;
        let ids = (first..first + tokens as u64).map(|at| id(at) as u32).collect();
        let starts = (0..tokens).step_by(self.document_tokens.get());
        let spans = starts.map(|start| start..(start + self.document_tokens.get()).min(tokens)).collect();
        Ok(Packed { ids, mask: vec![1; tokens], spans })
    }
}

/// Makes `steps` steps and tells `observer` of each; it may end them earlier.
///
/// # Errors
/// As a run: options that cannot be meant, too little memory, ranks that are lost.
pub fn rehearse(
    config: &Config,
    options: &TrainOptions,
    rows: &RandomRows,
    steps: u64,
    comm: &dyn Communicator,
    observer: &mut dyn Observer,
) -> Result<()> {
    let options = &TrainOptions { duration: Duration::Steps(steps), ..options.clone() };
    options.validate()?;
    rows.fit(config.max_position_embeddings)?;
    require_memory(config, options, rows, comm.world())?;
    let Opened { device, dtype, optimizer, model } = open(config, options, rows.row_tokens(), comm)?;
    let ranks = Ranks::new(comm, options, config, None)?;
    let master = optimizer.master().unwrap_or(dtype);
    let first = FlatParams::random_kept(config, &device, master, options.seed, |whole| ranks.weights(whole))?;
    let mut trainer = Trainer::fresh(&model, options, optimizer, steps, first, dtype, ranks)?;
    observer.start(steps, 0);
    std::thread::scope(|scope| {
        let mut data = Prefetch::start(scope, rows, config.vocab_size);
        while trainer.step < steps {
            if observer.step(&trainer.step(&mut data)?) == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    })
}
