//! Continued pretraining: optimizer, schedule, step loop, metrics, checkpoints and resume.
//!
//! Legend: `T` tokens per packed row, `G` rows per step over all ranks.
//!
//! Input: a model ([`recon_checkpoint::ModelFiles`]), packed rows, [`TrainOptions`]. Output, below
//! one directory: `metrics.jsonl` and TensorBoard events, one record a step; `checkpoints/step-N/`,
//! bit for bit what the next step needs; `model/`, configuration and tokenizer for [`export`].
//!
//! Invariants: row `i` of step `s` is row `s · G + i` of an order that the seed fixes, so a resumed
//! run sees what an uninterrupted one would have seen; the loss is averaged over the trained
//! tokens of the whole step, however the step is cut into micro-batches; every unit's gradient
//! norm and update is computed in the same order each time, on however many ranks (`ranks`); a step that is
//! not finite changes nothing; on the CPU a resumed run continues bit for bit, also on another number of ranks.
//!
//! Source: the ProLong recipe (Gao et al. 2024) for the defaults; Loshchilov and Hutter 2019 for
//! the optimizer.

mod checkpoint;
mod clip;
mod data;
mod error;
mod evaluate;
mod export;
mod memory;
mod metrics;
mod observe;
mod optimizer;
mod options;
mod ranks;
mod run;
mod saves;
mod schedule;
mod signals;
mod tensorboard;
mod trainer;

pub use clip::ClipNorm;
pub use data::{MemoryRows, PackedRows, RowSource};
pub use error::{Error, Result};
pub use evaluate::loss_over;
pub use export::{export, export_model};
pub use memory::MemoryPlan;
pub use metrics::StepMetrics;
pub use observe::{Observer, Quiet};
pub use ranks::{ParallelOptions, StateOn};
pub use options::{Duration, Init, OptimizerState, TrainOptions, Warmup};
pub use run::{ModelOverrides, TrainPlan, TrainReport, plan_memory, run, run_among, run_on, run_on_among};
pub use saves::SavePolicy;
pub use schedule::Schedule;
pub use signals::Signals;
