//! AdamW: two moments, and in bf16 either f32 masters or random rounding.
//!
//! | parameters | `optimizer_state` | keeps |
//! |---|---|---|
//! | f32 | – | `m`, `v` in f32 |
//! | bf16 | `masters` | masters, `m`, `v` in f32 |
//! | bf16 | `stochastic` | `m`, `v` in bf16 |
//!
//! Formula and source: [`recon_kernels::adamw`].

use candle_core::{DType, Tensor};
use recon_kernels::adamw::{self, Weights};
use recon_llama::Precision;

use super::{Optimizer, Part, Slot, StepAt};
use crate::{OptimizerState, Result, TrainOptions};

pub(super) struct AdamW {
    betas: [f64; 2],
    eps: f64,
    weight_decay: f64,
    variant: Variant,
    slots: Vec<Slot>,
}

enum Variant {
    Float,
    Masters,
    Stochastic { seed: u64 },
}

impl AdamW {
    pub(super) fn new(options: &TrainOptions, precision: Precision) -> Self {
        let variant = match (precision, options.optimizer_state) {
            (Precision::F32, _) => Variant::Float,
            (Precision::Bf16, OptimizerState::Masters) => Variant::Masters,
            (Precision::Bf16, OptimizerState::Stochastic) => Variant::Stochastic { seed: options.seed },
        };
        let moments = |dtype| [Slot::Moment { name: "m", dtype }, Slot::Moment { name: "v", dtype }];
        let slots = match variant {
            Variant::Float => moments(DType::F32).to_vec(),
            Variant::Masters => [&[Slot::Master(DType::F32)][..], &moments(DType::F32)].concat(),
            Variant::Stochastic { .. } => moments(DType::BF16).to_vec(),
        };
        let TrainOptions { betas, eps, weight_decay, .. } = *options;
        Self { betas, eps, weight_decay, variant, slots }
    }
}

impl Optimizer for AdamW {
    fn slots(&self) -> &[Slot] {
        &self.slots
    }

    fn update(&self, part: &Part<'_>, at: &StepAt) -> Result<()> {
        let [beta1, beta2] = self.betas;
        let weight_decay = if part.decays { self.weight_decay } else { 0.0 };
        let coefficients = adamw::AdamW { lr: at.lr, beta1, beta2, eps: self.eps, weight_decay, step: at.step };
        let (weights, [m, v]): (Weights<'_>, [&Tensor; 2]) = match (&self.variant, part.slots) {
            (Variant::Masters, [master, m, v]) => (Weights::Master(master), [m, v]),
            (Variant::Stochastic { seed }, [m, v]) => (Weights::Stochastic { seed: *seed, first: part.first }, [m, v]),
            (Variant::Float, [m, v]) => (Weights::Float, [m, v]),
            _ => unreachable!("a part brings what `slots` lists"),
        };
        Ok(adamw::step_narrow(part.parameters, weights, part.gradient, m, v, &coefficients)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const ELEMENTS: usize = 1003;

    /// Parameters and slots after one step over `ranges`, each updated alone.
    fn updated(optimizer: &AdamW, dtype: DType, ranges: &[std::ops::Range<usize>], decays: bool) -> Vec<Vec<f32>> {
        let flat = |scale: f64, dtype| {
            let values = (0..ELEMENTS).map(|i| (scale * (i * 7919 % 1009) as f64) as f32).collect::<Vec<_>>();
            Tensor::from_vec(values, ELEMENTS, &Device::Cpu).unwrap().to_dtype(dtype).unwrap()
        };
        let (parameters, gradient) = (flat(1e-3, dtype), flat(1e-2, DType::F32));
        let slots: Vec<Tensor> = optimizer.slots.iter().map(|slot| flat(1e-3, slot.dtype())).collect();
        for range in ranges {
            let part = |flat: &Tensor| flat.narrow(0, range.start, range.len()).unwrap();
            let part = Part {
                parameters: &part(&parameters),
                gradient: &part(&gradient),
                slots: &slots.iter().map(part).collect::<Vec<_>>(),
                first: range.start as u64,
                decays,
            };
            optimizer.update(&part, &StepAt { step: 3, lr: 1e-2 }).unwrap();
        }
        let wide = |tensor: &Tensor| tensor.to_dtype(DType::F32).unwrap().to_vec1().unwrap();
        std::iter::once(&parameters).chain(&slots).map(wide).collect()
    }

    /// What sharding rests on, and a control that shows the comparison sees a difference of one coefficient.
    fn ranges_do_not_matter(options: &TrainOptions, precision: Precision) {
        let (optimizer, dtype) = (AdamW::new(options, precision), precision.dtype());
        let whole = updated(&optimizer, dtype, &[0..ELEMENTS], true);
        assert_eq!(updated(&optimizer, dtype, &[501..ELEMENTS, 0..7, 7..501], true), whole);
        assert_ne!(updated(&optimizer, dtype, &[0..ELEMENTS], false), whole);
    }

    #[test]
    fn a_range_updated_alone_gets_what_the_whole_would_give_it() {
        ranges_do_not_matter(&TrainOptions::default(), Precision::F32);
    }

    #[cfg(feature = "emulated")]
    mod device {
        use recon_kernels::device::{Order, emulate};

        use super::*;

        #[test]
        fn a_range_updated_alone_gets_what_the_whole_would_give_it() {
            for optimizer_state in [OptimizerState::Masters, OptimizerState::Stochastic] {
                let options = TrainOptions { optimizer_state, ..TrainOptions::default() };
                emulate(Order::Ascending, || ranges_do_not_matter(&options, Precision::Bf16));
            }
        }
    }
}
