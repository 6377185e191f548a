//! What a step spends its time on: a trace that Perfetto and `chrome://tracing` open.
//!
//! Spans are of the rank that leads: reading rows, each micro-batch with the forward and backward pass of its units, the
//! exchange, the update, and a checkpoint that falls into the step. Units are seen from outside the model, by the leases
//! it takes. On a GPU each of them waits for the device, so a traced step is slower than others.
//!
//! Source: the Trace Event Format, complete events (`ph` = `X`, times in µs).

use std::cell::RefCell;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use candle_core::Device;
use recon_llama::{GradLease, Lease, Params, Unit};
use serde_json::json;

use crate::Result;

/// Where something happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Track {
    Training = 1,
    Checkpoint = 2,
}

/// The spans of one step.
pub(crate) struct Trace {
    /// The step, from 1.
    pub(crate) step: u64,
    origin: Instant,
    spans: Mutex<Vec<Span>>,
}

struct Span {
    name: String,
    track: Track,
    during: Range<Instant>,
}

impl Trace {
    /// Spans that begin now.
    pub(crate) fn new(step: u64) -> Arc<Self> {
        Arc::new(Self { step, origin: Instant::now(), spans: Mutex::default() })
    }

    pub(crate) fn add(&self, name: impl Into<String>, track: Track, during: Range<Instant>) {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).push(Span { name: name.into(), track, during });
    }

    fn last_end(&self) -> Option<Instant> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).last().map(|span| span.during.end)
    }

    /// Writes the spans to `path`.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = |at: Instant| at.saturating_duration_since(self.origin).as_secs_f64() * 1e6;
        let complete = spans.iter().map(|Span { name, track, during }| {
            let (start, end) = (micros(during.start), micros(during.end));
            json!({"name": name, "ph": "X", "pid": 0, "tid": *track as u32, "ts": start, "dur": end - start})
        });
        let named = [(Track::Training, "training"), (Track::Checkpoint, "checkpoint")].map(|(track, name)| {
            json!({"name": "thread_name", "ph": "M", "pid": 0, "tid": track as u32, "args": {"name": name}})
        });
        let events: Vec<_> = named.into_iter().chain(complete).collect();
        recon_schema::file::write_json(path, &json!({"traceEvents": events, "displayTimeUnit": "ms"}))?;
        Ok(())
    }
}

/// Does something, and records how long it took where a trace is made.
pub(crate) fn timed<T>(trace: Option<&Arc<Trace>>, name: &str, work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let done = work();
    if let Some(trace) = trace {
        trace.add(name, Track::Training, start..Instant::now());
    }
    done
}

/// Parameters whose leases are recorded, for one micro-batch.
pub(crate) struct Watched<'a> {
    params: &'a dyn Params,
    trace: Arc<Trace>,
    device: &'a Device,
    /// Units of the forward pass.
    seen: RefCell<Vec<Unit>>,
}

impl<'a> Watched<'a> {
    pub(crate) fn new(params: &'a dyn Params, trace: Arc<Trace>, device: &'a Device) -> Self {
        Self { params, trace, device, seen: RefCell::default() }
    }

    /// What the lease of `unit` that is taken now is for.
    fn purpose(&self, unit: Unit) -> String {
        let again = self.seen.borrow().contains(&unit);
        self.seen.borrow_mut().push(unit);
        match (unit, again) {
            (Unit::Layer(layer), false) => format!("layer {layer} forward"),
            (Unit::Layer(layer), true) => format!("layer {layer} backward"),
            (Unit::Embed, false) => "embedding forward".into(),
            (Unit::Embed, true) | (Unit::Head, _) => "head forward and backward".into(),
        }
    }
}

impl Params for Watched<'_> {
    fn lease(&self, unit: Unit) -> recon_llama::Result<Lease> {
        let (name, start) = (self.purpose(unit), Instant::now());
        let lease = self.params.lease(unit)?;
        let flat = lease.flat().clone();
        let (trace, device) = (Arc::clone(&self.trace), self.device.clone());
        Ok(Lease::with_guard(flat, Box::new(Ended { trace, device, name, start, _lease: lease })))
    }

    fn prefetch(&self, unit: Unit) -> recon_llama::Result<()> {
        self.params.prefetch(unit)
    }

    fn grads(&self, unit: Unit) -> recon_llama::Result<GradLease> {
        self.params.grads(unit)
    }

    fn finish_grads(&self, unit: Unit, lease: GradLease) -> recon_llama::Result<()> {
        // The embedding needs no lease backward: it begins where the first layer ended.
        let start = (unit == Unit::Embed).then(|| self.trace.last_end()).flatten();
        self.params.finish_grads(unit, lease)?;
        if let Some(start) = start {
            let _ = self.device.synchronize();
            self.trace.add("embedding backward", Track::Training, start..Instant::now());
        }
        Ok(())
    }
}

/// Records its span when it is dropped, and then gives the lease back.
struct Ended {
    trace: Arc<Trace>,
    device: Device,
    name: String,
    start: Instant,
    _lease: Lease,
}

impl Drop for Ended {
    fn drop(&mut self) {
        // A device that fails says so where its result is read.
        let _ = self.device.synchronize();
        self.trace.add(std::mem::take(&mut self.name), Track::Training, self.start..Instant::now());
    }
}
