//! Models and training states on disk: Hugging Face directories in and out, the hub, checkpoints.
//!
//! Input: a name ([`resolve`]) — a local directory, a hub id, or an embedded model. Output: its
//! configuration, tokenizer and tensors ([`ModelFiles`], [`HfTensors`]). In the other direction
//! [`write_hf`] writes a directory that transformers and vLLM load, and [`state`] keeps training
//! states bit for bit.
//!
//! Invariants: nothing is visible half-written; hostile or damaged files give an error that names
//! the file, never a panic or an allocation beyond the file's size; tensors are read one at a
//! time or in blocks; this crate does not know what a Llama is.

mod blocks;
mod bytes;
mod error;
mod header;
mod hf;
mod nano;
mod resolve;
pub mod state;
mod write;

pub use blocks::blocks;
pub use bytes::tensors_to_bytes;
pub use error::{Error, Result};
pub use hf::HfTensors;
pub use resolve::{COMPANIONS, EmbeddedModel, Hub, ModelFiles, resolve, resolve_at_hand};
pub use write::{HfDirectory, SHARD_BYTES, write_hf};
