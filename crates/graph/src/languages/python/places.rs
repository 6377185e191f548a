//! Expressions that say where a file or directory is, as far as they can be read without a run:
//! literals, `__file__`, and what `os.path` and `pathlib` make of them.
//!
//! Source: the documentation of `os.path` and `pathlib`, and of `sys.path`.

use std::collections::HashMap;

use tree_sitter::Node;

use crate::paths;
use crate::syntax;

/// What a path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// The directory of the file.
    Here,
    /// The directory that a run starts in.
    Working,
}

/// A path, and what it is relative to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) base: Base,
    pub(super) path: String,
}

/// Deeper expressions are not read.
const MAX_DEPTH: usize = 16;
/// Longer paths are not kept.
const MAX_PATH_BYTES: usize = 1_024;

/// The places that a file's variables hold.
#[derive(Debug, Default)]
pub(super) struct Places {
    variables: HashMap<String, Place>,
}

impl Place {
    /// The directory meant, seen from the directory of the file.
    pub(super) fn directory(&self, here: &str) -> Option<String> {
        paths::join(here, &self.path)
    }

    fn joined(mut self, path: &str) -> Self {
        if !self.path.is_empty() {
            self.path.push('/');
        }
        self.path.push_str(path);
        self
    }

    /// `path` seen from here; one that says itself where it is stays there.
    fn under(self, path: Self) -> Option<Self> {
        match path.base {
            Base::Here => Some(path),
            Base::Working if path.path.starts_with('/') => None,
            Base::Working => Some(self.joined(&path.path)),
        }
    }
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
        self.read(node, source, 0).filter(|place| place.path.len() <= MAX_PATH_BYTES)
    }

    fn read(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        if depth > MAX_DEPTH {
            return None;
        }
        let read = |node: Node<'_>| self.read(node, source, depth + 1);
        let field = |name: &str| node.child_by_field_name(name);
        match node.kind() {
            // It counts as a directory that `..` leaves.
            "identifier" if syntax::text(node, source) == "__file__" => Some(here("_")),
            "identifier" => self.variables.get(syntax::text(node, source)).cloned(),
            "string" => self.string(node, source, depth),
            "parenthesized_expression" => read(node.named_child(0)?),
            "attribute" => match syntax::field_text(node, "attribute", source)? {
                "parent" => Some(read(field("object")?)?.joined("..")),
                "pardir" => Some(working("..")),
                "curdir" => Some(working(".")),
                "sep" => Some(working("/")),
                _ => None,
            },
            "subscript" => {
                let value = field("value")?;
                let index: usize = syntax::field_text(node, "subscript", source)?.parse().ok()?;
                match value.kind() {
                    "attribute" if syntax::field_text(value, "attribute", source) == Some("parents") => {
                        let object = read(value.child_by_field_name("object")?)?;
                        Some(object.joined(&vec![".."; (index < MAX_DEPTH).then_some(index + 1)?].join("/")))
                    }
                    // `os.path.split(path)[0]` is the directory.
                    "call" if index == 0 && called(value, source)? == "split" => {
                        Some(read(arguments(value).first().copied()?)?.joined(".."))
                    }
                    _ => None,
                }
            }
            "binary_operator" => {
                let (left, right) = (read(field("left")?)?, read(field("right")?)?);
                match syntax::field_text(node, "operator", source)? {
                    "/" => left.under(right),
                    // The text is put together as it stands.
                    "+" if right.base == Base::Working => {
                        Some(Place { path: left.path + &right.path, base: left.base })
                    }
                    _ => None,
                }
            }
            "call" => self.call(node, source, depth),
            _ => None,
        }
    }

    fn call(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        let read = |node: &Node<'_>| self.read(*node, source, depth + 1);
        let arguments = arguments(node);
        let fold = |first: Place, rest: &[Node<'_>]| rest.iter().try_fold(first, |all, part| all.under(read(part)?));
        let object = node.child_by_field_name("function").and_then(|function| function.child_by_field_name("object"));
        match (called(node, source)?, arguments.as_slice()) {
            ("resolve" | "absolute" | "as_posix" | "expanduser", []) => read(&object?),
            ("joinpath", parts) => fold(read(&object?)?, parts),
            ("getcwd" | "cwd", []) => Some(working(".")),
            ("dirname", [path]) => Some(read(path)?.joined("..")),
            ("abspath" | "realpath" | "normpath" | "normcase" | "expanduser" | "fspath" | "str", [path, ..]) => {
                read(path)
            }
            ("Path" | "PurePath" | "PosixPath" | "PurePosixPath" | "join", [first, rest @ ..]) => {
                fold(read(first)?, rest)
            }
            ("getfile" | "getsourcefile", [frame]) if syntax::text(*frame, source).ends_with("currentframe()") => {
                Some(here("_"))
            }
            _ => None,
        }
    }

    /// A string without escapes; a formatted one may begin with a place.
    fn string(&self, node: Node<'_>, source: &str, depth: usize) -> Option<Place> {
        let mut place = working("");
        for (at, part) in syntax::named_children(node).into_iter().enumerate() {
            match part.kind() {
                "string_start" | "string_end" => {}
                "string_content" if part.named_child_count() == 0 => place.path.push_str(syntax::text(part, source)),
                // The opening quote is the first child.
                "interpolation" if at == 1 => place = self.read(part.named_child(0)?, source, depth + 1)?,
                _ => return None,
            }
        }
        (!place.path.contains(['\n', '\\', '\0'])).then_some(place)
    }
}

/// The last part of a called function's name.
pub(super) fn called<'s>(call: Node<'_>, source: &'s str) -> Option<&'s str> {
    let function = call.child_by_field_name("function")?;
    match function.kind() {
        "identifier" => Some(syntax::text(function, source)),
        "attribute" => syntax::field_text(function, "attribute", source),
        _ => None,
    }
}

/// The positional arguments of a call.
pub(super) fn arguments(call: Node<'_>) -> Vec<Node<'_>> {
    let all = call.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default();
    all.into_iter().filter(|argument| !matches!(argument.kind(), "keyword_argument" | "comment")).collect()
}

/// The value of a keyword argument of a call.
pub(super) fn keyword<'t>(call: Node<'t>, name: &str, source: &str) -> Option<Node<'t>> {
    let all = call.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default();
    let named = |argument: &Node<'_>| syntax::field_text(*argument, "name", source) == Some(name);
    let found = all.into_iter().find(|argument| argument.kind() == "keyword_argument" && named(argument));
    found.and_then(|argument| argument.child_by_field_name("value"))
}

fn here(path: &str) -> Place {
    Place { base: Base::Here, path: path.to_owned() }
}

fn working(path: &str) -> Place {
    Place { base: Base::Working, path: path.to_owned() }
}
