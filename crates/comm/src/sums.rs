//! The order in which terms are added, and how values are divided among ranks.
//!
//! `n` terms are added in pairs of neighbours, then the sums in pairs, until one is left; what has no neighbour is taken
//! along. Any aligned group of `2^k` neighbouring terms is a node of that tree. So `n` terms that lie on `w` ranks, `2^k`
//! neighbours on each, give the same bits for every such `w`: each rank adds its own terms by the tree, and the ranks'
//! sums are added by the tree.

use std::ops::{AddAssign, Range};

/// The sum of `terms`, element by element, by the tree.
///
/// # Panics
/// If there are none, or they differ in length.
pub fn tree_sum<T: AddAssign + Copy>(terms: Vec<Vec<T>>) -> Vec<T> {
    let mut sum = TreeSum::new(|left: &mut Vec<T>, right: Vec<T>| -> Result<(), std::convert::Infallible> {
        assert_eq!(left.len(), right.len(), "terms of one length");
        left.iter_mut().zip(right).for_each(|(left, right)| *left += right);
        Ok(())
    });
    for term in terms {
        let Ok(()) = sum.push(term);
    }
    let Ok(sum) = sum.finish();
    sum.expect("there is at least one term")
}

/// Adds terms that come one after the other by the tree; holds at most one partial sum a level.
pub struct TreeSum<T, F> {
    add: F,
    /// Levels fall strictly from the first to the last.
    partial: Vec<(u32, T)>,
}

impl<T, E, F: Fn(&mut T, T) -> Result<(), E>> TreeSum<T, F> {
    /// An empty sum; `add(left, right)` adds `right` to `left`.
    pub fn new(add: F) -> Self {
        Self { add, partial: Vec::new() }
    }

    /// Adds the next term.
    ///
    /// # Errors
    /// What `add` says.
    pub fn push(&mut self, term: T) -> Result<(), E> {
        let (mut level, mut term) = (0, term);
        while let Some((_, mut left)) = self.partial.pop_if(|(held, _)| *held == level) {
            (self.add)(&mut left, term)?;
            (level, term) = (level + 1, left);
        }
        self.partial.push((level, term));
        Ok(())
    }

    /// The sum; `None` without terms.
    ///
    /// # Errors
    /// What `add` says.
    pub fn finish(mut self) -> Result<Option<T>, E> {
        let Some((_, mut right)) = self.partial.pop() else { return Ok(None) };
        while let Some((_, mut left)) = self.partial.pop() {
            (self.add)(&mut left, right)?;
            right = left;
        }
        Ok(Some(right))
    }
}

/// `0..length` in `parts` ranges whose lengths differ by at most one, in order.
pub fn even(length: usize, parts: usize) -> Vec<Range<usize>> {
    let border = |part: usize| (length as u128 * part as u128 / parts as u128) as usize;
    (0..parts).map(|part| border(part)..border(part + 1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values whose sums round differently in another order.
    fn terms(count: usize) -> Vec<Vec<f32>> {
        let value = |at: usize| ((at * 7919 % 1009) as f32 - 500.0) * 10_f32.powi(at as i32 % 7 - 3) + 1e-3;
        (0..count).map(|term| (0..64).map(|i| value(term * 64 + i)).collect()).collect()
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    #[test]
    fn the_tree_adds_pairs_of_neighbours() {
        let shape = |count: usize| {
            let leaves = (0..count).map(|leaf| leaf.to_string());
            let mut sum = TreeSum::new(|left: &mut String, right: String| -> Result<(), ()> {
                *left = format!("({left}{right})");
                Ok(())
            });
            leaves.for_each(|leaf| sum.push(leaf).unwrap());
            sum.finish().unwrap()
        };
        assert_eq!(shape(0), None);
        assert_eq!(shape(1).unwrap(), "0");
        assert_eq!(shape(4).unwrap(), "((01)(23))");
        assert_eq!(shape(7).unwrap(), "(((01)(23))((45)6))");
    }

    #[test]
    fn groups_of_a_power_of_two_do_not_change_the_bits() {
        for (count, sizes) in [(8, &[1, 2, 4, 8][..]), (6, &[1, 2, 6]), (7, &[1, 7]), (12, &[1, 2, 4, 12])] {
            let whole = bits(&tree_sum(terms(count)));
            for size in sizes {
                let groups = terms(count).chunks(*size).map(|group| tree_sum(group.to_vec())).collect();
                assert_eq!(bits(&tree_sum(groups)), whole, "{count} terms in groups of {size}");
            }
        }
        // A control: another order is seen.
        let (mut reversed, forward) = (terms(8), bits(&tree_sum(terms(8))));
        reversed.reverse();
        reversed.swap(0, 3);
        assert_ne!(bits(&tree_sum(reversed)), forward);
    }

    #[test]
    fn even_ranges_cover_everything_once() {
        for (length, parts) in [(0, 3), (1, 4), (10, 3), (64, 4), (5, 1)] {
            let ranges = even(length, parts);
            assert_eq!((ranges.len(), ranges[0].start, ranges[parts - 1].end), (parts, 0, length));
            assert!(ranges.windows(2).all(|pair| pair[0].end == pair[1].start));
            let lengths: Vec<usize> = ranges.iter().map(ExactSizeIterator::len).collect();
            assert!(lengths.iter().max().unwrap() - lengths.iter().min().unwrap() <= 1, "{lengths:?}");
        }
    }
}
