//! What a Rust file says about others: modules it declares, paths it names, macros it makes and uses.
//!
//! Reading a file fills these in, building the module tree reads them.

/// Nesting and path length beyond which nothing is resolved: no compiler follows such a path, and
/// following it here would take quadratic time.
pub(super) const MAX_DEPTH: usize = 128;

/// What a file says about others.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// Declarations and paths in source order.
    pub(super) imports: Vec<Import>,
    /// Names used by themselves, sorted, where the file has a glob that may have brought them.
    pub(super) mentions: Vec<String>,
    /// Macros it defines.
    pub(super) macros: Vec<Macro>,
    /// What decides where a macro may be used without a path, in the order of the text.
    pub(super) events: Vec<Event>,
}

/// One declaration or path as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Import {
    /// 1-based line.
    pub(super) line: u32,
    /// What is named.
    pub(super) target: Target,
}

/// What a declaration or a path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Target {
    /// `mod name;`.
    Module {
        module: FileModule,
        /// Whether it is syntax, not a macro's argument that looks like it.
        declared: bool,
    },
    /// `include!("path")`.
    Include {
        path: String,
        /// Whether the path starts at the package's folder.
        from_package: bool,
        /// The inline modules it stands in.
        within: Vec<InlineModule>,
    },
    /// A macro called where items stand, which may declare modules.
    Call {
        name: String,
        /// The names among its arguments, each with the text that follows it.
        arguments: Vec<(String, Option<String>)>,
        /// The inline modules it stands in.
        within: Vec<InlineModule>,
    },
    /// A path in `use`, `extern crate` or an expression.
    Path {
        /// The segments; a glob ends in `*`.
        segments: Vec<String>,
        /// The name given by `as`.
        alias: Option<String>,
        /// Names of the inline modules it stands in.
        within: Vec<String>,
        /// Whether it may name a crate or module without saying so (`use`, not an expression).
        declared: bool,
        /// Whether the name is visible outside (`pub use`).
        public: bool,
    },
}

/// A module in a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileModule {
    pub(super) name: String,
    /// The values of `#[path]`, those under a condition too.
    pub(super) paths: Vec<String>,
    /// Whether one of them always holds, so that the name says nothing.
    pub(super) always: bool,
    /// The inline modules it stands in.
    pub(super) within: Vec<InlineModule>,
}

/// An inline `mod name { … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InlineModule {
    /// Its name.
    pub(super) name: String,
    /// The directory its own file modules are looked for in: the name, or the value of `#[path]`.
    pub(super) directory: String,
    /// Whether `directory` was given by `#[path]`.
    pub(super) explicit: bool,
}

/// A macro by example.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Macro {
    pub(super) name: String,
    /// Whether it stands at the crate's root.
    pub(super) exported: bool,
    /// Modules that its rules declare by name.
    pub(super) declares: Vec<String>,
    /// Whether its rules declare modules that are called as an argument is.
    pub(super) declares_arguments: bool,
    /// Whether those stand where another argument says.
    pub(super) places_arguments: bool,
}

/// Something that stands at a place of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    /// Byte offset.
    pub(super) at: usize,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    /// `macro_rules! name`.
    Define(String),
    /// The module of this import of the file.
    Declare { import: usize, macro_use: bool },
    /// An inline module begins.
    Open,
    /// It ends.
    Close { macro_use: bool },
    /// `#[macro_use] extern crate name;`.
    Extern(String),
    /// `name!`, on this line.
    Use { name: String, line: u32 },
}
