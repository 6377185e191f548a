//! Divides the rows of a forward.

/// Divides `rows` among sequences that want `pending` tokens each: even shares, what one does not
/// need goes to the others, the remainder to the first.
pub(crate) fn shares(pending: &[usize], rows: usize) -> Vec<usize> {
    let mut shares = vec![0; pending.len()];
    let mut left = rows;
    loop {
        let hungry: Vec<usize> = (0..pending.len()).filter(|&sequence| shares[sequence] < pending[sequence]).collect();
        if hungry.is_empty() || left == 0 {
            return shares;
        }
        let even = left.div_ceil(hungry.len());
        for sequence in hungry {
            let more = even.min(pending[sequence] - shares[sequence]).min(left);
            shares[sequence] += more;
            left -= more;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shares_are_even_and_nothing_is_wasted() {
        assert_eq!(shares(&[100, 3, 100], 32), [15, 3, 14]);
        assert_eq!(shares(&[1, 1, 1], 512), [1, 1, 1]);
        assert_eq!(shares(&[5, 5, 5], 2), [1, 1, 0]);
        assert!(shares(&[], 8).is_empty());
    }

    proptest! {
        #[test]
        fn shares_fill_the_forward(pending in prop::collection::vec(0..50_usize, 0..12), rows in 1..200_usize) {
            let shares = shares(&pending, rows);
            prop_assert!(shares.iter().zip(&pending).all(|(share, pending)| share <= pending));
            prop_assert_eq!(shares.iter().sum::<usize>(), rows.min(pending.iter().sum()));
        }
    }
}
