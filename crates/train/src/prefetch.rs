//! The rows of the next step, read while this one is computed.
//!
//! Input: positions, in the order in which they are asked for. Output: their rows, in the order in which micro-batches
//! take them. Invariant: what is given is what the source gives for these positions, however they jump; an error is told
//! when the positions it belongs to are asked for.

use std::ops::Range;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use crate::data::{Taken, balance, take};
use crate::{Result, RowSource};

type Batch = Result<Vec<Taken>>;

/// A thread that reads ahead.
pub(crate) struct Prefetch {
    names: Vec<String>,
    requests: Sender<Range<u64>>,
    batches: Receiver<Batch>,
    /// What is being read, or was read and not asked for yet.
    ahead: Option<Range<u64>>,
}

impl Prefetch {
    /// Reads from `rows` until it is dropped; ids must be below `vocabulary`.
    pub(crate) fn start<'scope, 'rows: 'scope>(
        scope: &'scope Scope<'scope, '_>,
        rows: &'rows dyn RowSource,
        vocabulary: usize,
    ) -> Self {
        let (requests, asked) = channel();
        let (done, batches) = channel();
        scope.spawn(move || {
            for positions in asked {
                let batch = take(rows, positions, vocabulary).map(|mut batch| {
                    balance(&mut batch);
                    batch
                });
                if done.send(batch).is_err() {
                    return;
                }
            }
        });
        Self { names: rows.sources(), requests, batches, ahead: None }
    }

    /// What the sources are called, where there are several.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    /// The rows at `positions`; those at `next` are read from now on.
    ///
    /// # Errors
    /// As [`take`].
    pub(crate) fn take(&mut self, positions: Range<u64>, next: Option<Range<u64>>) -> Batch {
        match self.ahead.take() {
            Some(ahead) if ahead == positions => {}
            other => {
                if other.is_some() {
                    // The run has gone elsewhere.
                    drop(self.receive());
                }
                self.request(positions);
            }
        }
        let batch = self.receive();
        if let Some(next) = next {
            self.request(next.clone());
            self.ahead = Some(next);
        }
        batch
    }

    fn request(&self, positions: Range<u64>) {
        self.requests.send(positions).expect("the reading thread ends when this is dropped, or panics");
    }

    fn receive(&self) -> Batch {
        self.batches.recv().expect("the reading thread ends when this is dropped, or panics")
    }
}

#[cfg(test)]
mod tests {
    use recon_llama::Packed;

    use super::*;
    use crate::Error;

    /// Rows that tell their position; one cannot be read.
    struct Numbered {
        broken: u64,
    }

    impl RowSource for Numbered {
        fn rows(&self) -> u64 {
            1000
        }

        fn row_tokens(&self) -> usize {
            4
        }

        fn identity(&self) -> String {
            String::new()
        }

        fn row(&self, position: u64) -> Result<Packed> {
            if position == self.broken {
                return Err(Error::Data("broken".into()));
            }
            // Of unequal cost, so that the order changes.
            let tokens = 1 + (position * 7 % 4) as usize;
            Ok(Packed { ids: vec![position as u32; tokens], mask: vec![1; tokens], spans: vec![0..tokens] })
        }
    }

    #[test]
    fn what_is_read_ahead_is_what_would_have_been_read() {
        let rows = Numbered { broken: 50 };
        let ids = |batch: &[Taken]| batch.iter().map(|taken| taken.row.ids.clone()).collect::<Vec<_>>();
        let directly = |positions: Range<u64>| {
            let mut batch = take(&rows, positions, 1000).unwrap();
            balance(&mut batch);
            ids(&batch)
        };
        std::thread::scope(|scope| {
            let mut prefetch = Prefetch::start(scope, &rows, 1000);
            // In a row, elsewhere, back again, with nothing ahead, from there on.
            let asked = [(0..4, Some(4..8)), (4..8, Some(8..12)), (20..24, Some(24..28)), (4..8, None), (8..12, None)];
            for (positions, next) in asked {
                assert_eq!(ids(&prefetch.take(positions.clone(), next).unwrap()), directly(positions));
            }
            assert!(prefetch.take(44..48, Some(48..52)).is_ok(), "the fault ahead is not this step's");
            assert!(prefetch.take(60..64, Some(48..52)).is_ok(), "nor is one that is not asked for");
            assert!(prefetch.take(48..52, Some(52..56)).is_err());
            assert_eq!(ids(&prefetch.take(52..56, None).unwrap()), directly(52..56));
        });
    }
}
