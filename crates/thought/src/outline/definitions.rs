//! What stands in a file, as sentences in its order, and what those who call it must be ready for.
//!
//! A definition at the top level that holds others has sentences of its own, what it holds in them; the others share
//! sentences. The more is told of each, the fewer stand in one. Deeper than three levels definitions are counted.

use std::collections::BTreeSet;

use recon_schema::graph::{FileNode, Symbol};

use super::detail::Detail;
use super::project::signature;
use super::words::{LIST, Told, code, count, doc_run, list};

/// A definition as a sentence names it.
struct Item {
    /// Empty where the signature tells it.
    kind: String,
    code: String,
    /// Size and documentation.
    notes: Vec<String>,
    /// What it holds, as prose; empty if nothing.
    inner: String,
    /// Definitions told, itself included.
    told: usize,
    /// How many of these stand one after the other.
    times: usize,
}

/// One sentence after the other, in the order of the file.
pub(super) fn definitions(file: &FileNode, detail: Detail) -> Vec<Told> {
    let outline = Outline::new(file, detail);
    let mut sentences: Vec<Told> = Vec::new();
    let mut run: Vec<usize> = Vec::new();
    for &at in &outline.top {
        let holds = !outline.children[at].is_empty();
        if holds || run.len() == outline.in_one_sentence() {
            outline.tell_run(&mut run, &mut sentences);
        }
        if holds { outline.tell(at, &mut sentences) } else { run.push(at) }
    }
    outline.tell_run(&mut run, &mut sentences);
    sentences
}

struct Outline<'f> {
    symbols: &'f [Symbol],
    detail: Detail,
    top: Vec<usize>,
    /// Definitions directly in each, in order.
    children: Vec<Vec<usize>>,
    /// Definitions anywhere in each.
    within: Vec<usize>,
}

impl<'f> Outline<'f> {
    fn new(file: &'f FileNode, detail: Detail) -> Self {
        let symbols = &file.symbols[..];
        let (mut top, mut children) = (Vec::new(), vec![Vec::new(); symbols.len()]);
        for (at, symbol) in symbols.iter().enumerate() {
            match symbol.parent {
                None => top.push(at),
                Some(parent) => children[parent as usize].push(at),
            }
        }
        // A definition stands after the one it is in.
        let mut within = vec![0; symbols.len()];
        for (at, symbol) in symbols.iter().enumerate().rev() {
            if let Some(parent) = symbol.parent {
                within[parent as usize] += within[at] + 1;
            }
        }
        Self { symbols, detail, top, children, within }
    }

    fn in_one_sentence(&self) -> usize {
        match self.detail {
            Detail::Brief | Detail::Names => LIST,
            Detail::Signatures => 4,
            Detail::Full => 2,
        }
    }

    /// Tells definitions that hold nothing.
    fn tell_run(&self, run: &mut Vec<usize>, sentences: &mut Vec<Told>) {
        if !run.is_empty() {
            let items = self.items(run, |_| String::new());
            let lead = lead(sentences.is_empty(), run.len() > 1);
            sentences.push((format!("{lead} {}.", prose(&items)), told(&items)));
            run.clear();
        }
    }

    /// Tells a definition and what it holds.
    fn tell(&self, at: usize, sentences: &mut Vec<Told>) {
        let own = [item(&self.symbols[at], self.detail)];
        for (part, children) in self.children[at].chunks(self.in_one_sentence()).enumerate() {
            let items = self.items(children, |child| self.inner(child));
            let (holds, inner) = (prose(&items), told(&items));
            sentences.push(match part {
                0 => {
                    (format!("{} {}, which holds {holds}.", lead(sentences.is_empty(), false), prose(&own)), inner + 1)
                }
                _ => (format!("{} also holds {holds}.", own[0].code), inner),
            });
        }
    }

    /// What a definition inside another one holds, and how much more.
    fn inner(&self, at: usize) -> String {
        let shown = &self.children[at][..self.children[at].len().min(self.in_one_sentence())];
        let items = self.items(shown, |_| String::new());
        let hidden = self.within[at] - told(&items);
        match hidden {
            0 => prose(&items),
            _ => format!("{} and {hidden} more", texts(&items).join(", ")),
        }
    }

    /// Definitions as sentences name them; those that look alike and stand together are one.
    fn items(&self, of: &[usize], inner: impl Fn(usize) -> String) -> Vec<Item> {
        let mut items: Vec<Item> = Vec::with_capacity(of.len());
        for &at in of {
            let inner = inner(at);
            let told = if inner.is_empty() { 1 } else { 1 + self.within[at] };
            let item = Item { inner, told, ..item(&self.symbols[at], self.detail) };
            match items.last_mut().filter(|last| last.inner.is_empty() && is_alike(last, &item)) {
                Some(last) => (last.times, last.told) = (last.times + 1, last.told + 1),
                None => items.push(item),
            }
        }
        items
    }
}

fn is_alike(a: &Item, b: &Item) -> bool {
    (&a.kind, &a.code, &a.notes, &a.inner) == (&b.kind, &b.code, &b.notes, &b.inner)
}

fn told(items: &[Item]) -> usize {
    items.iter().map(|item| item.told).sum()
}

fn item(symbol: &Symbol, detail: Detail) -> Item {
    let mut notes = Vec::new();
    if detail >= Detail::Full {
        let length = symbol.end_line.saturating_sub(symbol.start_line) as usize + 1;
        if length > 1 {
            notes.push(count(length, "line"));
        }
        if !symbol.doc.is_empty() {
            notes.push(format!("“{}”", doc_run(&symbol.doc).replace(['“', '”'], "\"")));
        }
    }
    let is_signed = detail >= Detail::Signatures && !symbol.signature.is_empty();
    // A signature that opens with a keyword tells its kind itself.
    let plain = matches!(symbol.kind.as_str(), "field" | "variant" | "constant" | "variable");
    let kind = if is_signed && !plain { String::new() } else { symbol.kind.clone() };
    let code = if is_signed { code(&signature(symbol)) } else { code(&symbol.name) };
    Item { kind, code, notes, inner: String::new(), told: 1, times: 1 }
}

fn lead(first: bool, several: bool) -> &'static str {
    match (first, several) {
        (true, _) => "It opens with",
        (false, false) => "Then comes",
        (false, true) => "Then come",
    }
}

fn prose(items: &[Item]) -> String {
    list(&texts(items), items.len())
}

/// `the class `A``, `the 2 functions `f``, ``g``: neighbours of one kind are named with it once.
fn texts(items: &[Item]) -> Vec<String> {
    let mut texts = Vec::with_capacity(items.len());
    for run in items.chunk_by(|a, b| a.kind == b.kind) {
        for (at, item) in run.iter().enumerate() {
            let kind = match run.len() {
                _ if at > 0 || item.kind.is_empty() => String::new(),
                1 => format!("the {} ", item.kind),
                several => format!("the {several} {} ", plural(&item.kind)),
            };
            let times = (item.times > 1).then(|| count(item.times, "time"));
            let inner = (!item.inner.is_empty()).then(|| format!("which holds {}", item.inner));
            let notes: Vec<String> = times.into_iter().chain(item.notes.iter().cloned()).chain(inner).collect();
            let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
            texts.push(format!("{kind}{}{notes}", item.code));
        }
    }
    texts
}

fn plural(kind: &str) -> String {
    match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None if kind.ends_with('s') => format!("{kind}es"),
        None => format!("{kind}s"),
    }
}

/// Which functions may give nothing back, and which may fail, by their signatures.
pub(super) fn edge_cases(file: &FileNode) -> String {
    let Some(language) = file.language.as_deref() else { return String::new() };
    let mut sentences = Vec::new();
    for (case, what) in [(Case::Nothing, "may give nothing back"), (Case::Failure, "may fail")] {
        let mut seen = BTreeSet::new();
        let own = file.symbols.iter().filter(|symbol| case_of(language, &symbol.signature) == Some(case));
        let names: Vec<String> = own.filter(|it| seen.insert(it.name.as_str())).map(|it| code(&it.name)).collect();
        if !names.is_empty() {
            sentences.push(format!("{} {what}.", list(&names, LIST)));
        }
    }
    sentences.join(" ")
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Case {
    Nothing,
    Failure,
}

/// What a signature says of its outcome in its language's usual way.
fn case_of(language: &str, signature: &str) -> Option<Case> {
    let returned = |arrow: &str| after(signature, arrow);
    let said = |nothing: bool, failure: bool| match (nothing, failure) {
        (true, _) => Some(Case::Nothing),
        (_, true) => Some(Case::Failure),
        _ => None,
    };
    match language {
        "rust" => {
            let path = returned("->").split(['<', ' ']).next().unwrap_or_default();
            let name = path.rsplit("::").next().unwrap_or_default();
            said(name == "Option", name == "Result")
        }
        "python" => {
            let returned = returned("->").trim_end_matches(':');
            said(returned.starts_with("Optional[") || returned.ends_with("| None"), false)
        }
        "typescript" => said([" | undefined", " | null"].iter().any(|end| returned(":").ends_with(end)), false),
        "kotlin" => said(returned(":").ends_with('?'), false),
        "go" => {
            let failure =
                signature.starts_with("func") && [" error", " error)"].iter().any(|end| signature.ends_with(end));
            said(false, failure)
        }
        "java" => said(false, signature.contains(") throws ")),
        _ => None,
    }
}

/// What follows the first `arrow` that stands in no brackets.
fn after<'s>(signature: &'s str, arrow: &str) -> &'s str {
    let (mut depth, mut before) = (0_i32, ' ');
    for (at, c) in signature.char_indices() {
        if depth == 0 && signature[at..].starts_with(arrow) {
            return signature[at + arrow.len()..].trim();
        }
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if !matches!(before, '-' | '=') => depth -= 1,
            _ => {}
        }
        before = c;
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_says_what_may_happen() {
        use Case::{Failure, Nothing};
        for (language, signature, expected) in [
            ("rust", "fn find(name: &str) -> Option<usize>", Some(Nothing)),
            ("rust", "pub fn read(path: &Path) -> io::Result<Vec<u8>>", Some(Failure)),
            ("rust", "fn all() -> Vec<Option<usize>>", None),
            ("rust", "fn each(f: impl Fn() -> Option<u8>)", None),
            ("rust", "fn each<F: Fn() -> Option<u8>>(f: F) -> u8", None),
            ("rust", "fn each<F>(f: F) -> Option<u8> where F: Fn() -> u8", Some(Nothing)),
            ("python", "def find(name: str) -> Match | None", Some(Nothing)),
            ("python", "def find(name: str) -> Optional[Match]", Some(Nothing)),
            ("python", "def run(self) -> None", None),
            ("typescript", "find(name: string): Entry | undefined", Some(Nothing)),
            ("kotlin", "fun find(name: String): Entry?", Some(Nothing)),
            ("go", "func Open(name string) (*File, error)", Some(Failure)),
            ("go", "func Close() error", Some(Failure)),
            ("go", "func Name() string", None),
            ("java", "void close() throws IOException", Some(Failure)),
            ("c", "int find(void)", None),
        ] {
            assert_eq!(case_of(language, signature), expected, "{signature}");
        }
    }

    #[test]
    fn kinds_have_plurals() {
        assert_eq!(["class", "function", "property"].map(plural), ["classes", "functions", "properties"]);
    }
}
