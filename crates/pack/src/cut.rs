//! Cutting a document longer than a row.

use std::ops::Range;

/// Pieces of at most `row_tokens` that cover `0..tokens` in order.
///
/// A piece ends at the last of `cuts` (ascending) that leaves it at least half full; where there
/// is none, at the row's border. A document that fits is one piece.
pub(crate) fn cut(tokens: usize, cuts: &[usize], row_tokens: usize) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let mut start = 0;
    while tokens - start > row_tokens {
        let border = start + row_tokens;
        let last = cuts[..cuts.partition_point(|&cut| cut <= border)].last();
        let end = last.copied().filter(|&cut| cut >= start + row_tokens.div_ceil(2)).unwrap_or(border);
        pieces.push(start..end);
        start = end;
    }
    pieces.push(start..tokens);
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_piece_ends_at_the_last_turn_that_fits() {
        assert_eq!(cut(10, &[3, 7], 10), [0..10]);
        assert_eq!(cut(20, &[3, 7, 9, 12], 10), [0..9, 9..19, 19..20]);
        assert_eq!(cut(20, &[3, 10], 10), [0..10, 10..20]);
    }

    #[test]
    fn a_cut_that_would_waste_more_than_half_a_row_is_passed_over() {
        assert_eq!(cut(20, &[4], 10), [0..10, 10..20]);
        assert_eq!(cut(20, &[5], 10), [0..5, 5..15, 15..20]);
    }

    proptest! {
        #[test]
        fn pieces_cover_the_document_and_fit(tokens in 1_usize..500, row in 1_usize..60, mut cuts in proptest::collection::vec(0_usize..520, 0..40)) {
            cuts.sort_unstable();
            let pieces = cut(tokens, &cuts, row);
            prop_assert_eq!(pieces[0].start, 0);
            prop_assert_eq!(pieces[pieces.len() - 1].end, tokens);
            prop_assert!(pieces.windows(2).all(|pair| pair[0].end == pair[1].start));
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= row));
        }
    }
}
