//! What a sentence of the outline author claims, one variant for each kind of sentence.

/// An item of a list, with what stands in parentheses behind it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    pub(crate) name: String,
    pub(crate) note: Note,
}

/// What a list says of an item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Note {
    None,
    /// A word for why a file that exists is not written.
    Standing(String),
    /// The names taken from, or by, a file.
    Names(List),
}

/// `a`, `b` and 3 more.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct List {
    pub(crate) items: Vec<Item>,
    pub(crate) more: usize,
}

impl List {
    pub(crate) fn len(&self) -> usize {
        self.items.len() + self.more
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.items.iter().map(|item| item.name.as_str())
    }
}

/// A file with a clause about what it is for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Purpose {
    pub(crate) path: String,
    pub(crate) clause: String,
}

/// One line of a plan.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Planned {
    pub(crate) number: usize,
    pub(crate) purpose: Purpose,
    pub(crate) defines: Option<List>,
    pub(crate) builds_on: Option<List>,
    pub(crate) signatures: Option<List>,
}

/// A definition as a sentence tells it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    /// Empty where the signature tells it.
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) lines: Option<usize>,
    pub(crate) doc: Option<String>,
    pub(crate) times: usize,
    /// What it holds.
    pub(crate) inner: Definitions,
}

/// Definitions that stand together, and how many more are meant.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Definitions {
    pub(crate) told: Vec<Definition>,
    pub(crate) more: usize,
}

/// One directory of the project.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Part {
    /// Empty for the root.
    pub(crate) directory: String,
    pub(crate) files: usize,
    pub(crate) doc: Option<String>,
    pub(crate) stems: Option<String>,
    pub(crate) names: Option<List>,
}

/// One of the files that are needed most.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Central {
    pub(crate) purpose: Purpose,
    pub(crate) needed_by: usize,
    pub(crate) offers: Option<List>,
}

/// What one sentence, or one list under its heading, claims.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Claim {
    Next(Purpose),
    Lines(usize),
    BuildsOn(List),
    BuildsOnNothing,
    NeedsFromOutside(List),
    /// A path and the signatures there.
    FindsThere(String, List),
    OthersDepend(List),
    TestsImport(List),
    Defines(List),
    /// Whether they are the first of the file; definitions at the top level, the last of them perhaps with what it holds.
    Holds(bool, Definitions),
    /// More of what a definition holds.
    AlsoHolds(String, Definitions),
    MayGiveNothing(List),
    MayFail(List),
    /// The file, what it reads, and whether the sentence says `it`.
    Reads(String, List, bool),
    /// Name, files by language, other files, lines.
    Scale(String, Vec<(usize, String)>, usize, usize),
    Beside(usize),
    Parts(Vec<Part>),
    NeededMost(Vec<Central>),
    NotImported(List),
    UsesFromOutside(List),
    /// Whether there are exceptions.
    Order(bool),
    Plan(Vec<Planned>),
    Rings(Vec<List>),
    LeastProject(String),
    LeastOrder,
    LeastFile,
}

impl Claim {
    /// The kind's name, so that a test can say which kinds it has met.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Next(_) => "next",
            Self::Lines(_) => "lines",
            Self::BuildsOn(_) => "builds on",
            Self::BuildsOnNothing => "builds on nothing",
            Self::NeedsFromOutside(_) => "needs from outside",
            Self::FindsThere(..) => "finds there",
            Self::OthersDepend(_) => "others depend",
            Self::TestsImport(_) => "tests import",
            Self::Defines(_) => "defines",
            Self::Holds(..) => "holds",
            Self::AlsoHolds(..) => "also holds",
            Self::MayGiveNothing(_) => "may give nothing",
            Self::MayFail(_) => "may fail",
            Self::Reads(..) => "reads",
            Self::Scale(..) => "scale",
            Self::Beside(_) => "beside",
            Self::Parts(_) => "parts",
            Self::NeededMost(_) => "needed most",
            Self::NotImported(_) => "not imported",
            Self::UsesFromOutside(_) => "uses from outside",
            Self::Order(false) => "order",
            Self::Order(true) => "order with exceptions",
            Self::Plan(_) => "plan",
            Self::Rings(_) => "rings",
            Self::LeastProject(_) => "least project",
            Self::LeastOrder => "least order",
            Self::LeastFile => "least file",
        }
    }

    pub(crate) const KINDS: [&str; 27] = [
        "also holds",
        "builds on",
        "builds on nothing",
        "beside",
        "defines",
        "finds there",
        "holds",
        "least file",
        "least order",
        "least project",
        "lines",
        "may fail",
        "may give nothing",
        "needed most",
        "needs from outside",
        "next",
        "not imported",
        "order",
        "order with exceptions",
        "others depend",
        "parts",
        "plan",
        "reads",
        "rings",
        "scale",
        "tests import",
        "uses from outside",
    ];
}
