//! Intervals of a ratio of sums over files, by the percentile bootstrap.
//!
//! Files are drawn again with replacement; nats and tokens (or bytes) of the drawn files are added up
//! before they are divided. The draws are keyed by the number of files alone, so that every arm is
//! judged on the same draws and a study gives the same table again.
//!
//! Source: Efron and Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13.

use recon_lm::RandomStream;
use serde::{Deserialize, Serialize};

/// Samples drawn.
const DRAWS: u64 = 2_000;

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Over the files as they are.
    pub value: f64,
    /// 2.5th percentile over the draws.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
}

/// The interval of `statistic`, which is given how often each of `files` was drawn; none without files.
pub(super) fn interval(files: usize, statistic: impl Fn(&[u32]) -> f64) -> Option<Interval> {
    if files == 0 {
        return None;
    }
    let value = statistic(&vec![1; files]);
    let stream = RandomStream::from_key(files as u64);
    let draw = |at: u64| {
        let mut times = vec![0_u32; files];
        for of in 0..files as u64 {
            let drawn = (stream.uniform(at * files as u64 + of) * files as f64) as usize;
            times[drawn.min(files - 1)] += 1;
        }
        statistic(&times)
    };
    let mut drawn: Vec<f64> = (0..DRAWS).map(draw).collect();
    drawn.sort_by(f64::total_cmp);
    let percentile = |share: f64| drawn[((DRAWS - 1) as f64 * share).round() as usize];
    Some(Interval { value, low: percentile(0.025), high: percentile(0.975) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of `values` in a draw.
    fn mean(values: &[f64]) -> impl Fn(&[u32]) -> f64 + '_ {
        |times| {
            let all: u32 = times.iter().sum();
            values.iter().zip(times).map(|(value, times)| value * f64::from(*times)).sum::<f64>() / f64::from(all)
        }
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_its_standard_error() {
        // 400 values of variance 1: the standard error is 1/20, the interval ±1.96 of it.
        let values: Vec<f64> = (0..400).map(|at| if at % 2 == 0 { 1.0 } else { -1.0 }).collect();
        let found = interval(values.len(), mean(&values)).unwrap();
        assert_eq!(found.value, 0.0);
        for bound in [-found.low, found.high] {
            assert!((bound - 0.098).abs() < 0.012, "{found:?}");
        }
        // A quarter of the files doubles it: the check would notice a wrong width.
        let few = interval(100, mean(&values[..100])).unwrap();
        assert!((few.high - 0.196).abs() < 0.024, "{few:?}");
    }

    #[test]
    fn one_file_has_no_width_and_none_no_figure() {
        assert_eq!(interval(1, mean(&[3.0])), Some(Interval { value: 3.0, low: 3.0, high: 3.0 }));
        assert_eq!(interval(0, mean(&[])), None);
    }
}
