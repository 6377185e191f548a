//! The output head fused with the cross-entropy: hidden states in, nats and gradients out.
//!
//! Formula, with logits z = h · wᵀ: nats = ln Σ exp(z) − z[target]; dz = weight · (softmax(z) − onehot(target));
//! dh = dz · w; dw += dzᵀ · h.
//! Shapes: h, dh `[N, D]`, w, dw `[V, D]`, targets and weights `[N]`. A row of weight 0 is masked: it costs nothing and
//! its target is not looked at.
//! Memory: logits exist for one chunk of rows at a time (at most about 4 Mi elements, but at least 128 rows), and the
//! gradient takes their place.
//! Accumulation: in the element type; nats are summed over rows in f64; dw over chunks of rows in order.
//! Determinism: bit-equal over runs and thread counts; a row's nats do not depend on the other rows.

mod cpu;
#[cfg(recon_device)]
mod device;

use candle_core::Tensor;

use crate::element::for_element;
#[cfg(recon_device)]
use crate::error::Error;
use crate::error::Result;
use crate::operand::{Destination, fresh, write};

/// A loss summed over tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Σ nats over the rows whose weight is not zero, unweighted.
    pub sum: f64,
    /// The number of those rows.
    pub tokens: u64,
}

/// The nats of the rows whose weight is not zero, which may still be on their way from a device.
#[derive(Debug)]
pub struct Nats(Held);

#[derive(Debug)]
enum Held {
    Here(Vec<f64>),
    #[cfg(recon_device)]
    There {
        each: Tensor,
        rows: usize,
        sum: Tensor,
    },
}

impl Nats {
    /// The sum; waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read(self) -> Result<f64> {
        match self.0 {
            Held::Here(nats) => Ok(nats.into_iter().sum()),
            #[cfg(recon_device)]
            Held::There { sum, .. } => {
                let read = sum.to_vec1::<f64>().map_err(Error::candle("cross_entropy::Nats::read"))?;
                Ok(read[0])
            }
        }
    }

    /// Each row's, in their order; waits for the device.
    ///
    /// # Errors
    /// What went wrong on the device.
    pub fn read_each(self) -> Result<Vec<f64>> {
        match self.0 {
            Held::Here(nats) => Ok(nats),
            #[cfg(recon_device)]
            Held::There { each, rows, .. } => {
                let read = each.to_vec1::<f32>().map_err(Error::candle("cross_entropy::Nats::read_each"))?;
                Ok(read[..rows].iter().map(|nats| f64::from(*nats)).collect())
            }
        }
    }
}

/// The loss of h `[N, D]` under the head w `[V, D]`.
///
/// # Errors
/// Shapes that contradict each other, a target outside the vocabulary where the weight is not zero, an unsupported
/// device, element type or layout.
pub fn forward(h: &Tensor, w: &Tensor, targets: &[u32], weights: &[f32]) -> Result<Loss> {
    const OP: &str = "cross_entropy::forward";
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, weights)?;
        let sum = head.gathered(head.nats()?)?.read()?;
        Ok(Loss { sum, tokens: head.tokens() as u64 })
    });
    let head = cpu::Head::open(OP, h, w, targets, weights)?;
    for_element!(head.h.dtype(), T => {
        let nats = head.nats::<T>()?;
        Ok(Loss { sum: nats.iter().sum(), tokens: nats.len() as u64 })
    })
}

/// The log-probability in nats of each row's target, `[N]`.
///
/// # Errors
/// Shapes that contradict each other, a target outside the vocabulary, an unsupported device, element type or layout.
pub fn log_probs(h: &Tensor, w: &Tensor, targets: &[u32]) -> Result<Vec<f32>> {
    const OP: &str = "cross_entropy::log_probs";
    let weights = vec![1.0; targets.len()];
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, &weights)?;
        let nats = head.nats()?.to_vec1::<f32>().map_err(Error::candle(OP))?;
        Ok(nats[..head.tokens()].iter().map(|nats| -nats).collect())
    });
    let head = cpu::Head::open(OP, h, w, targets, &weights)?;
    for_element!(head.h.dtype(), T => Ok(head.nats::<T>()?.into_iter().map(|nats| -nats as f32).collect()))
}

/// (Nats of the rows whose weight is not zero, unweighted, dh `[N, D]`); the head's gradient is added to `dw` `[V, D]`. The
/// gradients are those of Σ weight · nats: the caller puts 1/(global number of trained tokens) into the weights.
///
/// # Errors
/// As [`forward`], or a `dw` that shares its storage with an input.
pub fn forward_backward(
    h: &Tensor,
    w: &Tensor,
    targets: &[u32],
    weights: &[f32],
    dw: &Tensor,
) -> Result<(Nats, Tensor)> {
    const OP: &str = "cross_entropy::forward_backward";
    on_device!(OP, h, call => {
        let head = device::Head::open(&call, h, w, targets, weights)?;
        let (nats, dh) = head.backward(dw)?;
        Ok((head.gathered(nats)?, dh))
    });
    let head = cpu::Head::open(OP, h, w, targets, weights)?;
    let destination = Destination { name: "dw", tensor: dw, shape: &[head.v, head.d] };
    for_element!(head.h.dtype(), T => {
        let (h, w) = (head.h.slice::<T>()?, head.w.slice::<T>()?);
        let (nats, dh) = write(OP, &destination, &[&head.h, &head.w], |dw: &mut [T]| head.backward(h, w, dw))?;
        Ok((Nats(Held::Here(nats)), fresh(OP, dh, &[head.n, head.d])?))
    })
}
