//! Where the manifests of Python projects say that modules lie; nothing of them is run.
//!
//! `pyproject.toml` (setuptools, Poetry, Hatch, Flit, PDM, uv, Maturin, scikit-build-core, pytest),
//! `setup.cfg`, `setup.py` (its syntax), `pytest.ini` and `tox.ini` → [`Project`]s. Flit maps no
//! directories: its modules lie beside the manifest or in `src`, where every project is searched.
//!
//! Source: the references of these tools: "package_dir" of setuptools, "packages" of Poetry,
//! "Build configuration" of Hatch, `pythonpath` of pytest.

use std::collections::{BTreeMap, HashMap};

use tree_sitter::Node;

use super::calls::literal;
use super::places::{Places, arguments, called, keyword};
use crate::paths;
use crate::repository::Repository;
use crate::syntax::{self, Visit};

/// What the manifests in one directory say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Project {
    /// Whether the directory itself is one of a package's, and not only of a test configuration's.
    pub(super) packaged: bool,
    /// Directories that hold modules, from the repository's root.
    pub(super) roots: Vec<String>,
    /// Directories that tests are run with.
    pub(super) test_roots: Vec<String>,
    /// Packages by their dotted names, and the directories they lie in.
    pub(super) packages: Vec<(Vec<String>, String)>,
}

/// Every project by its directory; the root always is one.
pub(super) fn projects(repository: &Repository) -> BTreeMap<&str, Project> {
    let mut projects = BTreeMap::from([("", Project { packaged: true, ..Project::default() })]);
    for path in repository.paths() {
        let name = paths::file_name(path);
        let packaged = matches!(name, "pyproject.toml" | "setup.py" | "setup.cfg");
        if !packaged && !matches!(name, "pytest.ini" | "tox.ini") {
            continue;
        }
        let directory = paths::parent(path);
        let project = projects.entry(directory).or_default();
        project.packaged |= packaged;
        let text = repository.files.get(path).map(String::as_str).unwrap_or_default();
        let mut said = Said { directory, project };
        match name {
            "pyproject.toml" => said.pyproject(text),
            "setup.py" => said.setup(text),
            _ => said.ini(text),
        }
    }
    projects
}

/// What a manifest in `directory` says, as it is read.
struct Said<'p> {
    directory: &'p str,
    project: &'p mut Project,
}

impl Said<'_> {
    fn root(&mut self, relative: &str) {
        self.project.roots.extend(paths::join(self.directory, relative));
    }

    fn tested_with(&mut self, relative: &str) {
        self.project.test_roots.extend(paths::join(self.directory, relative));
    }

    /// The package `name` lies in `relative`; an empty name stands for all that has no entry.
    fn package(&mut self, name: &str, relative: &str) {
        let name: Vec<String> = name.split(['.', '/']).filter(|part| !part.is_empty()).map(str::to_owned).collect();
        if name.is_empty() {
            self.root(relative);
        } else if let Some(directory) = paths::join(self.directory, relative) {
            self.project.packages.push((name, directory));
        }
    }

    fn pyproject(&mut self, text: &str) {
        let Ok(table) = text.parse::<toml::Table>() else { return };
        let at = |path: &str| {
            let mut value = None;
            for key in path.split('.') {
                value = value.map_or_else(|| table.get(key), |value: &toml::Value| value.get(key));
                value?;
            }
            value
        };
        for path in [
            "tool.setuptools.packages.find.where",
            "tool.pdm.build.package-dir",
            "tool.uv.build-backend.module-root",
            "tool.maturin.python-source",
            "tool.hatch.build.dev-mode-dirs",
        ] {
            strings(at(path)).for_each(|root| self.root(root));
        }
        for (name, directory) in entries(at("tool.setuptools.package-dir")) {
            self.package(name, directory);
        }
        for package in at("tool.poetry.packages").and_then(toml::Value::as_array).into_iter().flatten() {
            let of = |key| package.get(key).and_then(toml::Value::as_str);
            let (include, from) = (of("include").unwrap_or_default(), of("from").unwrap_or_default());
            match of("to").filter(|_| !include.contains('*')) {
                Some(to) => self.package(&format!("{to}/{include}"), &format!("{from}/{include}")),
                None => self.root(from),
            }
        }
        for build in ["tool.hatch.build", "tool.hatch.build.targets.wheel"] {
            let of = |key: &str| at(&format!("{build}.{key}"));
            strings(of("sources")).for_each(|root| self.root(root));
            strings(of("packages")).for_each(|package| self.root(paths::parent(package.trim_end_matches('/'))));
            for (directory, name) in entries(of("sources")).chain(entries(of("force-include"))) {
                self.package(name.trim_end_matches(".py"), directory.trim_end_matches(".py"));
            }
        }
        let wheel = at("tool.scikit-build.wheel.packages");
        strings(wheel).for_each(|package| self.root(paths::parent(package)));
        for (name, directory) in entries(wheel) {
            self.package(name, directory);
        }
        for path in ["tool.pytest.ini_options.pythonpath", "tool.pytest.pythonpath"] {
            strings(at(path)).flat_map(str::split_whitespace).for_each(|root| self.tested_with(root));
        }
    }

    fn ini(&mut self, text: &str) {
        for (section, key, value) in ini(text) {
            let words = || value.split([' ', '\t', '\n', ',']).filter(|word| !word.is_empty());
            match (section.as_str(), key.as_str()) {
                ("options", "package_dir" | "package-dir") => {
                    for (name, directory) in value.split(['\n', ',']).filter_map(|entry| entry.split_once('=')) {
                        self.package(name.trim(), directory.trim());
                    }
                }
                ("options.packages.find", "where") | ("files", "packages_root") => words().for_each(|it| self.root(it)),
                ("pytest" | "tool:pytest", "pythonpath") => words().for_each(|it| self.tested_with(it)),
                _ => {}
            }
        }
    }

    fn setup(&mut self, text: &str) {
        let Some(tree) = syntax::parse(&tree_sitter_python::LANGUAGE.into(), text) else { return };
        let mut places = Places::default();
        let mut dictionaries: HashMap<&str, Node<'_>> = HashMap::new();
        syntax::walk(tree.root_node(), |node, _| {
            let field = |name: &str| node.child_by_field_name(name);
            match node.kind() {
                "assignment" => {
                    if let (Some(left), Some(right)) = (field("left"), field("right")) {
                        places.assign(syntax::text(left, text), right, text);
                        dictionaries.insert(syntax::text(left, text), right);
                        if left.kind() == "subscript" && syntax::text(left, text).contains("package_dir") {
                            self.mapping(right, text, &places, &dictionaries);
                        }
                    }
                }
                "keyword_argument" if syntax::field_text(node, "name", text) == Some("package_dir") => {
                    field("value").into_iter().for_each(|value| self.mapping(value, text, &places, &dictionaries));
                }
                "pair" if field("key").and_then(|key| literal(key, text)).as_deref() == Some("package_dir") => {
                    field("value").into_iter().for_each(|value| self.mapping(value, text, &places, &dictionaries));
                }
                "call" if matches!(called(node, text), Some("find_packages" | "find_namespace_packages")) => {
                    let place = arguments(node).first().copied().or_else(|| keyword(node, "where", text));
                    if let Some(place) = place.and_then(|place| places.of(place, text)) {
                        self.root(&place.path);
                    }
                }
                _ => {}
            }
            Visit::Into
        });
    }

    /// `{"name": "directory"}`, `dict(name="directory")`, or a variable that holds one.
    fn mapping(&mut self, value: Node<'_>, text: &str, places: &Places, dictionaries: &HashMap<&str, Node<'_>>) {
        let variable = dictionaries.get(syntax::text(value, text)).filter(|_| value.kind() == "identifier");
        let value = variable.copied().unwrap_or(value);
        let pairs = match value.kind() {
            "dictionary" => syntax::named_children(value),
            "call" => value.child_by_field_name("arguments").map(syntax::named_children).unwrap_or_default(),
            _ => return,
        };
        for pair in pairs {
            let name = match pair.kind() {
                "pair" => pair.child_by_field_name("key").and_then(|key| literal(key, text)),
                "keyword_argument" => syntax::field_text(pair, "name", text).map(str::to_owned),
                _ => None,
            };
            let place = pair.child_by_field_name("value").and_then(|value| places.of(value, text));
            if let (Some(name), Some(place)) = (name, place) {
                self.package(&name, &place.path);
            }
        }
    }
}

/// A string, or the strings of a list.
fn strings(value: Option<&toml::Value>) -> impl Iterator<Item = &str> {
    let list = value.and_then(toml::Value::as_array).into_iter().flatten();
    value.into_iter().chain(list).filter_map(toml::Value::as_str)
}

/// The entries of a table whose values are strings.
fn entries(value: Option<&toml::Value>) -> impl Iterator<Item = (&str, &str)> {
    let table = value.and_then(toml::Value::as_table).into_iter().flatten();
    table.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?)))
}

/// Section, key and value of every option; a value that goes on in indented lines keeps its line feeds.
fn ini(text: &str) -> Vec<(String, String, String)> {
    let mut options: Vec<(String, String, String)> = Vec::new();
    let mut section = String::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let trimmed = line.trim();
        if line.starts_with([' ', '\t']) {
            if let Some((_, _, value)) = options.last_mut() {
                value.push('\n');
                value.push_str(trimmed);
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            name.trim().clone_into(&mut section);
        } else if let Some((key, value)) = trimmed.split_once(['=', ':']) {
            options.push((section.clone(), key.trim().to_lowercase(), value.trim().to_owned()));
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Roots, test roots and packages of a project whose manifest stands in `at`.
    fn said(name: &str, text: &str) -> (String, String, String) {
        let path = format!("at/{name}");
        let repository = Repository::from_files("r", [(path.as_str(), text)]);
        let project = projects(&repository).remove("at").unwrap();
        let packages = project.packages.iter().map(|(name, directory)| format!("{}:{directory}", name.join(".")));
        (project.roots.join(" "), project.test_roots.join(" "), packages.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn every_manifest_maps_directories_in_its_own_way() {
        let rows = [
            (
                "pyproject.toml",
                "[tool.setuptools]\npackage-dir = {\"\" = \"lib\", kk = \"a/b\"}",
                "at/lib",
                "",
                "kk:at/a/b",
            ),
            ("pyproject.toml", "[tool.setuptools.packages.find]\nwhere = [\"x\", \"y\"]", "at/x at/y", "", ""),
            ("pyproject.toml", "[[tool.poetry.packages]]\ninclude = \"p\"\nfrom = \"lib\"", "at/lib", "", ""),
            (
                "pyproject.toml",
                "[tool.poetry]\npackages = [{include = \"p\", from = \"lib\", to = \"t\"}]",
                "",
                "",
                "t.p:at/lib/p",
            ),
            ("pyproject.toml", "[tool.hatch.build.targets.wheel]\npackages = [\"code/p\"]", "at/code", "", ""),
            (
                "pyproject.toml",
                "[tool.hatch.build.targets.wheel.sources]\n\"code/p\" = \"q\"\n\"z\" = \"\"",
                "at/z",
                "",
                "q:at/code/p",
            ),
            (
                "pyproject.toml",
                "[tool.hatch.build.targets.wheel.force-include]\n\"../o.py\" = \"q/o.py\"",
                "",
                "",
                "q.o:o",
            ),
            ("pyproject.toml", "[tool.scikit-build.wheel.packages]\n\"p/q\" = \"c\"", "", "", "p.q:at/c"),
            ("pyproject.toml", "[tool.maturin]\npython-source = \"python\"", "at/python", "", ""),
            ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = [\"src\", \".\"]", "", "at/src at", ""),
            ("pyproject.toml", "[tool.pytest.ini_options]\npythonpath = \"a b\"", "", "at/a at/b", ""),
            (
                "setup.cfg",
                "[options]\npackage_dir =\n    = src\n    # no\n    kk = lib/impl\n",
                "at/src",
                "",
                "kk:at/lib/impl",
            ),
            (
                "setup.cfg",
                "[options.packages.find]\nwhere = code\n[tool:pytest]\npythonpath = t\n",
                "at/code",
                "at/t",
                "",
            ),
            ("pytest.ini", "[pytest]\npythonpath =\n  a\n  b/c\n", "", "at/a at/b/c", ""),
            ("tox.ini", "[testenv]\npythonpath = no\n[pytest]\npythonpath: yes\n", "", "at/yes", ""),
            ("setup.py", "setup(package_dir={'kk': 'impl', '': os.path.join('a', 'b')})", "at/a/b", "", "kk:at/impl"),
            ("setup.py", "dirs = dict(kk='impl')\nsetuptools.setup(package_dir=dirs)", "", "", "kk:at/impl"),
            ("setup.py", "config = {'package_dir': {'kk.sub': 'x'}}\nsetup(**config)", "", "", "kk.sub:at/x"),
            ("setup.py", "setup(packages=find_packages(where='lib'))", "at/lib", "", ""),
            (
                "setup.py",
                "HERE = os.path.dirname(__file__)\nsetup(packages=find_packages(HERE + '/lib'))",
                "at/lib",
                "",
                "",
            ),
            ("setup.py", "setup(package_dir=compute())", "", "", ""),
            ("pyproject.toml", "[tool.setuptools", "", "", ""),
        ];
        for (name, text, roots, test_roots, packages) in rows {
            let expected = (roots.to_owned(), test_roots.to_owned(), packages.to_owned());
            assert_eq!(said(name, text), expected, "{name}: {text}");
        }
    }
}
