//! What can go wrong in this crate.

use crate::Unit;

/// An error of a collaborator: a parameter source, a tensor reader.
pub(crate) type Foreign = Box<dyn std::error::Error + Send + Sync>;

/// A configuration, parameters or inputs the model cannot run with.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `config.json` is not JSON, or not an object.
    #[error("config.json is not a JSON object")]
    NotJson(#[source] serde_json::Error),
    /// A key of `config.json` that is missing, ill-typed, or asks for what is not supported.
    #[error("config.json: `{key}` {problem}")]
    Config {
        /// The key, with dots for nesting.
        key: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A parameter could not be obtained.
    #[error("failed to load parameter `{name}`")]
    Load {
        /// Its Hugging Face name.
        name: String,
        /// What the reader said.
        source: Foreign,
    },
    /// A parameter with another shape than the configuration asks for.
    #[error("parameter `{name}` has shape {found:?}, the configuration asks for {expected:?}")]
    Shape {
        /// Its Hugging Face name.
        name: String,
        /// The shape that follows from the configuration.
        expected: Vec<usize>,
        /// The shape found.
        found: Vec<usize>,
    },
    /// A lease whose buffer does not fit the unit.
    #[error("{unit:?} was leased {found} elements, its layout has {expected}")]
    Lease {
        /// The unit asked for.
        unit: Unit,
        /// Elements of its layout.
        expected: usize,
        /// Elements leased.
        found: usize,
    },
    /// Parameters or gradients of a unit could not be provided.
    #[error("failed to provide {what} of {unit:?}")]
    Params {
        /// The unit asked for.
        unit: Unit,
        /// `parameters` or `gradients`.
        what: &'static str,
        /// What the provider said.
        source: Foreign,
    },
    /// Attention that others take part in failed.
    #[error("failed to compute attention with others")]
    Attend {
        /// What they said.
        source: Foreign,
    },
    /// The device cannot be used.
    #[error(transparent)]
    Device(#[from] recon_kernels::device::DeviceError),
    /// Token ids, masks, spans, positions or pages that do not fit together.
    #[error("invalid model input: {0}")]
    Input(String),
    /// A kernel refused its operands.
    #[error(transparent)]
    Kernel(#[from] recon_kernels::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
