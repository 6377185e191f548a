//! The parameters of a rank as the model reads them: what other ranks keep of a unit is gathered before it and freed after
//! it, and its gradient goes to who keeps it.
//!
//! Input: what this rank keeps. Output: [`Params`] of whole units. Invariants: all ranks lease, announce and finish the
//! same units in the same order; of units gathered at most the one that is read and the one that was announced are here,
//! and one gradient; where gradients are shared, one micro-batch is computed between two sums.
//!
//! Source: Rajbhandari et al. 2020 (ZeRO, stages 2 and 3).

use std::cell::RefCell;

use candle_core::Tensor;
use recon_comm::{Communicator as _, Pending};
use recon_kernels::device::{gradient_dtype, zeros};
use recon_llama::{Error, FlatParams, GradLease, Lease, Params, Result, Unit};

use super::Ranks;

/// What a rank keeps, lent as whole units.
pub(crate) struct Lent<'a> {
    kept: &'a FlatParams,
    ranks: &'a Ranks<'a>,
    /// Units on their way.
    announced: RefCell<Vec<(Unit, Pending)>>,
}

impl<'a> Lent<'a> {
    pub(super) fn new(kept: &'a FlatParams, ranks: &'a Ranks<'a>) -> Self {
        Self { kept, ranks, announced: RefCell::default() }
    }

    fn start(&self, unit: Unit) -> Result<Pending> {
        let mut bytes = Vec::new();
        self.kept.unit(unit).write_bytes(&mut bytes)?;
        let group = self.ranks.shards();
        let all: Vec<usize> = (0..group.world()).collect();
        Ok(group.start(&all, vec![bytes; all.len()]))
    }

    fn gathered(&self, unit: Unit, pending: Pending) -> Result<Tensor> {
        let bytes = self.ranks.shards().finish(pending).map_err(|error| failed(unit, "parameters", error))?.concat();
        let own = self.kept.unit(unit);
        Ok(Tensor::from_raw_buffer(&bytes, own.dtype(), &[self.kept.elements(unit)], own.device())?)
    }
}

impl Params for Lent<'_> {
    fn lease(&self, unit: Unit) -> Result<Lease> {
        if !self.ranks.shares_weights() {
            return self.kept.lease(unit);
        }
        let mut announced = self.announced.borrow_mut();
        let pending = match announced.iter().position(|(of, _)| *of == unit) {
            Some(at) => announced.remove(at).1,
            None => self.start(unit)?,
        };
        Ok(Lease::new(self.gathered(unit, pending)?))
    }

    fn prefetch(&self, unit: Unit) -> Result<()> {
        let mut announced = self.announced.borrow_mut();
        if self.ranks.shares_weights() && announced.iter().all(|(of, _)| *of != unit) {
            announced.push((unit, self.start(unit)?));
        }
        Ok(())
    }

    fn grads(&self, unit: Unit) -> Result<GradLease> {
        if !self.ranks.shares_gradients() {
            return self.kept.grads(unit);
        }
        let own = self.kept.unit(unit);
        let dtype = gradient_dtype(own.dtype());
        Ok(GradLease::new(zeros("gradients", self.kept.elements(unit), dtype, own.device())?))
    }

    fn finish_grads(&self, unit: Unit, lease: GradLease) -> Result<()> {
        if self.ranks.shares_gradients() {
            let sum = self.ranks.sum_kept(lease.flat()).map_err(|error| failed(unit, "gradients", error))?;
            if sum.elem_count() > 0 {
                self.kept.grad(unit).expect("parameters in training have gradients").slice_set(&sum, 0, 0)?;
            }
        }
        Ok(())
    }
}

fn failed(unit: Unit, what: &'static str, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Params { unit, what, source: error.into() }
}
