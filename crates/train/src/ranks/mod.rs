//! How one step is computed by several ranks, and what of the result each of them keeps.
//!
//! Legend: `W` ranks, `P` parts of a step, `A` micro-batches of a step (`accumulation`).
//!
//! Every rank sees the whole step and computes its parts: part `p` is the micro-batches `p, p + P, …`, added into one
//! buffer in that order; the parts are added by the tree of [`recon_comm::tree_sum`]. A rank has `P / W` neighbouring
//! parts, a power of two (or all), so each `W` gives the same bits. Micro-batches are sorted by cost, so the parts are
//! alike, and ranks do not wait for each other.
//!
//! A unit's flat buffers fall into [`SLICES`] slices, whatever `W` is. Squares of the gradient are summed by slice, then
//! over slices in order; where the state is shared, a rank keeps that of neighbouring slices.
//!
//! Source: Rajbhandari et al. 2020 (ZeRO) for the sharing of state.

mod options;

use std::ops::Range;

use candle_core::{DType, Tensor};
use recon_comm::{Communicator, TreeSum, even};
use recon_kernels::norm;
use recon_llama::{ALIGNMENT, FlatParams, Unit};

use crate::{Error, Result};
pub use options::{ParallelOptions, StateOn};

/// Slices of a unit: enough for as many ranks.
const SLICES: usize = 64;
/// The rank that reads what only one reads, and writes.
const FIRST: usize = 0;

/// The ranks of a run, seen from one of them.
pub(crate) struct Ranks<'a> {
    comm: &'a dyn Communicator,
    parts: usize,
    shared: bool,
}

impl<'a> Ranks<'a> {
    /// Ranks that share steps of `accumulation` micro-batches, in a run that had `saved` parts so far.
    ///
    /// # Errors
    /// [`Error::Option`] where they cannot.
    pub(crate) fn new(
        comm: &'a dyn Communicator,
        options: &ParallelOptions,
        accumulation: usize,
        saved: Option<usize>,
    ) -> Result<Self> {
        let world = comm.world();
        let parts = options.parts(world, accumulation, saved)?;
        Ok(Self { comm, parts, shared: world > 1 && options.state == StateOn::Shared })
    }

    /// Parts of a step.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// The number of ranks.
    pub(crate) fn world(&self) -> usize {
        self.comm.world()
    }

    /// Whether this is the rank that writes.
    pub(crate) fn leads(&self) -> bool {
        self.comm.rank() == FIRST
    }

    /// Returns when every rank has called it.
    pub(crate) fn meet(&self) -> Result<()> {
        Ok(self.comm.barrier()?)
    }

    /// Whether any rank says yes, and what the first rank says.
    pub(crate) fn any_and_first(&self, any: bool, first: bool) -> Result<(bool, bool)> {
        let said = self.comm.all_gather(&[u8::from(any), u8::from(first)])?;
        Ok((said.iter().any(|said| said[0] != 0), said[FIRST][1] != 0))
    }

    /// Computes a step of `micro_batches`: `begin` adds the gradients of one to those of `params`, `read` says its figures
    /// once all have begun, since it may wait for a device. The figures of all of them, in order; the gradients are then
    /// those of this rank's parts.
    pub(crate) fn compute<P>(
        &self,
        params: &FlatParams,
        units: &[Unit],
        micro_batches: usize,
        mut begin: impl FnMut(usize) -> Result<P>,
        read: impl Fn(P) -> Result<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>> {
        let own = even(self.parts, self.world())[self.comm.rank()].clone();
        let alone = own.len() == 1;
        let mut sum = TreeSum::new(|left: &mut Vec<Tensor>, right| add(left, right));
        let mut begun = Vec::new();
        for part in own {
            params.zero_grads()?;
            for micro_batch in (part..micro_batches).step_by(self.parts) {
                begun.push(begin(micro_batch)?);
            }
            if !alone {
                sum.push(units.iter().map(|unit| gradient(params, *unit).copy()).collect::<Result<Vec<_>, _>>()?)?;
            }
        }
        for (unit, sum) in units.iter().zip(sum.finish()?.into_iter().flatten()) {
            gradient(params, *unit).slice_set(&sum, 0, 0)?;
        }
        let mut figures = Vec::new();
        for begun in begun {
            let of = read(begun)?;
            figures.push(of.len() as f64);
            figures.extend(of);
        }
        self.in_order(micro_batches, &figures)
    }

    /// The figures of all micro-batches, from those of this rank's: of each their number and they.
    fn in_order(&self, micro_batches: usize, figures: &[f64]) -> Result<Vec<Vec<f64>>> {
        let mut ordered = vec![Vec::new(); micro_batches];
        let by_rank = self.comm.all_gather_f64(figures)?;
        for (parts, figures) in even(self.parts, self.world()).into_iter().zip(by_rank) {
            let mut rest = figures.into_iter();
            for at in parts.flat_map(|part| (part..micro_batches).step_by(self.parts)) {
                let count = rest.next().unwrap_or_default() as usize;
                ordered[at].extend(rest.by_ref().take(count));
            }
        }
        Ok(ordered)
    }

    /// Adds up the gradients of all ranks: everywhere, or of each unit what this rank keeps the state of.
    pub(crate) fn reduce(&self, params: &FlatParams, units: &[Unit]) -> Result<()> {
        if self.world() == 1 {
            return Ok(());
        }
        for unit in units {
            let flat = gradient(params, *unit);
            let mut values = flat.to_vec1::<f32>()?;
            if self.shared {
                let ranges = self.ranges(values.len());
                let own = self.comm.reduce_scatter_f32(&values, &ranges)?;
                put(
                    flat,
                    &Tensor::from_vec(own, ranges[self.comm.rank()].len(), flat.device())?,
                    self.own(values.len()),
                )?;
            } else {
                self.comm.all_reduce_f32(&mut values)?;
                let length = values.len();
                put(flat, &Tensor::from_vec(values, length, flat.device())?, 0..length)?;
            }
        }
        Ok(())
    }

    /// Σ of the squares of the gradient of each of `units`, which are added up: the same bits for every number of ranks.
    ///
    /// # Errors
    /// [`Error::Gradient`] names the first unit whose gradient is not finite.
    pub(crate) fn sums_of_squares(&self, params: &FlatParams, units: &[Unit], step: u64) -> Result<Vec<f64>> {
        let mut slices = Vec::new();
        for unit in units {
            let flat = gradient(params, *unit);
            let own = self.own(flat.elem_count());
            for range in slices_of(flat.elem_count()).filter(|it| own.start <= it.start && it.end <= own.end) {
                if !range.is_empty() {
                    slices.push((*unit, flat.narrow(0, range.start, range.len())?));
                }
            }
        }
        let squares = norm::sums_of_squares(&slices.iter().map(|(_, slice)| slice).collect::<Vec<_>>())?;
        // Of each rank, unit by unit, the squares of its slices; ranks have theirs in order.
        let mut by_unit = Vec::with_capacity(units.len());
        for unit in units {
            let own = slices.iter().zip(&squares).filter(|((of, _), _)| of == unit).map(|(_, squares)| *squares);
            let own: Vec<f64> = own.collect();
            by_unit.push(if self.shared { self.comm.all_gather_f64(&own)?.concat() } else { own });
        }
        let sums: Vec<f64> = by_unit.into_iter().map(|slices| slices.into_iter().sum()).collect();
        match units.iter().zip(&sums).find(|(_, squares)| !squares.is_finite()) {
            Some((&unit, _)) => Err(Error::Gradient { step, unit }),
            None => Ok(sums),
        }
    }

    /// Values of this rank's share of the gradient, summed over those of the others where each has a share.
    pub(crate) fn total(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        if self.shared { Ok(self.comm.sum_f64(&values)?) } else { Ok(values) }
    }

    /// Gives every rank the parameters that the others have updated.
    pub(crate) fn share_parameters(&self, params: &FlatParams, units: &[Unit]) -> Result<()> {
        if !self.shared {
            return Ok(());
        }
        for unit in units {
            let flat = params.unit(*unit);
            let own = self.own(flat.elem_count());
            let all = self.comm.all_gather(&bytes(&flat.narrow(0, own.start, own.len())?)?)?;
            for (range, bytes) in self.ranges(flat.elem_count()).into_iter().zip(all) {
                if range != own {
                    put(flat, &from_bytes(&bytes, flat.dtype(), range.len(), flat)?, range)?;
                }
            }
        }
        Ok(())
    }

    /// Of a unit of so many elements, those whose optimizer state this rank keeps.
    pub(crate) fn own(&self, elements: usize) -> Range<usize> {
        if self.shared { self.ranges(elements)[self.comm.rank()].clone() } else { 0..elements }
    }

    /// What this rank keeps of a flat buffer, in memory of its own.
    pub(crate) fn kept(&self, flat: &Tensor) -> Result<Tensor> {
        let own = self.own(flat.elem_count());
        if own.len() == flat.elem_count() {
            return Ok(flat.clone());
        }
        Ok(flat.narrow(0, own.start, own.len())?.force_contiguous()?)
    }

    /// The whole of a flat buffer of `elements`, of which each rank has what it keeps; of no use but on the rank that
    /// [`leads`](Self::leads).
    pub(crate) fn whole(&self, kept: &Tensor, elements: usize) -> Result<Tensor> {
        if kept.elem_count() == elements && !self.shared {
            return Ok(kept.clone());
        }
        let all = self.comm.gather(FIRST, bytes(kept)?)?.concat();
        if !self.leads() {
            return Ok(kept.clone());
        }
        Ok(Tensor::from_raw_buffer(&all, kept.dtype(), &[elements], &candle_core::Device::Cpu)?)
    }

    /// Of a unit of so many elements, the neighbouring slices of each rank.
    fn ranges(&self, elements: usize) -> Vec<Range<usize>> {
        let slices: Vec<Range<usize>> = slices_of(elements).collect();
        let of_rank = |own: Range<usize>| match slices.get(own.clone()) {
            Some([first, .., last]) => first.start..last.end,
            Some([only]) => only.clone(),
            _ => elements..elements,
        };
        even(SLICES, self.world()).into_iter().map(of_rank).collect()
    }
}

/// The slices of a unit of `elements`; the last ones of a small unit are empty.
fn slices_of(elements: usize) -> impl Iterator<Item = Range<usize>> {
    let length = elements.div_ceil(SLICES).next_multiple_of(ALIGNMENT);
    (0..SLICES).map(move |at| (at * length).min(elements)..((at + 1) * length).min(elements))
}

fn gradient(params: &FlatParams, unit: Unit) -> &Tensor {
    params.grad(unit).expect("parameters in training have gradients")
}

fn add(left: &mut [Tensor], right: Vec<Tensor>) -> Result<()> {
    for (left, right) in left.iter_mut().zip(right) {
        *left = (&*left + &right)?;
    }
    Ok(())
}

fn put(flat: &Tensor, values: &Tensor, at: Range<usize>) -> Result<()> {
    if !at.is_empty() {
        flat.slice_set(values, 0, at.start)?;
    }
    Ok(())
}

fn bytes(flat: &Tensor) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(flat.elem_count() * flat.dtype().size_in_bytes());
    flat.write_bytes(&mut bytes)?;
    Ok(bytes)
}

fn from_bytes(bytes: &[u8], dtype: DType, elements: usize, like: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_raw_buffer(bytes, dtype, &[elements], like.device())?)
}
