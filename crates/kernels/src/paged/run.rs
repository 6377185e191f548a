//! Runs of tokens: which rows of a call they are, where in their sequence, and which pages hold it.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::operand::check_indices;

/// Consecutive tokens of one sequence within a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PagedRun {
    /// The call's rows that hold the run.
    pub rows: Range<usize>,
    /// The position of its first token in its sequence.
    pub first_position: usize,
    /// The sequence's pages, from position 0; at least as many as the last position needs.
    pub pages: Vec<u32>,
}

/// Refuses runs that overlap, leave the `n` rows, lack pages or name one that is not there.
pub(super) fn check_runs(op: &'static str, runs: &[PagedRun], n: usize, pages: usize, page_slots: usize) -> Result<()> {
    let mut taken = vec![false; n];
    for PagedRun { rows, first_position, pages: held } in runs {
        let free = rows.start <= rows.end && rows.end <= n && !taken[rows.clone()].contains(&true);
        if !free {
            let message = format!("run over rows {rows:?} is reversed, overlaps another or leaves the {n} rows");
            return Err(Error::Argument { op, message });
        }
        taken[rows.clone()].fill(true);
        let positions = first_position + rows.len();
        if !rows.is_empty() && held.len() * page_slots < positions {
            let message = format!("{} pages of {page_slots} do not hold {positions} positions", held.len());
            return Err(Error::Argument { op, message });
        }
        check_indices(op, "runs.pages", held, pages)?;
    }
    Ok(())
}
