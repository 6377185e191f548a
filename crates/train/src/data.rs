//! Where rows come from, and the micro-batches they become.
//!
//! A run asks for rows by one integer, the position: epoch `position / rows`, then a place in that
//! epoch's order. So the position is all a checkpoint has to keep.

use std::ops::Range;

use recon_llama::Packed;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Packed rows in a fixed order, read by a thread of their own.
pub trait RowSource: Sync {
    /// Rows of one epoch; more than 0.
    fn rows(&self) -> u64;

    /// Tokens of the longest row.
    fn row_tokens(&self) -> usize;

    /// Holds the rows against a model of so many positions. Every document has positions of its own, so rows that are
    /// known to be packed of shorter ones are only warned of.
    ///
    /// # Errors
    /// [`Error::Longer`] where a row was not cut for such a model.
    fn fit(&self, positions: usize) -> Result<()> {
        fit_packed(self.row_tokens(), positions)
    }

    /// Names the content and the order: two sources with one identity give the same rows.
    fn identity(&self) -> String;

    /// The row at `position`, counted over all epochs.
    fn row(&self, position: u64) -> Result<Packed>;

    /// What the sources are called, where there are several.
    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    /// Which of the sources the row at `position` is drawn from.
    fn source(&self, _position: u64) -> usize {
        0
    }

    /// Names the row at `position` for messages.
    fn place(&self, position: u64) -> String {
        format!("row {}", position % self.rows())
    }
}

/// What was drawn from one of several sources so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    /// The source.
    pub source: String,
    /// Rows; what a run passed over, going back, is not counted.
    pub rows: u64,
    /// Tokens inside documents.
    pub tokens: u64,
    /// Trained tokens.
    pub trained_tokens: u64,
}

/// A row and which of the sources it is of.
pub(crate) struct Taken {
    pub(crate) source: usize,
    pub(crate) row: Packed,
}

/// Reads the rows at `positions`.
///
/// # Errors
/// Those of the source, and [`Error::Id`] where a row holds an id that is not below `vocabulary`.
pub(crate) fn take(rows: &dyn RowSource, positions: Range<u64>, vocabulary: usize) -> Result<Vec<Taken>> {
    let at = |position| {
        let row = rows.row(position)?;
        if let Some(&id) = row.ids.iter().find(|id| **id as usize >= vocabulary) {
            return Err(Error::Id { place: rows.place(position), id, vocabulary });
        }
        Ok(Taken { source: rows.source(position), row })
    };
    positions.map(at).collect()
}

/// Tokens inside documents.
pub(crate) fn document_tokens(row: &Packed) -> u64 {
    row.spans.iter().map(|span| span.len() as u64).sum()
}

pub(crate) fn fit_packed(row_tokens: usize, positions: usize) -> Result<()> {
    if row_tokens > positions {
        tracing::warn!(row_tokens, max_position_embeddings = positions, "rows are longer than the model's context");
    }
    Ok(())
}

/// Rows held in memory, in the order given, every epoch alike.
pub struct MemoryRows {
    rows: Vec<Packed>,
}

impl MemoryRows {
    /// # Errors
    /// No rows.
    pub fn new(rows: Vec<Packed>) -> Result<Self> {
        if rows.is_empty() {
            return Err(Error::Data("there are none".into()));
        }
        Ok(Self { rows })
    }
}

impl RowSource for MemoryRows {
    fn rows(&self) -> u64 {
        self.rows.len() as u64
    }

    fn row_tokens(&self) -> usize {
        self.rows.iter().map(|row| row.ids.len()).max().unwrap_or(0)
    }

    fn identity(&self) -> String {
        let mut fields = Vec::new();
        for row in &self.rows {
            fields.push(row.ids.iter().flat_map(|id| id.to_le_bytes()).collect());
            fields.push(row.mask.clone());
            fields
                .push(row.spans.iter().flat_map(|span| [span.start, span.end]).flat_map(usize::to_le_bytes).collect());
        }
        recon_schema::Sha256::of_fields(fields.iter().map(Vec::as_slice)).to_string()
    }

    fn row(&self, position: u64) -> Result<Packed> {
        Ok(self.rows[(position % self.rows()) as usize].clone())
    }
}

/// The work a row's attention takes: Σ (document length)².
fn attention_work(row: &Packed) -> u64 {
    row.spans.iter().map(|span| (span.len() as u64).pow(2)).sum()
}

/// Sorts the rows of a step so that rows of like cost meet in one micro-batch (ProLong): with
/// several ranks, the micro-batches that wait for each other take equally long.
pub(crate) fn balance(rows: &mut [Taken]) {
    rows.sort_by_key(|taken| std::cmp::Reverse(attention_work(&taken.row)));
}

/// Rows laid end to end, as the model takes them; documents stay apart by their spans.
pub(crate) fn join<'r>(rows: impl IntoIterator<Item = &'r Packed>) -> Packed {
    let mut joined = Packed { ids: Vec::new(), mask: Vec::new(), spans: Vec::new() };
    for row in rows {
        let start = joined.ids.len();
        joined.ids.extend(&row.ids);
        joined.mask.extend(&row.mask);
        joined.spans.extend(row.spans.iter().map(|span| start + span.start..start + span.end));
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(lengths: &[usize]) -> Packed {
        let tokens = lengths.iter().sum();
        let mut end = 0;
        let spans = lengths.iter().map(|length| {
            end += length;
            end - length..end
        });
        let spans = spans.collect();
        Packed { ids: vec![1; tokens], mask: vec![1; tokens], spans }
    }

    #[test]
    fn joining_keeps_documents_apart_and_trained() {
        let rows = [row(&[3, 2]), row(&[4])];
        let joined = join(&rows);
        assert_eq!(joined.spans, [0..3, 3..5, 5..9]);
        assert_eq!(joined.trained_tokens(), rows.iter().map(Packed::trained_tokens).sum::<u64>());
    }

    #[test]
    fn rows_of_like_cost_stand_together() {
        let mut rows = [row(&[2, 2, 2]), row(&[6]), row(&[3, 3]), row(&[6])].map(|row| Taken { source: 0, row });
        balance(&mut rows);
        assert_eq!(rows.iter().map(|taken| attention_work(&taken.row)).collect::<Vec<_>>(), [36, 36, 18, 12]);
    }

    #[test]
    fn identity_changes_with_every_part_of_a_row() {
        let identity = |row| MemoryRows::new(vec![row]).unwrap().identity();
        let base = row(&[3, 2]);
        let with = |change: fn(&mut Packed)| {
            let mut row = base.clone();
            change(&mut row);
            identity(row)
        };
        let all =
            [identity(base.clone()), with(|r| r.ids[0] = 2), with(|r| r.mask[0] = 0), with(|r| r.spans[0].end = 2)];
        assert_eq!(std::collections::BTreeSet::from(all).len(), 4);
        assert!(MemoryRows::new(vec![]).is_err());
    }
}
