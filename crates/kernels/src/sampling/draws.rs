//! What is asked of a draw: temperature, share of the mass, random number, and masks of what is allowed.
//!
//! Legend: `N` rows, `V` vocabulary, `M` masks, whose words are u32 `[M, ⌈V/32⌉]`.

use candle_core::{Device, Tensor};

use crate::error::{Error, Result};

/// Stands for no id.
pub(super) const NONE: u32 = u32::MAX;

/// How one row is drawn from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Draw {
    /// Divides the logits; 0 takes the largest.
    pub temperature: f64,
    /// Share of the mass that is kept, in (0, 1].
    pub top_p: f64,
    /// Random number in [0, 1).
    pub uniform: f64,
    /// Which of the masks says what may be drawn; none allows every id.
    pub mask: Option<usize>,
}

impl Draw {
    /// Whether temperature and `top_p` name a distribution.
    pub fn names_a_distribution(&self) -> bool {
        self.temperature.is_finite() && self.temperature >= 0.0 && self.top_p > 0.0 && self.top_p <= 1.0
    }
}

/// A set of ids, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mask {
    words: Vec<u32>,
    vocabulary: usize,
}

impl Mask {
    /// The ids below `vocabulary` that `allowed` names.
    pub fn new(vocabulary: usize, allowed: impl Fn(u32) -> bool) -> Self {
        let mut mask = Self { words: vec![0; vocabulary.div_ceil(32)], vocabulary };
        (0_u32..).take(vocabulary).filter(|&id| allowed(id)).for_each(|id| mask.allow(id));
        mask
    }

    /// Adds an id; one outside the vocabulary names nothing.
    pub fn allow(&mut self, id: u32) {
        if (id as usize) < self.vocabulary {
            self.words[id as usize / 32] |= 1 << (id % 32);
        }
    }
}

/// Masks where the logits are.
#[derive(Debug, Clone)]
pub struct Masks {
    words: Tensor,
    count: usize,
    vocabulary: usize,
}

impl Masks {
    /// Copies masks to a device.
    ///
    /// # Errors
    /// No mask, masks of different vocabularies, no memory left on the device.
    pub fn new(masks: &[Mask], device: &Device) -> Result<Self> {
        const OP: &str = "sampling::masks";
        let vocabulary = masks.first().map_or(0, |mask| mask.vocabulary);
        if vocabulary == 0 || masks.iter().any(|mask| mask.vocabulary != vocabulary) {
            let message = format!("{} masks must be some, and of one vocabulary", masks.len());
            return Err(Error::Argument { op: OP, message });
        }
        let words: Vec<u32> = masks.iter().flat_map(|mask| &mask.words).copied().collect();
        let shape = (masks.len(), vocabulary.div_ceil(32));
        let words = Tensor::from_vec(words, shape, device).map_err(Error::candle(OP))?;
        Ok(Self { words, count: masks.len(), vocabulary })
    }

    /// A row of bits each.
    pub(super) fn words(&self) -> &Tensor {
        &self.words
    }
}

/// Refuses draws that do not fit the logits `[n, v]` or the masks.
pub(super) fn check_draws(
    op: &'static str,
    (n, v): (usize, usize),
    masks: Option<&Masks>,
    draws: &[Draw],
) -> Result<()> {
    let refuse = |message: String| Err(Error::Argument { op, message });
    if draws.len() != n {
        return refuse(format!("{n} rows, but {} draws", draws.len()));
    }
    if let Some(masks) = masks.filter(|masks| masks.vocabulary != v) {
        return refuse(format!("masks of {} ids for {v} logits", masks.vocabulary));
    }
    let count = masks.map_or(0, |masks| masks.count);
    for (row, draw) in draws.iter().enumerate() {
        if !draw.names_a_distribution() || !(0.0..1.0).contains(&draw.uniform) {
            return refuse(format!("row {row} cannot be drawn from with {draw:?}"));
        }
        if let Some(mask) = draw.mask.filter(|&mask| mask >= count) {
            return refuse(format!("row {row} asks for mask {mask} of {count}"));
        }
    }
    Ok(())
}
