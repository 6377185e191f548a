//! Continued pretraining: optimizer, schedule, step loop, metrics, checkpoints and resume.
//!
//! Legend: `T` tokens per packed row, `G` rows per step over all ranks.
//!
//! Input: a model ([`recon_checkpoint::ModelFiles`]), packed rows, [`TrainOptions`]. Output, below
//! one directory: `metrics.jsonl` and TensorBoard events, one record a step; `saves.jsonl`, one a checkpoint;
//! `checkpoints/step-N/`, bit for bit what the next step needs; `model/`, configuration and tokenizer for [`export`].
//!
//! Invariants: row `i` of step `s` is row `s · G + i` of an order that the seed fixes, so a resumed
//! run sees what an uninterrupted one would have seen; the loss is averaged over the trained
//! tokens of the whole step, however the step is cut into micro-batches; every unit's gradient
//! norm and update is computed in the same order each time, on however many ranks (`ranks`); a step that is
//! not finite changes nothing, and ends the run, is left out and counted, or sends it back to its checkpoint; on the CPU a resumed run continues
//! bit for bit, also on another number of ranks.
//!
//! Source: the ProLong recipe (Gao et al. 2024) for the defaults; Loshchilov and Hutter 2019 for
//! the optimizer.

mod attention;
mod average;
mod bad_steps;
mod checkpoint;
mod clip;
mod data;
mod decay;
mod error;
mod evaluate;
mod export;
mod flops;
mod isolation;
mod jsonl;
mod log;
mod machine;
mod memory;
mod metrics;
mod observe;
mod optimizer;
mod options;
mod overrides;
mod packs;
mod plan;
mod prefetch;
mod ranks;
mod reached;
mod rehearsal;
mod run;
mod saver;
mod saves;
mod schedule;
mod shares;
mod signals;
mod sources;
mod tensorboard;
mod trace;
mod trainer;
mod validation;

pub use attention::Attention;
pub use average::{Averaging, average};
pub use bad_steps::{BadSteps, Rewound, Skipped};
pub use clip::ClipNorm;
pub use data::{Drawn, MemoryRows, RowSource};
pub use decay::Decay;
pub use error::{Error, Result};
pub use evaluate::loss_over;
pub use export::{export, export_model, export_newest};
pub use flops::flops_per_token;
pub use isolation::{Compared, compare_exchanged};
pub use machine::{DeviceKind, Machine};
pub use memory::MemoryPlan;
pub use metrics::{SourceMetrics, StepMetrics};
pub use observe::{Observer, Quiet};
pub use options::{Duration, Init, OptimizerState, TrainOptions, Warmup};
pub use overrides::ModelOverrides;
pub use packs::PackedRows;
pub use plan::RunPlan;
pub use ranks::{ParallelOptions, StateOn, Ulysses};
pub use rehearsal::{RandomRows, rehearse};
pub use run::{TrainPlan, TrainReport, run, run_among, run_on, run_on_among};
pub use saver::SaveMetrics;
pub use saves::{FailedSave, SavePolicy};
pub use schedule::Schedule;
pub use signals::Signals;
pub use sources::{FromStep, SourceOptions, ValidationOptions, ValidationSource, Weight};
pub use validation::ValidationMetrics;
