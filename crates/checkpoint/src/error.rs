//! What can go wrong in this crate.

use std::path::PathBuf;

/// A model or a training state that cannot be found, read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name that is neither a directory nor a model on the hub.
    #[error("cannot resolve model `{name}`: {}", tried.join("; "))]
    Unresolved {
        /// The name as it was given.
        name: String,
        /// What was tried, and why it failed.
        tried: Vec<String>,
    },
    /// A file of a hub model could not be downloaded.
    #[error("failed to download `{file}` of `{name}` from {endpoint}")]
    Download {
        /// The hub id.
        name: String,
        /// The file inside the repository.
        file: String,
        /// The hub's address.
        endpoint: String,
        /// What the hub client said.
        source: Box<hf_hub::api::sync::ApiError>,
    },
    /// A file could not be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file or directory could not be written.
    #[error("failed to write {}", path.display())]
    Write {
        /// The path under its final name.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file of another format, truncated, or damaged.
    #[error("{} is damaged or not what its name says: {problem}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What does not hold.
        problem: String,
    },
    /// No tensor of that name.
    #[error("no tensor `{name}` in {}", path.display())]
    NoTensor {
        /// The name asked for.
        name: String,
        /// The file, or the index of a sharded model.
        path: PathBuf,
    },
    /// One table under two names that hold other numbers.
    #[error(
        "`tie_word_embeddings` is true, but `{head}` in {} is not equal to `{table}`; \
         set it to false, or remove `{head}`",
        path.display()
    )]
    TwoHeads {
        /// The stored output projection.
        head: &'static str,
        /// The stored embedding table.
        table: &'static str,
        /// The file, or the index of a sharded model.
        path: PathBuf,
    },
    /// A tensor of another shape than was asked for.
    #[error("tensor `{name}` in {} has shape {found:?}, expected {expected:?}", path.display())]
    Shape {
        /// The tensor.
        name: String,
        /// The file that holds it.
        path: PathBuf,
        /// The shape asked for.
        expected: Vec<usize>,
        /// The shape stored.
        found: Vec<usize>,
    },
    /// A tensor of a type that is not read here.
    #[error("tensor `{name}` in {} is {dtype}, expected {expected}", path.display())]
    Dtype {
        /// The tensor.
        name: String,
        /// The file that holds it.
        path: PathBuf,
        /// The stored type.
        dtype: String,
        /// The types read here.
        expected: &'static str,
    },
    /// There are checkpoints, and each is damaged.
    #[error("no checkpoint below {} is whole", directory.display())]
    NoneWhole {
        /// Where they lie.
        directory: PathBuf,
        /// What is wrong with the newest.
        source: Box<Error>,
    },
    /// What was to be written cannot be.
    #[error("cannot write {}: {problem}", path.display())]
    Unwritable {
        /// The path under its final name.
        path: PathBuf,
        /// What does not hold.
        problem: String,
    },
    /// Tensors that do not fit the safetensors format.
    #[error("failed to encode tensors as safetensors")]
    Encode(#[source] safetensors::SafeTensorError),
    /// A record of a training state is damaged or incomplete.
    #[error(transparent)]
    Record(#[from] recon_schema::Error),
    /// A tensor operation failed.
    #[error("tensor operation failed")]
    Tensor(#[from] candle_core::Error),
}

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;
