//! Best-fit decreasing: which pieces share a row.
//!
//! The longest piece first, each into the row that it leaves the least room in. Ties go to the
//! earlier piece and the earlier row, so the result depends on the lengths alone.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Rows as lists of indices into `lengths`; every index stands in exactly one row. Pieces stand
/// in a row in their order, and rows are ordered by their first piece.
///
/// # Panics
/// If a length exceeds `row_tokens`.
pub fn best_fit_decreasing(lengths: &[usize], row_tokens: usize) -> Vec<Vec<usize>> {
    let mut by_length: Vec<usize> = (0..lengths.len()).collect();
    by_length.sort_by_key(|&piece| (Reverse(lengths[piece]), piece));
    let mut rows: Vec<Vec<usize>> = Vec::new();
    let mut room: BTreeSet<(usize, usize)> = BTreeSet::new();
    for piece in by_length {
        let length = lengths[piece];
        assert!(length <= row_tokens, "documents longer than a row are cut before they are fitted");
        let (free, row) = match room.range((length, 0)..).next().copied() {
            Some(found) => {
                room.remove(&found);
                found
            }
            None => {
                rows.push(Vec::new());
                (row_tokens, rows.len() - 1)
            }
        };
        rows[row].push(piece);
        room.insert((free - length, row));
    }
    rows.iter_mut().for_each(|row| row.sort_unstable());
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_goes_where_it_leaves_the_least_room() {
        assert_eq!(best_fit_decreasing(&[3, 7, 4, 6], 10), [vec![0, 1], vec![2, 3]]);
        // 5 fits beside neither 8 nor 6; 2 fills the row of 8 although the row of 6 has more room.
        assert_eq!(best_fit_decreasing(&[2, 5, 6, 8], 10), [vec![0, 3], vec![1], vec![2]]);
    }

    proptest! {
        #[test]
        fn every_piece_has_one_row_and_no_row_overflows(lengths in proptest::collection::vec(1_usize..=64, 0..200)) {
            let rows = best_fit_decreasing(&lengths, 64);
            let mut seen: Vec<usize> = rows.concat();
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..lengths.len()).collect::<Vec<_>>());
            let totals: Vec<usize> = rows.iter().map(|row| row.iter().map(|&piece| lengths[piece]).sum()).collect();
            prop_assert!(totals.iter().all(|&total| total <= 64));
            // Any fit algorithm leaves at most one row half empty or less.
            prop_assert!(totals.iter().filter(|&&total| total <= 32).count() <= 1);
        }
    }
}
