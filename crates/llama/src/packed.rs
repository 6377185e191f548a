//! A packed training row, and the rows of arithmetic it becomes.
//!
//! Input: `ids[T]`, `mask[T]` and the spans of the documents. Output: the rows inside the spans
//! only, with positions that restart at each document, the token each row predicts, and whether
//! that token is trained.
//!
//! Invariants: the first token of a document is never predicted; tokens outside every span
//! (padding) are not computed; `mask[i] = 1` lets row `i − 1` predict token `i`.

use std::ops::Range;

use crate::{Error, Result};

/// One training row: whole documents side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Token ids of the row.
    pub ids: Vec<u32>,
    /// 1 where the token is predicted and carries loss, else 0.
    pub mask: Vec<u8>,
    /// The documents, ascending and disjoint; what lies outside is padding.
    pub spans: Vec<Range<usize>>,
}

/// A summed loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Loss {
    /// Sum of −log p over the trained tokens, in nats.
    pub nats: f64,
    /// Number of trained tokens.
    pub tokens: u64,
}

impl Packed {
    /// Tokens that carry loss.
    pub fn trained_tokens(&self) -> u64 {
        let trained = |span: &Range<usize>| {
            let predicted = (span.start + 1).min(span.end)..span.end;
            self.mask.get(predicted).unwrap_or_default().iter().filter(|bit| **bit != 0).count() as u64
        };
        self.spans.iter().map(trained).sum()
    }
}

/// What the model computes for a [`Packed`] row: `N` rows, one per token inside a span, or some of them.
pub(crate) struct Rows {
    /// Which these are of all; spans count all.
    pub(crate) own: Range<usize>,
    pub(crate) ids: Vec<u32>,
    pub(crate) positions: Vec<u32>,
    pub(crate) spans: Vec<Range<usize>>,
    /// The token each row predicts; 0 where `trained` is false.
    pub(crate) targets: Vec<u32>,
    pub(crate) trained: Vec<bool>,
}

impl Rows {
    /// Checks `packed` against the vocabulary and lays its documents end to end.
    pub(crate) fn new(packed: &Packed, vocabulary: usize) -> Result<Self> {
        let Packed { ids, mask, spans } = packed;
        if mask.len() != ids.len() {
            return Err(Error::Input(format!("{} mask entries for {} ids", mask.len(), ids.len())));
        }
        check_spans(spans, ids.len())?;
        let total = spans.iter().map(ExactSizeIterator::len).sum();
        let mut rows = Self {
            own: 0..total,
            ids: Vec::with_capacity(total),
            positions: Vec::with_capacity(total),
            spans: Vec::with_capacity(spans.len()),
            targets: Vec::with_capacity(total),
            trained: Vec::with_capacity(total),
        };
        for span in spans.iter().filter(|span| !span.is_empty()) {
            let start = rows.ids.len();
            rows.ids.extend_from_slice(&ids[span.clone()]);
            rows.positions.extend(0..span.len() as u32);
            rows.spans.push(start..rows.ids.len());
            for next in span.start + 1..=span.end {
                let trained = next < span.end && mask[next] != 0;
                rows.trained.push(trained);
                rows.targets.push(if trained { ids[next] } else { 0 });
            }
        }
        if rows.ids.is_empty() {
            return Err(Error::Input("the row holds no document".into()));
        }
        check_ids(&rows.ids, vocabulary)?;
        Ok(rows)
    }

    /// Some of the rows.
    ///
    /// # Errors
    /// [`Error::Input`] where there are none.
    pub(crate) fn part(self, own: Range<usize>) -> Result<Self> {
        if own == self.own {
            return Ok(self);
        }
        if own.is_empty() {
            let rows = self.ids.len();
            return Err(Error::Input(format!("{rows} rows are too few for those who share them")));
        }
        Ok(Self {
            ids: self.ids[own.clone()].to_vec(),
            positions: self.positions[own.clone()].to_vec(),
            spans: self.spans,
            targets: self.targets[own.clone()].to_vec(),
            trained: self.trained[own.clone()].to_vec(),
            own,
        })
    }

    /// Of each document, the trained tokens among these rows.
    pub(crate) fn trained_of_documents(&self) -> impl Iterator<Item = usize> {
        self.spans.iter().map(|span| {
            let within = |at: usize| at.clamp(self.own.start, self.own.end) - self.own.start;
            self.trained[within(span.start)..within(span.end)].iter().filter(|trained| **trained).count()
        })
    }

    /// `weight` on every trained row, 0 on the others.
    pub(crate) fn weights(&self, weight: f32) -> Vec<f32> {
        self.trained.iter().map(|trained| if *trained { weight } else { 0.0 }).collect()
    }

    pub(crate) fn trained_tokens(&self) -> u64 {
        self.trained.iter().filter(|trained| **trained).count() as u64
    }
}

/// Refuses spans that overlap, run backwards or leave `0..rows`.
pub(crate) fn check_spans(spans: &[Range<usize>], rows: usize) -> Result<()> {
    let mut end = 0;
    for span in spans {
        if span.start < end || span.end < span.start || span.end > rows {
            return Err(Error::Input(format!("span {span:?} overlaps, runs backwards or leaves 0..{rows}")));
        }
        end = span.end;
    }
    Ok(())
}

/// Refuses ids beyond the embedding table.
pub(crate) fn check_ids(ids: &[u32], vocabulary: usize) -> Result<()> {
    match ids.iter().find(|id| **id as usize >= vocabulary) {
        Some(id) => Err(Error::Input(format!("token id {id} is not below the vocabulary size {vocabulary}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_starts_and_padding_carry_no_loss() {
        let packed =
            Packed { ids: vec![9, 1, 2, 3, 4, 5, 9], mask: vec![1, 1, 1, 1, 0, 1, 1], spans: vec![1..3, 3..6] };
        let rows = Rows::new(&packed, 10).unwrap();
        assert_eq!(rows.ids, [1, 2, 3, 4, 5]);
        assert_eq!(rows.positions, [0, 1, 0, 1, 2]);
        assert_eq!(rows.spans, [0..2, 2..5]);
        assert_eq!(rows.trained, [true, false, false, true, false]);
        assert_eq!(rows.targets, [2, 0, 0, 5, 0]);
        assert_eq!((rows.trained_tokens(), packed.trained_tokens()), (2, 2));
    }

    #[test]
    fn a_part_predicts_over_its_border_and_counts_its_own() {
        let packed = Packed { ids: vec![1, 2, 3, 4, 5], mask: vec![1; 5], spans: vec![0..2, 2..5] };
        let whole = || Rows::new(&packed, 10).unwrap();
        let part = whole().part(3..5).unwrap();
        assert_eq!((part.ids.as_slice(), part.positions.as_slice()), (&[4, 5][..], &[1, 2][..]));
        assert_eq!((part.targets.as_slice(), part.trained.as_slice()), (&[5, 0][..], &[true, false][..]));
        assert_eq!(whole().part(0..3).unwrap().targets, [2, 0, 4], "the token after the border");
        let counts = |rows: Rows| rows.trained_of_documents().collect::<Vec<_>>();
        assert_eq!((counts(whole()), counts(part)), (vec![1, 2], vec![0, 1]));
        assert!(whole().part(4..4).is_err());
    }

    #[test]
    fn input_that_does_not_fit_together_is_refused() {
        let good = Packed { ids: vec![1, 2, 3], mask: vec![1; 3], spans: vec![0..3] };
        assert!(Rows::new(&good, 4).is_ok());
        assert!(Rows::new(&good, 3).is_err());
        assert!(Rows::new(&Packed { mask: vec![1; 2], ..good.clone() }, 4).is_err());
        for spans in [vec![0..4], vec![0..2, 1..3], vec![2..3, 0..1]] {
            assert!(Rows::new(&Packed { spans, ..good.clone() }, 4).is_err());
        }
    }
}
