//! The learning rate by step: linear warm-up, then a cosine, a constant, or a constant with a linear end.
//!
//! With `S` steps, `W` of them warm-up, step `s` counted from 1, after `lr · s / W` for `s ≤ W`:
//!
//! | decay | learning rate |
//! |---|---|
//! | cosine | `min + (lr − min) · ½ (1 + cos(π (s − W) / (S − W)))` |
//! | constant | `lr` |
//! | last, a fraction `f` | `lr` up to `B = max(W, S − S f)`, then `lr − (lr − min) · (s − B) / (S − B)` |
//!
//! The last warm-up step has `lr`; the last step has `min`, but for a constant. A run that goes on from another's export
//! warms up again by its own warm-up.

use crate::{Decay, TrainOptions, Warmup};

/// Learning rates of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    lr: f64,
    min_lr: f64,
    warmup_steps: u64,
    steps: u64,
    decay: Decay,
}

impl Schedule {
    /// The schedule of a run of `steps` steps.
    pub fn new(options: &TrainOptions, steps: u64) -> Self {
        let warmup_steps = match options.warmup {
            Warmup::Steps(warmup) => warmup.min(steps),
            Warmup::Fraction(fraction) => (steps as f64 * fraction).round() as u64,
        };
        Self { lr: options.lr, min_lr: options.min_lr, warmup_steps, steps, decay: options.decay }
    }

    /// The learning rate of `step`, counted from 1; after the last step it stays at its end.
    pub fn lr(&self, step: u64) -> f64 {
        if step <= self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        if self.decay == Decay::Constant {
            return self.lr;
        }
        if step >= self.steps {
            return self.min_lr;
        }
        let since = |begin: f64| (step as f64 - begin) / (self.steps as f64 - begin);
        let (warm, range) = (self.warmup_steps as f64, self.lr - self.min_lr);
        match self.decay {
            Decay::Last(fraction) => {
                let begin = (self.steps as f64 * (1.0 - fraction)).max(warm);
                self.lr - range * since(begin).max(0.0)
            }
            _ => self.min_lr + range * 0.5 * (1.0 + (std::f64::consts::PI * since(warm)).cos()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_at_the_borders() {
        let options = TrainOptions { lr: 1e-3, min_lr: 1e-4, warmup: Warmup::Fraction(0.1), ..TrainOptions::default() };
        let schedule = Schedule::new(&options, 100);
        assert_eq!(schedule.lr(1), 1e-4);
        assert_eq!(schedule.lr(10), 1e-3);
        assert!(schedule.lr(11) < 1e-3 && schedule.lr(11) > 0.999e-3);
        assert!((schedule.lr(55) - 5.5e-4).abs() < 1e-12, "halfway down: {}", schedule.lr(55));
        assert_eq!(schedule.lr(100), 1e-4);
        assert_eq!(schedule.lr(101), 1e-4);
    }

    #[test]
    fn a_constant_stays_and_a_linear_end_begins_where_it_should() {
        let with = |decay| {
            let (lr, min_lr, warmup) = (1e-3, 1e-4, Warmup::Steps(10));
            Schedule::new(&TrainOptions { lr, min_lr, warmup, decay, ..TrainOptions::default() }, 100)
        };
        let constant = with(Decay::Constant);
        assert_eq!([constant.lr(5), constant.lr(10), constant.lr(100)], [5e-4, 1e-3, 1e-3]);
        let last = with(Decay::Last(0.2));
        assert_eq!([last.lr(10), last.lr(80), last.lr(100)], [1e-3, 1e-3, 1e-4]);
        assert!((last.lr(90) - 5.5e-4).abs() < 1e-12, "halfway down: {}", last.lr(90));
        let all = with(Decay::Last(1.0));
        assert!(all.lr(11) < 1e-3 && all.lr(11) > 0.98e-3, "after the warm-up at once: {}", all.lr(11));
        assert!(Decay::Last(0.0).problem().is_some() && Decay::Last(f64::NAN).problem().is_some());
        assert_eq!(serde_json::from_str::<Decay>(r#"{"last": 0.2}"#).unwrap(), Decay::Last(0.2));
    }

    #[test]
    fn no_warmup_and_only_warmup() {
        let with = |warmup| Schedule::new(&TrainOptions { lr: 1.0, min_lr: 0.5, warmup, ..TrainOptions::default() }, 4);
        assert!(with(Warmup::Steps(0)).lr(1) < 1.0);
        assert_eq!(with(Warmup::Steps(0)).lr(4), 0.5);
        assert_eq!(with(Warmup::Steps(9)).lr(4), 1.0);
        assert_eq!(with(Warmup::Steps(9)).lr(5), 0.5);
    }
}
