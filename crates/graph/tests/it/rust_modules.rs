//! Rust: modules under conditions, raw names, included files, macros by the order of the text.

use recon_schema::graph::UnresolvedClass::{External, Missing};

use crate::expect;

const MANIFEST: (&str, &str) = ("Cargo.toml", "[package]\nname = \"z\"\n[dependencies]\nother = \"1\"\n");

#[test]
fn raw_names_are_files_by_their_plain_names() {
    let graph = expect::graph(&[
        MANIFEST,
        (
            "src/lib.rs",
            "pub mod r#match;\nmod r#type { pub mod r#loop; pub fn r#fn() {} }\nmod user;\nuse r#match::r#in;\n",
        ),
        ("src/match.rs", "pub fn r#in() {}\npub struct S;\n"),
        ("src/type/loop.rs", "pub fn l() {}\n"),
        ("src/user.rs", "use crate::r#match::S;\nfn f() { crate::r#type::r#loop::l(); crate::r#type::r#fn(); }\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/lib.rs", "src/match.rs", "module", "a raw name"),
            ("src/lib.rs", "src/user.rs", "module", "`mod`"),
            ("src/lib.rs", "src/match.rs", "import", "a path from a raw name"),
            ("src/lib.rs", "src/type/loop.rs", "module", "in an inline module with a raw name"),
            ("src/user.rs", "src/match.rs", "import", "a path over a raw name"),
            ("src/user.rs", "src/type/loop.rs", "import", "in an expression"),
            ("src/user.rs", "src/lib.rs", "import", "an item with a raw name"),
        ],
    );
    expect::unresolved(&graph, &[]);
}

#[test]
fn conditions_choose_between_files() {
    let graph = expect::graph(&[
        MANIFEST,
        (
            "src/lib.rs",
            "#[cfg_attr(unix, path = \"sys/unix.rs\")]\n#[cfg_attr(windows, path = \"sys/windows.rs\")]\nmod sys;\n#[cfg(a)]\n#[path = \"left.rs\"]\nmod side;\n#[cfg(not(a))]\n#[path = \"right.rs\"]\nmod side;\n#[cfg_attr(test, path = r\"fake.rs\")]\nmod real;\nmod user;\n#[cfg_attr(docs, path = \"none.rs\")]\nmod gone;\n#[cfg(a)]\npub use left::only_left as place;\n#[cfg(not(a))]\npub fn place() {}\n#[cfg(a)]\nmod left;\n",
        ),
        ("src/sys/unix.rs", "pub fn open() {}\nmod near;\n"),
        ("src/sys/near.rs", "pub fn n() {}\n"),
        ("src/sys/windows.rs", "pub fn open() {}\npub fn only() {}\n"),
        ("src/left.rs", "pub struct Both;\npub struct Left;\npub fn only_left() {}\n"),
        ("src/right.rs", "pub struct Both;\n"),
        ("src/fake.rs", "pub fn r() {}\n"),
        ("src/real.rs", "mod below;\npub fn r() {}\n"),
        ("src/real/below.rs", "pub fn b() {}\n"),
        ("src/user.rs", "use crate::side::{Both, Left};\nuse crate::sys::only;\nuse crate::place;\n"),
    ]);
    expect::edges(
        &graph,
        &[
            ("src/lib.rs", "src/sys/unix.rs", "module", "a path under a condition"),
            ("src/lib.rs", "src/sys/windows.rs", "module", "a second one"),
            ("src/lib.rs", "src/left.rs", "module", "a module under a condition"),
            ("src/lib.rs", "src/right.rs", "module", "its twin under the other"),
            ("src/lib.rs", "src/fake.rs", "module", "a raw string"),
            ("src/lib.rs", "src/left.rs", "reexport", "a name under a condition, an item of the file in its place"),
            ("src/lib.rs", "src/real.rs", "module", "without the condition the name counts"),
            ("src/lib.rs", "src/user.rs", "module", "`mod`"),
            ("src/sys/unix.rs", "src/sys/near.rs", "module", "a file reached by a path looks beside itself"),
            ("src/real.rs", "src/real/below.rs", "module", "one reached by its name does not"),
            ("src/user.rs", "src/lib.rs", "import", "an item that a `use` stands for under another condition"),
            ("src/user.rs", "src/left.rs", "import", "what both twins and one of them define"),
            ("src/user.rs", "src/right.rs", "import", "what both twins define"),
            ("src/user.rs", "src/sys/windows.rs", "import", "what only one file of a module defines"),
        ],
    );
    expect::unresolved(&graph, &[("src/lib.rs", "mod gone", Missing)]);
}

#[test]
fn macros_hold_modules_and_items() {
    let graph = expect::graph(&[
        MANIFEST,
        (
            "src/lib.rs",
            "macro_rules! mods { ($($name:ident),*) => { $(pub mod $name;)* } }\nmacro_rules! placed { ($name:ident, $at:literal) => { #[path = $at] mod $name; } }\nmacro_rules! fixed { () => { mod three; } }\nmods!(one, two, not_there);\nplaced!(moved, \"far/away.rs\");\nfixed!();\ncfg_if::cfg_if! {\n    // Why.\n    if #[cfg(unix)] {\n        mod unix;\n        pub use unix::go;\n    } else {\n        #[path = \"rest.rs\"]\n        mod unix;\n        mod inner { pub mod leaf; }\n    }\n}\ncfg_rt! { pub mod rt; pub use self::rt::Rt; }\nunread! { a => #[path = \"tokens.rs\"] mod tokens; }\nmod user;\n",
        ),
        ("src/one.rs", "pub fn f() {}\n"),
        ("src/two.rs", "use crate::one::f;\n"),
        ("src/three.rs", "pub fn t() {}\n"),
        ("src/far/away.rs", "pub fn a() {}\n"),
        ("src/unix.rs", "pub fn go() {}\n"),
        ("src/rest.rs", "pub fn go() {}\n"),
        ("src/inner/leaf.rs", "pub fn l() {}\n"),
        ("src/rt.rs", "pub struct Rt;\n"),
        ("src/tokens.rs", "pub struct T;\n"),
        ("src/user.rs", "use crate::{Rt, go};\nuse crate::inner::leaf::l;\nuse crate::moved::a;\n"),
    ]);
    let lib = "src/lib.rs";
    expect::edges(
        &graph,
        &[
            (lib, "src/one.rs", "module", "a macro whose rule is `mod $name;`"),
            (lib, "src/two.rs", "module", "its second argument"),
            (lib, "src/three.rs", "module", "a macro whose rule names the module"),
            (lib, "src/far/away.rs", "module", "a macro whose rule has the path as an argument"),
            (lib, "src/unix.rs", "module", "in the first block of cfg_if"),
            (lib, "src/rest.rs", "module", "in its else, moved"),
            (lib, "src/inner/leaf.rs", "module", "in an inline module there"),
            (lib, "src/unix.rs", "reexport", "a `use` in a block"),
            (lib, "src/rest.rs", "reexport", "the module is one of two files"),
            (lib, "src/rt.rs", "module", "in a macro that holds items"),
            (lib, "src/rt.rs", "reexport", "a `use` in a macro that holds items"),
            (lib, "src/tokens.rs", "module", "in arguments that are no items"),
            (lib, "src/user.rs", "module", "`mod`"),
            ("src/two.rs", "src/one.rs", "import", "such a module has its place in the tree"),
            ("src/user.rs", "src/rt.rs", "import", "through the re-export in a macro"),
            ("src/user.rs", "src/unix.rs", "import", "through the re-export in cfg_if"),
            ("src/user.rs", "src/rest.rs", "import", "and to its twin"),
            ("src/user.rs", "src/inner/leaf.rs", "import", "a module in an inline module in cfg_if"),
            ("src/user.rs", "src/far/away.rs", "import", "a module a macro placed"),
        ],
    );
}

#[test]
fn included_files_are_part_of_their_module() {
    let graph = expect::graph(&[
        ("kit/Cargo.toml", "[package]\nname = \"kit\"\n"),
        (
            "kit/src/lib.rs",
            "include!(\"parts/first.rs\");\nmod m { include!(concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/gen/second.rs\")); }\ninclude!(concat!(env!(\"OUT_DIR\"), \"/made.rs\"));\nmod user;\npub fn table() -> [u8; 2] { include!(r\"table.in\") }\n",
        ),
        ("kit/src/parts/first.rs", "mod near;\npub struct First;\n"),
        ("kit/src/parts/near.rs", "pub fn n() {}\n"),
        ("kit/gen/second.rs", "use super::First;\npub struct Second;\n"),
        ("kit/src/table.in", "[1, 2]\n"),
        ("kit/src/user.rs", "use crate::First;\nuse crate::m::Second;\n"),
    ]);
    let lib = "kit/src/lib.rs";
    expect::edges(
        &graph,
        &[
            (lib, "kit/src/parts/first.rs", "include", "seen from the file"),
            (lib, "kit/gen/second.rs", "include", "seen from the package's folder"),
            (lib, "kit/src/table.in", "include", "in an expression, whatever the file is called"),
            (lib, "kit/src/user.rs", "module", "`mod`"),
            ("kit/src/parts/first.rs", "kit/src/parts/near.rs", "module", "a module beside the included file"),
            (
                "kit/gen/second.rs",
                "kit/src/parts/first.rs",
                "import",
                "`super` is the module around the one it is part of",
            ),
            ("kit/src/user.rs", "kit/src/parts/first.rs", "import", "an item of the root, defined in a part of it"),
            ("kit/src/user.rs", "kit/gen/second.rs", "import", "an item of an inline module, defined in a part of it"),
        ],
    );
}

#[test]
fn macros_are_known_by_the_order_of_the_text() {
    let graph = expect::graph(&[
        MANIFEST,
        (
            "src/lib.rs",
            "mod early;\n#[macro_use]\nmod macros;\nmod late;\nmod inline { #[macro_use] mod hidden; mod sees; }\nmod after;\nmacro_rules! root_made { () => {} }\nmod last;\n",
        ),
        ("src/early.rs", "fn e() { my!(); }\n"),
        ("src/macros.rs", "macro_rules! my { () => {} }\nmod nested;\n"),
        ("src/macros/nested.rs", "fn n() { my!() }\nmacro_rules! lost { () => {} }\n"),
        ("src/late.rs", "// other!()\nfn l() { let s = \"root_made!()\"; vec![my!(1), my!(2)]; lost!(); }\n"),
        ("src/inline/hidden.rs", "macro_rules! secret { () => {} }\n"),
        ("src/inline/sees.rs", "secret! {}\n"),
        ("src/after.rs", "secret! {}\nroot_made!();\n"),
        ("src/last.rs", "root_made!();\nmacro_rules! my { () => {} }\nmy!();\n"),
        ("user/Cargo.toml", "[package]\nname = \"user\"\n[dependencies]\nz = { path = \"..\" }\n"),
        ("user/src/lib.rs", "#[macro_use]\nextern crate z;\nmod deep;\n"),
        ("user/src/deep.rs", "shared!();\nmy!();\n"),
        ("src/shared.rs", "#[macro_export]\nmacro_rules! shared { () => {} }\n"),
    ]);
    let found: Vec<(&str, &str)> = graph
        .edges
        .iter()
        .filter(|edge| edge.kind == "import" && !edge.names.is_empty())
        .map(|edge| (edge.from.as_str(), edge.to.as_str()))
        .collect();
    // `shared.rs` is in no module tree: what it exports is not known to be the crate's.
    let expected = [
        ("src/inline/sees.rs", "src/inline/hidden.rs"),
        ("src/last.rs", "src/lib.rs"),
        ("src/late.rs", "src/macros.rs"),
        ("src/macros/nested.rs", "src/macros.rs"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn exported_macros_stand_at_the_root() {
    let graph = expect::graph(&[
        MANIFEST,
        ("src/lib.rs", "pub use other::*;\n#[cfg(a)]\nmod p;\n#[cfg(not(a))]\nmod p2;\npub mod q;\npub mod plain;\n"),
        ("src/p.rs", "#[macro_export]\nmacro_rules! make { () => {} }\n"),
        ("src/p2.rs", "#[doc(hidden)]\n#[cfg_attr(all(), macro_export)]\nmacro_rules! make { () => {} }\n"),
        ("src/plain.rs", "macro_rules! own { () => {} }\npub(crate) use own;\n"),
        ("src/q.rs", "use crate::make;\nuse crate::plain::own;\nuse crate::Foreign;\nmake!();\n"),
        ("user/Cargo.toml", "[package]\nname = \"user\"\n[dependencies]\nz = { path = \"..\" }\n"),
        ("user/src/lib.rs", "#[macro_use]\nextern crate z;\nmod deep;\n"),
        ("user/src/deep.rs", "make!();\n"),
    ]);
    let from = |from: &str| graph.dependencies(from);
    assert_eq!(from("src/q.rs"), ["src/p.rs", "src/p2.rs", "src/plain.rs"], "both definitions, and one by its path");
    assert_eq!(from("user/src/deep.rs"), ["src/p.rs", "src/p2.rs"], "every one it may be");
    assert!(graph.unresolved.iter().any(|it| it.name == "crate::Foreign" && it.class == External));
}

#[test]
fn hostile_macros_are_survived() {
    let deep = format!("{}mod x;{}\n", "m! { ".repeat(3_000), "}".repeat(3_000));
    let flat = "m! { mod x; }\n".repeat(20_000);
    let calls = "mods!(x);\n".repeat(20_000) + "macro_rules! mods { ($a:ident) => { mod $a; } }\n";
    let graph = expect::graph(&[
        MANIFEST,
        (
            "src/lib.rs",
            "include!(\"lib.rs\");\ninclude!();\ninclude!(\"../../out.rs\");\ninclude!(concat!(\"a\", env!(\"X\")));\nmod deep;\nmod flat;\nmod calls;\n",
        ),
        ("src/deep.rs", &deep),
        ("src/flat.rs", &flat),
        ("src/calls.rs", &calls),
        ("src/flat/x.rs", "pub fn f() {}\n"),
    ]);
    assert_eq!(graph.dependencies("src/flat.rs"), ["src/flat/x.rs"]);
}

#[test]
fn a_hub_of_many_globs_serves_what_its_last_module_names() {
    const MODULES: usize = 600;
    let declared = |at: usize| format!("mod part{at};\npub use self::part{at}::*;\n");
    let hub: String = (0..MODULES).map(declared).collect();
    let parts: Vec<(String, String)> = (0..MODULES)
        .map(|at| {
            let uses = "use super::*;\n";
            // The last but one passes on what a module of its own names: such a glob is always followed.
            let rest = if at == MODULES - 2 { "mod deep { pub struct Deep; }\npub use deep::*;\n" } else { "" };
            let uses = if at == 0 { uses } else { "" };
            (format!("src/hub/part{at}.rs"), format!("{uses}{rest}pub struct Thing{at}(u8);\nstruct Hidden{at};\n"))
        })
        .collect();
    let user = format!("use crate::hub::*;\nfn f(a: Thing{}, b: Deep, c: Hidden3) {{}}\n", MODULES - 1);
    let mut files = vec![
        ("Cargo.toml", "[package]\nname = \"hub\"\n"),
        ("src/lib.rs", "mod hub;\nmod user;\n"),
        ("src/hub/mod.rs", &hub),
        ("src/user.rs", &user),
    ];
    files.extend(parts.iter().map(|(path, text)| (path.as_str(), text.as_str())));
    let graph = expect::graph(&files);
    let uses = graph.edges.iter().filter(|edge| edge.from == "src/user.rs").map(|edge| edge.to.as_str());
    assert_eq!(uses.collect::<Vec<_>>(), ["src/hub/part598.rs", "src/hub/part599.rs"]);
}
