//! Who writes checkpoints: a thread, while the training goes on.
//!
//! The training waits for a copy of its state in host memory; digests, files, fsync and renames are the thread's. One is
//! written at a time: the next one waits. What is copied is overwritten by the next copy, so its memory is asked for once.
//!
//! Invariants: files are the same whoever writes them; a checkpoint is reported when it is complete; a saver that is
//! dropped waits for its thread, so nothing is written after a run has returned. On ranks that do not lead it only takes
//! part in gathering.

use std::ops::Range;
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use recon_checkpoint::state::{self, Keep};
use recon_llama::{Config, FlatParams};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{self, Progress};
use crate::optimizer::Slots;
use crate::ranks::Ranks;
use crate::{Error, FailedSave, Result, TrainOptions};

/// What a checkpoint took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SaveMetrics {
    /// The step it is of.
    pub step: u64,
    /// Seconds in which the training stood still for it.
    pub stall_s: f64,
    /// Seconds from the step's end until it was complete.
    pub total_s: f64,
    /// Bytes of its files; null where it could not be written.
    pub bytes: Option<u64>,
    /// Why it could not be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
}

/// A checkpoint that was written, or could not be.
pub(crate) struct Saved {
    pub(crate) path: PathBuf,
    pub(crate) metrics: SaveMetrics,
    /// When it was asked for and when it ended.
    pub(crate) during: Range<Instant>,
}

/// Writes checkpoints below one directory.
pub(crate) struct Saver {
    directory: PathBuf,
    keep: Keep,
    background: bool,
    failed: FailedSave,
    copies: Vec<(String, Tensor)>,
    writing: Option<Writing>,
    done: Vec<Saved>,
}

/// A checkpoint in the making.
struct Writing {
    asked: Asked,
    stall: Duration,
    thread: JoinHandle<(Instant, Result<u64>)>,
}

/// What was asked for, and when.
#[derive(Clone, Copy)]
struct Asked {
    step: u64,
    at: Instant,
    /// Whether the run cannot go on without it.
    must: bool,
}

impl Saver {
    pub(crate) fn new(directory: PathBuf, options: &TrainOptions) -> Self {
        let keep = Keep { newest: options.keep, every: options.keep_every };
        let (background, failed) = (options.save_in_background, options.failed_save);
        Self { directory, keep, background, failed, copies: Vec::new(), writing: None, done: Vec::new() }
    }

    /// Saves the state of `step` with all ranks, after the checkpoint that is being written: when this returns, the state
    /// may change. `must`: no run goes on without this one.
    ///
    /// # Errors
    /// Where a checkpoint could not be written and the run is not to go on without it.
    pub(crate) fn save(
        &mut self,
        (step, must): (u64, bool),
        progress: &Progress,
        state: (&Slots, &FlatParams, &Config),
        ranks: &Ranks<'_>,
    ) -> Result<()> {
        let asked = Asked { step, at: Instant::now(), must };
        self.wait()?;
        let record = serde_json::to_value(progress).expect("progress is numbers and names");
        let mut tensors = checkpoint::tensors(state, ranks);
        if self.background {
            self.copy(tensors, ranks.leads())?;
            if ranks.leads() {
                let (directory, keep, copies) = (self.directory.clone(), self.keep, self.copies.clone());
                let thread = std::thread::spawn(move || {
                    let written = state::save::<Error>(&directory, step, &record, copies.into_iter().map(Ok), keep);
                    (Instant::now(), written)
                });
                self.writing = Some(Writing { asked, stall: asked.at.elapsed(), thread });
            }
            return Ok(());
        }
        let written = ranks.leads().then(|| state::save(&self.directory, step, &record, tensors.by_ref(), self.keep));
        // What was not asked for, where writing failed and on the other ranks: all take part in gathering.
        tensors.try_for_each(|tensor| tensor.map(drop))?;
        ranks.meet()?;
        match written {
            Some(written) => self.end(asked, asked.at.elapsed(), Instant::now(), written),
            None => Ok(()),
        }
    }

    /// Looks whether the checkpoint that is being written is complete.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub(crate) fn look(&mut self) -> Result<()> {
        if self.writing.as_ref().is_some_and(|writing| writing.thread.is_finished()) { self.wait() } else { Ok(()) }
    }

    /// Waits for the checkpoint that is being written.
    ///
    /// # Errors
    /// As [`save`](Self::save).
    pub(crate) fn wait(&mut self) -> Result<()> {
        let Some(Writing { asked, stall, thread }) = self.writing.take() else { return Ok(()) };
        let (ended, written) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        self.end(asked, stall, ended, written)
    }

    /// The step whose checkpoint is being written.
    pub(crate) fn writes(&self) -> Option<u64> {
        self.writing.as_ref().map(|writing| writing.asked.step)
    }

    /// The checkpoints that ended since this was asked last.
    pub(crate) fn ended(&mut self) -> Vec<Saved> {
        std::mem::take(&mut self.done)
    }

    fn end(&mut self, asked: Asked, stall: Duration, ended: Instant, written: Result<u64>) -> Result<()> {
        let (bytes, failed) = match written {
            Ok(bytes) => (Some(bytes), None),
            Err(error) if self.failed == FailedSave::GoOn && !asked.must => (None, Some(with_causes(&error))),
            Err(error) => return Err(error),
        };
        let Asked { step, at, .. } = asked;
        let total_s = ended.duration_since(at).as_secs_f64();
        let metrics = SaveMetrics { step, stall_s: stall.as_secs_f64(), total_s, bytes, failed };
        self.done.push(Saved { path: state::path(&self.directory, step), metrics, during: at..ended });
        Ok(())
    }

    /// Copies every tensor, on the rank that leads, into memory that is kept for the next time.
    fn copy(&mut self, tensors: impl Iterator<Item = Result<(String, Tensor)>>, leads: bool) -> Result<()> {
        for (at, tensor) in tensors.enumerate() {
            let (name, tensor) = tensor?;
            match self.copies.get(at) {
                _ if !leads => {}
                Some((_, copy)) if tensor.device().is_cpu() && tensor.dims() == copy.dims() => {
                    copy.slice_set(&tensor, 0, 0)?;
                }
                _ => {
                    let copy =
                        if tensor.device().is_cpu() { tensor.copy()? } else { tensor.to_device(&Device::Cpu)? };
                    self.copies.truncate(at);
                    self.copies.push((name, copy));
                }
            }
        }
        Ok(())
    }
}

impl Drop for Saver {
    fn drop(&mut self) {
        // The error of a run that ends with another one was not asked for.
        if let Some(Err(error)) = self.writing.take().and_then(|writing| writing.thread.join().ok()).map(|(_, it)| it) {
            tracing::warn!(error = with_causes(&error), "a checkpoint could not be written");
        }
    }
}

fn with_causes(error: &Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
