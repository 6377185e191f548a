//! The learning rate by step: linear warm-up, then a cosine.
//!
//! With `S` steps, `W` of them warm-up, step `s` counted from 1:
//! `lr · s / W` for `s ≤ W`, else `min + (lr − min) · ½ (1 + cos(π (s − W) / (S − W)))`.
//! The last warm-up step has `lr`, the last step has `min`.

use crate::{TrainOptions, Warmup};

/// Learning rates of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    lr: f64,
    min_lr: f64,
    warmup_steps: u64,
    steps: u64,
}

impl Schedule {
    /// The schedule of a run of `steps` steps.
    pub fn new(options: &TrainOptions, steps: u64) -> Self {
        let warmup_steps = match options.warmup {
            Warmup::Steps(warmup) => warmup.min(steps),
            Warmup::Fraction(fraction) => (steps as f64 * fraction).round() as u64,
        };
        Self { lr: options.lr, min_lr: options.min_lr, warmup_steps, steps }
    }

    /// The learning rate of `step`, counted from 1; after the last step it stays at its end.
    pub fn lr(&self, step: u64) -> f64 {
        if step <= self.warmup_steps {
            return self.lr * step as f64 / self.warmup_steps as f64;
        }
        if step >= self.steps {
            return self.min_lr;
        }
        let progress = (step - self.warmup_steps) as f64 / (self.steps - self.warmup_steps) as f64;
        self.min_lr + (self.lr - self.min_lr) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
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
    fn no_warmup_and_only_warmup() {
        let with = |warmup| Schedule::new(&TrainOptions { lr: 1.0, min_lr: 0.5, warmup, ..TrainOptions::default() }, 4);
        assert!(with(Warmup::Steps(0)).lr(1) < 1.0);
        assert_eq!(with(Warmup::Steps(0)).lr(4), 0.5);
        assert_eq!(with(Warmup::Steps(9)).lr(4), 1.0);
        assert_eq!(with(Warmup::Steps(9)).lr(5), 0.5);
    }
}
