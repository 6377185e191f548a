//! One packed directory: a row by its index, as it is stored or joined with others.
//!
//! Rows of anybody's MDS writer are taken: see [`to_row`]. Joining is best-fit decreasing over the lengths of all rows, so
//! which rows are joined is a function of the data and the window.

use std::ops::Range;
use std::path::{Path, PathBuf};

use recon_mds::{Dataset, Sample, Value};
use recon_schema::Sha256;

use crate::fit::best_fit_decreasing;
use crate::{Error, Result, Row};

/// The longest row of a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Longest {
    /// Its index as it is stored.
    pub row: usize,
    /// Ids in it, padding included.
    pub tokens: usize,
}

/// A dataset that is open, its rows as they are stored or joined.
#[derive(Debug)]
pub(crate) struct OpenSource {
    directory: PathBuf,
    dataset: Dataset,
    /// Digest of the index: what names the source wherever it lies.
    digest: Sha256,
    joined: Option<Joined>,
}

/// Which stored rows make each joined one.
#[derive(Debug)]
struct Joined {
    members: Vec<u32>,
    /// Where the members of each joined row begin, and in all.
    starts: Vec<usize>,
}

impl OpenSource {
    pub(crate) fn open(directory: &Path) -> Result<Self> {
        let dataset = Dataset::open(directory)?;
        if dataset.is_empty() {
            return Err(Error::NoRows { directory: directory.into() });
        }
        let digest = recon_schema::file::hash_file(&directory.join("index.json"))?.sha256;
        Ok(Self { directory: directory.into(), dataset, digest, joined: None })
    }

    pub(crate) fn digest(&self) -> Sha256 {
        self.digest
    }

    pub(crate) fn rows(&self) -> usize {
        self.joined.as_ref().map_or(self.dataset.len(), |joined| joined.starts.len() - 1)
    }

    pub(crate) fn verify(&self) -> Result<()> {
        Ok(self.dataset.verify()?)
    }

    pub(crate) fn read(&self, row: usize) -> Result<Row> {
        let Some(Joined { members, starts }) = &self.joined else { return self.stored(row) };
        let mut whole = Row { ids: Vec::new(), mask: Vec::new(), spans: Vec::new() };
        for &member in &members[starts[row]..starts[row + 1]] {
            let Row { ids, mask, spans } = self.stored(member as usize)?;
            let before = whole.ids.len();
            whole.ids.extend(ids);
            whole.mask.extend(mask);
            whole.spans.extend(spans.into_iter().map(|span| before + span.start..before + span.end));
        }
        Ok(whole)
    }

    fn stored(&self, row: usize) -> Result<Row> {
        let sample = self.dataset.read(row, &COLUMNS)?;
        to_row(&sample).map_err(|reason| self.broken(row, reason))
    }

    /// Joins rows, best fit first, into rows of at most `window_tokens`.
    pub(crate) fn join(&mut self, window_tokens: usize) -> Result<()> {
        let lengths = self.lengths()?;
        if let Some(row) = lengths.iter().position(|&tokens| tokens > window_tokens) {
            return Err(self.broken(row, format!("{} ids, more than the window of {window_tokens}", lengths[row])));
        }
        let (mut members, mut starts) = (Vec::with_capacity(lengths.len()), vec![0]);
        for row in best_fit_decreasing(&lengths, window_tokens) {
            members.extend(row.into_iter().map(|member| member as u32));
            starts.push(members.len());
        }
        self.joined = Some(Joined { members, starts });
        Ok(())
    }

    /// Stored ids of every row.
    fn lengths(&self) -> Result<Vec<usize>> {
        let (mut lengths, mut without) = (Vec::with_capacity(self.dataset.len()), None);
        self.dataset.each_length(INPUT_IDS, |row, tokens| match tokens {
            Some(tokens) => lengths.push(tokens),
            None => without = without.or(Some(row)),
        })?;
        match without {
            Some(row) => Err(self.broken(row, NO_IDS.into())),
            None => Ok(lengths),
        }
    }

    pub(crate) fn longest(&self) -> Result<Longest> {
        let lengths = self.lengths()?;
        let tokens = lengths.iter().copied().max().unwrap_or(0);
        Ok(Longest { row: lengths.iter().position(|&length| length == tokens).unwrap_or(0), tokens })
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
