//! What a file is for, from its documentation, or else from its name and place.

use recon_repository::line::visible;
use recon_repository::paths;
use recon_schema::graph::FileNode;

use super::project::{Project, top_level};
use super::words::{code, doc_run, split};

/// A clause without its full stop. `run` cuts documentation as a thought must.
pub(super) fn purpose(project: &Project<'_>, file: &FileNode, run: bool) -> String {
    if !file.doc.is_empty() {
        return if run { doc_run(&file.doc) } else { visible(&file.doc).trim_end_matches('.').to_owned() };
    }
    let (path, name, stem) = (file.path.as_str(), paths::file_name(&file.path), paths::stem(&file.path));
    let owner = owner(project, path);
    if file.language.is_none() {
        return document(name, owner);
    }
    match (name, stem) {
        ("__init__.py" | "__init__.pyi", _) => format!("the face of the package {}", code(owner)),
        ("__main__.py" | "main.rs", _) => format!("where {} is started", code(owner)),
        ("lib.rs", _) => format!("the root of the library {}", code(owner)),
        ("mod.rs", _) => format!("the root of the module {}", code(owner)),
        ("build.rs", _) if is_beside(project, path, "Cargo.toml") => "what is done before the crate is compiled".into(),
        ("setup.py", _) => "how the package is built and installed".into(),
        ("conftest.py", _) => "what the tests share".into(),
        (_, "index") => format!("the face of {}", code(owner)),
        _ if is_test(path) => match subject(project, file) {
            Some(subject) => format!("tests of {}", code(&subject)),
            None => format!("tests: {}", split(stem)),
        },
        _ => by_name(file, stem, owner),
    }
}

/// The directory a file speaks for, `src` passed over; at the top, the repository.
fn owner<'a>(project: &Project<'a>, path: &'a str) -> &'a str {
    let mut directories = paths::ancestors(path).map(paths::file_name);
    directories.find(|name| !matches!(*name, "src")).filter(|name| !name.is_empty()).unwrap_or(project.name())
}

fn is_beside(project: &Project<'_>, path: &str, name: &str) -> bool {
    paths::join(paths::parent(path), name).is_some_and(|other| project.graph.file(&other).is_some())
}

/// Whether a path follows the naming of tests.
pub(super) fn is_test(path: &str) -> bool {
    let stem = paths::stem(path);
    stem.starts_with("test_")
        || stem.ends_with("_test")
        || stem.ends_with(".test")
        || stem.ends_with(".spec")
        || paths::ancestors(path).any(|directory| matches!(paths::file_name(directory), "tests" | "test" | "__tests__"))
}

/// The tested file: the imported one whose name the test's name holds, else the only one imported.
fn subject(project: &Project<'_>, file: &FileNode) -> Option<String> {
    let imported = project.uses(&file.path);
    let named = imported.iter().find(|used| paths::stem(&file.path).contains(paths::stem(&used.file.path)));
    let only = if imported.len() == 1 { imported.first() } else { None };
    named.or(only).map(|used| used.file.path.clone())
}

fn by_name(file: &FileNode, stem: &str, owner: &str) -> String {
    let subject = split(stem);
    let is_value = |kind: &str| matches!(kind, "constant" | "variable" | "field" | "property");
    let is_code = |kind: &str| matches!(kind, "function" | "method" | "macro" | "module" | "namespace");
    let kinds: Vec<&str> = top_level(file).map(|symbol| symbol.kind.as_str()).collect();
    let what = match kinds.as_slice() {
        [] => "the part",
        kinds if kinds.iter().all(|kind| *kind == "function") => "the functions",
        kinds if kinds.iter().all(|kind| is_value(kind)) => "the values",
        kinds if !kinds.iter().any(|kind| is_value(kind) || is_code(kind)) => "the types",
        _ => "the code",
    };
    format!("{what} of {} for {}", code(owner), if subject.is_empty() { "it".into() } else { subject })
}

fn document(name: &str, owner: &str) -> String {
    let lower = name.to_lowercase();
    let known = [
        ("readme", "what the project is and how it is used"),
        ("licen", "the licence"),
        ("copying", "the licence"),
        ("changelog", "what changed from version to version"),
        ("contributing", "how to take part"),
        ("cargo.toml", "the manifest: name, dependencies, targets"),
        ("cargo.lock", "the exact versions of all dependencies"),
        ("pyproject.toml", "the manifest: name, dependencies, tools"),
        ("setup.cfg", "the settings of the package and its tools"),
        ("requirements", "the packages that must be installed"),
        ("package.json", "the manifest: name, scripts, dependencies"),
        ("tsconfig", "the compiler's settings"),
        ("makefile", "the commands of everyday work"),
        ("dockerfile", "the image it runs in"),
    ];
    if let Some((_, purpose)) = known.iter().find(|(start, _)| lower.starts_with(start)) {
        return (*purpose).to_owned();
    }
    let kind = match paths::extension(&lower) {
        "md" | "rst" | "txt" | "adoc" => "a document",
        "toml" | "yaml" | "yml" | "json" | "ini" | "cfg" => "settings or data",
        "sh" | "bash" | "ps1" | "bat" => "a script",
        "html" | "css" | "scss" => "a part of the page",
        "csv" | "tsv" | "xml" => "data",
        _ => "a text file",
    };
    format!("{kind} of {}: {}", code(owner), split(paths::stem(name)))
}
