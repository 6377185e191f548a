//! Opens candle tensors as typed slices for reading and for writing in place.
//!
//! Invariants: an opened operand is contiguous and on the CPU. [`write`] refuses a destination that shares its storage
//! with an operand that is still open: candle's storages are behind locks and waiting for oneself never ends.

use std::cell::Cell;
use std::ops::Range;

use candle_core::{CpuStorage, DType, Device, InplaceOp1, Layout, Storage, StorageRef, Tensor};

use crate::element::{COMPUTED, Element, computed};
use crate::error::{Error, Result};

/// A tensor opened for reading.
pub(crate) struct Operand<'t> {
    guard: StorageRef<'t>,
    range: Range<usize>,
    op: &'static str,
    name: &'static str,
    tensor: &'t Tensor,
}

fn check_place(op: &'static str, name: &'static str, tensor: &Tensor) -> Result<Range<usize>> {
    // The place of the first operand decided that the CPU computes.
    if !matches!(tensor.device(), Device::Cpu) {
        return Err(Error::mixed(op, name, tensor.device(), &Device::Cpu));
    }
    let (start, end) = tensor.layout().contiguous_offsets().ok_or_else(|| Error::Layout {
        op,
        operand: name,
        shape: tensor.dims().to_vec(),
        stride: tensor.stride().to_vec(),
    })?;
    Ok(start..end)
}

impl<'t> Operand<'t> {
    /// Opens a tensor of f32 or f64.
    pub(crate) fn open(op: &'static str, name: &'static str, tensor: &'t Tensor) -> Result<Self> {
        if !computed(tensor.dtype()) {
            return Err(Error::DType { op, operand: name, found: tensor.dtype(), expected: COMPUTED });
        }
        Self::open_any(op, name, tensor)
    }

    /// Opens a tensor of indices.
    pub(crate) fn open_indices(op: &'static str, name: &'static str, tensor: &'t Tensor) -> Result<Self> {
        if tensor.dtype() != DType::U32 {
            return Err(Error::DType { op, operand: name, found: tensor.dtype(), expected: "U32" });
        }
        Self::open_any(op, name, tensor)
    }

    fn open_any(op: &'static str, name: &'static str, tensor: &'t Tensor) -> Result<Self> {
        let range = check_place(op, name, tensor)?;
        let (guard, _) = tensor.storage_and_layout();
        Ok(Self { guard, range, op, name, tensor })
    }

    pub(crate) fn dtype(&self) -> DType {
        self.tensor.dtype()
    }

    /// The shape as exactly `R` extents; `expected` describes it in the error.
    pub(crate) fn dims<const R: usize>(&self, expected: &str) -> Result<[usize; R]> {
        self.tensor.dims().try_into().map_err(|_| self.shape_error(expected.to_owned()))
    }

    pub(crate) fn expect(&self, shape: &[usize]) -> Result<()> {
        if self.tensor.dims() == shape { Ok(()) } else { Err(self.shape_error(format!("{shape:?}"))) }
    }

    fn shape_error(&self, expected: String) -> Error {
        Error::Shape { op: self.op, operand: self.name, found: self.tensor.dims().to_vec(), expected }
    }

    /// The elements.
    pub(crate) fn slice<T: candle_core::WithDType>(&self) -> Result<&[T]> {
        match &*self.guard {
            Storage::Cpu(storage) => match T::cpu_storage_as_slice(storage) {
                Ok(all) => Ok(&all[self.range.clone()]),
                Err(_) => Err(Error::DType {
                    op: self.op,
                    operand: self.name,
                    found: self.dtype(),
                    expected: "the type of the first operand",
                }),
            },
            _ => Err(Error::mixed(self.op, self.name, self.tensor.device(), &Device::Cpu)),
        }
    }

    /// The elements as indices, each below `limit`.
    pub(crate) fn indices(&self, limit: usize) -> Result<&[u32]> {
        let indices = self.slice::<u32>()?;
        check_indices(self.op, self.name, indices, limit)?;
        Ok(indices)
    }
}

pub(crate) fn check_indices(op: &'static str, operand: &'static str, indices: &[u32], limit: usize) -> Result<()> {
    match indices.iter().map(|&index| index as usize).find(|&index| index >= limit) {
        Some(index) => Err(Error::Index { op, operand, index, limit }),
        None => Ok(()),
    }
}

/// A fresh tensor on the CPU.
pub(crate) fn fresh<T: Element>(op: &'static str, data: Vec<T>, shape: &[usize]) -> Result<Tensor> {
    Tensor::from_vec(data, shape, &Device::Cpu).map_err(Error::candle(op))
}

/// A tensor to be written in place: its name in the signature, and the shape it must have.
pub(crate) struct Destination<'t> {
    pub(crate) name: &'static str,
    pub(crate) tensor: &'t Tensor,
    pub(crate) shape: &'t [usize],
}

/// Runs `body` on the elements of `destination`, which no operand in `sources` may share its storage with.
pub(crate) fn write<T: Element, R>(
    op: &'static str,
    destination: &Destination<'_>,
    sources: &[&Operand<'_>],
    body: impl FnOnce(&mut [T]) -> R,
) -> Result<R> {
    let &Destination { name, tensor, shape } = destination;
    check_place(op, name, tensor)?;
    if tensor.dtype() != T::DTYPE {
        let expected = "the type of the first operand";
        return Err(Error::DType { op, operand: name, found: tensor.dtype(), expected });
    }
    if tensor.dims() != shape {
        let expected = format!("{shape:?}");
        return Err(Error::Shape { op, operand: name, found: tensor.dims().to_vec(), expected });
    }
    let address = std::ptr::from_ref(&*tensor.storage_and_layout().0);
    if let Some(other) = sources.iter().find(|source| std::ptr::eq(&raw const *source.guard, address)) {
        return Err(Error::Aliased { op, operand: name, other: other.name });
    }
    let call = InPlace { op, body: Cell::new(Some(body)), result: Cell::new(None), element: std::marker::PhantomData };
    tensor.inplace_op1(&call).map_err(Error::candle(op))?;
    Ok(call.result.into_inner().expect("candle ran the operation exactly once and reported success"))
}

/// Whether two tensors live in one storage. Must not be called while either is being written.
pub(crate) fn share_storage(a: &Tensor, b: &Tensor) -> bool {
    let a = std::ptr::from_ref(&*a.storage_and_layout().0);
    std::ptr::eq(a, &raw const *b.storage_and_layout().0)
}

struct InPlace<T, F, R> {
    op: &'static str,
    body: Cell<Option<F>>,
    result: Cell<Option<R>>,
    element: std::marker::PhantomData<T>,
}

impl<T: Element, R, F: FnOnce(&mut [T]) -> R> InplaceOp1 for InPlace<T, F, R> {
    fn name(&self) -> &'static str {
        self.op
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (start, end) = layout.contiguous_offsets().expect("`write` checked that the destination is contiguous");
        let all = T::storage_mut(storage).expect("`write` checked the element type");
        let body = self.body.take().expect("candle runs an operation once per call");
        self.result.set(Some(body(&mut all[start..end])));
        Ok(())
    }
}
