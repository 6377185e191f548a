//! Spans of a packed row: disjoint ranges of rows, each a document.

use std::ops::Range;

use crate::error::{Error, Result};

/// Refuses spans that are reversed, overlap or leave the `n` rows.
pub(super) fn check_spans(op: &'static str, spans: &[Range<usize>], n: usize) -> Result<()> {
    let mut sorted: Vec<&Range<usize>> = spans.iter().collect();
    sorted.sort_by_key(|span| (span.start, span.end));
    let mut end = 0;
    for span in sorted {
        if span.start > span.end || span.start < end || span.end > n {
            let message = format!("span {span:?} is reversed, overlaps another or leaves the {n} rows");
            return Err(Error::Argument { op, message });
        }
        end = span.end;
    }
    Ok(())
}
