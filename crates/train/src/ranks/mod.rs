//! How one step is computed by several ranks, and what of the result each of them keeps.
//!
//! Legend: `W` ranks, of which `C` share each row and `D = W / C` take rows of their own; `P` parts of a step, `A`
//! micro-batches of a step (`accumulation`).
//!
//! Every rank sees the whole step and computes its parts: part `p` is the micro-batches `p, p + P, …`, added into one
//! buffer in that order; the parts are added by the tree of [`recon_comm::tree_sum`]. Each `D` gives the same bits, in one
//! of two ways:
//!
//! - A rank has `P / D` neighbouring parts, a power of two (or all), adds them by the tree, and the ranks' sums are added
//!   by the tree, once a step.
//! - In rounds, where rows or gradients are shared: in round `j` the ranks have the neighbouring parts `j · D …`, whose
//!   sum over the ranks is a node of the tree, and the nodes are added by the tree. Leaves are the parts, or, where `C`
//!   ranks share a row, their neighbouring shares of a part.
//!
//! Micro-batches are sorted by cost, so the parts are alike, and ranks do not wait for each other. Squares of the gradient
//! are summed by slice of a unit, then over slices in order (`axes`).
//!
//! Source: Rajbhandari et al. 2020 (ZeRO) for the sharing of state.

mod axes;
mod lent;
mod options;
mod ulysses;

use std::ops::Range;

use candle_core::{DType, Tensor};
use recon_comm::{Communicator, Group, TreeSum, even};
use recon_kernels::norm;
use recon_llama::{Attend, Config, FlatParams, Loss, Params, Unit};

use crate::{Error, Result, TrainOptions};
use axes::{Axes, slices};
use lent::Lent;
pub use options::{ParallelOptions, StateOn};
pub use ulysses::Ulysses;

/// The rank that reads what only one reads, and writes.
const FIRST: usize = 0;

/// The ranks of a run, seen from one of them.
pub(crate) struct Ranks<'a> {
    comm: &'a dyn Communicator,
    axes: Axes,
    parts: usize,
    /// What is shared: nothing where there is one rank.
    state: StateOn,
    in_rounds: bool,
}

impl<'a> Ranks<'a> {
    /// Ranks that train a model of `config` as `options` say, in a run that had `saved` parts so far.
    ///
    /// # Errors
    /// [`Error::Option`] where they cannot.
    pub(crate) fn new(
        comm: &'a dyn Communicator,
        options: &TrainOptions,
        config: &Config,
        saved: Option<usize>,
    ) -> Result<Self> {
        let (world, parallel) = (comm.world(), &options.parallel);
        parallel.check(world, config.num_key_value_heads)?;
        let (context, shards) = (parallel.context.get(), parallel.shards_of(world));
        let axes = Axes { rank: comm.rank(), world, context, shards };
        let parts = parallel.parts(&axes, options.accumulation.get(), saved)?;
        let state = if world == 1 { StateOn::EveryRank } else { parallel.state };
        Ok(Self { comm, axes, parts, state, in_rounds: world > 1 && parallel.in_rounds() })
    }

    /// Parts of a step.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// The number of ranks.
    pub(crate) fn world(&self) -> usize {
        self.axes.world
    }

    /// What they exchange through.
    pub(crate) fn communicator(&self) -> &'a dyn Communicator {
        self.comm
    }

    /// Whether this is the rank that writes.
    pub(crate) fn leads(&self) -> bool {
        self.axes.rank == FIRST
    }

    fn is_shared(&self) -> bool {
        self.state != StateOn::EveryRank
    }

    fn shares_gradients(&self) -> bool {
        self.state >= StateOn::SharedGradients
    }

    fn shares_weights(&self) -> bool {
        self.state >= StateOn::SharedWeights
    }

    /// The ranks over which state lies.
    fn shards(&self) -> Group<'a> {
        Group::new(self.comm, self.axes.of_shards())
    }

    /// What this rank keeps, as the model reads it.
    pub(crate) fn lend<'b>(&'b self, kept: &'b FlatParams) -> Lent<'b> {
        Lent::new(kept, self)
    }

    /// `inner` over the ranks that share rows, where there are several.
    pub(crate) fn over_row<'b>(&self, inner: &'b dyn Attend) -> Option<Ulysses<'b>>
    where
        'a: 'b,
    {
        (self.axes.context > 1).then(|| Ulysses::new(Group::new(self.comm, self.axes.of_row()), inner))
    }

    /// A loss, from what each rank that shares the rows has of it.
    pub(crate) fn whole_loss(&self, own: Loss) -> Result<Loss> {
        if self.axes.context == 1 {
            return Ok(own);
        }
        let sum = Group::new(self.comm, self.axes.of_row()).sum_f64(&[own.nats, own.tokens as f64])?;
        Ok(Loss { nats: sum[0], tokens: sum[1] as u64 })
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

    /// Computes a step of `micro_batches`: `begin` adds the gradients of one to those of what it is lent, `read` says its
    /// figures once all have begun, since it may wait for a device. The figures of all of them, in order, where rows are
    /// shared summed over their ranks. The gradients of `kept` are then those of this rank's parts or, in rounds, what it
    /// keeps of the sums.
    pub(crate) fn compute<P>(
        &self,
        kept: &FlatParams,
        units: &[Unit],
        micro_batches: usize,
        mut begin: impl FnMut(usize, &dyn Params) -> Result<P>,
        read: impl Fn(P) -> Result<Vec<f64>>,
    ) -> Result<Vec<Vec<f64>>> {
        let own = self.own_parts(self.axes.data_place());
        let alone = own.len() == 1;
        let mut sum = TreeSum::new(|left: &mut Vec<Tensor>, right| add(left, right));
        let mut begun = Vec::new();
        for part in own {
            kept.zero_grads()?;
            let lent = self.lend(kept);
            for micro_batch in (part..micro_batches).step_by(self.parts) {
                begun.push(begin(micro_batch, &lent)?);
            }
            if self.in_rounds && !self.shares_gradients() {
                self.sum_whole(kept, units)?;
            }
            if !alone {
                sum.push(units.iter().map(|unit| self.summed(kept, *unit)?.copy()).collect::<Result<Vec<_>, _>>()?)?;
            }
        }
        for (unit, sum) in units.iter().zip(sum.finish()?.into_iter().flatten()) {
            put(&self.summed(kept, *unit)?, &sum, 0)?;
        }
        let mut figures = Vec::new();
        for begun in begun {
            let of = read(begun)?;
            figures.push(of.len() as f64);
            figures.extend(of);
        }
        self.in_order(micro_batches, &figures)
    }

    /// The parts of the ranks at `place` of the data axis.
    fn own_parts(&self, place: usize) -> Vec<usize> {
        let data = self.axes.data();
        if self.in_rounds {
            (place..self.parts).step_by(data).collect()
        } else {
            even(self.parts, data)[place].clone().collect()
        }
    }

    /// What of a unit's gradient is added up over parts: all, or in rounds what this rank keeps.
    fn summed(&self, kept: &FlatParams, unit: Unit) -> Result<Tensor, candle_core::Error> {
        let flat = gradient(kept, unit);
        if self.in_rounds { self.own_of(flat, kept.elements(unit)) } else { Ok(flat.clone()) }
    }

    /// The figures of all micro-batches, from those of this rank's: of each their number and they.
    fn in_order(&self, micro_batches: usize, figures: &[f64]) -> Result<Vec<Vec<f64>>> {
        let mut ordered = vec![Vec::new(); micro_batches];
        let by_rank = self.comm.all_gather_f64(figures)?;
        for (rank, figures) in by_rank.into_iter().enumerate() {
            let mut rest = figures.into_iter();
            for part in self.own_parts(rank / self.axes.context) {
                for at in (part..micro_batches).step_by(self.parts) {
                    let count = rest.next().unwrap_or_default() as usize;
                    let figures = rest.by_ref().take(count);
                    if rank.is_multiple_of(self.axes.context) {
                        ordered[at].extend(figures);
                    } else {
                        ordered[at].iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure);
                    }
                }
            }
        }
        Ok(ordered)
    }

    /// Adds up the gradients of all ranks: everywhere, or of each unit what this rank keeps the state of.
    pub(crate) fn reduce(&self, kept: &FlatParams, units: &[Unit]) -> Result<()> {
        if self.world() == 1 || self.in_rounds { Ok(()) } else { self.sum_whole(kept, units) }
    }

    fn sum_whole(&self, kept: &FlatParams, units: &[Unit]) -> Result<()> {
        for unit in units {
            let flat = gradient(kept, *unit);
            put(flat, &self.sum_kept(flat)?, self.own(flat.elem_count()).start)?;
        }
        Ok(())
    }

    /// Of the sum over ranks of a unit's whole gradient, what this rank keeps the state of.
    fn sum_kept(&self, whole: &Tensor) -> Result<Tensor> {
        let mut values = whole.to_vec1::<f32>()?;
        if self.is_shared() {
            values = self.shards().reduce_scatter_f32(&values, &self.axes.ranges(values.len()))?;
            if self.axes.shards < self.world() {
                Group::new(self.comm, self.axes.of_replicas()).all_reduce_f32(&mut values)?;
            }
        } else {
            self.comm.all_reduce_f32(&mut values)?;
        }
        let length = values.len();
        Ok(Tensor::from_vec(values, length, whole.device())?)
    }

    /// Σ of the squares of the gradient of each of `units`, which are added up: the same bits for every number of ranks.
    ///
    /// # Errors
    /// [`Error::Gradient`] names the first unit whose gradient is not finite.
    pub(crate) fn sums_of_squares(&self, kept: &FlatParams, units: &[Unit], step: u64) -> Result<Vec<f64>> {
        let mut own_slices = Vec::new();
        for unit in units {
            for range in slices(kept.elements(*unit)) {
                // A slice is one rank's as a whole.
                if let Some(slice) = self.part(gradient(kept, *unit), kept.elements(*unit), range)? {
                    own_slices.push((*unit, slice));
                }
            }
        }
        let squares = norm::sums_of_squares(&own_slices.iter().map(|(_, slice)| slice).collect::<Vec<_>>())?;
        // Of each rank, unit by unit, the squares of its slices; ranks have theirs in order.
        let mut by_unit = Vec::with_capacity(units.len());
        for unit in units {
            let own = own_slices.iter().zip(&squares).filter(|((of, _), _)| of == unit).map(|(_, squares)| *squares);
            let own: Vec<f64> = own.collect();
            by_unit.push(if self.is_shared() { self.shards().all_gather_f64(&own)?.concat() } else { own });
        }
        let sums: Vec<f64> = by_unit.into_iter().map(|slices| slices.into_iter().sum()).collect();
        match units.iter().zip(&sums).find(|(_, squares)| !squares.is_finite()) {
            Some((&unit, _)) => Err(Error::Gradient { step, unit }),
            None => Ok(sums),
        }
    }

    /// Values of this rank's share of the gradient, summed over those of the others where each has a share.
    pub(crate) fn total(&self, values: Vec<f64>) -> Result<Vec<f64>> {
        if self.is_shared() { Ok(self.shards().sum_f64(&values)?) } else { Ok(values) }
    }

    /// Gives every rank the parameters that the others have updated, where it has them all.
    pub(crate) fn share_parameters(&self, kept: &FlatParams, units: &[Unit]) -> Result<()> {
        if !self.is_shared() || self.shares_weights() {
            return Ok(());
        }
        for unit in units {
            let flat = kept.unit(*unit);
            let own = self.own(flat.elem_count());
            let all = self.shards().all_gather(&bytes(&flat.narrow(0, own.start, own.len())?)?)?;
            for (range, bytes) in self.axes.ranges(flat.elem_count()).into_iter().zip(all) {
                if range != own {
                    put(flat, &from_bytes(&bytes, flat.dtype(), range.len(), flat)?, range.start)?;
                }
            }
        }
        Ok(())
    }

    /// Of a unit of so many elements, those whose state this rank keeps.
    pub(crate) fn own(&self, elements: usize) -> Range<usize> {
        if self.is_shared() { self.axes.range(elements) } else { 0..elements }
    }

    /// Elements of a unit's gradient that this rank has between two steps.
    pub(crate) fn gradient_elements(&self, elements: usize) -> usize {
        if self.shares_gradients() { self.own(elements).len() } else { elements }
    }

    /// Of a unit's weights, what this rank has between two uses, in memory of its own.
    pub(crate) fn weights(&self, whole: Tensor) -> recon_llama::Result<Tensor> {
        if !self.shares_weights() {
            return Ok(whole);
        }
        let own = self.own(whole.elem_count());
        Ok(whole.narrow(0, own.start, own.len())?.force_contiguous()?)
    }

    /// A view of those of `range` whose state this rank keeps, in a buffer that has all elements of a unit or this rank's.
    pub(crate) fn part(&self, flat: &Tensor, elements: usize, range: Range<usize>) -> Result<Option<Tensor>> {
        let own = self.own(elements);
        let first = if flat.elem_count() == elements { 0 } else { own.start };
        let range = range.start.max(own.start)..range.end.min(own.end);
        let view = || flat.narrow(0, range.start - first, range.len());
        Ok((!range.is_empty()).then(view).transpose()?)
    }

    /// What this rank keeps, as a view.
    fn own_of(&self, flat: &Tensor, elements: usize) -> Result<Tensor, candle_core::Error> {
        let own = self.own(elements);
        if flat.elem_count() == elements { flat.narrow(0, own.start, own.len()) } else { Ok(flat.clone()) }
    }

    /// What this rank keeps of a unit of `elements`, in memory of its own.
    pub(crate) fn kept(&self, flat: &Tensor, elements: usize) -> Result<Tensor> {
        let own = self.own_of(flat, elements)?;
        Ok(if own.elem_count() == flat.elem_count() { own } else { own.force_contiguous()? })
    }

    /// The whole of a flat buffer of `elements`, of which each rank has what it keeps; of no use but on the rank that
    /// [`leads`](Self::leads).
    pub(crate) fn whole(&self, kept: &Tensor, elements: usize) -> Result<Tensor> {
        if kept.elem_count() == elements && !self.is_shared() {
            return Ok(kept.clone());
        }
        let all = self.shards().gather(FIRST, bytes(kept)?)?.concat();
        if !self.leads() {
            return Ok(kept.clone());
        }
        Ok(Tensor::from_raw_buffer(&all, kept.dtype(), &[elements], &candle_core::Device::Cpu)?)
    }
}

fn gradient(kept: &FlatParams, unit: Unit) -> &Tensor {
    kept.grad(unit).expect("parameters in training have gradients")
}

fn add(left: &mut [Tensor], right: Vec<Tensor>) -> Result<()> {
    for (left, right) in left.iter_mut().zip(right) {
        *left = (&*left + &right)?;
    }
    Ok(())
}

fn put(flat: &Tensor, values: &Tensor, at: usize) -> Result<()> {
    if values.elem_count() > 0 {
        flat.slice_set(values, 0, at)?;
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
