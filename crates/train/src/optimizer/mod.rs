//! What an optimizer is: what it keeps beside the parameters, and how it updates a range of them.
//!
//! A slot is one flat buffer that an optimizer keeps for every unit, with one element a parameter. From the list of its
//! slots follow the bytes it takes a parameter (`memory`), what is allocated ([`Slots`]), and the names under which it
//! goes into checkpoints (`checkpoint`); nothing else knows which optimizer it is. To add one is a file beside `adamw`
//! and a line in [`of`].
//!
//! Invariant: an optimizer sees a [`Part`], a range of a unit's flat buffers, and no model, unit or rank. So a rank that
//! holds a shard calls it as one that holds everything does; what concerns all parameters at once, the norm of the
//! gradient, is summed outside (`ranks`).

mod adamw;
mod slots;
mod update;

use candle_core::{DType, Tensor};
use recon_llama::Precision;

use crate::{Result, TrainOptions};
use adamw::AdamW;
pub(crate) use slots::{PARAMETERS, Slots, computed};
pub(crate) use update::update;

/// A flat buffer that an optimizer keeps beside the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The parameters in a wider type, of which those that the model computes with are the rounded copy. Begins as they
    /// do, and stands in their place in checkpoints. At most one.
    Master(DType),
    /// Begins at zero; the name is the one in checkpoints.
    Moment { name: &'static str, dtype: DType },
}

impl Slot {
    fn dtype(self) -> DType {
        match self {
            Self::Master(dtype) | Self::Moment { dtype, .. } => dtype,
        }
    }
}

/// A range of one unit's flat buffers.
pub(crate) struct Part<'a> {
    pub(crate) parameters: &'a Tensor,
    /// Clipped, in f32 at least.
    pub(crate) gradient: &'a Tensor,
    /// In the order of [`Optimizer::slots`].
    pub(crate) slots: &'a [Tensor],
    /// Place of its first element in the whole model: what is random depends on the place, not on the range.
    pub(crate) first: u64,
    /// Whether these are matrices, which decay.
    pub(crate) decays: bool,
}

/// What differs from step to step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepAt {
    /// The step, from 1.
    pub(crate) step: u64,
    pub(crate) lr: f64,
}

/// A rule that updates parameters from their gradient and from what it keeps.
pub(crate) trait Optimizer {
    /// What it keeps, in the order in which checkpoints hold it.
    fn slots(&self) -> &[Slot];

    /// Updates the part's parameters and slots in place. An element's result depends on its own values and its place.
    fn update(&self, part: &Part<'_>, at: &StepAt) -> Result<()>;

    /// The type of the masters, where it keeps some.
    fn master(&self) -> Option<DType> {
        self.slots().iter().find_map(|slot| if let Slot::Master(dtype) = slot { Some(*dtype) } else { None })
    }

    /// Bytes of its slots for each parameter, masters included.
    fn bytes_per_parameter(&self) -> u64 {
        self.slots().iter().map(|slot| slot.dtype().size_in_bytes() as u64).sum()
    }
}

/// The optimizer that `options` ask for, over parameters in `precision`.
pub(crate) fn of(options: &TrainOptions, precision: Precision) -> Box<dyn Optimizer> {
    Box::new(AdamW::new(options, precision))
}
