//! Parsing and walking syntax trees without recursion, and the text taken from their nodes.
//!
//! Invariants: the parse budget counts steps, not seconds, so the same bytes give the same tree
//! on every machine; a walk holds one cursor, whatever the depth of the syntax.

use std::cell::RefCell;
use std::ops::ControlFlow;

use recon_schema::graph::Symbol;
use tree_sitter::{Language, Node, ParseOptions, ParseState, Parser, Point, Range, Tree, TreeCursor};

/// Progress reports (of about a hundred parse steps each) any file may use.
const BASE_REPORTS: usize = 20_000;
/// Further progress reports for each byte of a file.
const REPORTS_PER_BYTE: usize = 1;
/// Longest signature kept, in characters.
pub(crate) const SIGNATURE_CHARS: usize = 400;
/// Longest documentation sentence kept, in characters.
const DOC_CHARS: usize = 240;

/// The tree of `source`, or `None` when the parser ran past its budget.
pub(crate) fn parse(language: &Language, source: &str) -> Option<Tree> {
    parse_within(language, source, BASE_REPORTS + source.len() * REPORTS_PER_BYTE)
}

/// The tree of what `part`, a node of another tree of `source`, holds between its brackets; places are those of the
/// whole text.
pub(crate) fn parse_inside(language: &Language, source: &str, part: Node<'_>) -> Option<Tree> {
    let (start, end) = (part.start_position(), part.end_position());
    let range = Range {
        start_byte: part.start_byte() + 1,
        end_byte: part.end_byte().checked_sub(1)?,
        start_point: Point { row: start.row, column: start.column + 1 },
        end_point: Point { row: end.row, column: end.column.checked_sub(1)? },
    };
    PARSER.with_borrow_mut(|parser| {
        parser.set_included_ranges(&[range]).ok()?;
        let reports = BASE_REPORTS + part.byte_range().len() * REPORTS_PER_BYTE;
        let tree = parse_with(parser, language, source, reports);
        parser.set_included_ranges(&[]).expect("no range is the whole text");
        tree
    })
}

thread_local! {
    /// A parser keeps its memory from one file to the next.
    static PARSER: RefCell<Parser> = RefCell::new(Parser::new());
}

fn parse_within(language: &Language, source: &str, max_reports: usize) -> Option<Tree> {
    PARSER.with_borrow_mut(|parser| parse_with(parser, language, source, max_reports))
}

fn parse_with(parser: &mut Parser, language: &Language, source: &str, max_reports: usize) -> Option<Tree> {
    // A parse that was given up would be gone on with, in whatever text comes next.
    parser.reset();
    parser.set_language(language).expect("the grammars are built for this version of tree-sitter");
    let bytes = source.as_bytes();
    let mut reports = 0;
    let mut progress = |_: &ParseState| {
        reports += 1;
        if reports > max_reports { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = ParseOptions::new().progress_callback(&mut progress);
    parser.parse_with_options(&mut |at, _| bytes.get(at..).unwrap_or_default(), None, Some(options))
}

/// What a visitor wants next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Visit {
    /// The node's children.
    Into,
    /// The node's next sibling.
    Over,
}

/// Visits nodes in source order, parents first. The visitor receives each node and its depth.
pub(crate) fn walk<'t>(root: Node<'t>, mut enter: impl FnMut(Node<'t>, usize) -> Visit) {
    walk_cursor(root, |cursor, depth| enter(cursor.node(), depth));
}

/// As [`walk`]; the visitor receives the cursor on each node, which also knows the node's field.
pub(crate) fn walk_cursor<'t>(root: Node<'t>, mut enter: impl FnMut(&TreeCursor<'t>, usize) -> Visit) {
    let mut cursor = root.walk();
    let mut depth = 0;
    loop {
        if enter(&cursor, depth) == Visit::Into && cursor.goto_first_child() {
            depth += 1;
            continue;
        }
        while !cursor.goto_next_sibling() {
            if depth == 0 || !cursor.goto_parent() {
                return;
            }
            depth -= 1;
        }
        if depth == 0 {
            return;
        }
    }
}

/// What a grammar's kinds of node mean to a visitor, so that a walk compares no names.
pub(crate) struct Kinds<T>(Vec<T>);

impl<T: Copy> Kinds<T> {
    /// Asks `meaning` for the name of every kind once.
    pub(crate) fn of(language: &Language, meaning: impl Fn(&str) -> T) -> Self {
        let ids = 0..language.node_kind_count();
        let name = |id: usize| u16::try_from(id).ok().and_then(|id| language.node_kind_for_id(id)).unwrap_or_default();
        Self(ids.map(|id| meaning(name(id))).collect())
    }

    /// What the kind of `node` means; none for an error, which is no kind of the grammar.
    pub(crate) fn get(&self, node: Node<'_>) -> Option<T> {
        self.0.get(usize::from(node.kind_id())).copied()
    }
}

/// The places of a text where something stands that a walk looks for: what holds none of them need
/// not be entered.
pub(crate) struct Landmarks {
    /// Byte offsets, ascending.
    places: Vec<usize>,
    /// The first place that does not lie before the last span asked for.
    next: usize,
}

impl Landmarks {
    /// Where any of `marks` begins in `source`.
    pub(crate) fn of(source: &str, marks: &[&str]) -> Self {
        let of_mark = |mark: &&str| memchr::memmem::find_iter(source.as_bytes(), mark.as_bytes()).collect::<Vec<_>>();
        let mut places: Vec<usize> = marks.iter().flat_map(of_mark).collect();
        places.sort_unstable();
        Self { places, next: 0 }
    }

    /// Whether one begins inside of `node`. Nodes are asked about in the order a walk meets them.
    pub(crate) fn stand_in(&mut self, node: Node<'_>) -> bool {
        while self.places.get(self.next).is_some_and(|place| *place < node.start_byte()) {
            self.next += 1;
        }
        self.places.get(self.next).is_some_and(|place| *place < node.end_byte())
    }
}

/// The named children of `node`.
pub(crate) fn named_children<'t>(node: Node<'t>) -> Vec<Node<'t>> {
    let mut cursor = node.walk();
    node.named_children(&mut cursor).collect()
}

/// The source text of `node`.
pub(crate) fn text<'s>(node: Node<'_>, source: &'s str) -> &'s str {
    source.get(node.byte_range()).unwrap_or_default()
}

/// The source text of a field of `node`.
pub(crate) fn field_text<'s>(node: Node<'_>, field: &str, source: &'s str) -> Option<&'s str> {
    node.child_by_field_name(field).map(|child| text(child, source))
}

/// 1-based first line.
pub(crate) fn first_line(node: Node<'_>) -> u32 {
    line_number(node.start_position().row)
}

/// 1-based last line, inclusive. A node that ends just after a line feed ends on the line before.
pub(crate) fn last_line(node: Node<'_>) -> u32 {
    line_number(last_row(node))
}

/// The row `node` ends on; some grammars count the line feed after it to a comment or a directive.
fn last_row(node: Node<'_>) -> usize {
    let end = node.end_position();
    if end.column == 0 && end.row > node.start_position().row { end.row - 1 } else { end.row }
}

fn line_number(row: usize) -> u32 {
    u32::try_from(row + 1).unwrap_or(u32::MAX)
}

/// The declaration of `node` up to its body, on one line.
pub(crate) fn signature(node: Node<'_>, body: Option<Node<'_>>, source: &str) -> String {
    let end = body.map_or(node.end_byte(), |body| body.start_byte());
    let declaration = source.get(node.start_byte()..end).unwrap_or_default();
    let line = collapse(declaration);
    clip(line.trim_end_matches([':', '{', ';', ' ']), SIGNATURE_CHARS)
}

/// Adds a definition to an outline; returns its index.
pub(crate) fn push_symbol(
    symbols: &mut Vec<Symbol>,
    name: &str,
    kind: &str,
    node: Node<'_>,
    parent: Option<u32>,
    signature: String,
) -> u32 {
    let (start_line, end_line) = (first_line(node), last_line(node));
    let (name, kind) = (name.to_owned(), kind.to_owned());
    symbols.push(Symbol { name, kind, start_line, end_line, parent, signature, doc: String::new() });
    u32::try_from(symbols.len() - 1).expect("a file within the size limit holds fewer than 2^32 definitions")
}

/// The comments that stand directly before a definition, in languages that document by comments.
#[derive(Debug, Default)]
pub(crate) struct Leading {
    text: String,
    /// Row the last comment ends on.
    end_row: Option<usize>,
    /// Row the last token outside comments ends on.
    code_row: Option<usize>,
}

impl Leading {
    /// Sees a node of the walk; whether it was a comment.
    pub(crate) fn see(&mut self, node: Node<'_>, source: &str) -> bool {
        self.see_as(node, node.kind().ends_with("comment"), source)
    }

    /// As [`Leading::see`], where the walk already knows what a comment is.
    pub(crate) fn see_as(&mut self, node: Node<'_>, comment: bool, source: &str) -> bool {
        if !comment {
            if node.child_count() == 0 {
                self.code_row = Some(last_row(node));
            }
            return false;
        }
        let (start, end_row) = (node.start_position().row, last_row(node));
        if self.code_row == Some(start) {
            // It speaks of what stands before it on its line.
            return true;
        }
        let block = text(node, source).starts_with("/*");
        if block || self.end_row.is_none_or(|row| row + 1 != start) {
            self.text.clear();
        }
        push_comment(&mut self.text, text(node, source));
        self.end_row = Some(end_row);
        true
    }

    /// The first sentence of the comment that ends on the row of `node` or the one before.
    pub(crate) fn take(&mut self, node: Node<'_>) -> String {
        let row = node.start_position().row;
        let text = std::mem::take(&mut self.text);
        match self.end_row.take() {
            Some(end) if end == row || end + 1 == row => first_sentence(&text),
            _ => String::new(),
        }
    }
}

/// Appends the text of a comment, its marks taken off.
pub(crate) fn push_comment(doc: &mut String, comment: &str) {
    let block = comment.strip_prefix("/*").map(|rest| rest.trim_end_matches("*/"));
    for line in block.unwrap_or(comment).lines() {
        doc.push_str(line.trim().trim_start_matches(['*', '/', '!', '<']).trim());
        doc.push('\n');
    }
}

/// White space runs become one space; none stays at the ends.
pub(crate) fn collapse(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(256));
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// At most `chars` characters, the last one `…` where something was cut.
pub(crate) fn clip(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        None => text.to_owned(),
        Some(_) => {
            let end = text.char_indices().nth(chars.saturating_sub(1)).map_or(0, |(at, _)| at);
            format!("{}…", text[..end].trim_end())
        }
    }
}

/// The first sentence of a documentation text whose comment marks are already gone.
pub(crate) fn first_sentence(doc: &str) -> String {
    let mut paragraph = String::new();
    for line in doc.lines().map(str::trim).skip_while(|line| line.is_empty()) {
        // A blank line, a section rule or a fence ends the opening paragraph.
        let rule = line.len() >= 3 && line.chars().all(|c| matches!(c, '=' | '-' | '~' | '*' | '#'));
        if line.is_empty() || rule || line.starts_with("```") || (!paragraph.is_empty() && line.starts_with('@')) {
            break;
        }
        if !paragraph.is_empty() {
            paragraph.push(' ');
        }
        paragraph.push_str(line.trim_start_matches("# "));
        if paragraph.chars().count() > DOC_CHARS {
            break;
        }
    }
    let paragraph = collapse(&paragraph);
    let end = sentence_end(&paragraph).unwrap_or(paragraph.len());
    clip(&paragraph[..end], DOC_CHARS)
}

/// The byte after the first full stop that ends a sentence.
fn sentence_end(text: &str) -> Option<usize> {
    let ends = |at: usize| {
        let before = &text[..at];
        let follows = text[at + 1..].chars().next();
        let word = before.rsplit(' ').next().unwrap_or_default();
        let abbreviation = matches!(word.trim_start_matches('('), "e.g" | "i.e" | "etc" | "vs" | "cf" | "Mr" | "Dr");
        follows.is_none_or(char::is_whitespace) && !abbreviation
    };
    text.char_indices().find(|&(at, c)| matches!(c, '.' | '!' | '?') && ends(at)).map(|(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sentence_stops_where_a_reader_would() {
        assert_eq!(first_sentence("Reads a file. Then more."), "Reads a file.");
        assert_eq!(
            first_sentence("\n  Reads v1.2 files, e.g. old\n  ones.\n\nMore"),
            "Reads v1.2 files, e.g. old ones."
        );
        assert_eq!(first_sentence("Title\n=====\nBody"), "Title");
        assert_eq!(first_sentence(""), "");
    }

    #[test]
    fn clipping_counts_characters_and_marks_the_cut() {
        assert_eq!(clip("äöü", 3), "äöü");
        assert_eq!(clip("äöüß", 3), "äö…");
    }

    #[test]
    fn a_parse_past_its_budget_is_given_up() {
        let source = "x = [1, 2, 3]\n".repeat(2_000);
        let language = tree_sitter_python::LANGUAGE.into();
        assert!(parse_within(&language, &source, 1).is_none(), "one report cannot be enough for this file");
        assert!(parse(&language, &source).is_some(), "the real budget is far above ordinary code");
    }
}
