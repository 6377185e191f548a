//! Java and Kotlin, which see each other's declarations: [`java`] and [`kotlin`] read a file,
//! [`projects`] the build files, [`resolve`] finds the files its names mean.
//!
//! Source: the Java language specification, chapters 6 to 9; the Kotlin specification, "Scopes
//! and identifiers" and "Packages and imports".

mod inherit;
mod java;
mod kotlin;
mod projects;
mod resolve;

use std::collections::{BTreeMap, BTreeSet};

use recon_schema::graph::Symbol;
use tree_sitter::Node;

use super::family::{Context, Family, ParsedFile, Resolve};
use crate::syntax::{self, Leading};

/// Java and Kotlin.
pub(crate) struct Jvm;

/// Names joined by dots, by the line of their first use.
type Chains = BTreeMap<Vec<String>, u32>;

/// What a file says beyond its outline.
#[derive(Debug, Default)]
pub(crate) struct Facts {
    /// The declared package, `""` for the unnamed one.
    package: String,
    imports: Vec<Import>,
    /// Names where only a type can stand.
    types: Chains,
    /// Names in expressions, where a variable of the file hides a type.
    values: Chains,
    /// Names called on a value (Kotlin: a member, or an extension from elsewhere).
    calls: BTreeMap<String, u32>,
    /// Names called on nothing (Kotlin): a variable of that name does not hide a function.
    invoked: BTreeMap<String, u32>,
    /// Type parameters and local types: they hide what lies outside of the file.
    own_types: BTreeSet<String>,
    /// Variables, parameters and fields.
    variables: BTreeSet<String>,
    /// What the file's types extend and implement, each with the type, seen from the file; an empty
    /// name is that of a type without one, or of a local one.
    supers: BTreeSet<(Vec<String>, Vec<String>)>,
    /// The class that holds a Kotlin file's functions, as Java sees it.
    facade: Option<String>,
}

/// One import as written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Import {
    /// 1-based line.
    line: u32,
    path: Vec<String>,
    /// Whether `.*` follows.
    wildcard: bool,
    /// Another name for it in this file.
    alias: Option<String>,
}

impl Family for Jvm {
    type Facts = Facts;

    fn names(&self) -> &'static [&'static str] {
        &["java", "kotlin"]
    }

    fn parse(&self, path: &str, source: &str) -> ParsedFile<Facts> {
        match self.of_path(path) {
            Some("kotlin") => kotlin::parse(path, source),
            _ => java::parse(source),
        }
    }

    fn resolver<'r>(&self, context: Context<'r, Facts>) -> Box<dyn Resolve<Facts> + 'r> {
        Box::new(resolve::Declarations::new(context))
    }
}

/// Longest chain of names that is kept; nobody nests packages deeper.
const MAX_CHAIN: usize = 24;
/// The same in bytes.
const MAX_CHAIN_BYTES: usize = 1_024;

/// The outline of a file while it is made; common to both languages.
struct Outline<'s> {
    source: &'s str,
    /// Definitions the walk is inside of: depth, symbol, and whether it is code that runs.
    scopes: Vec<(usize, Option<u32>, bool)>,
    leading: Leading,
    file: ParsedFile<Facts>,
}

impl<'s> Outline<'s> {
    fn new(source: &'s str) -> Self {
        Self { source, scopes: Vec::new(), leading: Leading::default(), file: ParsedFile::default() }
    }

    /// Leaves what does not reach down to `depth`.
    fn leave(&mut self, depth: usize) {
        while self.scopes.pop_if(|(at, ..)| *at >= depth).is_some() {}
    }

    /// Whether what is declared here is local.
    fn in_code(&self) -> bool {
        self.scopes.last().is_some_and(|(.., code)| *code)
    }

    /// Adds a definition; what the walk finds inside belongs to it.
    fn define(&mut self, name: &str, kind: &str, node: Node<'_>, depth: usize, body: Option<Node<'_>>) {
        let parent = self.scopes.iter().rev().find_map(|(_, symbol, _)| *symbol);
        let signature = syntax::signature(node, body, self.source);
        let signature = signature.trim_end_matches([' ', '=']).to_owned();
        let doc = self.leading.take(node);
        let symbols: &mut Vec<Symbol> = &mut self.file.symbols;
        let symbol = syntax::push_symbol(symbols, name, kind, node, parent, signature);
        symbols[symbol as usize].doc = plain(&doc);
        let code = matches!(kind, "function" | "method" | "constructor" | "property");
        self.scopes.push((depth, Some(symbol), code));
    }

    /// Notes a supertype of the type the walk is inside of.
    fn extend(&mut self, chain: Vec<String>) {
        if chain.is_empty() {
            return;
        }
        let around = self.scopes.iter().filter_map(|(_, symbol, _)| self.file.symbols.get((*symbol)? as usize));
        let types: Vec<String> = around.filter(|it| is_type(it)).map(|it| it.name.clone()).collect();
        let owner = if self.in_code() { Vec::new() } else { types };
        self.file.facts.supers.insert((owner, chain));
    }

    fn text(&self, node: Node<'_>) -> &'s str {
        syntax::text(node, self.source)
    }
}

fn is_type(symbol: &Symbol) -> bool {
    matches!(symbol.kind.as_str(), "class" | "interface" | "enum" | "record" | "annotation" | "object" | "type")
}

/// The segments of a dotted name; none where anything else stands in it.
fn dotted(text: &str) -> Vec<String> {
    // A long chain of calls is looked at on each of its levels.
    if text.len() > MAX_CHAIN_BYTES {
        return Vec::new();
    }
    let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
    let parts: Vec<String> = text.split('.').map(|part| part.trim().trim_matches('`').to_owned()).collect();
    if parts.iter().all(|part| plain(part)) { parts } else { Vec::new() }
}

/// Keeps the line where a chain is met first.
fn note(chains: &mut Chains, chain: Vec<String>, line: u32) {
    if chain.len() <= MAX_CHAIN && !chain.is_empty() {
        chains.entry(chain).or_insert(line);
    }
}

/// A documentation sentence without the tags of HTML and of the documentation tool.
fn plain(doc: &str) -> String {
    let mut text = String::with_capacity(doc.len());
    let mut rest = doc;
    while let Some(at) = rest.find(['<', '{', '}']) {
        text.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        rest = match rest.as_bytes()[at] {
            b'<' => {
                match after.find('>').filter(|_| after.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')) {
                    Some(end) => &after[end + 1..],
                    None => {
                        text.push('<');
                        after
                    }
                }
            }
            b'{' if after.starts_with('@') => after.find(' ').map_or("", |end| &after[end + 1..]),
            _ => after,
        };
    }
    text.push_str(rest);
    syntax::collapse(&text)
}

#[cfg(test)]
mod tests {
    #[test]
    fn tags_are_taken_out_of_documentation() {
        assert_eq!(super::plain("<p>Reads {@link Foo#bar} as {@code T}, if a < b."), "Reads Foo#bar as T, if a < b.");
    }
}
