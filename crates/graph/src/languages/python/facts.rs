//! What a Python file says beyond its outline: its imports, and where it has modules searched.

use super::places::Place;

/// What a file says beyond its outline.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(super) imports: Vec<Import>,
    /// Calls that import what only a run can tell: line, and the argument as written.
    pub(super) computed: Vec<(u32, String)>,
    /// Directories it puts on the path that modules are searched on.
    pub(super) searched: Vec<Searched>,
}

/// One import as written: `import a.b` or `from ..a import b, c`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// 1-based line.
    pub(super) line: u32,
    /// Leading dots; 0 for an absolute import.
    pub(super) level: usize,
    /// The dotted module, possibly empty after dots.
    pub(super) module: Vec<String>,
    /// Names after `import` of a `from` statement; none for a plain import.
    pub(super) names: Option<Vec<String>>,
}

/// A directory that a file puts on `sys.path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Searched {
    pub(super) place: Place,
    /// Whether before what is on the path already.
    pub(super) first: bool,
}
