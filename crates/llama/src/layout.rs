//! How a unit's weights lie in its flat buffer.
//!
//! Output: for every tensor its Hugging Face name, shape and offset in elements. Matrices come
//! first and norms last, so that the part under weight decay is one range. Offsets are multiples
//! of [`ALIGNMENT`]; the padding between tensors is zero and its gradient stays zero.

use std::ops::Range;

use crate::{Config, Unit};

/// Offsets are multiples of this many elements: 128 bytes of bf16, one cache line pair.
pub const ALIGNMENT: usize = 64;

/// Whether weight decay applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TensorKind {
    /// A matrix: decayed.
    Matrix,
    /// The gain of a normalisation: not decayed.
    Norm,
}

/// One tensor of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorSpec {
    /// Hugging Face name, e.g. `model.layers.0.self_attn.q_proj.weight`.
    pub name: String,
    /// Shape, row-major; `[out, in]` for projections.
    pub shape: Vec<usize>,
    /// First element in the unit's buffer.
    pub offset: usize,
    /// Whether weight decay applies.
    pub kind: TensorKind,
}

impl TensorSpec {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Its elements in the unit's buffer.
    pub fn range(&self) -> Range<usize> {
        self.offset..self.offset + self.elements()
    }
}

/// All tensors of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitLayout {
    /// The tensors by ascending offset.
    pub specs: Vec<TensorSpec>,
    /// Elements of the buffer, padding included.
    pub elements: usize,
    /// Elements `0..decayed_elements` are matrices (weight decay applies), the rest norms.
    pub decayed_elements: usize,
}

impl UnitLayout {
    fn new(tensors: Vec<(String, Vec<usize>, TensorKind)>) -> Self {
        let mut layout = Self { specs: Vec::with_capacity(tensors.len()), elements: 0, decayed_elements: 0 };
        for (name, shape, kind) in tensors {
            let spec = TensorSpec { name, shape, offset: layout.elements, kind };
            layout.elements = (layout.elements + spec.elements()).next_multiple_of(ALIGNMENT);
            if kind == TensorKind::Matrix {
                layout.decayed_elements = layout.elements;
            }
            layout.specs.push(spec);
        }
        layout
    }
}

/// Position of the tensors in a layer's [`UnitLayout::specs`].
pub(crate) mod slot {
    pub(crate) const Q: usize = 0;
    pub(crate) const K: usize = 1;
    pub(crate) const V: usize = 2;
    pub(crate) const O: usize = 3;
    pub(crate) const GATE: usize = 4;
    pub(crate) const UP: usize = 5;
    pub(crate) const DOWN: usize = 6;
    pub(crate) const ATTENTION_NORM: usize = 7;
    pub(crate) const MLP_NORM: usize = 8;
    /// The table of `Embed` and the projection of `Head`.
    pub(crate) const TABLE: usize = 0;
    /// The final norm of `Head`, or of a tied `Embed`.
    pub(crate) const FINAL_NORM: usize = 1;
}

impl Config {
    /// The units in the order of the forward pass.
    pub fn units(&self) -> Vec<Unit> {
        let mut units = vec![Unit::Embed];
        units.extend((0..self.num_hidden_layers).map(Unit::Layer));
        if !self.tie_word_embeddings {
            units.push(Unit::Head);
        }
        units
    }

    /// The unit that holds the output projection and the final norm.
    pub fn head_unit(&self) -> Unit {
        if self.tie_word_embeddings { Unit::Embed } else { Unit::Head }
    }

    /// Where the tensors of `unit` lie in its buffer.
    pub fn layout(&self, unit: Unit) -> UnitLayout {
        let (d, f) = (self.hidden_size, self.intermediate_size);
        let matrix = |name: &str, rows: usize, columns: usize| (name.into(), vec![rows, columns], TensorKind::Matrix);
        let norm = |name: &str| (name.into(), vec![d], TensorKind::Norm);
        let table = matrix("model.embed_tokens.weight", self.vocab_size, d);
        match unit {
            Unit::Embed if self.tie_word_embeddings => UnitLayout::new(vec![table, norm("model.norm.weight")]),
            Unit::Embed => UnitLayout::new(vec![table]),
            Unit::Head => {
                UnitLayout::new(vec![matrix("lm_head.weight", self.vocab_size, d), norm("model.norm.weight")])
            }
            Unit::Layer(layer) => {
                let (q, kv) = (self.query_dim(), self.key_value_dim());
                let inside = |name: &str| format!("model.layers.{layer}.{name}.weight");
                UnitLayout::new(vec![
                    matrix(&inside("self_attn.q_proj"), q, d),
                    matrix(&inside("self_attn.k_proj"), kv, d),
                    matrix(&inside("self_attn.v_proj"), kv, d),
                    matrix(&inside("self_attn.o_proj"), d, q),
                    matrix(&inside("mlp.gate_proj"), f, d),
                    matrix(&inside("mlp.up_proj"), f, d),
                    matrix(&inside("mlp.down_proj"), d, f),
                    norm(&inside("input_layernorm")),
                    norm(&inside("post_attention_layernorm")),
                ])
            }
        }
    }

    /// Parameters of the model, padding excluded.
    pub fn parameters(&self) -> u64 {
        let of_unit = |unit| self.layout(unit).specs.iter().map(|spec| spec.elements() as u64).sum::<u64>();
        let layers = self.num_hidden_layers as u64 * of_unit(Unit::Layer(0));
        let outside = of_unit(Unit::Embed) + if self.tie_word_embeddings { 0 } else { of_unit(Unit::Head) };
        layers + outside
    }
}
