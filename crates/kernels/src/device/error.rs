//! Why a device cannot be used, and what to do about it.

use crate::memory::{Bytes, Memory};

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

#[cfg(test)]
mod tests {
    use super::*;

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
