//! Whether gradients reach every tensor: one that gets none would stay as it is, and nobody would know.
//!
//! A tensor may have no gradient in a step for a good reason (queries and keys, where every document has two tokens), so
//! the run stops where one had none in all of its first steps.

use candle_core::Tensor;
use recon_kernels::norm;
use recon_llama::{Config, FlatParams, TensorSpec, Unit};

use crate::ranks::Ranks;
use crate::{Error, Result};

/// Steps in which every tensor must have had a gradient.
const STEPS: u64 = 3;

/// The tensors that had no gradient so far.
pub(crate) struct Unreached {
    waiting: Vec<(Unit, TensorSpec)>,
    /// Steps looked at.
    looked: u64,
}

impl Unreached {
    /// All tensors of the model.
    pub(crate) fn new(config: &Config) -> Self {
        let of_unit = |unit| config.layout(unit).specs.into_iter().map(move |spec| (unit, spec));
        Self { waiting: config.units().into_iter().flat_map(of_unit).collect(), looked: 0 }
    }

    /// Looks at the gradients of a step; `is_last`: no other follows.
    ///
    /// # Errors
    /// [`Error::NoGradient`] names the first tensor that had none.
    pub(crate) fn look(&mut self, params: &FlatParams, ranks: &Ranks<'_>, is_last: bool) -> Result<()> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        // Of a tensor, what lies in this rank's share of the gradient.
        let view = |(unit, spec): &(Unit, TensorSpec)| {
            let gradient = params.grad(*unit).expect("parameters in training have gradients");
            ranks.part(gradient, params.elements(*unit), spec.range())
        };
        let views = self.waiting.iter().map(view).collect::<Result<Vec<Option<Tensor>>>>()?;
        let mut squares = norm::sums_of_squares(&views.iter().flatten().collect::<Vec<_>>())?.into_iter();
        let own = views.iter().map(|view| view.as_ref().map_or(0.0, |_| squares.next().unwrap_or_default()));
        let mut squares = ranks.total(own.collect())?.into_iter();
        self.waiting.retain(|_| squares.next() == Some(0.0));
        self.looked += 1;
        match self.waiting.first() {
            Some((_, spec)) if is_last || self.looked >= STEPS => {
                let others = self.waiting.len() - 1;
                Err(Error::NoGradient { name: spec.name.clone(), others, steps: self.looked })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use recon_llama::{ActivationPolicy, Llama, Packed};

    use super::*;
    use crate::TrainOptions;

    /// Gradients of a model whose first layer gives its attention no way out.
    fn unreached(silenced: &str) -> Result<()> {
        let config = serde_json::json!({
            "model_type": "llama", "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "rms_norm_eps": 1e-5, "max_position_embeddings": 64,
        });
        let config = Config::from_json(&config.to_string()).unwrap();
        let random = FlatParams::random(&config, &Device::Cpu, DType::F32, 1).unwrap();
        let mut tensors = random.named().map(|named| named.map(|(name, tensor)| (name.to_owned(), tensor)));
        let read = |name: &str, _: &[usize]| {
            let (_, tensor) = tensors.next().expect("the same tensors in the same order")?;
            if name == silenced { Ok(tensor.zeros_like()?) } else { Ok::<_, recon_llama::Error>(tensor) }
        };
        let params = FlatParams::load(&config, &Device::Cpu, DType::F32, read).unwrap().with_grads().unwrap();
        let model = Llama::new(config.clone(), &Device::Cpu, DType::F32).unwrap();
        let row = Packed { ids: (0..30).collect(), mask: vec![1; 30], spans: vec![0..12, 12..30] };
        let mut unreached = Unreached::new(&config);
        let ranks = Ranks::new(&recon_comm::Solo, &TrainOptions::default(), &config, None).unwrap();
        for _ in 0..STEPS {
            model.loss_and_grads(&params, &row, ActivationPolicy::KeepAll, 0.1).unwrap();
            unreached.look(&params, &ranks, false)?;
        }
        Ok(())
    }

    #[test]
    fn a_tensor_without_a_gradient_is_named() {
        unreached("").unwrap();
        let error = unreached("model.layers.0.self_attn.o_proj.weight").unwrap_err();
        let Error::NoGradient { name, others, steps: STEPS } = &error else { panic!("{error}") };
        assert!(
            name.contains("layers.0.self_attn.q_proj") && *others == 3,
            "keys, values and the norm before them: {error}"
        );
    }
}
