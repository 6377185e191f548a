//! What a file is for, from its documentation, or else from its name and place.

use recon_schema::graph::{FileNode, RepoGraph};

use super::words;
use recon_repository::line::visible;
use recon_repository::paths;

/// A clause without its full stop. `run` cuts documentation as a thought must.
pub(super) fn purpose(graph: &RepoGraph, file: &FileNode, run: bool) -> String {
    if !file.doc.is_empty() {
        return if run { words::doc_run(&file.doc) } else { visible(&file.doc).trim_end_matches('.').to_owned() };
    }
    let (path, name, stem) = (file.path.as_str(), paths::file_name(&file.path), paths::stem(&file.path));
    let directory = paths::file_name(paths::parent(path));
    let owner = if directory.is_empty() { graph.repository.name.as_str() } else { directory };
    if file.language.is_none() {
        return document(name, owner);
    }
    match (name, stem) {
        ("__init__.py" | "__init__.pyi", _) => format!("the face of the package {}", words::code(owner)),
        ("__main__.py" | "main.rs" | "main.py" | "cli.py", _) => format!("where {} is started", words::code(owner)),
        ("lib.rs", _) => format!("the root of the library, which names its modules in {}", words::code(owner)),
        ("mod.rs", _) => format!("the root of the module {}", words::code(owner)),
        ("build.rs", _) => "what is done before the crate is compiled".into(),
        ("setup.py", _) => "how the package is built and installed".into(),
        ("conftest.py", _) => "what the tests share".into(),
        (_, "index") => format!("the face of {}", words::code(owner)),
        _ if is_test(path) => match subject(graph, file) {
            Some(subject) => format!("tests of {}", words::code(&subject)),
            None => format!("tests: {}", words::split(stem)),
        },
        _ => by_name(file, stem, owner),
    }
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
fn subject(graph: &RepoGraph, file: &FileNode) -> Option<String> {
    let imported = graph.dependencies(&file.path);
    let named = imported.iter().find(|path| paths::stem(&file.path).contains(paths::stem(path)));
    named.or(if imported.len() == 1 { imported.first() } else { None }).map(|path| (*path).to_owned())
}

fn by_name(file: &FileNode, stem: &str, owner: &str) -> String {
    let subject = words::split(stem);
    let kinds: Vec<&str> = super::top_level(file).map(|symbol| symbol.kind.as_str()).collect();
    let types = kinds.iter().filter(|kind| !matches!(**kind, "function" | "constant" | "variable" | "macro")).count();
    let what = match (kinds.len(), types) {
        (0, _) => "the part",
        (all, 0) if all > 0 => "the functions",
        (all, types) if types == all => "the types",
        _ => "the code",
    };
    format!("{what} of {} for {}", words::code(owner), if subject.is_empty() { "it".into() } else { subject })
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
    format!("{kind} of {}: {}", words::code(owner), words::split(paths::stem(name)))
}
