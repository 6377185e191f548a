//! The seam between the model and whoever holds its parameters.
//!
//! The model asks for one [`Unit`] at a time and drops the lease when it is done, so a provider
//! may gather a shard before and free it after. Flat buffers: `[elements]`, contiguous, laid out
//! as [`Config::layout`](crate::Config::layout) says.

use candle_core::Tensor;

use crate::{Result, Unit, UnitLayout};

/// Lends a model its parameters and takes its gradients.
pub trait Params {
    /// The parameters of `unit`, readable until the lease is dropped.
    fn lease(&self, unit: Unit) -> Result<Lease>;

    /// Says that `unit` is leased next: a provider that gathers it can begin.
    fn prefetch(&self, _unit: Unit) -> Result<()> {
        Ok(())
    }

    /// The buffer the gradients of `unit` are added into.
    ///
    /// Asked for once per unit and backward pass; a tied head and embedding share one lease that
    /// is held from the head to the end.
    fn grads(&self, unit: Unit) -> Result<GradLease>;

    /// The gradients of `unit` for this pass are complete; a sharded provider reduces them here.
    fn finish_grads(&self, _unit: Unit, lease: GradLease) -> Result<()> {
        drop(lease);
        Ok(())
    }
}

/// The flat parameters of one unit, and whatever must live as long as they are read.
pub struct Lease {
    flat: Tensor,
    _guard: Option<Box<dyn Send>>,
}

impl Lease {
    /// A lease with nothing to give back.
    pub fn new(flat: Tensor) -> Self {
        Self { flat, _guard: None }
    }

    /// A lease whose `guard` is dropped with it, e.g. to return a gathered buffer to its pool.
    pub fn with_guard(flat: Tensor, guard: Box<dyn Send>) -> Self {
        Self { flat, _guard: Some(guard) }
    }

    /// The whole buffer, `[elements]`.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }
}

/// The flat gradient buffer of one unit; kernels add into its views.
pub struct GradLease {
    flat: Tensor,
}

impl GradLease {
    /// A lease on `flat`, `[elements]`, zero or the sum so far.
    pub fn new(flat: Tensor) -> Self {
        Self { flat }
    }

    /// The whole buffer, `[elements]`.
    pub fn flat(&self) -> &Tensor {
        &self.flat
    }
}

/// The tensor at `index` of `layout` as a view into `flat`.
pub(crate) fn view(flat: &Tensor, layout: &UnitLayout, index: usize) -> Result<Tensor> {
    let spec = &layout.specs[index];
    Ok(flat.narrow(0, spec.offset, spec.elements())?.reshape(spec.shape.as_slice())?)
}
