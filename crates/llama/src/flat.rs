//! All parameters on one device, and their gradients where asked for.
//!
//! Input: a reader of named tensors, zeros, or a seed. Output: one flat buffer per [`Unit`].
//! This is [`Params`] for one process: what serving uses, and training at world size 1. Where only a range of every unit
//! is kept, it is the store of whoever lends the units whole.

use candle_core::{DType, Device, Tensor};
use recon_kernels::device::{allocated, gradient_dtype, zeros};

use crate::error::Foreign;
use crate::{Config, Error, GradLease, Lease, Params, Result, Unit, UnitLayout, init};

/// One flat buffer per unit, in the order of [`Config::units`]; whole, or a range of it.
pub struct FlatParams {
    layers: usize,
    layouts: Vec<UnitLayout>,
    parameters: Vec<Tensor>,
    gradients: Option<Vec<Tensor>>,
}

impl FlatParams {
    /// Reads every tensor through `read(name, shape)`; narrower floats are widened exactly to
    /// `dtype`. Peak memory is the parameters plus one unit.
    ///
    /// # Errors
    /// [`Error::Load`] and [`Error::Shape`] name the tensor.
    pub fn load<E: Into<Foreign>>(
        config: &Config,
        device: &Device,
        dtype: DType,
        read: impl FnMut(&str, &[usize]) -> Result<Tensor, E>,
    ) -> Result<Self> {
        Self::load_kept(config, device, dtype, read, Ok)
    }

    /// As [`FlatParams::load`], of every unit what `keep` makes of it, in memory of its own. Peak memory is what is kept
    /// plus one unit.
    ///
    /// # Errors
    /// As there, and those of `keep`.
    pub fn load_kept<E: Into<Foreign>>(
        config: &Config,
        device: &Device,
        dtype: DType,
        mut read: impl FnMut(&str, &[usize]) -> Result<Tensor, E>,
        keep: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        Self::build(config, |layout| {
            let mut parts = Vec::new();
            let mut end = 0;
            for spec in &layout.specs {
                let tensor = read(&spec.name, &spec.shape)
                    .map_err(|error| Error::Load { name: spec.name.clone(), source: error.into() })?;
                if tensor.dims() != spec.shape {
                    let found = tensor.dims().to_vec();
                    return Err(Error::Shape { name: spec.name.clone(), expected: spec.shape.clone(), found });
                }
                pad(&mut parts, spec.offset - end, dtype, device)?;
                let there = || tensor.to_device(device).and_then(|there| there.to_dtype(dtype)?.flatten_all());
                parts.push(allocated("parameters", tensor.elem_count(), dtype, device, there)?);
                end = spec.range().end;
            }
            pad(&mut parts, layout.elements - end, dtype, device)?;
            keep(allocated("parameters", layout.elements, dtype, device, || Tensor::cat(&parts, 0))?)
        })
    }

    /// All zeros.
    pub fn zeros(config: &Config, device: &Device, dtype: DType) -> Result<Self> {
        Self::build(config, |layout| Ok(zeros("parameters", layout.elements, dtype, device)?))
    }

    /// Fresh weights: normal(0, 0.02), the projections back into the residual stream scaled by
    /// `1/√(2·layers)`, norms 1. A function of `seed` and the tensors' names only.
    pub fn random(config: &Config, device: &Device, dtype: DType, seed: u64) -> Result<Self> {
        Self::random_kept(config, device, dtype, seed, Ok)
    }

    /// As [`FlatParams::random`], of every unit what `keep` makes of it.
    ///
    /// # Errors
    /// Those of `keep`.
    pub fn random_kept(
        config: &Config,
        device: &Device,
        dtype: DType,
        seed: u64,
        keep: impl Fn(Tensor) -> Result<Tensor>,
    ) -> Result<Self> {
        Self::load_kept(config, device, dtype, |name, shape| init::tensor(name, shape, config, seed), keep)
    }

    fn build(config: &Config, unit: impl FnMut(&UnitLayout) -> Result<Tensor>) -> Result<Self> {
        config.validate()?;
        let layouts: Vec<_> = config.units().into_iter().map(|unit| config.layout(unit)).collect();
        let parameters = layouts.iter().map(unit).collect::<Result<_>>()?;
        Ok(Self { layers: config.num_hidden_layers, layouts, parameters, gradients: None })
    }

    /// The same parameters in another type, without gradients.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        let to =
            |flat: &Tensor| allocated("parameters", flat.elem_count(), dtype, flat.device(), || flat.to_dtype(dtype));
        let parameters = self.parameters.iter().map(to).collect::<Result<_, _>>()?;
        Ok(Self { layers: self.layers, layouts: self.layouts.clone(), parameters, gradients: None })
    }

    /// Adds a zeroed gradient buffer to every unit; f32 for narrower parameters.
    pub fn with_grads(self) -> Result<Self> {
        self.with_grads_kept(|elements| elements)
    }

    /// As [`FlatParams::with_grads`], of a unit of so many elements only `kept`.
    pub fn with_grads_kept(mut self, kept: impl Fn(usize) -> usize) -> Result<Self> {
        let zeros = |(layout, flat): (&UnitLayout, &Tensor)| {
            zeros("gradients", kept(layout.elements), gradient_dtype(flat.dtype()), flat.device())
        };
        self.gradients = Some(self.layouts.iter().zip(&self.parameters).map(zeros).collect::<Result<_, _>>()?);
        Ok(self)
    }

    /// Sets every gradient to zero.
    pub fn zero_grads(&self) -> Result<()> {
        for gradient in self.gradients.iter().flatten() {
            gradient.zero_set()?;
        }
        Ok(())
    }

    /// Elements of all of `unit`, also where a range is kept.
    ///
    /// # Panics
    /// Where the model has no such unit.
    pub fn elements(&self, unit: Unit) -> usize {
        self.layouts[self.index(unit).expect("the unit is one of `Config::units`")].elements
    }

    /// The flat parameters of `unit`.
    ///
    /// # Panics
    /// Where the model has no such unit.
    pub fn unit(&self, unit: Unit) -> &Tensor {
        &self.parameters[self.index(unit).expect("the unit is one of `Config::units`")]
    }

    /// The flat gradient of `unit`; `None` without [`FlatParams::with_grads`].
    ///
    /// # Panics
    /// Where the model has no such unit.
    pub fn grad(&self, unit: Unit) -> Option<&Tensor> {
        let index = self.index(unit).expect("the unit is one of `Config::units`");
        self.gradients.as_ref().map(|gradients| &gradients[index])
    }

    /// Every tensor by its Hugging Face name, as views.
    pub fn named(&self) -> impl Iterator<Item = Result<(&str, Tensor)>> {
        named(&self.layouts, &self.parameters)
    }

    /// Every gradient by its parameter's name, as views; nothing without gradients.
    pub fn named_grads(&self) -> impl Iterator<Item = Result<(&str, Tensor)>> {
        named(&self.layouts, self.gradients.as_deref().unwrap_or_default())
    }

    fn index(&self, unit: Unit) -> Option<usize> {
        let index = match unit {
            Unit::Embed => 0,
            Unit::Layer(layer) if layer < self.layers => 1 + layer,
            Unit::Layer(_) => return None,
            Unit::Head => 1 + self.layers,
        };
        (index < self.parameters.len()).then_some(index)
    }

    fn find<'t>(&self, unit: Unit, what: &'static str, buffers: Option<&'t Vec<Tensor>>) -> Result<&'t Tensor> {
        let missing = || Error::Params { unit, what, source: "they are not held here".into() };
        let (buffers, index) = buffers.zip(self.index(unit)).ok_or_else(missing)?;
        Ok(&buffers[index])
    }
}

impl Params for FlatParams {
    fn lease(&self, unit: Unit) -> Result<Lease> {
        Ok(Lease::new(self.find(unit, "parameters", Some(&self.parameters))?.clone()))
    }

    fn grads(&self, unit: Unit) -> Result<GradLease> {
        Ok(GradLease::new(self.find(unit, "gradients", self.gradients.as_ref())?.clone()))
    }
}

fn named<'a>(layouts: &'a [UnitLayout], buffers: &'a [Tensor]) -> impl Iterator<Item = Result<(&'a str, Tensor)>> {
    layouts.iter().zip(buffers).flat_map(|(layout, flat)| {
        layout
            .specs
            .iter()
            .enumerate()
            .map(move |(at, spec)| Ok((spec.name.as_str(), crate::params::view(flat, layout, at)?)))
    })
}

fn pad(parts: &mut Vec<Tensor>, elements: usize, dtype: DType, device: &Device) -> Result<()> {
    if elements > 0 {
        parts.push(zeros("parameters", elements, dtype, device)?);
    }
    Ok(())
}
