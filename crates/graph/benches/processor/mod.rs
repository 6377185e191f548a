//! Processor time, which a busy machine does not stretch.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// What all threads of this process have had of processors so far.
pub(crate) fn time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("processor time is not negative")
}
