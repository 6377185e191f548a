//! What a library offers is documented; a field or variant need not be, where its name says it all.
//!
//! The compiler's `missing_docs` knows no such difference, so the workspace does without it. Public here is what is written
//! `pub`; that this is reachable from outside is held by the lint `unreachable_pub`. A module is documented by the header
//! of its file.

use syn::visit::{self, Visit};

use super::scopes::{attributes, is_for_tests};
use super::{Tree, Violation};

pub(super) fn docs(tree: &Tree) -> Vec<Violation> {
    let mut violations = Vec::new();
    for member in tree.members() {
        let source = member.source();
        for (path, file) in tree.files.iter().filter(|(path, _)| path.starts_with(&source) && path.ends_with(".rs")) {
            // What is not read as Rust is reported by `no-circles`.
            let Ok(parsed) = syn::parse_file(&file.text) else { continue };
            let mut bare = Bare::default();
            bare.visit_file(&parsed);
            violations.extend(bare.items.into_iter().map(|(line, name)| Violation {
                rule: "docs",
                place: format!("{path}:{line}"),
                message: format!("`{name}` is public and says nothing of itself"),
            }));
        }
    }
    violations
}

/// Public items without a documentation comment, by line.
#[derive(Default)]
struct Bare {
    items: Vec<(usize, String)>,
}

impl Bare {
    fn look(&mut self, visibility: &syn::Visibility, attributes: &[syn::Attribute], name: &syn::Ident) {
        if matches!(visibility, syn::Visibility::Public(_)) {
            self.must_say(attributes, name);
        }
    }

    fn must_say(&mut self, attributes: &[syn::Attribute], name: &syn::Ident) {
        if !attributes.iter().any(|attribute| attribute.path().is_ident("doc")) {
            self.items.push((name.span().start().line, name.to_string()));
        }
    }
}

impl<'ast> Visit<'ast> for Bare {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        if is_for_tests(attributes(item)) {
            return;
        }
        match item {
            syn::Item::Const(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Enum(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Fn(it) => self.look(&it.vis, &it.attrs, &it.sig.ident),
            syn::Item::Mod(it) if it.content.is_some() => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Static(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Struct(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Trait(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Type(it) => self.look(&it.vis, &it.attrs, &it.ident),
            syn::Item::Union(it) => self.look(&it.vis, &it.attrs, &it.ident),
            _ => {}
        }
        visit::visit_item(self, item);
    }

    fn visit_item_impl(&mut self, block: &'ast syn::ItemImpl) {
        if block.trait_.is_some() {
            return;
        }
        for item in &block.items {
            match item {
                syn::ImplItem::Fn(it) if !is_for_tests(&it.attrs) => self.look(&it.vis, &it.attrs, &it.sig.ident),
                syn::ImplItem::Const(it) => self.look(&it.vis, &it.attrs, &it.ident),
                _ => {}
            }
        }
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        if !matches!(item.vis, syn::Visibility::Public(_)) {
            return;
        }
        for item in &item.items {
            match item {
                syn::TraitItem::Fn(it) => self.must_say(&it.attrs, &it.sig.ident),
                syn::TraitItem::Const(it) => self.must_say(&it.attrs, &it.ident),
                syn::TraitItem::Type(it) => self.must_say(&it.attrs, &it.ident),
                _ => {}
            }
        }
    }

    /// Items inside a function are its own.
    fn visit_block(&mut self, _: &'ast syn::Block) {}
}
