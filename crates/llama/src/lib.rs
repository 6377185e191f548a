//! Llama: configuration, parameter layout, forward and explicit backward.
//!
//! Legend used throughout: `N` token rows, `D` hidden size, `H` query heads, `KH` key/value
//! heads, `hd` head dimension, `F` feed-forward size, `V` vocabulary, `P` pages.
//!
//! Output: from token ids, the summed negative log-likelihood in nats and the gradient of every
//! parameter ([`Llama::loss_and_grads`]), or the hidden rows a server turns into logits
//! ([`Llama::hidden`]).
//!
//! Invariants: no autograd, every derivative is written here and in `recon-kernels`; parameters
//! reach the model only through [`Params`], so it never learns who holds what and never names a
//! rank or a file; weights are views into one flat buffer per [`Unit`] and gradients accumulate
//! into another with the same layout; full logits never exist while training.
//!
//! Source: Touvron et al. 2023 and the Llama 3 report; names and conventions are those of the
//! `transformers` library (`LlamaForCausalLM`).

mod attend;
mod block;
mod config;
mod error;
mod flat;
mod init;
mod layout;
mod model;
mod packed;
mod params;
mod pending;
pub mod place;
mod rope;
mod serve;
mod unit;

pub use attend::Attend;
pub use block::ActivationPolicy;
pub use config::{Config, Llama3Scaling, Rope, Scaling};
pub use error::{Error, Result};
pub use flat::FlatParams;
pub use layout::{ALIGNMENT, TensorKind, TensorSpec, UnitLayout};
pub use model::Llama;
pub use packed::{Loss, Packed};
pub use params::{GradLease, Lease, Params};
pub use pending::PendingLoss;
pub use place::Precision;
pub use serve::{AttentionCtx, PagedKv, PagedRun};
pub use unit::Unit;
