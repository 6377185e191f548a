//! What a Ruby file says beyond its outline: files it asks for, constants it uses and defines, what it sets up.

use std::collections::BTreeMap;

use super::places::Place;

/// What a file says beyond its outline.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Facts {
    pub(super) requires: Vec<Require>,
    /// What is asked for by a path that only a run can tell: line, and the path as written.
    pub(super) computed: Vec<(u32, String)>,
    /// Constants used, with the modules around them, each with its first line.
    pub(super) constants: BTreeMap<Constant, u32>,
    /// Full names of the modules, classes and constants defined.
    pub(super) defines: Vec<String>,
    /// Whether the file sets Zeitwerk to work for the `lib` around it.
    pub(super) zeitwerk: bool,
    /// Whether the file defines a Rails engine.
    pub(super) engine: bool,
    /// Directories it tells a loader of constants about.
    pub(super) pushed: Vec<Pushed>,
}

/// A directory whose files are to be loaded by name.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pushed {
    pub(super) place: Place,
    /// The constant that the directory stands for, empty for the top.
    pub(super) namespace: String,
}

/// One file asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Require {
    /// 1-based line.
    pub(super) line: u32,
    pub(super) place: Place,
    /// Whether the path is the whole name of the file, as for `load`.
    pub(super) whole: bool,
    /// The constant that `autoload` promises.
    pub(super) constant: Option<String>,
}

/// A constant as used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Constant {
    /// Names of the modules and classes around, outermost first, as written: constants of `A` are
    /// not seen from inside `module A::B`.
    pub(super) nesting: Vec<String>,
    /// `A::B::C`; empty first part where it starts at the top (`::A`).
    pub(super) path: Vec<String>,
}
