//! Every family of languages this crate reads.
//!
//! A new family is one module here and one line in [`ALL`]; what it is to answer stands in [`family`].

mod c;
mod csharp;
mod family;
mod go;
mod javascript;
mod jvm;
mod php;
mod python;
mod read;
mod ruby;
mod rust;
mod scoped;

use std::collections::BTreeMap;

pub(crate) use family::{Link, Resolution};
pub(crate) use read::{Read, ReadFile};

/// Every family; a path belongs to the first that takes it.
pub(crate) const ALL: [&dyn Read; 9] = [
    &python::Python,
    &rust::Rust,
    &javascript::EcmaScript,
    &go::Go,
    &c::C,
    &jvm::Jvm,
    &csharp::CSharp,
    &ruby::Ruby,
    &php::Php,
];

/// Files that the files of a language include as a part of their own text, each with the place of
/// its family in [`ALL`].
pub(crate) fn fragments<'s>(sources: &[(&'s str, &'s str)]) -> BTreeMap<&'s str, usize> {
    let family = ALL.iter().position(|family| family.has("c")).expect("C is one of the families");
    c::fragments(sources).into_iter().map(|path| (path, family)).collect()
}
