//! Who watches a run: a progress bar, a test, whoever hears the signals.

use std::ops::ControlFlow;
use std::path::Path;

use crate::{SaveMetrics, StepMetrics};

/// Told of what happens; nothing it does changes the numbers.
pub trait Observer {
    /// Before the first step, and where the run goes back: the steps of the whole run, and where this one begins.
    fn start(&mut self, _steps: u64, _done: u64) {}

    /// After each step. `Break` saves a checkpoint and ends the run; it can be resumed.
    fn step(&mut self, _metrics: &StepMetrics) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    /// A checkpoint is complete.
    fn saved(&mut self, _checkpoint: &Path, _metrics: &SaveMetrics) {}
}

/// Watches nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Quiet;

impl Observer for Quiet {}
