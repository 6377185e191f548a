//! A decompressed stream that ends in an error when more comes out than the limits allow.
//!
//! Invariant: at most `max_expanded_bytes` and one block are ever produced, whatever the stream
//! says of its own size; the ratio is that of bytes out to bytes in so far, so a small bomb is
//! stopped long before the byte limit.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::limits::SourceOptions;

/// Below this much output no ratio is held against a stream: runs of blanks compress well.
const RATIO_FREE_BYTES: u64 = 64 << 20;

/// Counts the bytes read from a stream.
pub(crate) struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R> Counted<R> {
    pub(crate) fn new(inner: R) -> (Self, Rc<Cell<u64>>) {
        let count = Rc::new(Cell::new(0));
        (Self { inner, count: count.clone() }, count)
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.set(self.count.get() + read as u64);
        Ok(read)
    }
}

/// What a stream was stopped for; travels inside an [`io::Error`].
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Exceeded(pub(crate) String);

/// Whether `error` says that a limit was exceeded, and which.
pub fn exceeded(error: &io::Error) -> Option<String> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Exceeded>()).map(|Exceeded(reason)| reason.clone())
}

/// A stream within limits.
pub(crate) struct Bounded<R> {
    inner: R,
    consumed: Rc<Cell<u64>>,
    produced: u64,
    max_bytes: u64,
    max_ratio: u64,
}

impl<R> Bounded<R> {
    /// `consumed` counts what `inner` has read of its own input.
    pub(crate) fn new(inner: R, consumed: Rc<Cell<u64>>, limits: &SourceOptions) -> Self {
        let (max_bytes, max_ratio) = (limits.max_expanded_bytes, u64::from(limits.max_ratio));
        Self { inner, consumed, produced: 0, max_bytes, max_ratio }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.produced += read as u64;
        if self.produced > self.max_bytes {
            let reason = format!("expands to more than {} bytes (source.max_expanded_bytes)", self.max_bytes);
            return Err(io::Error::other(Exceeded(reason)));
        }
        let ratio = self.produced / self.consumed.get().max(1);
        if self.produced > RATIO_FREE_BYTES && ratio > self.max_ratio {
            let reason = format!("expands more than {}-fold (source.max_ratio)", self.max_ratio);
            return Err(io::Error::other(Exceeded(reason)));
        }
        Ok(read)
    }
}

/// Fills as much of `buffer` as the stream has.
pub(super) fn read_up_to(stream: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match stream.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}
