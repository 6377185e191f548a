//! From repositories to a trained, exported model: the stages, and how a run goes through them.
//!
//! A run is over a set of repositories; one repository is a set of one. Stages meet only on disk.
//!
//! ```text
//! OUT/read/                         the set, cleaned: a store by shards, accounts, a report
//! OUT/shards/00042/{graph,synth,refine}/   what is made of the repositories of one shard
//! OUT/{pack,before,train,export,after}/    what is made of the whole set
//! OUT/config.toml  run.json  summary.json
//! ```
//!
//! Invariants: what lies in `OUT` depends on the set, the configuration and the program, not on how
//! many workers made it, how often they were stopped, or in which order they came; a stage whose
//! key and outputs hold is not computed again; what recon did not make is never removed.

mod code;
pub mod config;
pub mod failure;
mod holdout;
mod journal;
mod lock;
pub mod model;
mod observe;
mod place;
mod run;
mod share;
mod shared;
mod side_by_side;
mod single;
mod stage;
mod stages;
mod study;
mod summary;
mod texts;
mod until;
mod workers;

pub use code::program;
pub use config::Config;
pub use failure::{Failure, Fault, Outcome};
pub use lock::Lock;
pub use observe::{Observe, Silent};
pub use run::{Ended, Members, run};
pub use share::Share;
pub use single::{held_out, one};
pub use stages::SetAside;
pub use stages::export::export_trained;
pub use stages::synth::TrajectoryFigures;
pub use stages::train::TrainFacts;
pub use study::{Measured, Study, Table, Trained};
pub use summary::{GraphFigures, HeldOut, StageFigures, Summary};
pub use texts::pack_texts;
pub use until::Until;
