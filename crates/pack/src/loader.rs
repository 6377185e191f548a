//! Loading: a position, one integer, names a row of one of several packs.
//!
//! Positions count from 0 without end. Each draws from a source in the proportion of the weights;
//! the `n`-th draw from a source of `r` rows is row `n mod r` of epoch `n / r`, whose order is a
//! permutation keyed by (seed, source, epoch). Nothing is remembered between calls: a run resumes
//! at any position, and any number of ranks can share the positions between them ([`share`]).

use std::ops::Range;
use std::path::{Path, PathBuf};

use recon_mds::{Dataset, Sample, Value};
use recon_schema::Sha256;
use recon_text::Tokenizer;
use serde::{Deserialize, Serialize};

use crate::mix::Mix;
use crate::order::Order;
use crate::{Error, Result};

/// One row. Spans follow each other without gap from 0 to the end of `ids`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The tokens.
    pub ids: Vec<u32>,
    /// `mask[i] = 1`: token `i` is predicted; 0 at the start of each span.
    pub mask: Vec<u8>,
    /// The documents: no token attends across a span's border.
    pub spans: Vec<Range<usize>>,
}

impl Row {
    /// The row for a person: one paragraph a span, special tokens by name, trained runs between
    /// `⟦` and `⟧`.
    pub fn show(&self, tokenizer: &Tokenizer) -> String {
        let mut text = String::new();
        for span in &self.spans {
            let (ids, mask) = (&self.ids[span.clone()], &self.mask[span.clone()]);
            let trained = mask.iter().filter(|&&bit| bit != 0).count();
            let head = format!("--- tokens {}..{}, {trained} trained\n", span.start, span.end);
            text += &(head + &recon_text::show(tokenizer, ids, mask) + "\n");
        }
        text
    }
}

/// A packed directory and its share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// A directory written by [`pack`](crate::pack()), or any MDS dataset of the same columns.
    pub directory: PathBuf,
    /// Share of the rows drawn, in proportion to the other sources' weights.
    #[serde(default = "one")]
    pub weight: f64,
}

fn one() -> f64 {
    1.0
}

/// Where a position leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the source.
    pub source: usize,
    /// How often the source was used up before.
    pub epoch: u64,
    /// Index of the row as it is stored.
    pub row: usize,
}

/// The longest row of the sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Index of its source.
    pub source: usize,
    /// Index of the row as it is stored.
    pub row: usize,
    /// Ids in it, padding included.
    pub tokens: usize,
}

/// Reads rows in a keyed order.
#[derive(Debug)]
pub struct Loader {
    sources: Vec<OpenSource>,
    mix: Mix,
    seed: u64,
}

#[derive(Debug)]
struct OpenSource {
    directory: PathBuf,
    dataset: Dataset,
    /// Digest of the index: what names the source wherever it lies.
    digest: Sha256,
}

impl Loader {
    /// Opens one packed directory.
    pub fn open(directory: &Path, seed: u64) -> Result<Self> {
        Self::open_mix(&[Source { directory: directory.into(), weight: 1.0 }], seed)
    }

    /// Opens several packed directories, to be drawn from in proportion to their weights.
    ///
    /// # Errors
    /// If a directory holds no dataset or no rows, or a weight is not positive.
    pub fn open_mix(sources: &[Source], seed: u64) -> Result<Self> {
        let open = sources.iter().map(|source| OpenSource::open(&source.directory)).collect::<Result<Vec<_>>>()?;
        let weights: Vec<f64> = sources.iter().map(|source| source.weight).collect();
        if weights.is_empty() {
            return Err(Error::Option { name: "sources", value: "empty".into(), expected: "one or more" });
        }
        let key = Sha256::of_fields([&b"mix"[..], &seed.to_le_bytes()]).to_u64();
        Ok(Self { mix: Mix::new(key, &weights)?, sources: open, seed })
    }

    /// Rows in all sources.
    pub fn rows(&self) -> u64 {
        self.sources.iter().map(|source| source.dataset.len() as u64).sum()
    }

    /// The row at `index` of the stretch number `epoch`, each as long as [`rows`](Self::rows).
    /// With one source a stretch is an epoch: every row once.
    pub fn row(&self, epoch: u64, index: u64) -> Result<Row> {
        self.at(epoch * self.rows() + index)
    }

    /// The row at `position`.
    ///
    /// # Errors
    /// If the row cannot be read, its shard does not have the listed hashes, or the row breaks
    /// the invariants of this crate.
    pub fn at(&self, position: u64) -> Result<Row> {
        let place = self.place(position);
        self.sources[place.source].read(place.row)
    }

    /// Which stored row stands at `position`.
    pub fn place(&self, position: u64) -> Place {
        let (source, draw) = self.mix.draw(position);
        let OpenSource { dataset, digest, .. } = &self.sources[source];
        let rows = dataset.len() as u64;
        let (epoch, index) = (draw / rows, draw % rows);
        let key = Sha256::of_fields([
            &b"epoch"[..],
            &self.seed.to_le_bytes(),
            digest.to_string().as_bytes(),
            &epoch.to_le_bytes(),
        ]);
        Place { source, epoch, row: Order::new(key.to_u64(), rows).at(index) as usize }
    }

    /// The longest row of all sources, by its stored ids. Reads no id, but looks at every row.
    ///
    /// # Errors
    /// If a shard cannot be read, or a row has no ids.
    pub fn longest(&self) -> Result<Longest> {
        let mut longest = Longest { source: 0, row: 0, tokens: 0 };
        for (number, source) in self.sources.iter().enumerate() {
            let (row, tokens) = source.longest()?;
            if tokens > longest.tokens {
                longest = Longest { source: number, row, tokens };
            }
        }
        Ok(longest)
    }

    /// Checks the hashes of every shard now; otherwise each is checked when it is first read.
    pub fn verify(&self) -> Result<()> {
        self.sources.iter().try_for_each(|source| Ok(source.dataset.verify()?))
    }
}

/// The positions of `positions` that `rank` of `world` loads: every `world`-th, so that the ranks
/// together load each position once, and in the same order for every world size.
///
/// # Panics
/// If `rank` is not below `world`.
pub fn share(positions: Range<u64>, rank: usize, world: usize) -> impl Iterator<Item = u64> {
    assert!(rank < world, "rank {rank} of {world}");
    positions.skip(rank).step_by(world)
}

impl OpenSource {
    fn open(directory: &Path) -> Result<Self> {
        let dataset = Dataset::open(directory)?;
        if dataset.is_empty() {
            return Err(Error::NoRows { directory: directory.into() });
        }
        let digest = recon_schema::file::hash_file(&directory.join("index.json"))?.sha256;
        Ok(Self { directory: directory.into(), dataset, digest })
    }

    fn read(&self, row: usize) -> Result<Row> {
        let sample = self.dataset.read(row, &COLUMNS)?;
        to_row(&sample).map_err(|reason| self.broken(row, reason))
    }

    fn longest(&self) -> Result<(usize, usize)> {
        let (mut longest, mut without) = ((0, 0), None);
        self.dataset.each_length(INPUT_IDS, |row, tokens| match tokens {
            Some(tokens) if tokens > longest.1 => longest = (row, tokens),
            Some(_) => {}
            None => without = without.or(Some(row)),
        })?;
        match without {
            Some(row) => Err(self.broken(row, NO_IDS.into())),
            None => Ok(longest),
        }
    }

    fn broken(&self, row: usize, reason: String) -> Error {
        Error::Row { directory: self.directory.clone(), row, reason }
    }
}

const INPUT_IDS: &str = "input_ids";
const INDICES: &str = "indices";
const MASK: &str = "mask";
/// What training needs of a sample; nothing else of it is decoded.
const COLUMNS: [&str; 3] = [INPUT_IDS, INDICES, MASK];
const NO_IDS: &str = "no column `input_ids` of 32-bit ids";

/// Takes the columns of a sample apart, which may be of whole numbers of any type. Without `indices` the row is one
/// document; without `mask`, as in ProLong's text sets, everything is trained. Tokens after the last span are padding and
/// are dropped.
fn to_row(sample: &Sample) -> Result<Row, String> {
    let mut ids = sample.get(INPUT_IDS).and_then(Value::as_u32).ok_or(NO_IDS)?;
    let indices = match sample.get(INDICES) {
        Some(value) => value.as_u32().ok_or("column `indices` is not of 32-bit positions")?,
        None => vec![0, u32::try_from(ids.len()).map_err(|error| error.to_string())?],
    };
    let mut mask = match sample.get(MASK) {
        Some(value) => {
            let wide = value.as_u32().ok_or("column `mask` is not of 0 and 1")?;
            wide.into_iter().map(|value| u8::try_from(value).unwrap_or(u8::MAX)).collect()
        }
        None => vec![1; ids.len()],
    };
    if mask.len() != ids.len() {
        return Err(format!("{} mask values for {} ids", mask.len(), ids.len()));
    }
    let (pairs, rest) = indices.as_chunks::<2>();
    let spans: Vec<Range<usize>> = pairs.iter().map(|[start, end]| *start as usize..*end as usize).collect();
    let mut next = 0;
    for span in &spans {
        if span.start != next || span.end <= span.start || span.end > ids.len() {
            return Err(format!("span {span:?} after token {next} of {}", ids.len()));
        }
        next = span.end;
        mask[span.start] = 0;
    }
    if next == 0 || !rest.is_empty() {
        return Err("column `indices` is no list of pairs".into());
    }
    if let Some(value) = mask.iter().find(|&&value| value > 1) {
        return Err(format!("mask value {value}"));
    }
    ids.truncate(next);
    mask.truncate(next);
    Ok(Row { ids, mask, spans })
}
