//! Devices: opening them by name, how much memory they have, and the path of every operation on one.
//!
//! A device is named `cpu`, `cuda` (the first GPU) or `cuda:N`. All tensors of a GPU live on one stream: operations,
//! allocations, frees and copies run in the order they were asked for, so nothing else orders them. A GPU is opened once
//! in a process; asking again gives the same device.
//!
//! Where `kernels/*.cu` are compiled (features `cuda` and `emulated`), an operation whose first operand lives on the
//! device launches them. The arithmetic there is f32 or bf16 with f32 accumulation; gradients of parameters, moments,
//! inverse norms and log-sum-exps are f32 whatever the type of the weights. Indices that only the device holds are not
//! checked: one outside its range gives NaN, or is not written, and never touches memory outside.

use candle_core::{DType, Device};

#[cfg(recon_device)]
mod call;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "emulated")]
mod emulated;
#[cfg(recon_device)]
mod ffi;

#[cfg(recon_device)]
pub(crate) mod attention;
#[cfg(recon_device)]
pub(crate) mod cross_entropy;
#[cfg(feature = "cudnn")]
pub(crate) mod cudnn;
#[cfg(recon_device)]
pub(crate) mod elementwise;
#[cfg(recon_device)]
pub(crate) mod linear;
#[cfg(recon_device)]
pub(crate) mod optimizer;
#[cfg(recon_device)]
pub(crate) mod paged;
#[cfg(feature = "cuda")]
mod pool;
#[cfg(recon_device)]
mod uploads;

mod memory;

#[cfg(recon_device)]
pub(crate) use call::Call;
#[cfg(feature = "cuda")]
use cuda as place;
#[cfg(feature = "emulated")]
use emulated as place;
#[cfg(feature = "emulated")]
pub use emulated::{Order, emulate};
pub(crate) use memory::Bytes;
pub use memory::{Memory, allocated, memory, peak_bytes, require, restart_peak, zeros};

/// Why a device cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The name is none of a device.
    #[error("`{name}` names no device; expected `cpu`, `cuda` or `cuda:N`")]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This program cannot use a GPU.
    #[error("`{name}` was asked for, but this program was built without CUDA; build it with `--features cuda`")]
    NotBuilt {
        /// What was asked for.
        name: String,
    },
    /// The machine has no NVIDIA driver.
    #[error(
        "no NVIDIA driver: libcuda.so.1 was not found or could not start (code {code}); install the driver, or use `cpu`"
    )]
    NoDriver {
        /// CUDA's error number.
        code: u32,
    },
    /// The driver is older than the CUDA that this program was built with.
    #[error("the NVIDIA driver supports CUDA {found}, this program needs {needed}; install a newer driver")]
    OldDriver {
        /// The newest CUDA version the driver supports.
        found: String,
        /// The version this program was built with.
        needed: String,
    },
    /// This program cannot use cuDNN.
    #[error(
        "`attention = \"cudnn\"` was asked for, but this program was built without cuDNN; build it with `--features cudnn`"
    )]
    WithoutCudnn,
    /// cuDNN was asked for and is not there, or too old.
    #[error("`attention = \"cudnn\"` needs libcudnn.so.9 of version {needed} or newer, {}; or use `attention = \"own\"`", match .found { Some(found) => format!("this machine has {found}"), None => "which was not found".to_owned() })]
    Cudnn {
        /// The version found, if any.
        found: Option<String>,
        /// The oldest that will do.
        needed: String,
    },
    /// There are fewer GPUs.
    #[error("`cuda:{index}` was asked for, but {}", match .count { 0 => "there is no GPU".to_owned(), 1 => "there is one GPU, `cuda:0`".to_owned(), n => format!("there are {n} GPUs, `cuda:0` to `cuda:{}`", n - 1) })]
    Index {
        /// What was asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The GPU cannot run the machine code in this program.
    #[error("`cuda:{index}` ({gpu}) has compute capability {found}, this program was built for {needed} and newer; build it with CUDA_COMPUTE_CAP={}", .found.replace('.', ""))]
    Capability {
        /// The GPU's number.
        index: usize,
        /// Its name.
        gpu: String,
        /// What it has.
        found: String,
        /// What the program was built for.
        needed: String,
    },
    /// Not enough memory is free for what is about to be allocated.
    #[error("{what} needs {}, but {name} has {} free of {}; {change}", Bytes(*.asked_bytes), Bytes(.memory.free_bytes), Bytes(.memory.total_bytes))]
    Memory {
        /// The device.
        name: String,
        /// What the memory is for.
        what: String,
        /// How much it takes.
        asked_bytes: u64,
        /// How much there is.
        memory: Memory,
        /// What the user can change.
        change: String,
    },
    /// CUDA refused for another reason.
    #[error("`cuda:{index}` cannot be opened: {message}")]
    Cuda {
        /// The GPU's number.
        index: usize,
        /// CUDA's reason.
        message: String,
    },
}

/// What a name asks for: `None` for the CPU, else the number of the GPU.
///
/// # Errors
/// [`DeviceError::Unknown`].
pub fn parse(name: &str) -> Result<Option<usize>, DeviceError> {
    let unknown = || DeviceError::Unknown { name: name.to_owned() };
    match name.split_once(':') {
        None if name == "cpu" => Ok(None),
        None if name == "cuda" => Ok(Some(0)),
        Some(("cuda", index)) => index.parse().map(Some).map_err(|_| unknown()),
        _ => Err(unknown()),
    }
}

/// The device of that name.
///
/// # Errors
/// Everything of [`DeviceError`]: what is missing, and what to do about it.
pub fn open(name: &str) -> Result<Device, DeviceError> {
    match parse(name)? {
        None => Ok(Device::Cpu),
        #[cfg(feature = "cuda")]
        Some(index) => cuda::open(index),
        #[cfg(not(feature = "cuda"))]
        Some(_) => Err(DeviceError::NotBuilt { name: name.to_owned() }),
    }
}

/// Whether this thread's operations on the CPU are computed by the device's kernels; never without the feature
/// `emulated`.
pub fn emulating() -> bool {
    #[cfg(feature = "emulated")]
    return emulated::emulating();
    #[cfg(not(feature = "emulated"))]
    false
}

/// The type in which gradients of `weights` are summed: f32 for narrower ones.
pub fn gradient_dtype(weights: DType) -> DType {
    match weights {
        DType::BF16 => DType::F32,
        other => other,
    }
}

/// Waits until everything asked of the device is done.
///
/// # Errors
/// What went wrong on the device since it was last waited for.
pub fn synchronize(device: &Device) -> candle_core::Result<()> {
    device.synchronize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read() {
        assert_eq!(parse("cpu"), Ok(None));
        assert_eq!(parse("cuda"), Ok(Some(0)));
        assert_eq!(parse("cuda:3"), Ok(Some(3)));
        for name in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", "cuda:0:1"] {
            assert_eq!(parse(name), Err(DeviceError::Unknown { name: name.to_owned() }));
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_program_without_cuda_says_so() {
        let error = open("cuda:1").unwrap_err();
        assert_eq!(error, DeviceError::NotBuilt { name: "cuda:1".to_owned() });
        assert!(error.to_string().contains("--features cuda"), "{error}");
    }

    #[test]
    fn messages_say_what_was_asked_and_what_there_is() {
        let index = |count| DeviceError::Index { index: 4, count }.to_string();
        assert_eq!(index(0), "`cuda:4` was asked for, but there is no GPU");
        assert_eq!(index(1), "`cuda:4` was asked for, but there is one GPU, `cuda:0`");
        assert_eq!(index(2), "`cuda:4` was asked for, but there are 2 GPUs, `cuda:0` to `cuda:1`");
        let capability = DeviceError::Capability {
            index: 0,
            gpu: "Old".to_owned(),
            found: "8.0".to_owned(),
            needed: "9.0".to_owned(),
        };
        assert!(capability.to_string().ends_with("build it with CUDA_COMPUTE_CAP=80"), "{capability}");
    }
}
