//! The slots of every unit: allocated or read, and given to checkpoints by their names.

use candle_core::{DType, Tensor};
use recon_kernels::device::zeros;
use recon_llama::{Config, FlatParams, Unit};

use super::{Optimizer, Slot};
use crate::Result;
use crate::ranks::Ranks;

/// The name of the parameters in checkpoints; of their masters, where there are any.
pub(crate) const PARAMETERS: &str = "parameters";

/// One tensor of a checkpoint.
pub(crate) struct Saved<'a> {
    pub(crate) unit: Unit,
    pub(crate) kind: &'static str,
    pub(crate) flat: &'a Tensor,
    /// Whether it is what this rank keeps of the unit, not the whole.
    pub(crate) kept: bool,
}

/// What an optimizer keeps for every unit, in the order of the forward pass; of each unit what the rank keeps.
pub(crate) struct Slots {
    kinds: Vec<Slot>,
    units: Vec<(Unit, Vec<Tensor>)>,
}

impl Slots {
    /// At the beginning of a run from `initial`, which are the masters where there are any.
    pub(crate) fn zeros(
        optimizer: &dyn Optimizer,
        config: &Config,
        initial: &FlatParams,
        ranks: &Ranks<'_>,
    ) -> Result<Self> {
        Self::new(optimizer, config, initial, ranks, |unit, _, dtype| {
            let own = ranks.own(initial.elements(unit));
            Ok(zeros("moments", own.len(), dtype, initial.unit(unit).device())?)
        })
    }

    /// With moments from `moment`, which is asked for a unit, a name and a type, and gives what this rank keeps.
    pub(crate) fn new(
        optimizer: &dyn Optimizer,
        config: &Config,
        initial: &FlatParams,
        ranks: &Ranks<'_>,
        mut moment: impl FnMut(Unit, &'static str, DType) -> Result<Tensor>,
    ) -> Result<Self> {
        let kinds = optimizer.slots().to_vec();
        let mut of_unit = |unit| -> Result<_> {
            let slot = |kind: &Slot| match *kind {
                Slot::Master(_) => ranks.kept(initial.unit(unit), initial.elements(unit)),
                Slot::Moment { name, dtype } => moment(unit, name, dtype),
            };
            Ok((unit, kinds.iter().map(slot).collect::<Result<_>>()?))
        };
        let units = config.units().into_iter().map(&mut of_unit).collect::<Result<_>>()?;
        Ok(Self { kinds, units })
    }

    /// Every unit with its slots.
    pub(super) fn units(&self) -> &[(Unit, Vec<Tensor>)] {
        &self.units
    }

    /// All that a checkpoint holds of a model that trains `params`.
    pub(crate) fn saved<'a>(&'a self, params: &'a FlatParams) -> Vec<Saved<'a>> {
        let of_unit = |(unit, slots): &'a (Unit, Vec<Tensor>)| {
            let unit = *unit;
            let flat = params.unit(unit);
            let kept = flat.elem_count() != params.elements(unit);
            let mut saved = vec![Saved { unit, kind: PARAMETERS, flat, kept }];
            for (kind, flat) in self.kinds.iter().zip(slots) {
                match *kind {
                    // The parameters are its rounded copy.
                    Slot::Master(_) => saved[0] = Saved { unit, kind: PARAMETERS, flat, kept: true },
                    Slot::Moment { name: kind, .. } => saved.push(Saved { unit, kind, flat, kept: true }),
                }
            }
            saved
        };
        self.units.iter().flat_map(of_unit).collect()
    }
}

/// `initial` as the model computes with it: in `dtype`, where the optimizer keeps masters in another.
pub(crate) fn computed(optimizer: &dyn Optimizer, initial: FlatParams, dtype: DType) -> Result<FlatParams> {
    match optimizer.master() {
        Some(_) => Ok(initial.to_dtype(dtype)?),
        None => Ok(initial),
    }
}
