//! Paths out of the syntax tree: `use` trees flattened, qualified names as segments.

use std::collections::HashSet;
use std::sync::LazyLock;

use tree_sitter::Node;

use super::facts::MAX_DEPTH;
use crate::syntax::{self, Kinds, Visit};

/// One name a `use` brings in.
pub(super) struct Leaf {
    pub(super) line: u32,
    /// The whole path; a glob ends in `*`.
    pub(super) segments: Vec<String>,
    pub(super) alias: Option<String>,
}

/// Each leaf of a `use` tree.
pub(super) fn flatten(argument: Node<'_>, source: &str) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    // A stack, not recursion: braces nest as deep as a file likes.
    let mut open = vec![(argument, Vec::new(), None)];
    while let Some((node, prefix, alias)) = open.pop() {
        if prefix.len() > MAX_DEPTH {
            continue;
        }
        let joined = |path: Option<Node<'_>>| {
            let mut all: Vec<String> = prefix.clone();
            all.extend(path.and_then(|path| segments(path, source)).unwrap_or_default());
            all
        };
        match node.kind() {
            "scoped_use_list" => {
                let inner = joined(node.child_by_field_name("path"));
                if let Some(list) = node.child_by_field_name("list") {
                    open.push((list, inner, None));
                }
            }
            "use_list" => {
                // Reversed, so that the stack gives them back in source order.
                for child in syntax::named_children(node).into_iter().rev() {
                    open.push((child, prefix.clone(), None));
                }
            }
            "use_as_clause" => {
                if let Some(path) = node.child_by_field_name("path") {
                    let alias = syntax::field_text(node, "alias", source).map(plain);
                    open.push((path, prefix, alias));
                }
            }
            "use_wildcard" => {
                let mut all = joined(node.named_child(0));
                all.push("*".into());
                leaves.push(Leaf { line: syntax::first_line(node), segments: all, alias });
            }
            // `{self, …}` names the prefix itself.
            "self" if !prefix.is_empty() => {
                leaves.push(Leaf { line: syntax::first_line(node), segments: prefix, alias });
            }
            "line_comment" | "block_comment" => {}
            _ => {
                let all = joined(Some(node));
                if !all.is_empty() {
                    leaves.push(Leaf { line: syntax::first_line(node), segments: all, alias });
                }
            }
        }
    }
    leaves
}

/// The segments of a path without generic arguments; `None` where it starts with a type in
/// brackets or a macro variable, so names no module.
pub(super) fn segments(path: Node<'_>, source: &str) -> Option<Vec<String>> {
    let mut reversed = Vec::new();
    let mut node = path;
    loop {
        match node.kind() {
            "scoped_identifier" | "scoped_type_identifier" => {
                reversed.push(plain(syntax::field_text(node, "name", source)?));
                match node.child_by_field_name("path") {
                    Some(inner) => node = inner,
                    // `::name` starts at the crates.
                    None => break,
                }
            }
            "identifier" | "type_identifier" | "crate" | "self" | "super" => {
                reversed.push(plain(syntax::text(node, source)));
                break;
            }
            "generic_type" => node = node.child_by_field_name("type")?,
            _ => return None,
        }
    }
    reversed.reverse();
    Some(reversed)
}

/// A raw identifier names the same thing as the plain one.
pub(super) fn plain(identifier: &str) -> String {
    identifier.strip_prefix("r#").unwrap_or(identifier).to_owned()
}

/// The path of a node with those in its generic arguments. Its parts are paths too, and shorter:
/// only the whole one is kept.
pub(super) fn whole<'t>(path: Node<'t>, source: &str) -> Vec<(u32, Vec<String>)> {
    let mut paths = Vec::new();
    let mut open = vec![path];
    while let Some(path) = open.pop() {
        paths.extend(segments(path, source).map(|segments| (syntax::first_line(path), segments)));
        let mut inside = |node: Node<'t>| {
            syntax::walk(node, |inner, _| {
                let scoped = matches!(inner.kind(), "scoped_identifier" | "scoped_type_identifier");
                if scoped {
                    open.push(inner);
                }
                if scoped { Visit::Over } else { Visit::Into }
            });
        };
        let mut part = Some(path);
        while let Some(node) = part {
            part = match node.kind() {
                "scoped_identifier" | "scoped_type_identifier" => node.child_by_field_name("path"),
                "generic_type" => {
                    node.child_by_field_name("type_arguments").into_iter().for_each(&mut inside);
                    node.child_by_field_name("type")
                }
                "bracketed_type" => {
                    inside(node);
                    None
                }
                _ => None,
            };
        }
    }
    paths
}

/// The paths of two segments or more in the arguments of a macro, each with its line.
///
/// Tokens are not syntax yet: what looks like a path there is taken for one.
pub(super) fn in_tokens(tokens: Node<'_>, source: &str) -> Vec<(u32, Vec<String>)> {
    let mut paths = Vec::new();
    if !holds(tokens, source, "::") {
        return paths;
    }
    let mut path: Vec<String> = Vec::new();
    let mut line = 0;
    // Whether the last token was `::`.
    let mut joined = false;
    let mut end = |path: &mut Vec<String>, line: u32| {
        if path.len() > 1 && path.len() <= MAX_DEPTH {
            paths.push((line, std::mem::take(path)));
        }
        path.clear();
    };
    syntax::walk(tokens, |node, _| {
        match node.kind() {
            "identifier" | "crate" | "self" | "super" => {
                if !joined {
                    end(&mut path, line);
                    line = syntax::first_line(node);
                }
                // A path that starts with `::` or after generic arguments is not followed.
                if !joined || !path.is_empty() {
                    path.push(plain(syntax::text(node, source)));
                }
                joined = false;
            }
            "::" => joined = true,
            _ => {
                end(&mut path, line);
                joined = false;
            }
        }
        Visit::Into
    });
    end(&mut path, line);
    paths
}

/// The names of `mod name;` in the arguments of a macro (`cfg_if!` and its like), each with its line
/// and the values of `#[path]` before it.
pub(super) fn modules_in_tokens(tokens: Node<'_>, source: &str) -> Vec<(u32, String, Vec<String>)> {
    let mut modules = Vec::new();
    if !holds(tokens, source, "mod") {
        return modules;
    }
    // The two tokens before: asking a node for its sibling would search the tree from its root.
    let mut before: [Option<Node<'_>>; 2] = [None, None];
    let mut paths: Vec<String> = Vec::new();
    syntax::walk(tokens, |node, _| {
        let text = matches!(node.kind(), "string_literal" | "raw_string_literal");
        if node.child_count() > 0 && !text {
            return Visit::Into;
        }
        match (before, node.kind()) {
            ([Some(name), Some(equals)], _) if text && syntax::text(name, source) == "path" && equals.kind() == "=" => {
                paths.push(literal(syntax::text(node, source)));
            }
            ([Some(word), Some(name)], ";") => {
                if name.kind() == "identifier" && word.kind() == "mod" {
                    let name_text = plain(syntax::text(name, source));
                    modules.push((syntax::first_line(name), name_text, std::mem::take(&mut paths)));
                }
                paths.clear();
            }
            (_, "}") => paths.clear(),
            _ => {}
        }
        before = [before[1], Some(node)];
        Visit::Over
    });
    modules
}

/// Names of arguments that are looked at.
const MAX_ARGUMENTS: usize = 512;

/// The names among the arguments of a macro, each with the text in quotes that follows it.
pub(super) fn named_arguments(tokens: Node<'_>, source: &str) -> Vec<(String, Option<String>)> {
    let mut found: Vec<(String, Option<String>)> = Vec::new();
    syntax::walk(tokens, |node, depth| {
        match node.kind() {
            _ if found.len() >= MAX_ARGUMENTS => {}
            "identifier" => found.push((plain(syntax::text(node, source)), None)),
            "string_literal" | "raw_string_literal" => {
                if let Some((_, follows @ None)) = found.last_mut() {
                    *follows = Some(literal(syntax::text(node, source)));
                }
            }
            _ if depth < 8 => return Visit::Into,
            _ => {}
        }
        Visit::Over
    });
    found
}

/// What a string literal says; what is escaped stays so.
pub(super) fn literal(text: &str) -> String {
    text.trim_start_matches('r').trim_matches('#').trim_matches('"').to_owned()
}

/// The values of `path = "…"` in the arguments of an attribute.
pub(super) fn path_values(arguments: &str) -> Vec<String> {
    let value = |(at, _): (usize, &str)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let rest = arguments[at + "path".len()..].trim_start().strip_prefix('=')?.trim_start();
        let alone = !arguments[..at].ends_with(word);
        let inside = rest.trim_start_matches(['r', '#']).strip_prefix('"').filter(|_| alone)?;
        Some(inside.split('"').next()?.to_owned())
    };
    arguments.match_indices("path").filter_map(value).collect()
}

/// The path that `include!` names: one text, or several put together, of which the first may be the
/// package's folder (which the second value tells). None for what a build writes.
pub(super) fn included_path(arguments: &str) -> Option<(String, bool)> {
    let inner = arguments.get(1..arguments.len() - 1)?.trim().trim_end_matches(',').trim();
    let parts = match inner.strip_prefix("concat!") {
        Some(rest) => rest.trim().get(1..)?.trim_end_matches([')', ']', '}']).to_owned() + " ",
        None => inner.to_owned(),
    };
    let (mut path, mut from_package) = (String::new(), false);
    let mut rest = parts.trim();
    while !rest.is_empty() {
        if let Some(variable) = rest.strip_prefix("env!") {
            let (name, after) = texts_after(variable)?;
            if name != "CARGO_MANIFEST_DIR" || !path.is_empty() {
                return None;
            }
            from_package = true;
            rest = after.trim_start().trim_start_matches([')', ']', '}']);
        } else {
            let (text, after) = texts_after(rest)?;
            path.push_str(text);
            rest = after;
        }
        rest = rest.trim_start().trim_start_matches(',').trim_start();
    }
    let path = if from_package { path.trim_start_matches('/').to_owned() } else { path };
    (!path.is_empty()).then_some((path, from_package))
}

/// The first text in quotes, where nothing but brackets stands before it, and what follows it.
fn texts_after(text: &str) -> Option<(&str, &str)> {
    let (before, rest) = text.split_once('"')?;
    before.chars().all(|c| c.is_whitespace() || "([{r#".contains(c)).then(|| rest.split_once('"'))?
}

/// Whether `mark` stands in the text of `node`: most arguments of macros need not be walked.
fn holds(node: Node<'_>, source: &str, mark: &str) -> bool {
    memchr::memmem::find(syntax::text(node, source).as_bytes(), mark.as_bytes()).is_some()
}

/// What a token is to [`mentions`].
#[derive(Clone, Copy, PartialEq)]
enum Token {
    Name,
    /// What follows names a part of what stands before.
    Joint,
    Other,
}

static TOKENS: LazyLock<Kinds<Token>> = LazyLock::new(|| {
    Kinds::of(&tree_sitter_rust::LANGUAGE.into(), |kind| match kind {
        "identifier" | "type_identifier" => Token::Name,
        "::" | "." => Token::Joint,
        _ => Token::Other,
    })
});

/// Every name that stands alone or starts a path, where a glob may have brought it; sorted.
pub(super) fn mentions(root: Node<'_>, source: &str) -> Vec<String> {
    let mut names = HashSet::new();
    let mut follows = false;
    syntax::walk(root, |node, _| {
        if node.child_count() > 0 {
            return Visit::Into;
        }
        let token = TOKENS.get(node).unwrap_or(Token::Other);
        if token == Token::Name && !follows {
            names.insert(syntax::text(node, source));
        }
        follows = token == Token::Joint;
        Visit::Over
    });
    let mut names: Vec<String> = names.into_iter().map(plain).collect();
    names.sort_unstable();
    names.dedup();
    names
}
