//! Expressions that say where a file or directory is, as far as they can be read without a run:
//! literals, `__dir__`, `__FILE__`, `Rails.root`, and what `File` and `Pathname` make of them.

use std::collections::HashMap;

use tree_sitter::Node;

use crate::syntax;

/// What a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The load path, or the working directory.
    LoadPath,
    /// The directory of the file.
    Here,
    /// The directory of the Rails application or engine around.
    Root,
}

/// A path, and what it is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: Base,
    pub(super) path: String,
}

/// Deeper expressions are not read.
const MAX_DEPTH: usize = 8;

/// The places that a file's variables hold.
#[derive(Debug, Default)]
pub(super) struct Places {
    variables: HashMap<String, Place>,
}

impl Places {
    /// Notes an assignment to a variable.
    pub(super) fn assign(&mut self, name: &str, value: Node<'_>, source: &str) {
        match self.of(value, source) {
            Some(place) => self.variables.insert(name.to_owned(), place),
            None => self.variables.remove(name),
        };
    }

    /// The place an expression means.
    pub(super) fn of(&self, node: Node<'_>, source: &str) -> Option<Place> {
        self.read(node, source, 0)
    }

    fn read(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        if depth > MAX_DEPTH {
            return None;
        }
        match (node.kind(), syntax::text(node, source)) {
            ("string" | "bare_string", _) => self.string(node, source, depth),
            (_, "__dir__") => Some(here("")),
            // It counts as a directory that `..` leaves.
            (_, "__FILE__") => Some(here("_")),
            (_, "Rails.root" | "config.root" | "Rails.application.root") => {
                Some(Place { base: Base::Root, path: String::new() })
            }
            ("identifier", name) => self.variables.get(name).cloned(),
            ("call", _) => self.call(node, source, depth),
            _ => None,
        }
    }

    fn string(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        let mut place = Place { base: Base::LoadPath, path: String::new() };
        for (at, part) in syntax::named_children(node).into_iter().enumerate() {
            match part.kind() {
                "string_content" => place.path.push_str(syntax::text(part, source)),
                "interpolation" if at == 0 => place = self.read(part.named_child(0)?, source, depth + 1)?,
                _ => return None,
            }
        }
        place.path = place.path.trim_start_matches(if place.base == Base::LoadPath { '\0' } else { '/' }).to_owned();
        (!place.path.contains('\n')).then_some(place)
    }

    fn call(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        let receiver = node.child_by_field_name("receiver")?;
        let method = syntax::field_text(node, "method", source)?;
        let arguments = node.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default();
        let read = |node: &Node<'_>| self.read(*node, source, depth + 1);
        match (syntax::text(receiver, source), method, arguments.as_slice()) {
            ("File", "dirname", [path]) => read(path).map(|place| joined(place, "..")),
            ("File", "join", [first, rest @ ..]) => {
                rest.iter().try_fold(read(first)?, |all, part| under(all, read(part)?))
            }
            ("File", "expand_path", [path]) => read(path),
            ("File", "expand_path", [path, base]) => under(read(base)?, read(path)?),
            (_, "join", parts) => parts.iter().try_fold(read(&receiver)?, |all, part| under(all, read(part)?)),
            (_, "to_s", []) => read(&receiver),
            _ => None,
        }
    }
}

fn here(path: &str) -> Place {
    Place { base: Base::Here, path: path.to_owned() }
}

/// A path seen from a place; one that says itself where it is stays there.
fn under(base: Place, path: Place) -> Option<Place> {
    match path.base {
        Base::LoadPath if path.path.starts_with('/') => None,
        Base::LoadPath => Some(joined(base, &path.path)),
        Base::Here | Base::Root => Some(path),
    }
}

fn joined(mut place: Place, path: &str) -> Place {
    if !place.path.is_empty() {
        place.path.push('/');
    }
    place.path.push_str(path);
    place
}
