//! Plain texts into rows to train on: `recon pack --text`.
//!
//! A document is the token that opens a text, where the model has seen one, the text, and the token that closes it.
//! All of it but the first token is predicted. A text that holds a control token's name holds it as content.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use recon_corpus::rows::{Text, texts};
use recon_pack::{PackDocument, PackOptions, PackReport, pack};
use recon_text::Tokenizer;

use crate::config::Config;
use crate::failure::{Failure, Outcome};

/// Texts that are encoded together, on all threads.
const BATCH: usize = 256;

/// Packs the texts in `column` of `files` into the folder `out`.
///
/// # Errors
/// A file that cannot be read or has no such column; more unusable rows than `corpus.max_skipped_fraction`; and as
/// [`pack`].
pub fn pack_texts(
    files: &[PathBuf],
    column: &str,
    tokenizer: &Tokenizer,
    config: &Config,
    out: &Path,
) -> Outcome<PackReport> {
    config.pack.validate().map_err(Failure::input)?;
    let mut options = config.pack.clone();
    if options.domain == PackOptions::default().domain {
        options.domain = "text".into();
    }
    let mut reader = Reader { files, column, config, tokenizer, faults: 0, rows: 0, failed: None };
    let report = pack(reader.documents(), &options, out);
    if let Some(failure) = reader.failed.take() {
        return Err(failure);
    }
    let Reader { faults, rows, .. } = reader;
    if faults > 0 {
        tracing::warn!(faults, rows, "rows without a usable text were left out");
    }
    report.map_err(|error| match error {
        recon_pack::Error::Nothing { .. } | recon_pack::Error::Option { .. } => Failure::input(error),
        _ => Failure::run(error),
    })
}

struct Reader<'a> {
    files: &'a [PathBuf],
    column: &'a str,
    config: &'a Config,
    tokenizer: &'a Tokenizer,
    faults: u64,
    rows: u64,
    /// What ended the documents before their time; the packer never sees a part of them as all.
    failed: Option<Failure>,
}

impl Reader<'_> {
    fn documents(&mut self) -> impl Iterator<Item = PackDocument> {
        let mut files = self.files.iter();
        let mut open = None;
        std::iter::from_fn(move || {
            if self.failed.is_some() {
                return None;
            }
            let mut batch = Vec::with_capacity(BATCH);
            while batch.len() < BATCH {
                if open.is_none() {
                    let Some(path) = files.next() else { break };
                    open = match texts(path, self.column, &self.config.corpus, &self.config.source) {
                        Ok(rows) => Some(rows),
                        Err(error @ recon_corpus::Error::Columns { .. }) => {
                            return self.fail(Failure::input(error).hint("name the column of the texts with --column"));
                        }
                        Err(error) => return self.fail(error.into()),
                    };
                }
                match open.as_mut().and_then(Iterator::next) {
                    None => open = None,
                    Some(Ok(text)) => batch.push(text),
                    Some(Err(fault)) => {
                        self.faults += 1;
                        tracing::debug!(place = fault.place, rule = fault.rule, "{}", fault.message);
                        if fault.rule == "shard_damaged" {
                            return self.fail(Failure::input_because(format!("{}: {}", fault.place, fault.message)));
                        }
                    }
                }
            }
            self.rows += batch.len() as u64;
            if batch.is_empty() {
                return self.within_limit();
            }
            Some(self.encoded(batch))
        })
        .flatten()
    }

    fn fail<T>(&mut self, failure: Failure) -> Option<T> {
        self.failed = Some(failure);
        None
    }

    /// Ends the documents, in a failure where too many rows were unusable.
    fn within_limit<T>(&mut self) -> Option<T> {
        let (total, limit) = (self.rows + self.faults, self.config.corpus.max_skipped_fraction);
        if self.faults as f64 > limit * total as f64 {
            let faults = self.faults;
            let column = self.column;
            let message = format!("{faults} of {total} rows have no text in `{column}`, above {limit:.3}");
            return self
                .fail(Failure::run_because(message).hint("raise `corpus.max_skipped_fraction`, or name the column"));
        }
        None
    }

    fn encoded(&self, texts: Vec<Text>) -> Vec<PackDocument> {
        let (opening, closing) = (self.tokenizer.opening(), self.tokenizer.closing());
        let document = |Text { place, text }: Text| {
            let content = self.tokenizer.encode(&text);
            let ids: Vec<u32> = opening.into_iter().chain(content).chain(closing).collect();
            // A text without content has nothing to predict but its own end.
            let mask = if text.is_empty() { vec![0; ids.len()] } else { vec![1; ids.len()] };
            PackDocument::new(place, ids, mask)
        };
        texts.into_par_iter().map(document).collect()
    }
}
