//! Where a text is no code of its language: what the parser could not read, by line and column.

use recon_repository::language;
use tree_sitter::Node;

use crate::grammar::grammar;
use crate::syntax::{self, Visit, clip, collapse};

/// Longest piece of a text that is quoted, in characters.
const QUOTED_CHARS: usize = 40;

/// One place that the parser could not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxFault {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// Something must stand there, by its name in the grammar.
    Missing(String),
    /// From there on this could not be read; its beginning, on one line.
    Unread(String),
}

/// The faults of `text` by the grammar of its path, in order, the outermost of those within each other;
/// `None` where there is no grammar for it, or the parser ran past its budget.
pub fn syntax_faults(path: &str, text: &str) -> Option<Vec<SyntaxFault>> {
    // Macros leave C that no grammar accepts: what the parser says of it would be wrong.
    if matches!(language::of_path(path)?, "c" | "cpp" | "cuda") {
        return None;
    }
    let tree = syntax::parse(&grammar(path)?, text)?;
    let mut faults = Vec::new();
    syntax::walk(tree.root_node(), |node, _| {
        if node.is_missing() {
            faults.push(fault(text, node, Problem::Missing(node.kind().to_owned())));
        } else if node.is_error() {
            let quoted = clip(&collapse(syntax::text(node, text)), QUOTED_CHARS).to_owned();
            faults.push(fault(text, node, Problem::Unread(quoted)));
            return Visit::Over;
        }
        if node.has_error() { Visit::Into } else { Visit::Over }
    });
    (!syntax::is_spent()).then_some(faults)
}

fn fault(text: &str, node: Node<'_>, problem: Problem) -> SyntaxFault {
    let start = node.start_position();
    let line_start = node.start_byte() - start.column;
    let column = text.get(line_start..node.start_byte()).map_or(start.column, |before| before.chars().count());
    SyntaxFault { line: start.row + 1, column: column + 1, problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(path: &str, text: &str) -> Vec<(usize, usize, Problem)> {
        let faults = syntax_faults(path, text).expect("there is a grammar");
        faults.into_iter().map(|fault| (fault.line, fault.column, fault.problem)).collect()
    }

    #[test]
    fn what_cannot_be_read_is_told_by_line_and_column() {
        assert_eq!(at("a.py", "x = 1\n"), []);
        let unread = |text: &str| Problem::Unread(text.into());
        assert_eq!(at("a.py", "y = 2\n)\n"), [(2, 1, unread(")"))]);
        assert_eq!(at("a.rs", "fn f() {\n    g(\"ü\", 1;\n}\n"), [(2, 13, Problem::Missing(")".into()))]);
        assert_eq!(at("a.rs", "fn f() {\n    g(1;\n}\n"), [(2, 8, Problem::Missing(")".into()))]);
        assert_eq!(at("a.go", "package a\n\nfunc f() { return 1 +  }\n").len(), 1);
    }

    #[test]
    fn every_language_with_a_grammar_reads_its_own_and_finds_a_stray_bracket() {
        for (path, text) in [
            ("a.py", "def f():\n    return 1\n"),
            ("a.rs", "fn f() -> u8 {\n    1\n}\n"),
            ("a.ts", "const a: number = 1;\n"),
            ("a.tsx", "const a = <b>1</b>;\n"),
            ("a.js", "const a = 1;\n"),
            ("a.go", "package a\n\nfunc f() int { return 1 }\n"),
            ("A.java", "class A {\n    int a() { return 1; }\n}\n"),
            ("a.kt", "fun a(): Int {\n    return 1\n}\n"),
            ("A.cs", "class A {\n    int B() { return 1; }\n}\n"),
            ("a.rb", "def a\n  1\nend\n"),
            ("a.php", "<?php\nfunction a() { return 1; }\n"),
        ] {
            assert_eq!(at(path, text), [], "{path}");
            assert!(!at(path, &format!("{text}))\n")).is_empty(), "{path}");
        }
        assert_eq!(syntax_faults("a.c", "int a;"), None);
        assert_eq!(syntax_faults("a.txt", "text"), None);
    }
}
