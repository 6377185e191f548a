//! What one Rust file declares, imports and names, read from its syntax tree.
//!
//! Input: a file's text. Output: a scope for the file and one for each inline module in it: names of items, `use`
//! declarations leaf by leaf, and the paths in its code. Code that is compiled for tests only (`#[cfg(test)]`) is left out.
//! The arguments of macros are read as paths where they look like one: `a::b`, never a single name.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::{self, Visit};

/// A module's worth of one file.
#[derive(Debug, Default)]
pub(super) struct Scope {
    /// Inline modules from the file down to this one; empty for the file itself.
    pub(super) inside: Vec<String>,
    /// Names that are defined here.
    pub(super) items: BTreeSet<String>,
    pub(super) imports: Vec<Import>,
    /// Paths in code, by their segments.
    pub(super) paths: BTreeSet<Vec<String>>,
    /// Modules that are declared here, and kept in files that only tests read.
    pub(super) test_modules: BTreeSet<String>,
}

/// One leaf of a `use` declaration.
#[derive(Debug)]
pub(super) struct Import {
    /// The name it binds; none for a glob.
    pub(super) name: Option<String>,
    pub(super) path: Vec<String>,
    /// Whether others may reach the name through this module.
    pub(super) is_public: bool,
}

/// The scopes of a file, its own first.
pub(super) fn read(text: &str) -> syn::Result<Vec<Scope>> {
    let file = syn::parse_file(text)?;
    let mut reader = Reader { done: Vec::new(), open: vec![Scope::default()] };
    reader.visit_file(&file);
    let mut scopes = reader.open;
    scopes.append(&mut reader.done);
    Ok(scopes)
}

/// Whether what these attributes stand on is compiled for tests only.
pub(super) fn is_for_tests(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// Attributes of an item of a module.
pub(super) fn attributes(item: &syn::Item) -> &[syn::Attribute] {
    match item {
        syn::Item::Const(it) => &it.attrs,
        syn::Item::Enum(it) => &it.attrs,
        syn::Item::ExternCrate(it) => &it.attrs,
        syn::Item::Fn(it) => &it.attrs,
        syn::Item::ForeignMod(it) => &it.attrs,
        syn::Item::Impl(it) => &it.attrs,
        syn::Item::Macro(it) => &it.attrs,
        syn::Item::Mod(it) => &it.attrs,
        syn::Item::Static(it) => &it.attrs,
        syn::Item::Struct(it) => &it.attrs,
        syn::Item::Trait(it) => &it.attrs,
        syn::Item::Type(it) => &it.attrs,
        syn::Item::Union(it) => &it.attrs,
        syn::Item::Use(it) => &it.attrs,
        _ => &[],
    }
}

/// The name that an item gives its module; modules and imports are kept apart.
fn defined(item: &syn::Item) -> Option<String> {
    let name = match item {
        syn::Item::Const(it) => &it.ident,
        syn::Item::Enum(it) => &it.ident,
        syn::Item::Fn(it) => &it.sig.ident,
        syn::Item::Macro(it) => it.ident.as_ref()?,
        syn::Item::Static(it) => &it.ident,
        syn::Item::Struct(it) => &it.ident,
        syn::Item::Trait(it) => &it.ident,
        syn::Item::Type(it) => &it.ident,
        syn::Item::Union(it) => &it.ident,
        _ => return None,
    };
    Some(name.to_string())
}

struct Reader {
    done: Vec<Scope>,
    /// From the file to the module that is being read; never empty.
    open: Vec<Scope>,
}

impl Reader {
    fn here(&mut self) -> &mut Scope {
        self.open.last_mut().expect("the file's own scope is never closed")
    }

    fn import(&mut self, tree: &syn::UseTree, mut path: Vec<String>, is_public: bool) {
        let (name, last) = match tree {
            syn::UseTree::Path(it) => {
                path.push(it.ident.to_string());
                return self.import(&it.tree, path, is_public);
            }
            syn::UseTree::Group(it) => {
                return it.items.iter().for_each(|tree| self.import(tree, path.clone(), is_public));
            }
            syn::UseTree::Name(it) => (Some(it.ident.to_string()), Some(it.ident.to_string())),
            syn::UseTree::Rename(it) => (Some(it.rename.to_string()), Some(it.ident.to_string())),
            syn::UseTree::Glob(_) => (None, None),
        };
        // `use a::{self}` imports `a` by its own name.
        let of_itself = last.as_deref() == Some("self") && !path.is_empty();
        let name = if of_itself && name.as_deref() == Some("self") { path.last().cloned() } else { name };
        path.extend(last.filter(|_| !of_itself));
        self.here().imports.push(Import { name, path, is_public });
    }

    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            let mut path = Vec::new();
            while let Some(TokenTree::Ident(name)) = tokens.get(at) {
                path.push(name.to_string());
                at += 1;
                let colon = |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(it)) if it.as_char() == ':');
                if !(colon(at) && colon(at + 1)) {
                    break;
                }
                at += 2;
            }
            if path.len() > 1 {
                self.here().paths.insert(path);
            } else if path.is_empty() {
                if let TokenTree::Group(group) = &tokens[at] {
                    self.tokens(group.stream());
                }
                at += 1;
            }
        }
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_for_tests(attributes(item)) {
            if let syn::Item::Mod(module) = item {
                self.here().test_modules.insert(module.ident.to_string());
            }
            return;
        }
        self.here().items.extend(defined(item));
        visit::visit_item(self, item);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if module.content.is_none() {
            return;
        }
        let mut inside = self.here().inside.clone();
        inside.push(module.ident.to_string());
        self.open.push(Scope { inside, ..Scope::default() });
        visit::visit_item_mod(self, module);
        self.done.extend(self.open.pop());
    }

    fn visit_item_use(&mut self, declared: &'ast syn::ItemUse) {
        if declared.leading_colon.is_none() {
            let is_public = !matches!(declared.vis, syn::Visibility::Inherited);
            self.import(&declared.tree, Vec::new(), is_public);
        }
    }

    fn visit_impl_item_fn(&mut self, method: &'ast syn::ImplItemFn) {
        if !is_for_tests(&method.attrs) {
            visit::visit_impl_item_fn(self, method);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            let segments = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.here().paths.insert(segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(called.tokens.clone());
    }

    /// `pub(in a::b)` says who may use a thing, not what is used.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(paths: &BTreeSet<Vec<String>>) -> Vec<String> {
        paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_use_declaration_is_read_leaf_by_leaf() {
        let scopes = read("use crate::a::{self, b::C as D, e::*};\npub(crate) use super::f;\nuse ::std::x;").unwrap();
        let shown: Vec<_> = scopes[0]
            .imports
            .iter()
            .map(|it| {
                format!(
                    "{}={}{}",
                    it.name.as_deref().unwrap_or("*"),
                    it.path.join("::"),
                    ["", "+"][usize::from(it.is_public)]
                )
            })
            .collect();
        assert_eq!(shown, ["a=crate::a", "D=crate::a::b::C", "*=crate::a::e", "f=super::f+"]);
    }

    #[test]
    fn paths_are_found_in_types_code_and_macros() {
        let text = "fn f(x: crate::a::T) { super::g(); println!(\"{}\", [crate::b::h(1)]); x.y::<i::J>() }";
        let scopes = read(text).unwrap();
        let found = joined(&scopes[0].paths);
        for path in ["crate::a::T", "super::g", "crate::b::h", "i::J"] {
            assert!(found.iter().any(|it| it == path), "{path} is not among {found:?}");
        }
        assert!(scopes[0].items.contains("f"));
    }

    #[test]
    fn what_only_tests_see_is_left_out() {
        let text = "#[cfg(test)] mod tests { use crate::a::B; }\n#[cfg(test)] mod other;\n#[cfg(test)] use crate::c::D;\n\
                    mod inner { use crate::e::F; }\n#[cfg(unix)] fn g() { crate::h::i() }";
        let scopes = read(text).unwrap();
        assert_eq!((scopes.len(), scopes[0].imports.len()), (2, 0));
        assert_eq!(scopes[1].inside, ["inner"]);
        assert!(scopes[0].test_modules.contains("other"));
        assert!(joined(&scopes[0].paths).contains(&"crate::h::i".to_owned()), "code of a platform counts");
    }
}
