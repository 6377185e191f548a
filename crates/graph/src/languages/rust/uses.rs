//! Paths out of the syntax tree: `use` trees flattened, qualified names as segments.

use tree_sitter::Node;

use crate::syntax;

/// Each leaf of a `use` tree with its line; a glob ends in `*`, an alias is dropped.
pub(super) fn flatten(argument: Node<'_>, source: &str) -> Vec<(u32, Vec<String>)> {
    let mut leaves = Vec::new();
    // A stack, not recursion: braces nest as deep as a file likes.
    let mut open = vec![(argument, Vec::new())];
    while let Some((node, prefix)) = open.pop() {
        if prefix.len() > super::MAX_DEPTH {
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
                    open.push((list, inner));
                }
            }
            "use_list" => {
                // Reversed, so that the stack gives them back in source order.
                for child in syntax::named_children(node).into_iter().rev() {
                    open.push((child, prefix.clone()));
                }
            }
            "use_as_clause" => {
                if let Some(path) = node.child_by_field_name("path") {
                    open.push((path, prefix));
                }
            }
            "use_wildcard" => {
                let mut all = joined(node.named_child(0));
                all.push("*".into());
                leaves.push((syntax::first_line(node), all));
            }
            // `{self, …}` names the prefix itself.
            "self" if !prefix.is_empty() => leaves.push((syntax::first_line(node), prefix)),
            "line_comment" | "block_comment" => {}
            _ => {
                let all = joined(Some(node));
                if !all.is_empty() {
                    leaves.push((syntax::first_line(node), all));
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
fn plain(identifier: &str) -> String {
    identifier.strip_prefix("r#").unwrap_or(identifier).to_owned()
}
