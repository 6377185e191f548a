//! C, C++ and CUDA: outlines from the syntax tree; [`includes`] reads the directives, [`resolve`]
//! finds the files.
//!
//! Macros leave code that no grammar accepts; what is recognisable around such places is kept.
//! Prototypes are definitions of a header and nothing new in an implementation. A header is C++
//! where its text says so outside of `__cplusplus` conditions, else C.
//! Source: the C and C++ standards, "Source file inclusion".

mod compilation;
mod includes;
mod outline;
mod resolve;
mod standard;

use includes::Include;

use super::{Context, Family, ParsedFile, Resolve};
use crate::{paths, syntax};

/// C, C++ and CUDA.
pub(crate) struct C;

impl Family for C {
    type Facts = Vec<Include>;

    fn names(&self) -> &'static [&'static str] {
        &["c", "cpp", "cuda"]
    }

    fn of_path(&self, path: &str) -> Option<&'static str> {
        Some(match paths::extension(path) {
            "c" | "h" => "c",
            "cc" | "cpp" | "cxx" | "c++" | "C" | "hh" | "hpp" | "hxx" | "h++" | "H" | "ipp" | "inl" | "ixx" | "tcc"
            | "tpp" | "txx" | "cppm" => "cpp",
            "cu" | "cuh" => "cuda",
            _ => return None,
        })
    }

    fn parse(&self, path: &str, source: &str) -> ParsedFile<Vec<Include>> {
        let scan = includes::scan(source);
        let cpp = self.of_path(path) != Some("c") || (paths::extension(path) == "h" && scan.cpp);
        let grammar = if cpp { tree_sitter_cpp::LANGUAGE } else { tree_sitter_c::LANGUAGE };
        let mut file = match syntax::parse(&grammar.into(), source) {
            Some(tree) => outline::read(tree.root_node(), source, !is_implementation(path)),
            None => ParsedFile::over_budget(),
        };
        // Directives are read from the lines: they stand whatever the grammar makes of the rest.
        file.facts = scan.includes;
        file.language = (cpp && self.of_path(path) == Some("c")).then_some("cpp");
        file
    }

    fn resolver<'r>(&self, context: Context<'r, Vec<Include>>) -> Box<dyn Resolve<Vec<Include>> + 'r> {
        Box::new(resolve::Headers::new(context.repository))
    }
}

fn is_implementation(path: &str) -> bool {
    matches!(paths::extension(path), "c" | "cc" | "cpp" | "cxx" | "c++" | "C" | "cu")
}
