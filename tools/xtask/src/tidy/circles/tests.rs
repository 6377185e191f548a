//! Circles that must be found, and shapes that are none.

use super::super::tree::File;
use super::*;

/// Files of `crates/lm/src`, and perhaps the list.
fn found(files: &[(&str, &str)], known: Option<&str>) -> Vec<String> {
    let mut all = BTreeMap::new();
    let mut add = |path: String, text: &str| {
        all.insert(path, File { bytes: text.len() as u64, text: text.to_owned() });
    };
    add("crates/lm/Cargo.toml".into(), "[package]\n");
    for (path, text) in files {
        add(format!("crates/lm/src/{path}"), text);
    }
    if let Some(text) = known {
        add(KNOWN.into(), text);
    }
    no_circles(&Tree { files: all }).into_iter().map(|it| format!("{}: {}", it.place, it.message)).collect()
}

#[test]
fn two_files_that_use_each_other_are_a_circle() {
    let with =
        |b: &str| found(&[("lib.rs", "mod a; mod b;"), ("a.rs", "use crate::b::B; pub struct A;"), ("b.rs", b)], None);
    let by_use = with("use super::a::A; pub struct B;");
    assert_eq!(by_use.len(), 1, "{by_use:?}");
    assert!(by_use[0].contains("crates/lm/src/a.rs → (B) crates/lm/src/b.rs → (A) crates/lm/src/a.rs"), "{by_use:?}");
    assert_eq!(with("pub struct B; fn f() -> crate::a::A { todo() }").len(), 1, "a path in a type");
    assert_eq!(with("pub struct B; fn f() { vec![crate::a::A] }").len(), 1, "a path in a macro's argument");
    assert_eq!(with("use crate::a; pub struct B; fn f() { a::A }").len(), 1, "a module by its name");
    assert_eq!(with("pub struct B; mod c { use super::super::a::A; }").len(), 1, "an inline module is its file");
    assert_eq!(
        with("pub struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        Vec::<String>::new(),
        "tests may look"
    );
    assert_eq!(with("use std::a::A; pub struct B;"), Vec::<String>::new(), "another crate's");
}

#[test]
fn a_name_that_is_handed_on_leads_to_its_file() {
    // `lib.rs` hands on; only `a` and `b` use anything.
    let files = |b: &'static str| {
        [("lib.rs", "mod a; mod b; pub use a::A; pub use b::*;"), ("a.rs", "use crate::B; pub struct A;"), ("b.rs", b)]
    };
    assert_eq!(found(&files("pub struct B;"), None), Vec::<String>::new());
    let circle = found(&files("use crate::A; pub struct B;"), None);
    assert!(circle.len() == 1 && circle[0].contains("2 files in a circle"), "{circle:?}");
}

#[test]
fn a_module_and_what_lies_below_it_may_use_each_other() {
    let tree = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod b; mod c; use b::B; pub struct A; fn f() { c::g() }"),
        ("a/b.rs", "use super::A; pub struct B;"),
        ("a/c.rs", "use super::A; pub fn g() {}"),
    ];
    assert_eq!(found(&tree, None), Vec::<String>::new());
    // One step sideways makes the root's part of it a circle of three.
    let mut sideways = tree;
    sideways[2].1 = "use super::A; use super::c::g; pub struct B;";
    let circle = found(&sideways, None);
    assert!(circle.len() == 1 && circle[0].contains("3 files in a circle"), "{circle:?}");
}

#[test]
fn a_module_and_a_function_of_one_name_are_told_apart() {
    let files = [
        ("lib.rs", "mod pack; mod row; pub use pack::pack;"),
        ("pack.rs", "use crate::row::Row; pub fn pack() {}"),
        ("row.rs", "pub struct Row; fn f() { crate::pack() }"),
    ];
    assert_eq!(found(&files, None).len(), 1);
}

#[test]
fn the_list_lets_pass_what_it_names_and_must_be_needed() {
    let circle = [
        ("lib.rs", "mod a; mod b;"),
        ("a.rs", "use crate::b::B; pub struct A;"),
        ("b.rs", "use crate::a::A; pub struct B;"),
    ];
    let entry = |files: &str, fix: &str| format!("[[circle]]\nfiles = [{files}]\nfix = \"{fix}\"\n");
    let both = r#""crates/lm/src/a.rs", "crates/lm/src/b.rs""#;
    assert_eq!(found(&circle, Some(&entry(both, "b loses A"))), Vec::<String>::new());
    assert_eq!(found(&circle, Some(&entry(both, ""))).len(), 1, "an entry without a fix");
    let other = found(&circle, Some(&entry(r#""crates/lm/src/a.rs", "crates/lm/src/c.rs""#, "x")));
    assert_eq!(other.len(), 2, "the circle is not listed and the entry not needed: {other:?}");
    assert_eq!(found(&circle[..1], Some(&entry(both, "b loses A"))).len(), 1, "an entry that outlived its circle");
    assert_eq!(found(&circle, Some("circle = 1")).len(), 1, "a list that cannot be read hides nothing");
}

#[test]
fn a_file_that_is_no_rust_is_not_passed_over() {
    assert_eq!(found(&[("lib.rs", "fn (")], None).len(), 1);
}
