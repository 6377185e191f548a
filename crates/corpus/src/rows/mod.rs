//! Corpora of many repositories: one row a file, in shards of JSON Lines or Parquet.
//!
//! Shards → rows in the order they stand → rows of one repository together ([`regroup`]).
//!
//! Invariant: a row that cannot be used is a [`Fault`] with a rule's name, never the end of the
//! corpus; only a shard whose columns are not those asked for is an error, because then no row
//! of it can be right.

mod json;
mod parquet;
pub(crate) mod regroup;
mod shards;
mod texts;

use std::path::Path;

use serde::{Deserialize, Serialize};

use recon_repository::SourceOptions;

use crate::Result;

pub(crate) use shards::{Shard, is_shard, list};
pub use texts::{Text, texts};

/// One file of one repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    /// Name of the repository.
    pub repository: String,
    /// Path of the file in it.
    pub path: String,
    /// The file's content.
    pub content: String,
    /// Licence of the repository, an SPDX expression.
    pub licence: Option<String>,
    /// Commit of the repository.
    pub commit: Option<String>,
}

/// A row, or part of a shard, that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule that refuses it.
    pub rule: &'static str,
    /// Shard and place.
    pub place: String,
    /// One clear line.
    pub message: String,
}

/// Which column holds what.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// `repository`, `path`, `content`, and `licence`, `commit` where they exist.
    #[default]
    Plain,
    /// The Stack, version 1.
    StackV1,
    /// The Stack, version 2, with the contents filled in as `content`.
    StackV2,
    /// Any other names.
    Named(ColumnNames),
}

/// Names of columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnNames {
    /// Name of the repository.
    pub repository: String,
    /// Path of the file.
    pub path: String,
    /// Content of the file.
    pub content: String,
    /// Licence, a text or a list of texts; may be absent from the shards.
    #[serde(default)]
    pub licence: Option<String>,
    /// Commit; may be absent from the shards.
    #[serde(default)]
    pub commit: Option<String>,
}

impl Columns {
    /// The names meant.
    pub fn names(&self) -> ColumnNames {
        let named = |repository: &str, path: &str, licence: &str, commit: &str| ColumnNames {
            repository: repository.into(),
            path: path.into(),
            content: "content".into(),
            licence: Some(licence.into()),
            commit: Some(commit.into()),
        };
        match self {
            Self::Plain => named("repository", "path", "licence", "commit"),
            Self::StackV1 => named(
                "max_stars_repo_name",
                "max_stars_repo_path",
                "max_stars_repo_licenses",
                "max_stars_repo_head_hexsha",
            ),
            Self::StackV2 => named("repo_name", "path", "detected_licenses", "revision_id"),
            Self::Named(names) => names.clone(),
        }
    }
}

/// The columns to read.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Without one, rows are of no repository.
    pub(crate) repository: Option<String>,
    /// Without one, rows have no path.
    pub(crate) path: Option<String>,
    pub(crate) content: String,
    /// May be absent from the shards.
    pub(crate) licence: Option<String>,
    /// May be absent from the shards.
    pub(crate) commit: Option<String>,
}

impl From<ColumnNames> for Wanted {
    fn from(names: ColumnNames) -> Self {
        let ColumnNames { repository, path, content, licence, commit } = names;
        Self { repository: Some(repository), path: Some(path), content, licence, commit }
    }
}

/// What reading rows needs to know.
#[derive(Debug, Clone)]
pub(crate) struct RowOptions {
    pub(crate) names: Wanted,
    pub(crate) max_row_bytes: u64,
    pub(crate) limits: SourceOptions,
}

/// The rows of a shard, in order.
pub(crate) type Rows = Box<dyn Iterator<Item = Result<Row, Fault>>>;

/// Opens a shard.
///
/// # Errors
/// When it cannot be read, or its columns are not those asked for.
pub(crate) fn open(shard: &Shard, options: &RowOptions) -> Result<Rows> {
    match shard {
        Shard::Json(path) => json::open(path, options),
        Shard::Parquet(path) => parquet::open(path, options),
    }
}

/// `file:row` for messages; the folder is the user's business.
fn place(path: &Path, row: u64) -> String {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    format!("{name}:{row}")
}

/// Several licences of one repository hold together.
fn joined(licences: &[String]) -> Option<String> {
    (!licences.is_empty()).then(|| licences.join(" AND "))
}
