//! Requests to stop that come as signals.
//!
//! While a [`Signals`] lives, SIGTERM, SIGINT and SIGUSR1 are heard and do nothing else: whoever trains finishes the
//! step in hand, saves, and ends. Outside, and for a SIGINT after another request, they do what they do by default.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

/// What the handlers of the process write to.
struct Heard {
    /// Nobody listens: signals have their default effect.
    idle: Arc<AtomicBool>,
    asked: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

static HEARD: OnceLock<Heard> = OnceLock::new();

/// Listens for requests to stop until it is dropped. One at a time in a process.
#[derive(Debug)]
pub struct Signals(());

impl Signals {
    /// Begins to listen; what was asked before is forgotten.
    pub fn listen() -> Self {
        let heard = HEARD.get_or_init(Heard::install);
        heard.asked.store(false, Ordering::SeqCst);
        heard.idle.store(false, Ordering::SeqCst);
        Self(())
    }

    /// The signal by which the run was asked to stop, if it was.
    pub fn asked(&self) -> Option<&'static str> {
        let heard = HEARD.get().filter(|heard| heard.asked.load(Ordering::SeqCst))?;
        Some(name(heard.signal.load(Ordering::SeqCst)))
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        if let Some(heard) = HEARD.get() {
            heard.idle.store(true, Ordering::SeqCst);
        }
    }
}

impl Heard {
    fn install() -> Self {
        let heard = Self {
            idle: Arc::new(AtomicBool::new(true)),
            asked: Arc::default(),
            signal: Arc::new(AtomicUsize::new(0)),
        };
        #[cfg(unix)]
        heard.register().expect("these signals may be handled");
        heard
    }

    #[cfg(unix)]
    fn register(&self) -> std::io::Result<()> {
        use signal_hook::consts::{SIGINT, SIGTERM, SIGUSR1};
        use signal_hook::flag;

        for signal in [SIGTERM, SIGINT, SIGUSR1] {
            // Actions run in the order they were registered.
            flag::register_conditional_default(signal, Arc::clone(&self.idle))?;
            if signal == SIGINT {
                // Whoever presses the keys again does not want to wait for the step.
                flag::register_conditional_default(signal, Arc::clone(&self.asked))?;
            }
            flag::register_usize(signal, Arc::clone(&self.signal), signal as usize)?;
            flag::register(signal, Arc::clone(&self.asked))?;
        }
        Ok(())
    }
}

#[cfg(unix)]
fn name(signal: usize) -> &'static str {
    let known = i32::try_from(signal).ok().and_then(signal_hook::low_level::signal_name);
    known.unwrap_or("a signal")
}

#[cfg(not(unix))]
fn name(_signal: usize) -> &'static str {
    "a signal"
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_heard_once_and_by_its_name() {
        let signals = Signals::listen();
        assert_eq!(signals.asked(), None);
        signal_hook::low_level::raise(signal_hook::consts::SIGUSR1).unwrap();
        assert_eq!(signals.asked(), Some("SIGUSR1"));
        drop(signals);
        assert_eq!(Signals::listen().asked(), None, "a later run was not asked");
    }
}
