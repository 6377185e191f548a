//! What a person at a terminal sees while a run goes on: one bar on stderr, or nothing.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use recon_pipeline::Observe;

/// A bar where stderr is a terminal.
#[derive(Debug, Clone)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// A bar that draws itself only on a terminal.
    pub(crate) fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// No bar: another rank of the run shows one.
    pub(crate) fn hidden() -> Self {
        Self(ProgressBar::hidden())
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl Observe for Progress {
    fn begin(&self, what: &str, parts: u64) {
        let template =
            if parts == 0 { "{spinner} {prefix:8} {msg}" } else { "{prefix:8} {wide_bar} {pos}/{len} {msg}" };
        self.0.set_style(ProgressStyle::with_template(template).expect("the template is fixed"));
        self.0.reset();
        self.0.set_length(parts);
        self.0.set_prefix(what.to_string());
        self.0.set_message("");
    }

    fn advance(&self, message: &str) {
        self.0.inc(1);
        self.0.set_message(recon_repository::line::visible(message).into_owned());
    }

    fn skip(&self, parts: u64) {
        self.0.inc(parts);
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}
