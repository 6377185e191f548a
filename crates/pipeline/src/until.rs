//! How far a run goes.

/// The last stage of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// The store of what was read.
    Read,
    /// Graphs.
    Graph,
    /// Unrefined trajectories.
    Synth,
    /// Trajectories after the search.
    Refine,
    /// Rows.
    Pack,
    /// Everything.
    Export,
}
