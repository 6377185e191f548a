//! Reads all files of one family: parse each, then resolve each, both in parallel.
//!
//! Invariant: a family's facts never leave it; what comes out is the same type for all.

use std::collections::BTreeMap;

use rayon::prelude::*;
use recon_schema::graph::Symbol;

use super::family::{Context, Family, Link, ParsedFile};
use crate::repository::{Repository, language};
use crate::syntax;

/// A [`Family`] whose own types are closed over.
pub(crate) trait Read: Sync {
    /// Whether the family has a language of this name.
    fn has(&self, name: &str) -> bool;

    /// The family's language of a file.
    fn language(&self, path: &str, text: &str) -> Option<&'static str>;

    /// What each of these files, all of them the family's, says and names; keyed by path.
    fn read<'s>(&self, repository: &Repository, sources: &[(&'s str, &'s str)]) -> BTreeMap<&'s str, ReadFile>;
}

/// One file with what it names resolved.
#[derive(Debug)]
pub(crate) struct ReadFile {
    /// Its language.
    pub(crate) language: Option<&'static str>,
    /// First sentence of the file's own documentation.
    pub(crate) doc: String,
    /// Definitions in source order.
    pub(crate) symbols: Vec<Symbol>,
    /// What it names.
    pub(crate) links: Vec<Link>,
    /// Pairs of rule and message.
    pub(crate) diagnostics: Vec<(&'static str, String)>,
}

/// One file, within its budget of steps.
fn parse_within<L: Family>(family: &L, path: &str, text: &str) -> ParsedFile<L::Facts> {
    syntax::begin(text);
    let mut file = family.parse(path, text);
    if syntax::is_spent() {
        file.note_spent();
    }
    file
}

impl<L: Family> Read for L {
    fn has(&self, name: &str) -> bool {
        self.names().contains(&name)
    }

    fn language(&self, path: &str, text: &str) -> Option<&'static str> {
        language::of(path, text).filter(|name| self.names().contains(name))
    }

    fn read<'s>(&self, repository: &Repository, sources: &[(&'s str, &'s str)]) -> BTreeMap<&'s str, ReadFile> {
        if sources.is_empty() {
            return BTreeMap::new();
        }
        let parsed: BTreeMap<&str, _> =
            sources.par_iter().map(|&(path, text)| (path, parse_within(self, path, text))).collect();
        let resolver = self.resolver(Context { repository, parsed: &parsed });
        let links: Vec<Vec<Link>> = parsed.par_iter().map(|(path, file)| resolver.resolve(path, &file.facts)).collect();
        drop(resolver);
        let read = |((path, file), links): ((&'s str, ParsedFile<L::Facts>), Vec<Link>)| {
            let language = file.language.or_else(|| self.language(path, &repository.files[path]));
            let (doc, symbols, diagnostics) = (file.doc, file.symbols, file.diagnostics);
            (path, ReadFile { language, doc, symbols, links, diagnostics })
        };
        parsed.into_iter().zip(links).map(read).collect()
    }
}
