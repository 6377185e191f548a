//! What an outside witness of a language has to offer, and what it is asked about.

use std::collections::BTreeMap;
use std::path::Path;

use super::record::Record;
use crate::tools::Tools;

/// A program written by others that knows which file a file depends on.
pub(super) trait Oracle: Sync {
    /// The language, as the record calls it.
    fn language(&self) -> &'static str;

    /// The program and its version.
    fn witness(&self) -> &'static str;

    /// What exactly is compared with what, in prose for the page.
    fn compared(&self) -> &'static str;

    /// At least five packages.
    fn packages(&self) -> &'static [Package];

    /// More, which no rule was written or changed by.
    fn held_out(&self) -> &'static [Package] {
        &[]
    }

    /// Puts the program below `target/graph-accuracy`.
    fn install(&self, tools: &Tools) -> anyhow::Result<()>;

    /// Both sets of edges of one package.
    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>>;

    /// The class of an edge that only one side has.
    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String;
}

/// Where packages come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Registry {
    /// Source distributions, fetched by pip.
    Pypi,
    /// Packages, fetched by npm.
    Npm,
    /// Crates, fetched by cargo.
    Crates,
    /// Debian's source packages, fetched by apt-get; the version is the upstream part.
    Debian,
}

/// One package, pinned.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) registry: Registry,
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// Digest of the archive as the registry serves it.
    pub(super) sha256: &'static str,
    /// The folder whose files are compared, `""` for all.
    pub(super) folder: &'static str,
    /// Set for the project whose order is shown.
    pub(super) landmark: Option<Landmark>,
}

/// Two files of a well-known project that everyone would put in this order.
#[derive(Debug)]
pub(super) struct Landmark {
    /// Written early.
    pub(super) core: &'static str,
    /// Written late.
    pub(super) entry: &'static str,
}

/// A package on disk and its graph.
pub(super) struct Subject<'a> {
    pub(super) package: &'a Package,
    pub(super) directory: &'a Path,
    pub(super) record: &'a Record,
}

impl Subject<'_> {
    /// The line of a file, white space trimmed; empty where there is none.
    pub(super) fn line(&self, path: &str, line: u32) -> String {
        self.raw_line(path, line).trim().to_owned()
    }

    /// Whether white space stands before what a line says.
    pub(super) fn is_indented(&self, path: &str, line: u32) -> bool {
        self.raw_line(path, line).starts_with([' ', '\t'])
    }

    fn raw_line(&self, path: &str, line: u32) -> String {
        let text = std::fs::read_to_string(self.directory.join(path)).unwrap_or_default();
        let Some(at) = (line as usize).checked_sub(1) else { return String::new() };
        text.lines().nth(at).unwrap_or_default().to_owned()
    }

    /// Our edges of a language, from and to files of the compared folder, that `counts`.
    pub(super) fn ours(&self, language: &str, counts: impl Fn(&super::record::Edge) -> bool) -> Edges {
        let inside = |path: &str| {
            self.package.folder.is_empty()
                || path.strip_prefix(self.package.folder).is_some_and(|rest| rest.starts_with('/'))
        };
        let mut edges = Edges::new();
        for edge in &self.record.edges {
            let spoken = |path: &str| self.record.language(path) == Some(language);
            if inside(&edge.from) && inside(&edge.to) && spoken(&edge.from) && edge.from != edge.to && counts(edge) {
                edges.entry((edge.from.clone(), edge.to.clone())).or_insert(edge.line);
            }
        }
        edges
    }

    /// A path that the witness printed, as the record writes it; none outside the compared folder.
    pub(super) fn relative(&self, printed: &str) -> Option<String> {
        let path = Path::new(printed);
        let path = path.strip_prefix(self.directory).unwrap_or(path).to_str()?;
        let path = path.strip_prefix("./").unwrap_or(path);
        let inside = self.package.folder.is_empty() || path.starts_with(&format!("{}/", self.package.folder));
        (inside && self.record.has(path)).then(|| path.to_owned())
    }
}

/// Pairs of importing and imported file, each with a line of the importing one, 0 if unknown.
pub(super) type Edges = BTreeMap<(String, String), u32>;

/// Two sets of edges that should be equal.
pub(super) struct Comparison {
    /// What kind of edge, for the table.
    pub(super) what: &'static str,
    pub(super) ours: Edges,
    pub(super) theirs: Edges,
}

/// An edge that one side has and the other has not.
pub(super) struct Difference<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    /// The line of the importing file, 0 if unknown.
    pub(super) line: u32,
    /// Whether it is ours alone; else it is the witness's.
    pub(super) ours: bool,
}
