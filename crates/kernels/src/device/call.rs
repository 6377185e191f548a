//! One operation on the device: operands checked and turned into addresses, results allocated, entry points called.
//!
//! Invariants: every address handed out belongs to a contiguous tensor on the call's device, of a type and shape that
//! was asked for; a tensor to be written overlaps none that is read or also written.

use std::cell::RefCell;
use std::ops::Range;

use candle_core::{DType, Device, Tensor};

use super::address::{Address, Stream};
#[cfg(feature = "cuda")]
use super::cuda as place;
#[cfg(feature = "emulated")]
use super::emulated as place;
use crate::error::{Error, Result};

/// An entry point of `kernels/*.cu`.
type Entry<A> = unsafe extern "C" fn(*const A, Stream) -> i32;

/// The types kernels compute in.
pub(crate) const FLOATS: &[DType] = &[DType::F32, DType::BF16];
const FLOAT_NAMES: &str = "F32 or BF16";

/// An element type as C names it.
pub(crate) fn dtype_code(dtype: DType) -> i32 {
    i32::from(dtype == DType::BF16)
}

/// One operation under way.
pub(crate) struct Call<'t> {
    pub(crate) op: &'static str,
    pub(crate) device: &'t Device,
    used: RefCell<Vec<(&'static str, Range<usize>)>>,
}

impl<'t> Call<'t> {
    /// `None` where the CPU computes, which the place of the first operand decides.
    pub(crate) fn open(op: &'static str, first: &'t Tensor) -> Option<Self> {
        place::active(first).then(|| Self { op, device: first.device(), used: RefCell::default() })
    }

    fn bytes(&self, name: &'static str, tensor: &Tensor) -> Result<(Address, Range<usize>)> {
        let op = self.op;
        if !tensor.device().same_device(self.device) {
            return Err(Error::mixed(op, name, tensor.device(), self.device));
        }
        if tensor.layout().contiguous_offsets().is_none() {
            let (shape, stride) = (tensor.dims().to_vec(), tensor.stride().to_vec());
            return Err(Error::Layout { op, operand: name, shape, stride });
        }
        let address = place::address(op, tensor)?;
        let start = address.0 as usize;
        Ok((address, start..start + tensor.elem_count() * tensor.dtype().size_in_bytes()))
    }

    /// The address of a tensor of one of `dtypes` that is read.
    pub(crate) fn read(&self, name: &'static str, tensor: &Tensor, dtypes: &[DType]) -> Result<Address> {
        if !dtypes.contains(&tensor.dtype()) {
            let expected = match dtypes {
                [DType::U32] => "U32",
                [DType::F32] => "F32",
                [DType::BF16] => "the type of the first operand, BF16",
                _ => FLOAT_NAMES,
            };
            return Err(Error::DType { op: self.op, operand: name, found: tensor.dtype(), expected });
        }
        let (address, bytes) = self.bytes(name, tensor)?;
        self.used.borrow_mut().push((name, bytes));
        Ok(address)
    }

    /// The address of a float tensor of the given shape that is read.
    pub(crate) fn read_shaped(
        &self,
        name: &'static str,
        tensor: &Tensor,
        shape: &[usize],
        dtype: DType,
    ) -> Result<Address> {
        self.expect(name, tensor, shape)?;
        self.read(name, tensor, &[dtype])
    }

    /// The address of a tensor that is written in place. Operands that are read must have been named before.
    pub(crate) fn write(&self, name: &'static str, tensor: &Tensor, shape: &[usize], dtype: DType) -> Result<Address> {
        self.expect(name, tensor, shape)?;
        if tensor.dtype() != dtype {
            let expected = if dtype == DType::F32 { "F32" } else { "the type of the first operand" };
            return Err(Error::DType { op: self.op, operand: name, found: tensor.dtype(), expected });
        }
        let (_, bytes) = self.bytes(name, tensor)?;
        let overlaps = |other: &Range<usize>| bytes.start < other.end && other.start < bytes.end;
        if let Some((other, _)) = self.used.borrow().iter().find(|(_, other)| overlaps(other)) {
            return Err(Error::Aliased { op: self.op, operand: name, other });
        }
        self.used.borrow_mut().push((name, bytes));
        place::address_mut(self.op, tensor)
    }

    /// A new tensor whose every element the operation will write, and its address.
    pub(crate) fn fresh(&self, dtype: DType, shape: &[usize]) -> Result<(Tensor, Address)> {
        let tensor = place::alloc(self.op, self.device, dtype, shape)?;
        let address = self.within(&tensor)?;
        Ok((tensor, address))
    }

    /// The address of a tensor that [`Call::fresh`] gave, or of a part of it.
    pub(crate) fn within(&self, tensor: &Tensor) -> Result<Address> {
        place::address_mut(self.op, tensor)
    }

    /// The tensor's shape as exactly `R` extents.
    pub(crate) fn dims<const R: usize>(
        &self,
        name: &'static str,
        tensor: &Tensor,
        expected: &str,
    ) -> Result<[usize; R]> {
        tensor.dims().try_into().map_err(|_| self.shape_error(name, tensor, expected.to_owned()))
    }

    pub(crate) fn expect(&self, name: &'static str, tensor: &Tensor, shape: &[usize]) -> Result<()> {
        if tensor.dims() == shape { Ok(()) } else { Err(self.shape_error(name, tensor, format!("{shape:?}"))) }
    }

    fn shape_error(&self, operand: &'static str, tensor: &Tensor, expected: String) -> Error {
        Error::Shape { op: self.op, operand, found: tensor.dims().to_vec(), expected }
    }

    /// The stream everything on the device runs on.
    pub(crate) fn stream(&self) -> Result<Stream> {
        place::stream(self.op, self.device)
    }

    /// Calls an entry point whose arguments hold addresses from this call.
    pub(crate) fn launch<A>(&self, entry: Entry<A>, arguments: &A) -> Result<()> {
        let stream = self.stream()?;
        #[expect(unsafe_code, reason = "entry points are C functions")]
        // SAFETY: `arguments` is the structure this entry point declares (each `device.rs` mirrors its .cu file, and the
        // tests run every one of them); its addresses come from `read`, `write` and `fresh`, which checked device, type,
        // shape and overlap; the allocator frees in stream order, so they outlive the launch.
        let status = unsafe { entry(arguments, stream) };
        self.status(status)
    }

    pub(crate) fn status(&self, status: i32) -> Result<()> {
        match status {
            0 => Ok(()),
            code => Err(Error::Launch { op: self.op, code, reason: place::reason(code) }),
        }
    }
}

/// An extent as C takes it.
pub(crate) fn extent(value: usize) -> i64 {
    i64::try_from(value).expect("no tensor has more elements than an address space")
}
