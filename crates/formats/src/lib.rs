//! Trajectories in the formats that other programs read.
//!
//! Input: a trajectory. Output: records of the format, each a line of JSON. What a format has no
//! place for (likelihoods, digests) is left out; nothing is invented, and no text is changed.
//!
//! | format | one record is | read by |
//! |---|---|---|
//! | [`messages`] | the conversation of one agent, with tool calls | OpenAI's fine-tuning, TRL, chat templates |
//! | [`axolotl`] | a document as segments of text that are trained or not | Axolotl, type `input_output` |
//! | [`preferences`] | two thoughts at the same place, one of which made the code likelier | TRL's preference trainers |
//! | [`atif`] | a trajectory, its sub-agents' inside | Harbor's Agent Trajectory Interchange Format 1.7 |
//! | [`provenance`] | where the trained tokens of a document come from | people |
//!
//! Invariant: in [`axolotl`] and [`provenance`] a token is trained if and only if it is in the
//! document that recon packs.

pub mod atif;
pub mod axolotl;
mod conversation;
pub mod messages;
pub mod preferences;
pub mod provenance;
