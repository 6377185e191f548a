//! C, C++ and CUDA: outlines from the syntax tree; [`includes`] reads the directives, [`build`]
//! the include directories, [`resolve`] finds the files.
//!
//! Macros leave code that no grammar accepts; what is recognisable around such places is kept.
//! Prototypes are definitions of a header and nothing new in an implementation. A header is C++
//! where its text says so outside of `__cplusplus` conditions, else C, and so is a fragment (`x.inc`) that one of
//! these languages includes.
//! Source: the C and C++ standards, "Source file inclusion".

mod build;
mod compilation;
mod includes;
mod lines;
mod modules;
mod nearness;
mod outline;
mod resolve;
mod standard;

use std::collections::{BTreeMap, BTreeSet};

use includes::Facts;
use rayon::prelude::*;

use super::family::{Context, Family, ParsedFile, Resolve};
use crate::{paths, syntax};

/// C, C++ and CUDA.
pub(crate) struct C;

impl Family for C {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["c", "cpp", "cuda"]
    }

    fn parse(&self, path: &str, source: &str) -> ParsedFile<Facts> {
        let scan = includes::scan(source);
        let cpp = match self.of_path(path) {
            Some("c") => paths::extension(path) == "h" && scan.cpp,
            Some(_) => true,
            None => scan.cpp,
        };
        let grammar = if cpp { tree_sitter_cpp::LANGUAGE } else { tree_sitter_c::LANGUAGE };
        let mut file = match syntax::parse(&grammar.into(), source) {
            Some(tree) => outline::read(tree.root_node(), source, !is_implementation(path)),
            None => ParsedFile::over_budget(),
        };
        // Directives are read from the lines: they stand whatever the grammar makes of the rest.
        file.facts = scan.facts;
        if !cpp {
            file.facts.units.clear();
        }
        file.language = match self.of_path(path) {
            Some("c") if cpp => Some("cpp"),
            // A fragment is what includes it.
            None => Some(if cpp { "cpp" } else { "c" }),
            _ => None,
        };
        file
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Headers::new(context))
    }
}

/// Files of another ending that the C, C++ and CUDA files of a repository include as a part of
/// their own text (`x.inc`).
pub(super) fn fragments<'s>(sources: &[(&'s str, &'s str)]) -> BTreeSet<&'s str> {
    let fragment = |path: &str| paths::extension(path) == "inc";
    let mut by_name: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for &(path, text) in sources.iter().filter(|(path, _)| fragment(path)) {
        // Whoever includes it, this is PHP.
        if !text.trim_start().starts_with("<?") {
            by_name.entry(paths::file_name(path)).or_default().push(path);
        }
    }
    let mut found = BTreeSet::new();
    if by_name.is_empty() {
        return found;
    }
    let own: Vec<&str> = sources.iter().filter(|(path, _)| C.of_path(path).is_some()).map(|(_, text)| *text).collect();
    let named: BTreeSet<String> = own.par_iter().flat_map_iter(|text| named_fragments(text)).collect();
    let mut open: Vec<String> = named.into_iter().collect();
    let texts: BTreeMap<&str, &str> = sources.iter().copied().filter(|(path, _)| fragment(path)).collect();
    while let Some(name) = open.pop() {
        let plain = name.trim_start_matches("../").trim_start_matches("./");
        for path in by_name.get(paths::file_name(plain)).into_iter().flatten() {
            let ends = path.strip_suffix(plain).is_some_and(|before| before.is_empty() || before.ends_with('/'));
            if ends && found.insert(*path) {
                // A fragment may be put together from others.
                open.extend(texts.get(path).map(|text| named_fragments(text)).unwrap_or_default());
            }
        }
    }
    found
}

/// The fragments that a text includes.
fn named_fragments(text: &str) -> Vec<String> {
    if memchr::memmem::find(text.as_bytes(), b".inc").is_none() {
        return Vec::new();
    }
    let paths = includes::scan(text).facts.includes.into_iter().filter_map(|include| match include.header {
        includes::Header::Quoted(path) | includes::Header::Angled(path) => Some(path),
        includes::Header::Macro(_) => None,
    });
    paths.filter(|path| paths::extension(path) == "inc").collect()
}

fn is_implementation(path: &str) -> bool {
    matches!(paths::extension(path), "c" | "cc" | "cpp" | "cxx" | "c++" | "C" | "cu")
}
