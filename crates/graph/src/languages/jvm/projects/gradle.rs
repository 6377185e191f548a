//! The projects of Gradle: the folders that a settings file includes, and `project(":x")` in build files.
//!
//! Groovy and Kotlin are read alike, as text: calls whose arguments are written out. What a script
//! computes is not known.
//! Source: the Gradle user manual, "Multi-project builds" and "Type-safe project accessors".

use std::collections::{BTreeMap, HashMap};

use super::Projects;
use crate::paths;
use crate::repository::Repository;

/// Projects one settings file may include, and dependencies one build file may name.
const MAX_NAMED: usize = 4_096;

pub(super) fn read(repository: &Repository, projects: &mut Projects) {
    let named = |stem: &'static str| {
        repository.files.iter().filter(move |(path, _)| {
            paths::file_name(path).strip_prefix(stem).is_some_and(|rest| matches!(rest, ".gradle" | ".gradle.kts"))
        })
    };
    let mut trees: BTreeMap<&str, HashMap<String, String>> = BTreeMap::new();
    for (path, text) in named("settings") {
        trees.entry(paths::parent(path)).or_default().extend(included(paths::parent(path), &plain(text)));
    }
    for folder in trees.values().flat_map(HashMap::values) {
        projects.add(folder, []);
    }
    for (path, text) in named("build") {
        let folder = paths::parent(path);
        let tree = paths::ancestors(path).find_map(|above| trees.get(above));
        let uses = tree.map(|tree| used(tree, &plain(text))).unwrap_or_default();
        projects.add(folder, uses);
    }
}

/// The folders of the projects that a settings file includes, by their paths without the first colon.
fn included(root: &str, text: &str) -> HashMap<String, String> {
    let mut found = HashMap::from([(String::new(), root.to_owned())]);
    for (at, _) in text.match_indices("include") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.') {
            continue;
        }
        for project in arguments(&text[at + "include".len()..]) {
            let project = project.trim_start_matches(':');
            if let Some(folder) = paths::join(root, &project.replace(':', "/")).filter(|_| found.len() < MAX_NAMED) {
                found.insert(project.to_owned(), folder);
            }
        }
    }
    // `project(":x").projectDir = file("y")`.
    for (at, _) in text.match_indices("projectDir") {
        let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
        let project = texts(&text[line..at]).next();
        let folder = texts(text[at..].lines().next().unwrap_or_default()).last();
        if let (Some(project), Some(folder)) = (project, folder.and_then(|folder| paths::join(root, folder))) {
            found.insert(project.trim_start_matches(':').to_owned(), folder);
        }
    }
    found
}

/// The folders of the projects that a build file names.
fn used(tree: &HashMap<String, String>, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("project(") {
        let after = &text[at + "project(".len()..];
        let inside = &after[..after.find([')', '\n']).unwrap_or(after.len())];
        let path = texts(inside).find(|text| text.starts_with(':'));
        found.extend(path.and_then(|path| tree.get(path.trim_start_matches(':'))).cloned());
    }
    let mut accessors: Option<HashMap<String, &String>> = None;
    for (at, _) in text.match_indices("projects.") {
        if text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '.' || c == '_') {
            continue;
        }
        let accessors =
            accessors.get_or_insert_with(|| tree.iter().map(|(path, folder)| (accessor(path), folder)).collect());
        let name = &text[at + "projects.".len()..];
        let name = &name[..name.find(|c: char| !c.is_alphanumeric() && c != '.' && c != '_').unwrap_or(name.len())];
        found.extend(accessors.get(name.trim_end_matches('.')).map(|folder| (*folder).clone()));
    }
    found.truncate(MAX_NAMED);
    found
}

/// `a:some-name` as `a.someName`.
fn accessor(path: &str) -> String {
    let mut name = String::new();
    let mut raise = false;
    for c in path.chars() {
        match c {
            '-' | '_' => raise = true,
            ':' => name.push('.'),
            c if raise => {
                name.extend(c.to_uppercase());
                raise = false;
            }
            c => name.push(c),
        }
    }
    name
}

/// The texts that follow a call's name, in parentheses or not, as far as only texts and commas stand.
fn arguments(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text.trim_start_matches([' ', '\t', '(']).trim_start();
    while let Some(mark @ ('"' | '\'')) = rest.chars().next() {
        let Some((inside, after)) = rest[1..].split_once(mark) else { break };
        found.push(inside);
        let Some(next) = after.trim_start().strip_prefix(',') else { break };
        rest = next.trim_start();
    }
    found
}

/// What stands in quotes.
fn texts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\''])?;
        let mark = rest[start..].chars().next()?;
        let (inside, after) = rest[start + 1..].split_once(mark)?;
        rest = after;
        Some(inside)
    })
}

/// The text without comments; a comment's marks in a text in quotes are part of it.
fn plain(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['/', '"', '\'']) {
        kept.push_str(&rest[..at]);
        let here = &rest[at..];
        let end = if here.starts_with("//") {
            here.find('\n').unwrap_or(here.len())
        } else if here.starts_with("/*") {
            here.find("*/").map_or(here.len(), |end| end + 2)
        } else if here.starts_with('/') {
            kept.push('/');
            1
        } else {
            let mark = if here.starts_with('"') { '"' } else { '\'' };
            let end = here[1..].find([mark, '\n']).map_or(here.len(), |end| end + 2);
            kept.push_str(&here[..end]);
            end
        };
        rest = &here[end..];
    }
    kept.push_str(rest);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_include_folders() {
        let text = plain(
            "rootProject.name = 'x'\ninclude ':a', 'b:c' // , ':no'\ninclude(\n  \":d-e\",\n  \":f\"\n)\nincludeBuild('no')\n/* include ':no' */\nproject(':f').projectDir = file('g/h')\n",
        );
        let mut found: Vec<(String, String)> = included("r", &text).into_iter().collect();
        found.sort();
        let row = |path: &str, folder: &str| (path.to_owned(), folder.to_owned());
        let expected = [row("", "r"), row("a", "r/a"), row("b:c", "r/b/c"), row("d-e", "r/d-e"), row("f", "r/g/h")];
        assert_eq!(found, expected);
    }

    #[test]
    fn build_files_name_projects() {
        let tree = ["a", "b:c", "d-e", "f"].map(|path| (path.to_owned(), path.to_owned())).into_iter().collect();
        let text = "dependencies {\n  api project(':a')\n  implementation(project(path: ':b:c', configuration: 'x'))\n  testImplementation(projects.dE)\n  api(project(\":none\"))\n}\n";
        assert_eq!(used(&tree, text), ["a", "b:c", "d-e"]);
    }
}
