//! Which names of a Go file reach outside of its functions: `qualifier.name` and bare names that
//! no parameter, variable, constant or type declared around them binds.
//!
//! A declaration binds from its end on, so `url := url.Parse(s)` uses the package `url`. Keys in
//! a literal of a struct are fields; a key counts as a name where the literal's type is written as
//! a map, slice or array, and is kept apart where the type only has a name. Labels, fields and methods are no bare names.
//!
//! Invariant: one lookup is one hash lookup, however deep blocks are nested.

use std::collections::{BTreeMap, HashMap, HashSet};

use tree_sitter::Node;

use crate::syntax;

/// Names by the line of their first use.
type Qualified = BTreeMap<(String, String), u32>;
type Bare = BTreeMap<String, u32>;

/// What a file uses from outside of its functions.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Uses {
    /// Lines of the first `qualifier.name`.
    pub(super) qualified: Qualified,
    pub(super) bare: Bare,
    /// Keys in literals of a named type: names if that type is a map or an array, else fields.
    pub(super) keys: Qualified,
}

/// The names found so far, and those bound where the walk stands.
pub(super) struct Names<'s> {
    source: &'s str,
    /// Open scopes: depth, and the names each binds.
    scopes: Vec<(usize, Vec<&'s str>)>,
    /// How many open scopes bind a name.
    bound: HashMap<&'s str, usize>,
    /// Declarations the walk is inside of: depth, scope, and the names they will bind.
    pending: Vec<(usize, usize, Vec<&'s str>)>,
    /// Composite literals around: depth, and what their keys are.
    literals: Vec<(usize, Keys<'s>)>,
    /// Nodes that declare a name or were counted with their parent.
    passed: HashSet<usize>,
    uses: Uses,
}

/// What the keys of a literal are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keys<'s> {
    /// Its type is written as a map, slice or array.
    Names,
    /// Its type has this name.
    Of(&'s str),
    Fields,
}

impl<'s> Names<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            source,
            scopes: Vec::new(),
            bound: HashMap::new(),
            pending: Vec::new(),
            literals: Vec::new(),
            passed: HashSet::new(),
            uses: Uses::default(),
        }
    }

    pub(super) fn finish(self) -> Uses {
        self.uses
    }

    pub(super) fn visit(&mut self, node: Node<'_>, depth: usize) {
        self.leave(depth);
        match node.kind() {
            "function_declaration" | "type_spec" | "type_alias" => {
                self.declare(node, "name", None);
                self.scopes.push((depth, Vec::new()));
            }
            "method_declaration"
            | "func_literal"
            | "function_type"
            | "method_elem"
            | "block"
            | "if_statement"
            | "for_statement"
            | "expression_switch_statement"
            | "type_switch_statement"
            | "expression_case"
            | "type_case"
            | "default_case"
            | "communication_case" => self.scopes.push((depth, Vec::new())),
            "var_spec" | "const_spec" => self.declare(node, "name", Some(depth)),
            // Types of parameters are outside of what the parameters bind: wait for the list's end.
            "parameter_declaration" | "variadic_parameter_declaration" => {
                self.declare(node, "name", Some(depth.saturating_sub(1)));
            }
            "type_parameter_declaration" => self.declare(node, "name", None),
            "short_var_declaration" => self.declare_list(node, "left", depth),
            "range_clause" | "receive_statement" if has_token(node, ":=") => self.declare_list(node, "left", depth),
            "composite_literal" => {
                let keys = node.child_by_field_name("type").map_or(Keys::Fields, |written| match written.kind() {
                    "map_type" | "slice_type" | "array_type" | "implicit_length_array_type" => Keys::Names,
                    "type_identifier" => Keys::Of(syntax::text(written, self.source)),
                    _ => Keys::Fields,
                });
                self.literals.push((depth, keys));
            }
            "keyed_element" => self.key(node, depth),
            "selector_expression" => self.qualified_name(node, "operand", "field", "identifier"),
            "qualified_type" => self.qualified_name(node, "package", "name", "package_identifier"),
            "identifier" | "type_identifier" => self.name(node),
            _ => {}
        }
        if node.kind() == "type_switch_statement" {
            self.declare_list(node, "alias", depth + 1);
        }
    }

    /// Ends what does not reach down to `depth`; declarations bind as they end.
    fn leave(&mut self, depth: usize) {
        while let Some((_, scope, names)) = self.pending.pop_if(|(at, ..)| *at >= depth) {
            if let Some((_, bound)) = self.scopes.get_mut(scope) {
                for &name in &names {
                    *self.bound.entry(name).or_default() += 1;
                }
                bound.extend(names);
            }
        }
        while let Some((_, names)) = self.scopes.pop_if(|(at, _)| *at >= depth) {
            for name in names {
                if let Some(count) = self.bound.get_mut(name) {
                    *count -= 1;
                }
            }
        }
        while self.literals.pop_if(|(at, _)| *at >= depth).is_some() {}
    }

    /// Binds the names in a field of `node`, at once or when the walk leaves `until`.
    fn declare(&mut self, node: Node<'_>, field: &str, until: Option<usize>) {
        let mut cursor = node.walk();
        let names: Vec<Node<'_>> = node.children_by_field_name(field, &mut cursor).filter(Node::is_named).collect();
        self.bind(&names, until);
    }

    /// As [`Self::declare`], for a field that holds a list of expressions.
    fn declare_list(&mut self, node: Node<'_>, field: &str, until: usize) {
        let names = node.child_by_field_name(field).map(syntax::named_children).unwrap_or_default();
        let names: Vec<Node<'_>> = names.into_iter().filter(|name| name.kind() == "identifier").collect();
        self.bind(&names, Some(until));
    }

    fn bind(&mut self, names: &[Node<'_>], until: Option<usize>) {
        self.passed.extend(names.iter().map(Node::id));
        // Outside of all functions a declaration belongs to the package.
        let Some(scope) = self.scopes.len().checked_sub(1) else { return };
        let names: Vec<&'s str> = names.iter().map(|name| syntax::text(*name, self.source)).collect();
        match until {
            Some(depth) => self.pending.push((depth, scope, names)),
            None => {
                for &name in &names {
                    *self.bound.entry(name).or_default() += 1;
                }
                self.scopes[scope].1.extend(names);
            }
        }
    }

    fn key(&mut self, node: Node<'_>, depth: usize) {
        let keys = self.literals.last().filter(|(at, _)| at + 2 == depth).map_or(Keys::Fields, |(_, keys)| *keys);
        let key = node.child_by_field_name("key").and_then(|key| key.named_child(0));
        let Some(key) = key.filter(|key| key.kind() == "identifier" && keys != Keys::Names) else { return };
        self.passed.insert(key.id());
        let name = syntax::text(key, self.source);
        if let Keys::Of(literal) = keys
            && !self.is_bound(literal)
            && !self.is_bound(name)
        {
            let line = syntax::first_line(key);
            self.uses.keys.entry((literal.to_owned(), name.to_owned())).or_insert(line);
        }
    }

    fn qualified_name(&mut self, node: Node<'_>, qualifier: &str, name: &str, kind: &str) {
        let Some(qualifier) = node.child_by_field_name(qualifier).filter(|it| it.kind() == kind) else { return };
        let Some(name) = node.child_by_field_name(name) else { return };
        self.passed.extend([qualifier.id(), name.id()]);
        let line = syntax::first_line(qualifier);
        let (qualifier, name) = (syntax::text(qualifier, self.source), syntax::text(name, self.source));
        if !self.is_bound(qualifier) {
            self.uses.qualified.entry((qualifier.to_owned(), name.to_owned())).or_insert(line);
        }
    }

    fn name(&mut self, node: Node<'_>) {
        let name = syntax::text(node, self.source);
        if !self.passed.remove(&node.id()) && !self.is_bound(name) && name != "_" && !name.is_empty() {
            self.uses.bare.entry(name.to_owned()).or_insert_with(|| syntax::first_line(node));
        }
    }

    fn is_bound(&self, name: &str) -> bool {
        self.bound.get(name).is_some_and(|count| *count > 0)
    }
}

fn has_token(node: Node<'_>, token: &str) -> bool {
    let mut cursor = node.walk();
    node.children(&mut cursor).any(|child| child.kind() == token)
}

#[cfg(test)]
mod tests {
    use super::super::super::family::Family as _;
    use super::super::Go;

    #[test]
    fn what_a_function_binds_is_not_used_from_outside() {
        let source = "\
package x
var Top = helper()
func f(param pkg.Type, wide Wide) (result Out) {
	url := url.Parse(param, result)
	url.String()
	for index := range Items { use(index) }
	for index = range Other {}
	if err := try(); err != nil { err.Error() }
	_ = err
	switch v := any.(type) { case Kind: v.Do() }
	lit := Struct{Field: value, Next: map[string]int{Key: 1}}
	_ = []Elem{{Inner: deep}, Plain}
	fn := func(in In) { in.X(wide) }
	type local Base
	var w local
	var late = late.Early()
	goto end
end:
	w.field = glob.Name
	select { case got := <-ch: got.Y() }
}
func (r *Recv[P]) method(p P) { r.x = gen[Arg](p) }
type G[K Bound] struct { Embedded; f func(named Deep) K; K }
";
        let facts = Go.parse("x.go", source).facts;
        let qualified: Vec<String> = facts.uses.qualified.keys().map(|(q, n)| format!("{q}.{n}")).collect();
        assert_eq!(qualified, ["glob.Name", "late.Early", "pkg.Type", "url.Parse"]);
        let bare: Vec<&str> = facts.uses.bare.keys().map(String::as_str).collect();
        let expected = [
            "Arg", "Base", "Bound", "Deep", "Elem", "Embedded", "In", "Items", "Key", "Kind", "Other", "Out", "P",
            "Plain", "Recv", "Struct", "Wide", "any", "ch", "deep", "err", "gen", "helper", "index", "int", "string",
            "try", "use", "value",
        ];
        assert_eq!(bare, expected);
        assert_eq!(facts.uses.bare["helper"], 2);
        let keys: Vec<String> = facts.uses.keys.keys().map(|(literal, key)| format!("{literal}.{key}")).collect();
        assert_eq!(keys, ["Struct.Field", "Struct.Next"], "fields, unless `Struct` is a map");
    }
}
