//! Parsing and walking syntax trees without recursion, and the text taken from their nodes.
//!
//! Invariants: budgets count steps, not seconds, so the same bytes give the same tree and outline
//! on every machine; a walk holds one cursor, whatever the depth of the syntax.
//!
//! A file's budget grows with its size and pays for all that is done with it: a step for each node
//! walked, for what is kept in the outline, and for text that is put together ([`spend`]). A walk
//! whose budget is spent ends where it stands.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;

pub(crate) use recon_repository::line::{clip, collapse};
use recon_schema::graph::Symbol;
use tree_sitter::{Language, Node, ParseOptions, ParseState, Parser, Point, Range, Tree, TreeCursor};

/// Progress reports (of about a hundred parse steps each) any file may use.
const BASE_REPORTS: usize = 2_000;
/// Bytes of a file for each further report. Of 15,103 files of thirteen languages none had fewer than 33, and half
/// of them more than 150; a report of a text that is torn everywhere takes ten times as long as one of ordinary code.
const BYTES_PER_REPORT: usize = 16;
/// Steps that reading any file may take after it is parsed.
const BASE_STEPS: usize = 1_000_000;
/// Further steps for each byte of a file; ordinary code takes two or three.
const STEPS_PER_BYTE: usize = 24;
/// Bytes looked at for an outline that cost one step; a byte kept costs one.
const BYTES_PER_STEP: usize = 16;
/// Longest signature kept, in characters.
pub(crate) const SIGNATURE_CHARS: usize = 400;
/// Bytes of a text looked at for a signature, white space included.
const SIGNATURE_BYTES: usize = 8_192;
/// Longest expression kept, in characters.
const EXPRESSION_CHARS: usize = 120;
/// Longest name kept, in characters.
const NAME_CHARS: usize = 200;
/// Longest documentation sentence kept, in characters.
const DOC_CHARS: usize = 240;

thread_local! {
    /// What is left to the file that this thread reads.
    static STEPS: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// Gives a file its budget.
pub(crate) fn begin(source: &str) {
    STEPS.set(BASE_STEPS + source.len() * STEPS_PER_BYTE);
}

/// Takes steps from the budget of the file that is read.
pub(crate) fn spend(steps: usize) {
    STEPS.set(STEPS.get().saturating_sub(steps));
}

/// Whether nothing is left.
pub(crate) fn is_spent() -> bool {
    STEPS.get() == 0
}

/// The tree of `source`, or `None` when the parser ran past its budget. The file has its whole
/// budget for what is done with the tree.
pub(crate) fn parse(language: &Language, source: &str) -> Option<Tree> {
    begin(source);
    parse_within(language, source, BASE_REPORTS + source.len() / BYTES_PER_REPORT)
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
        let reports = BASE_REPORTS + part.byte_range().len() / BYTES_PER_REPORT;
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
        spend(1);
        if is_spent() {
            return;
        }
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
    let line = first_words(declaration);
    clip(line.trim_end_matches([':', '{', ';', ' ']), SIGNATURE_CHARS)
}

/// A text on one line, as much of it as a signature may hold.
pub(crate) fn one_line(text: &str) -> String {
    clip(&first_words(text), SIGNATURE_CHARS)
}

/// An expression that names what only a run can tell, on one line.
pub(crate) fn expression(node: Node<'_>, source: &str) -> String {
    clip(&first_words(text(node, source)), EXPRESSION_CHARS)
}

/// The beginning of a text, white space collapsed: a little more than a signature may hold, and
/// all of it where it is shorter. What is nested deep is never looked at as a whole.
fn first_words(text: &str) -> String {
    let mut line = String::new();
    let (mut chars, mut blank, mut read) = (0, false, text.len().min(SIGNATURE_BYTES));
    for (at, c) in text.char_indices().take_while(|(at, _)| *at < SIGNATURE_BYTES) {
        if chars > SIGNATURE_CHARS + 8 {
            read = at;
            break;
        }
        if c.is_whitespace() {
            blank = !line.is_empty();
            continue;
        }
        if std::mem::take(&mut blank) {
            line.push(' ');
            chars += 1;
        }
        line.push(c);
        chars += 1;
    }
    spend(read / BYTES_PER_STEP);
    line
}

/// Adds a definition to an outline, without a signature where the budget is spent; returns its index.
pub(crate) fn push_symbol(
    symbols: &mut Vec<Symbol>,
    name: &str,
    kind: &str,
    node: Node<'_>,
    parent: Option<u32>,
    signature: String,
) -> u32 {
    let (start_line, end_line) = (first_line(node), last_line(node));
    let (name, kind) = (clip(name, NAME_CHARS), kind.to_owned());
    spend(1 + name.len() + signature.len());
    let signature = if is_spent() { String::new() } else { signature };
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
    fn a_signature_is_the_beginning_of_its_text_on_one_line() {
        assert_eq!(one_line("  a\n\tb  c \n"), "a b c");
        let long = "word ".repeat(1_000_000);
        assert_eq!(one_line(&long).chars().count(), SIGNATURE_CHARS);
        assert!(one_line(&long).ends_with('…'), "the cut is marked");
        begin("");
        for _ in 0..1_000 {
            one_line(&long);
        }
        assert!(!is_spent(), "what is not looked at costs nothing");
    }

    #[test]
    fn a_walk_whose_budget_is_spent_ends() {
        let source = "x = 1\n".repeat(2_000);
        let tree = parse(&tree_sitter_python::LANGUAGE.into(), &source).expect("a small file");
        let count = || {
            let mut nodes = 0;
            walk(tree.root_node(), |_, _| {
                nodes += 1;
                Visit::Into
            });
            nodes
        };
        let all = count();
        assert!(all > 8_000, "a statement is several nodes: {all}");
        assert!(!is_spent(), "ordinary code stays far below its budget");
        begin("");
        spend(BASE_STEPS - 100);
        assert_eq!((count(), is_spent()), (99, true));
    }

    #[test]
    fn a_parse_past_its_budget_is_given_up() {
        let source = "x = [1, 2, 3]\n".repeat(2_000);
        let language = tree_sitter_python::LANGUAGE.into();
        assert!(parse_within(&language, &source, 1).is_none(), "one report cannot be enough for this file");
        assert!(parse(&language, &source).is_some(), "the real budget is far above ordinary code");
    }
}
