//! Rows out of MDS folders, of one or of several that are mixed.
//!
//! Input: the run's own rows, and `train.sources`. Output: a [`RowSource`]. A pack of ours says in its manifest how long
//! its rows are; of anybody else's, the longest row is looked for. Invariant: which row stands at a position is a
//! function of the seed, the weights and what is in the folders, not of where they lie.

use std::path::{Path, PathBuf};

use recon_llama::Packed;
use recon_pack::{Loader, Longest, Phase, Place, Row};
use recon_schema::Sha256;
use recon_schema::manifest::Manifest;

use crate::data::fit_packed;
use crate::sources::phases;
use crate::{Error, Result, RowSource, TrainOptions, Weight};

/// What the run's own rows are called beside other sources.
const OWN: &str = "own";

/// Packed rows, ours or anybody's, in the order of a seed.
pub struct PackedRows {
    loader: Loader,
    folders: Vec<Folder>,
    identity: String,
}

struct Folder {
    name: String,
    path: PathBuf,
    row_tokens: usize,
    /// The longest row, as it is stored, where no manifest says how rows were cut.
    longest: Option<usize>,
}

impl PackedRows {
    /// The rows of one folder, as they are stored.
    ///
    /// # Errors
    /// [`Error::Data`] where it holds no rows.
    pub fn open(directory: &Path, seed: u64) -> Result<Self> {
        Self::open_mix(Some(directory), &TrainOptions { seed, ..TrainOptions::default() })
    }

    /// The rows of `own`, where there is such a folder, and of the sources of `options`.
    ///
    /// # Errors
    /// [`Error::Data`] where one holds no rows, lacks a shard or has a row longer than the window; [`Error::Option`]
    /// where there is none, two have one name, or weights cannot be honoured.
    pub fn open_mix(own: Option<&Path>, options: &TrainOptions) -> Result<Self> {
        let first = own.into_iter().map(|path| (OWN.to_owned(), path, &options.own_weight));
        let named: Vec<(String, &Path, &Weight)> = first
            .chain(options.sources.iter().map(|source| (source.name(), source.directory.as_path(), &source.weight)))
            .collect();
        check_names(&named)?;
        let directories: Vec<&Path> = named.iter().map(|(_, path, _)| *path).collect();
        let mut loader = Loader::open_all(&directories, options.seed).map_err(data)?;
        if let Some(window_tokens) = options.window_tokens {
            loader = loader.joined(window_tokens.get()).map_err(data)?;
        }
        let phases = match named.as_slice() {
            // One source has every row, whatever its weight.
            [_] => vec![Phase { from: 0, weights: vec![1.0] }],
            _ => {
                let step_rows = options.within(loader.rows()).step_rows();
                phases(&named.iter().map(|(_, _, weight)| *weight).collect::<Vec<_>>(), step_rows)
            }
        };
        let loader = loader.dealt(&phases).map_err(data)?;
        let window = options.window_tokens.map(std::num::NonZeroUsize::get);
        let numbered = named.into_iter().enumerate();
        let folders = numbered
            .map(|(at, (name, path, _))| Folder::open(&loader, at, name, path, window))
            .collect::<Result<_>>()?;
        let identity = identity(&loader, &phases, window);
        Ok(Self { loader, folders, identity })
    }
}

fn data(error: recon_pack::Error) -> Error {
    Error::Data(error.into())
}

fn check_names(named: &[(String, &Path, &Weight)]) -> Result<()> {
    let wrong = |problem: String| Err(Error::Option { key: "sources", problem });
    if named.is_empty() {
        return wrong("are none, and there are no rows of the run's own".into());
    }
    for (at, (name, path, _)) in named.iter().enumerate() {
        if let Some((_, other, _)) = named[..at].iter().find(|(other, ..)| other == name) {
            let paths = format!("{} and {}", other.display(), path.display());
            return wrong(format!("has two called `{name}`, {paths}; give one a `name`"));
        }
    }
    Ok(())
}

/// The digest of the only index, or one over the digests of all, their weights and the window.
fn identity(loader: &Loader, phases: &[Phase], window: Option<usize>) -> String {
    let mut digests: Vec<String> = loader.digests().map(|digest| digest.to_string()).collect();
    if let ([only], None) = (digests.as_slice(), window) {
        return only.clone();
    }
    digests.push(serde_json::json!({"phases": phases, "window": window}).to_string());
    Sha256::of_fields(digests.iter().map(String::as_bytes)).to_string()
}

impl Folder {
    fn open(loader: &Loader, at: usize, name: String, path: &Path, window: Option<usize>) -> Result<Self> {
        let path = path.to_owned();
        let planned = Manifest::read(&path)?.and_then(|manifest| manifest.plan["row_tokens"].as_u64());
        let planned = window.or_else(|| planned.and_then(|tokens| usize::try_from(tokens).ok()));
        if let Some(row_tokens) = planned {
            return Ok(Self { name, path, row_tokens, longest: None });
        }
        let Longest { row, tokens } = loader.longest(at).map_err(data)?;
        Ok(Self { name, path, row_tokens: tokens, longest: Some(row) })
    }
}

impl RowSource for PackedRows {
    fn rows(&self) -> u64 {
        self.loader.rows()
    }

    fn row_tokens(&self) -> usize {
        self.folders.iter().map(|folder| folder.row_tokens).max().unwrap_or(0)
    }

    fn fit(&self, positions: usize) -> Result<()> {
        for Folder { path, row_tokens, longest, .. } in &self.folders {
            match *longest {
                Some(row) if *row_tokens > positions => {
                    return Err(Error::Longer { path: path.clone(), row, tokens: *row_tokens, positions });
                }
                _ => fit_packed(*row_tokens, positions)?,
            }
        }
        Ok(())
    }

    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn row(&self, position: u64) -> Result<Packed> {
        let Row { ids, mask, spans } = self.loader.at(position).map_err(data)?;
        Ok(Packed { ids, mask, spans })
    }

    fn sources(&self) -> Vec<String> {
        match self.folders.as_slice() {
            [_] => Vec::new(),
            folders => folders.iter().map(|folder| folder.name.clone()).collect(),
        }
    }

    fn source(&self, position: u64) -> usize {
        self.loader.place(position).source
    }

    fn place(&self, position: u64) -> String {
        let Place { source, row, .. } = self.loader.place(position);
        format!("row {row} of {}", self.folders[source].path.display())
    }
}
