//! What a run says of itself while it goes on.

/// Hears how far a run is. Every method may be called from any thread.
pub trait Observe: Sync {
    /// Something of `parts` parts begins; 0 if the number is not known.
    fn begin(&self, _what: &str, _parts: u64) {}

    /// One part is done.
    fn advance(&self, _message: &str) {}

    /// So many parts were done before.
    fn skip(&self, _parts: u64) {}
}

/// Says nothing.
pub struct Silent;

impl Observe for Silent {}
