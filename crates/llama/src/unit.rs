//! Into which groups the weights of a model fall.

/// A group of weights that is leased, gathered, reduced and stepped as one.
///
/// With a tied head the table serves as the head too: it and the final norm are in `Embed`, and
/// there is no `Head`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The token embedding table; with a tied head, the final norm as well.
    Embed,
    /// One transformer layer.
    Layer(usize),
    /// The output projection and the final norm of an untied model.
    Head,
}
