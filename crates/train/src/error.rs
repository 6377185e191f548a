//! What can go wrong in this crate.

use std::path::PathBuf;

use recon_llama::Unit;

/// A training run that cannot start or cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An option that contradicts another, the model or the data.
    #[error("train.{key} {problem}")]
    Option {
        /// The option.
        key: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// The output directory already holds a run.
    #[error("{} already holds a run; resume it, or choose another directory", path.display())]
    Occupied {
        /// The directory.
        path: PathBuf,
    },
    /// A shape that is not the model's, whose weights are to be trained.
    #[error(
        "the model has {key} = {own}, `model.shape` says {given}; only `train.init = \"random\"` makes another shape"
    )]
    Shape {
        /// The key of `config.json`.
        key: String,
        /// The model's value.
        own: String,
        /// The shape's.
        given: String,
    },
    /// A checkpoint of another run.
    #[error("{} was made with {key} = {saved}, this run has {current}", path.display())]
    Mismatch {
        /// The checkpoint.
        path: PathBuf,
        /// The first key that differs, with dots for nesting.
        key: String,
        /// Its value in the checkpoint.
        saved: String,
        /// Its value now.
        current: String,
    },
    /// Checkpoints of two models, of which there is no average.
    #[error("{} and {} are of two models: they differ in {key}", path.display(), other.display())]
    Unlike {
        /// One of them.
        path: PathBuf,
        /// The other one.
        other: PathBuf,
        /// The first key of the configuration that differs.
        key: String,
    },
    /// An average that cannot be meant.
    #[error("the average {problem}")]
    Average {
        /// What is wrong with it.
        problem: String,
    },
    /// A checkpoint without something a run needs.
    #[error("{} holds no `{what}`", path.display())]
    Incomplete {
        /// The checkpoint.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// A loss that is infinite or not a number. Nothing was updated.
    #[error("the loss of step {step} is {loss_nats}; nothing was updated")]
    Loss {
        /// The step, from 1.
        step: u64,
        /// The mean loss.
        loss_nats: f64,
    },
    /// A gradient that is infinite or not a number. Nothing was updated.
    #[error("the gradient of {unit:?} at step {step} is not finite; nothing was updated")]
    Gradient {
        /// The step, from 1.
        step: u64,
        /// The first unit concerned.
        unit: Unit,
    },
    /// A gradient much larger than before. Nothing was updated.
    #[error(
        "the gradient of step {step} has the norm {grad_norm}, the median before it was {median}; nothing was updated"
    )]
    Spike {
        /// The step, from 1.
        step: u64,
        /// Its norm.
        grad_norm: f64,
        /// The median of the last norms.
        median: f64,
    },
    /// A tensor that no gradient reaches.
    #[error("no gradient reached {name} and {others} other tensors in {steps} steps; they would stay as they are")]
    NoGradient {
        /// The first of them.
        name: String,
        /// How many more.
        others: usize,
        /// Steps looked at.
        steps: u64,
    },
    /// Weights that are infinite or not a number. No checkpoint was written of them.
    #[error("the weights of {unit:?} are not finite after step {step}; no checkpoint was written")]
    Weights {
        /// The step, from 1.
        step: u64,
        /// The first unit concerned.
        unit: Unit,
    },
    /// A row that the model has not enough positions for.
    #[error("row {row} of {} has {tokens} tokens, the model has {positions} positions", path.display())]
    Longer {
        /// The directory of the rows.
        path: PathBuf,
        /// The longest row, as it is stored.
        row: usize,
        /// Its length.
        tokens: usize,
        /// `max_position_embeddings`.
        positions: usize,
    },
    /// A row with an id that the model has no embedding for.
    #[error(
        "{place} holds token id {id}, the model's vocabulary has {vocabulary}; was it packed for another tokenizer?"
    )]
    Id {
        /// The row.
        place: String,
        /// The id.
        id: u32,
        /// `vocab_size`.
        vocabulary: usize,
    },
    /// A step none of whose tokens is trained.
    #[error("none of the tokens of step {step} is trained; is the mask of the data empty?")]
    NothingTrained {
        /// The step, from 1.
        step: u64,
    },
    /// The ranks of the run cannot go on together.
    #[error(transparent)]
    Ranks(#[from] recon_comm::Error),
    /// A file of the run could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of the run could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The packed rows could not be read.
    #[error("failed to read the packed rows")]
    Data(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The model cannot run.
    #[error(transparent)]
    Model(recon_llama::Error),
    /// A model directory or a checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] recon_checkpoint::Error),
    /// A record cannot be written.
    #[error(transparent)]
    Record(#[from] recon_schema::Error),
    /// A kernel refused its operands.
    #[error(transparent)]
    Kernel(#[from] recon_kernels::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

impl From<recon_llama::Error> for Error {
    /// What the other ranks say is theirs, also where the model asked them.
    fn from(error: recon_llama::Error) -> Self {
        let (recon_llama::Error::Params { source, .. } | recon_llama::Error::Attend { source }) = &error else {
            return Self::Model(error);
        };
        let said = match source.downcast_ref::<Self>() {
            Some(Self::Ranks(said)) => Some(said),
            _ => source.downcast_ref::<recon_comm::Error>(),
        };
        said.cloned().map_or(Self::Model(error), Self::Ranks)
    }
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
