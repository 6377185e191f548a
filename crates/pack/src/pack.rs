//! Documents to rows: cut what is too long, fit what is left, write shards, sidecar, manifest.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::{fs, io};

use recon_mds::{Array, Encoding, Sample, Value, Writer, WriterOptions};
use recon_schema::Sha256;
use recon_schema::file::{JsonLines, hash_file};
use recon_schema::graph::RepositoryRef;
use recon_schema::manifest::Manifest;
use serde::{Deserialize, Serialize};

use crate::cut::cut;
use crate::fit::best_fit_decreasing;
use crate::provenance::{self, SpanRecord};
use crate::{Error, PackDocument, Result};

/// How documents become rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PackOptions {
    /// Most tokens in a row: the context of the training.
    pub row_tokens: usize,
    /// Name of the data, stored with each row; the arm, for trajectories.
    pub domain: String,
    /// Documents taken at most; all if absent.
    pub max_documents: Option<u64>,
    /// Rows' worth of tokens that are fitted together. More fills rows better and needs more memory.
    pub buffer_rows: usize,
    /// A new shard begins where a shard would exceed this.
    pub shard_bytes: u32,
}

impl Default for PackOptions {
    fn default() -> Self {
        Self { row_tokens: 65_536, domain: "recon".into(), max_documents: None, buffer_rows: 256, shard_bytes: 1 << 26 }
    }
}

/// What was packed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PackReport {
    /// Rows written.
    pub rows: u64,
    /// Most tokens a row can hold.
    pub row_tokens: u64,
    /// Spans in them: documents, and pieces of documents that were cut.
    pub spans: u64,
    /// Tokens in the rows.
    pub tokens: u64,
    /// Tokens that are predicted.
    pub trained_tokens: u64,
    /// Share of the rows' room that is used.
    pub fill: f64,
    /// Documents seen.
    pub documents: u64,
    /// Documents longer than a row.
    pub documents_cut: u64,
    /// Documents and pieces left out because no token of theirs is predicted.
    pub untrained: u64,
    /// Highest token id.
    pub highest_id: u32,
}

/// Packs `documents` in their order into the directory `out`.
///
/// What an earlier run left in `out` is replaced; the directory counts as complete when its
/// manifest is there.
///
/// # Errors
/// If an option is out of range, a document's mask does not fit its ids, nothing can be trained,
/// or a file cannot be written.
pub fn pack(
    documents: impl IntoIterator<Item = PackDocument>,
    options: &PackOptions,
    out: &Path,
) -> Result<PackReport> {
    options.validate()?;
    clear(out)?;
    let mut packer = Packer::create(options, out)?;
    let limit = options.max_documents.unwrap_or(u64::MAX);
    for document in documents.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        packer.add(&document)?;
    }
    packer.finish(out)
}

impl PackOptions {
    /// Refuses what cannot be meant.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn validate(&self) -> Result<()> {
        let row = self.row_tokens;
        if row < 2 || u32::try_from(row).is_err() {
            return Err(Error::Option { name: "row_tokens", value: row.to_string(), expected: "2 to 4294967295" });
        }
        if self.buffer_rows == 0 {
            return Err(Error::Option { name: "buffer_rows", value: "0".into(), expected: "1 or more" });
        }
        Ok(())
    }
}

/// Removes what an earlier run left, the manifest first: from there on the directory is incomplete.
fn clear(out: &Path) -> Result<()> {
    let remove = |path: PathBuf| match fs::remove_file(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::Remove { path, source }),
        _ => Ok(()),
    };
    for name in [recon_schema::manifest::FILE_NAME, "index.json", provenance::FILE_NAME] {
        remove(out.join(name))?;
    }
    let Ok(entries) = fs::read_dir(out) else { return Ok(()) };
    let is_shard = |name: &str| name.starts_with("shard.") && name.ends_with(".mds");
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(is_shard)) {
        remove(entry.path())?;
    }
    Ok(())
}

/// One span to be.
struct Piece {
    ids: Vec<u32>,
    mask: Vec<u8>,
    document: usize,
    document_start: usize,
}

struct Packer<'o> {
    options: &'o PackOptions,
    writer: Writer,
    report: PackReport,
    /// Pieces waiting for a row.
    buffer: Vec<Piece>,
    buffered_tokens: usize,
    /// Id and repository of the documents in the buffer.
    origins: Vec<(String, Option<RepositoryRef>)>,
    /// Where each span came from, written as the rows are.
    sidecar: JsonLines,
    /// Digest over everything packed so far.
    documents: Sha256,
}

impl<'o> Packer<'o> {
    fn create(options: &'o PackOptions, out: &Path) -> Result<Self> {
        let ids = Encoding::NdArray { dtype: Some(recon_mds::Dtype::U32), shape: None };
        let bytes = Encoding::NdArray { dtype: Some(recon_mds::Dtype::U8), shape: None };
        let columns = [
            ("domain", Encoding::Str),
            ("indices", ids.clone()),
            ("input_ids", ids),
            ("length", Encoding::Scalar(recon_mds::Dtype::U64)),
            ("mask", bytes),
        ];
        let shards = WriterOptions { size_limit_bytes: Some(options.shard_bytes), ..WriterOptions::default() };
        Ok(Self {
            options,
            writer: Writer::create(out, columns, shards)?,
            report: PackReport { row_tokens: options.row_tokens as u64, ..PackReport::default() },
            buffer: Vec::new(),
            buffered_tokens: 0,
            origins: Vec::new(),
            sidecar: JsonLines::create(&out.join(provenance::FILE_NAME))?,
            documents: Sha256::of(b""),
        })
    }

    fn add(&mut self, document: &PackDocument) -> Result<()> {
        document.check()?;
        self.report.documents += 1;
        self.documents = digest(self.documents, document);
        let pieces = cut(document.ids.len(), &document.cuts, self.options.row_tokens);
        self.report.documents_cut += u64::from(pieces.len() > 1);
        self.origins.push((document.id.clone(), document.repository.clone()));
        for Range { start, end } in pieces {
            let mut mask = document.mask[start..end].to_vec();
            // Nothing stands before a span's first token to predict it from.
            mask.iter_mut().take(1).for_each(|bit| *bit = 0);
            if mask.iter().all(|&bit| bit == 0) {
                self.report.untrained += 1;
                continue;
            }
            self.buffered_tokens += end - start;
            let ids = document.ids[start..end].to_vec();
            self.buffer.push(Piece { ids, mask, document: self.origins.len() - 1, document_start: start });
        }
        if self.buffered_tokens >= self.options.buffer_rows.saturating_mul(self.options.row_tokens) {
            self.flush()?;
        }
        Ok(())
    }

    /// Fits the buffer into rows and writes them.
    fn flush(&mut self) -> Result<()> {
        let lengths: Vec<usize> = self.buffer.iter().map(|piece| piece.ids.len()).collect();
        for row in best_fit_decreasing(&lengths, self.options.row_tokens) {
            self.write_row(&row)?;
        }
        self.buffer.clear();
        self.origins.clear();
        self.buffered_tokens = 0;
        Ok(())
    }

    fn write_row(&mut self, pieces: &[usize]) -> Result<()> {
        let (mut ids, mut mask, mut indices) = (Vec::new(), Vec::new(), Vec::new());
        for piece in pieces.iter().map(|&piece| &self.buffer[piece]) {
            let start = ids.len() as u32;
            ids.extend_from_slice(&piece.ids);
            mask.extend_from_slice(&piece.mask);
            let end = ids.len() as u32;
            indices.extend([start, end]);
            let (document, repository) = self.origins[piece.document].clone();
            let document_start = piece.document_start as u64;
            let row = self.report.rows;
            self.sidecar.push(&SpanRecord { row, start, end, document, document_start, repository })?;
        }
        self.report.rows += 1;
        self.report.spans += pieces.len() as u64;
        self.report.tokens += ids.len() as u64;
        self.report.trained_tokens += mask.iter().map(|&bit| u64::from(bit)).sum::<u64>();
        self.report.highest_id = ids.iter().copied().fold(self.report.highest_id, u32::max);
        let spans = Array::new(vec![pieces.len(), 2], indices).expect("a start and an end were stored for each piece");
        let columns = [
            ("domain", Value::Str(self.options.domain.clone())),
            ("indices", spans.into()),
            ("length", Value::scalar(ids.len() as u64)),
            ("input_ids", Array::vector(ids).into()),
            ("mask", Array::vector(mask).into()),
        ];
        Ok(self.writer.write(&Sample::from(columns.map(|(name, value)| (name.into(), value))))?)
    }

    fn finish(mut self, out: &Path) -> Result<PackReport> {
        self.flush()?;
        let mut report = self.report;
        if report.rows == 0 {
            return Err(Error::Nothing { documents: report.documents });
        }
        report.fill = report.tokens as f64 / (report.rows as f64 * report.row_tokens as f64);
        let sidecar = self.sidecar.finish()?;
        let summary = self.writer.finish()?;

        let plan = serde_json::to_value(self.options).expect("options have string keys");
        let mut manifest = Manifest::new("pack", plan, BTreeMap::from([("documents".into(), self.documents)]));
        manifest.outputs.insert(provenance::FILE_NAME.into(), sidecar);
        for file in summary.files {
            manifest.outputs.insert(file.to_string_lossy().into_owned(), hash_file(&out.join(&file))?);
        }
        manifest.facts = serde_json::to_value(&report).expect("a report has finite numbers");
        manifest.write(out)?;
        tracing::info!(rows = report.rows, tokens = report.tokens, fill = report.fill, "packed");
        Ok(report)
    }
}

fn digest(before: Sha256, document: &PackDocument) -> Sha256 {
    let ids: Vec<u8> = document.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
    Sha256::of_fields([before.to_string().as_bytes(), document.id.as_bytes(), &ids, &document.mask])
}
