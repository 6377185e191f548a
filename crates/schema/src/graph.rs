//! `recon.graph/1`: a repository's files, outlines, import edges and development order.
//!
//! Edges run *from* the importing file *to* the imported one. `order` lists every file that
//! was parsed, dependencies first; a cycle is condensed and broken as little as possible.

use serde::{Deserialize, Serialize};

use crate::Sha256;

/// The name every graph record carries.
pub const SCHEMA: &str = "recon.graph/1";

/// Where a repository came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryRef {
    /// Short name, used in prompts and record ids.
    pub name: String,
    /// Where it was read from: a directory name or a URL, never an absolute local path.
    pub source: String,
    /// The commit the files stand at, when known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// SPDX expression, when one was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// A repository as a graph of files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoGraph {
    /// [`SCHEMA`].
    pub schema: String,
    /// The repository.
    pub repository: RepositoryRef,
    /// Every file met, sorted by path.
    pub files: Vec<FileNode>,
    /// Resolved imports, sorted by (from, to, kind, line).
    pub edges: Vec<Edge>,
    /// Imports that name nothing in the repository, sorted by (from, line, name).
    pub unresolved: Vec<Unresolved>,
    /// Paths of the files not skipped, dependencies first.
    pub order: Vec<String>,
    /// Strongly connected components of two files or more, each sorted by path.
    pub cycles: Vec<Vec<String>>,
    /// What was noticed and did not stop the stage.
    pub diagnostics: Vec<Diagnostic>,
}

impl RepoGraph {
    /// The node of `path`, by binary search.
    pub fn file(&self, path: &str) -> Option<&FileNode> {
        self.files.binary_search_by(|node| node.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// The files that `path` imports, sorted, each once.
    pub fn dependencies<'a>(&'a self, path: &str) -> Vec<&'a str> {
        let mut paths: Vec<&str> =
            self.edges.iter().filter(|edge| edge.from == path).map(|edge| edge.to.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }
}

/// One file of the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileNode {
    /// Path from the repository root, `/`-separated.
    pub path: String,
    /// Language name in lower case (`python`, `rust`, `typescript`, …); none for other text.
    pub language: Option<String>,
    /// Size in bytes.
    pub bytes: u64,
    /// Number of lines.
    pub lines: u64,
    /// Digest of the file's bytes; none where it could not be read.
    pub sha256: Option<Sha256>,
    /// First sentence of the file's own documentation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
    /// Definitions in source order.
    pub symbols: Vec<Symbol>,
    /// Why the file takes no part, if it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<SkipReason>,
}

/// Why a file is in the graph and nothing is trained on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// Content looks binary.
    Binary,
    /// Not valid UTF-8.
    NotUtf8,
    /// Larger than the configured limit.
    TooLarge,
    /// Could not be read.
    Unreadable,
    /// A symbolic link that leaves the root or loops.
    Link,
    /// Holds nothing.
    Empty,
    /// The configured number of files or bytes was reached.
    OverBudget,
    /// The path stands for several files.
    Ambiguous,
    /// A program wrote it.
    Generated,
    /// It belongs to another project and was copied in.
    Vendored,
    /// Its size or shape is not that of source a person wrote.
    Shape,
    /// It holds data in the form of text.
    EncodedData,
    /// The same file, or nearly the same, stands earlier in the corpus.
    Duplicate,
    /// It shares text with a benchmark.
    Contaminated,
    /// It is kept to measure models on.
    HeldOut,
    /// Its path holds a secret; the path it is listed under does not.
    Secret,
}

impl SkipReason {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::NotUtf8 => "not_utf8",
            Self::TooLarge => "too_large",
            Self::Unreadable => "unreadable",
            Self::Link => "link",
            Self::Empty => "empty",
            Self::OverBudget => "over_budget",
            Self::Ambiguous => "ambiguous",
            Self::Generated => "generated",
            Self::Vendored => "vendored",
            Self::Shape => "shape",
            Self::EncodedData => "encoded_data",
            Self::Duplicate => "duplicate",
            Self::Contaminated => "contaminated",
            Self::HeldOut => "held_out",
            Self::Secret => "secret",
        }
    }
}

/// One definition inside a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// Its name.
    pub name: String,
    /// `function`, `method`, `class`, `struct`, `enum`, `trait`, `interface`, `type`, `constant`, `module`, …
    pub kind: String,
    /// 1-based first line.
    pub start_line: u32,
    /// 1-based last line, inclusive.
    pub end_line: u32,
    /// Index in `symbols` of the enclosing definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Declaration without its body, on one line, white space collapsed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub signature: String,
    /// First sentence of the documentation comment.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
}

/// One resolved import.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Edge {
    /// The importing file.
    pub from: String,
    /// The imported file.
    pub to: String,
    /// `import`, `package` (a Python package's `__init__`), `module` (Rust `mod`), `reexport`, …
    pub kind: String,
    /// 1-based line of the import.
    pub line: u32,
    /// How sure the resolution is.
    pub confidence: Confidence,
    /// The names the import binds from that file, as far as its text says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
}

/// How sure a resolution is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// The language's own rule names exactly this file.
    Exact,
    /// A rule with a guess in it (an assumed source root, a unique suffix).
    Likely,
}

/// An import that resolves to no file of the repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Unresolved {
    /// The importing file.
    pub from: String,
    /// What it names.
    pub name: String,
    /// 1-based line.
    pub line: u32,
    /// What it most likely is.
    pub class: UnresolvedClass,
}

/// What an unresolved import most likely is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnresolvedClass {
    /// Another package.
    External,
    /// The language's standard library.
    StandardLibrary,
    /// Should be here and is not.
    Missing,
    /// Named by an expression that only a run can tell.
    Computed,
}

/// Something noticed in the corpus; data, not an error.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnostic {
    /// The file, from the repository root; lossy where the name is not UTF-8.
    pub path: String,
    /// The rule that noticed it, in snake case.
    pub rule: String,
    /// One clear line.
    pub message: String,
}
