//! The licence a repository declares in its own manifests.
//!
//! Files → the first SPDX expression declared at the root, asked of Cargo, Python, npm, Composer,
//! RubyGems and Maven in this order. Where all files lie in one folder, as in the archives of npm, that is the root.
//! No manifest is run: of `setup.py` and gemspecs literals alone
//! are read. A declaration that leaves open which licence is meant counts as none; one that names
//! a file instead ([`licence_file`]) leaves the word to that file's text.

use std::collections::BTreeMap;

use serde_json::Value;

use super::licence_names::{choice, expression};

type Files = BTreeMap<String, String>;

/// What begins a licence among the classifiers of a Python package.
const CLASSIFIER: &str = "License :: ";

/// The files as they lie below the root.
struct Root<'f> {
    files: &'f Files,
    /// Empty, or the only folder with a slash behind it.
    folder: &'f str,
}

impl<'f> Root<'f> {
    fn of(files: &'f Files) -> Self {
        Self { files, folder: only_folder(files) }
    }

    fn get(&self, name: &str) -> Option<&'f str> {
        self.files.get(&format!("{}{name}", self.folder)).map(String::as_str)
    }

    fn iter(&self) -> impl Iterator<Item = (&'f str, &'f str)> {
        let folder = self.folder.len();
        self.files.iter().map(move |(path, text)| (&path[folder..], text.as_str()))
    }
}

/// The folder that all files lie in, with a slash behind it; empty where there is none.
pub(crate) fn only_folder(files: &Files) -> &str {
    let (Some((first, _)), Some((last, _))) = (files.first_key_value(), files.last_key_value()) else { return "" };
    let folder = first.find('/').map_or("", |slash| &first[..=slash]);
    // Sorted paths that begin with the same folder stand together.
    if last.starts_with(folder) { folder } else { "" }
}

/// The declared SPDX expression.
pub(crate) fn licence(files: &Files) -> Option<String> {
    let root = Root::of(files);
    let readers = [cargo, pyproject, setup_cfg, setup_py, core_metadata, npm, composer, gemspec, maven];
    readers.iter().find_map(|read| read(&root))
}

/// The file that a manifest at the root names instead of a licence: `license-file` of Cargo, `license = {file = …}` of
/// Python, `SEE LICENSE IN …` of npm. It need not be named like a licence, nor lie at the root.
pub(crate) fn licence_file(files: &Files) -> Option<String> {
    let root = Root::of(files);
    let named = [cargo_file, pyproject_file, npm_file].iter().find_map(|read| read(&root))?;
    let named = named.trim().trim_start_matches("./");
    root.get(named).map(|_| format!("{}{named}", root.folder))
}

fn cargo_file(files: &Root<'_>) -> Option<String> {
    let table = toml(files, "Cargo.toml")?;
    let named = |section: &toml::Value| Some(section.get("license-file")?.as_str()?.to_owned());
    table.get("package").and_then(named).or_else(|| table.get("workspace")?.get("package").and_then(named))
}

fn pyproject_file(files: &Root<'_>) -> Option<String> {
    let table = toml(files, "pyproject.toml")?;
    Some(table.get("project")?.get("license")?.get("file")?.as_str()?.to_owned())
}

fn npm_file(files: &Root<'_>) -> Option<String> {
    const SEE: &str = "see license in ";
    let package = npm_package(files)?;
    let said = package.get("license")?.as_str()?.trim();
    said.get(..SEE.len()).filter(|words| words.eq_ignore_ascii_case(SEE)).map(|_| said[SEE.len()..].to_owned())
}

fn toml(files: &Root<'_>, name: &str) -> Option<toml::Table> {
    files.get(name)?.parse().ok()
}

fn cargo(files: &Root<'_>) -> Option<String> {
    let table = toml(files, "Cargo.toml")?;
    let declared = |section: &toml::Value| Some(section.get("license")?.as_str()?.to_owned());
    let own = table.get("package").and_then(declared);
    let declared = own.or_else(|| table.get("workspace").and_then(|it| it.get("package")).and_then(declared))?;
    expression(&declared)
}

/// `project.license` as a string (PEP 639) or a table (PEP 621), then the classifiers, then Poetry.
fn pyproject(files: &Root<'_>) -> Option<String> {
    let table = toml(files, "pyproject.toml")?;
    let text = |licence: &toml::Value| licence.as_str().or_else(|| licence.get("text")?.as_str()).and_then(expression);
    let project = table.get("project");
    let classified = |section: &toml::Value| {
        let lines = section.get("classifiers")?.as_array()?;
        classifiers(lines.iter().filter_map(toml::Value::as_str))
    };
    let sections = [project, table.get("tool").and_then(|tool| tool.get("poetry"))];
    let mut sections = sections.into_iter().flatten();
    sections.find_map(|section| section.get("license").and_then(text).or_else(|| classified(section)))
}

/// The choice among licences that classifiers name.
fn classifiers<'a>(lines: impl Iterator<Item = &'a str>) -> Option<String> {
    let licences = lines.filter_map(|line| line.trim().strip_prefix(CLASSIFIER));
    let names = licences.map(|name| name.strip_prefix("OSI Approved").unwrap_or(name).trim_start_matches(" :: "));
    // The class of all approved licences names none of them.
    choice(names.filter(|name| !name.is_empty()))
}

/// `license` and `classifiers` of `[metadata]`; a value goes on in the indented lines below it.
fn setup_cfg(files: &Root<'_>) -> Option<String> {
    let (mut inside, mut key) = (false, "");
    let mut licence = None;
    let mut classes = Vec::new();
    for line in files.get("setup.cfg")?.lines().filter(|line| !line.trim_start().starts_with(['#', ';'])) {
        let mut value = line.trim();
        if line.starts_with('[') {
            inside = value == "[metadata]";
            continue;
        }
        if !line.starts_with([' ', '\t']) {
            let Some((name, rest)) = line.split_once(['=', ':']) else { continue };
            (key, value) = (name.trim(), rest.trim());
        }
        match key {
            "license" | "licence" if inside && licence.is_none() && !value.is_empty() => licence = Some(value),
            "classifiers" | "classifier" if inside => classes.push(value),
            _ => {}
        }
    }
    licence.and_then(expression).or_else(|| classifiers(classes.into_iter()))
}

/// `license="…"` among the arguments, then the classifiers.
fn setup_py(files: &Root<'_>) -> Option<String> {
    let text = files.get("setup.py")?;
    let argument = text.match_indices("license").find_map(|(at, word)| {
        let apart = !text[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '.'));
        let after = text[at + word.len()..].trim_start_matches(['"', '\'']).trim_start();
        let value = after.strip_prefix(['=', ':']).filter(|_| apart)?;
        quoted(value.trim_start()).and_then(expression)
    });
    let lines = text.match_indices(CLASSIFIER).filter_map(|(at, _)| {
        let quote = text[..at].chars().next_back().filter(|c| matches!(c, '"' | '\''))?;
        text[at..].split([quote, '\n']).next()
    });
    argument.or_else(|| classifiers(lines))
}

/// The literal that `text` begins with.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    let rest = &text[1..];
    rest.find([quote, '\n']).filter(|end| rest[*end..].starts_with(quote)).map(|end| &rest[..end])
}

/// What a built package says of itself: `License-Expression`, `License`, `Classifier` of its core metadata, which end at the
/// first empty line.
fn core_metadata(files: &Root<'_>) -> Option<String> {
    let text = files.get("PKG-INFO").or_else(|| {
        let mut built = files.iter().filter(|(path, _)| metadata_folder(path).is_some_and(|name| name == "METADATA"));
        // Of a folder into which several packages are installed none speaks for the others.
        built.next().filter(|_| built.next().is_none()).map(|(_, text)| text)
    })?;
    let headers = || text.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let named =
        |key: &'static str| headers().filter(move |(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, it)| it.trim());
    let declared = ["License-Expression", "License"].into_iter().find_map(|key| named(key).find_map(expression));
    declared.or_else(|| classifiers(named("Classifier")))
}

/// What a file is called in the folder that says what a built Python package is, at the root.
fn metadata_folder(path: &str) -> Option<&str> {
    let (folder, name) = path.split_once('/')?;
    folder.ends_with(".dist-info").then_some(name)
}

/// `license` as a text or, of old, as an object; `licenses` as a list of either, one to be chosen.
fn npm(files: &Root<'_>) -> Option<String> {
    let package = npm_package(files)?;
    ["license", "licenses"].iter().find_map(|key| declared(package.get(key)?))
}

fn npm_package(files: &Root<'_>) -> Option<Value> {
    serde_json::from_str(files.get("package.json")?.trim_start_matches('\u{feff}')).ok()
}

fn composer(files: &Root<'_>) -> Option<String> {
    let package: Value = serde_json::from_str(files.get("composer.json")?).ok()?;
    declared(package.get("license")?)
}

/// A text, an object with a `type`, or a list of them.
fn declared(licence: &Value) -> Option<String> {
    let one = |licence: &Value| -> Option<String> {
        let name = ["type", "name"].iter().find_map(|key| licence.get(key)?.as_str());
        licence.as_str().or(name).map(String::from)
    };
    match licence {
        Value::Array(licences) => {
            let names: Vec<String> = licences.iter().map(one).collect::<Option<_>>()?;
            choice(names.iter().map(String::as_str))
        }
        other => expression(&one(other)?),
    }
}

/// `spec.license = "…"` or `spec.licenses = ["…", …]` of the first gemspec at the root.
fn gemspec(files: &Root<'_>) -> Option<String> {
    let (_, text) = files.iter().find(|(path, _)| path.ends_with(".gemspec") && !path.contains('/'))?;
    text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let name = name.trim();
        if !name.ends_with(".license") && !name.ends_with(".licenses") {
            return None;
        }
        let value = value.trim().trim_end_matches(".freeze");
        if let Some(words) = value.strip_prefix("%w").and_then(|it| it.get(1..it.len().checked_sub(1)?)) {
            return choice(words.split_whitespace());
        }
        let list = value.trim_start_matches('[').trim_end_matches(']');
        let names: Vec<&str> = list.split(',').map(|it| quoted(it.trim())).collect::<Option<_>>()?;
        choice(names.into_iter())
    })
}

/// The names in `<licenses>`; Maven leaves open how several of them go together, so they are a choice.
fn maven(files: &Root<'_>) -> Option<String> {
    let text = files.get("pom.xml")?;
    let (_, rest) = text.split_once("<licenses>")?;
    let (licences, _) = rest.split_once("</licenses>")?;
    choice(licences.split("<name>").skip(1).filter_map(|rest| rest.split_once("</name>")).map(|(name, _)| name.trim()))
}

/// Whether a file of this path holds the text of the repository's licence: at the root, in the folder of the REUSE
/// specification, or in that of a built Python package.
pub fn is_licence_file(path: &str) -> bool {
    if let Some(name) = path.strip_prefix("LICENSES/") {
        return !name.contains('/');
    }
    let name = metadata_folder(path).map_or(path, |name| name.strip_prefix("licenses/").unwrap_or(name));
    !name.contains('/') && is_licence_name(name)
}

/// `LICENSE`, `MIT-LICENSE.txt`, `LICENSE-APACHE`, `COPYING.LESSER`; not `licence.py`.
pub(super) fn is_licence_name(name: &str) -> bool {
    const WORDS: [&str; 6] = ["LICENSE", "LICENCE", "LICENSES", "COPYING", "COPYRIGHT", "UNLICENSE"];
    let data = [".json", ".toml", ".yaml", ".yml", ".xml", ".lock", ".png", ".svg"];
    let words = || name.split(['-', '_', '.', ' ']).any(|word| WORDS.iter().any(|it| word.eq_ignore_ascii_case(it)));
    crate::language::of_path(name).is_none() && !data.iter().any(|ending| name.ends_with(ending)) && words()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str, text: &str) -> Option<String> {
        let source = ("a.py".to_owned(), String::new());
        licence(&BTreeMap::from([source, (name.to_owned(), text.to_owned())]))
    }

    #[test]
    fn every_manifest_is_read_in_all_its_forms() {
        let cases = [
            ("Cargo.toml", "[package]\nlicense = \"MIT/Apache-2.0\"\n", "MIT OR Apache-2.0"),
            ("Cargo.toml", "[workspace.package]\nlicense = \"MIT\"\n[package]\nlicense.workspace = true\n", "MIT"),
            ("pyproject.toml", "[project]\nlicense = \"BSD-3-Clause\"\n", "BSD-3-Clause"),
            ("pyproject.toml", "[project]\nlicense = {text = \"Apache 2.0\"}\n", "Apache-2.0"),
            (
                "pyproject.toml",
                "[project]\nlicense = {file = \"LICENSE\"}\nclassifiers = [\"License :: OSI Approved :: MIT License\"]\n",
                "MIT",
            ),
            ("pyproject.toml", "[tool.poetry]\nlicense = \"MIT\"\n", "MIT"),
            ("setup.cfg", "[metadata]\nname = a\nlicense = Apache License 2.0\n[options]\nlicense = x\n", "Apache-2.0"),
            (
                "setup.cfg",
                "[metadata]\nlicense = BSD\nclassifiers =\n    License :: OSI Approved\n    License :: OSI Approved :: MIT License\n",
                "MIT",
            ),
            ("setup.py", "setup(\n  name='a',\n  license='MIT',\n)\n", "MIT"),
            ("setup.py", "setup(classifiers=['License :: OSI Approved :: ISC License (ISCL)',])\n", "ISC"),
            ("package.json", "{\"license\": \"MIT\"}", "MIT"),
            ("package.json", "{\"license\": {\"type\": \"ISC\", \"url\": \"x\"}}", "ISC"),
            ("package.json", "{\"licenses\": [{\"type\": \"MIT\"}, {\"type\": \"GPL-2.0\"}]}", "MIT OR GPL-2.0-only"),
            ("package.json", "{\"license\": [\"MIT\", \"Apache-2.0\"]}", "MIT OR Apache-2.0"),
            (
                "composer.json",
                "{\"license\": [\"LGPL-2.1-only\", \"GPL-3.0-or-later\"]}",
                "LGPL-2.1-only OR GPL-3.0-or-later",
            ),
            ("a.gemspec", "Gem::Specification.new do |s|\n  s.license = 'MIT'\nend\n", "MIT"),
            ("a.gemspec", "  spec.licenses = [\"Ruby\", \"BSD-2-Clause\"]\n", "Ruby OR BSD-2-Clause"),
            ("a.gemspec", "  s.licenses    = %w[Ruby MIT]\n", "Ruby OR MIT"),
            ("PKG-INFO", "Name: a\nLicense: MIT\n\nLicense: ISC\n", "MIT"),
            ("a-1.0.dist-info/METADATA", "License-Expression: MIT OR Apache-2.0\nLicense: BSD\n", "MIT OR Apache-2.0"),
            ("a-1.0.dist-info/METADATA", "Classifier: License :: OSI Approved :: MIT License\n", "MIT"),
            (
                "pom.xml",
                "<project><licenses><license><name>Apache License, Version 2.0</name></license></licenses></project>",
                "Apache-2.0",
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(of(name, text).as_deref(), Some(expected), "{name}: {text}");
        }
    }

    #[test]
    fn what_declares_nothing_certain_declares_nothing() {
        for (name, text) in [
            ("Cargo.toml", "[package]\nlicense-file = \"LICENSE\"\n"),
            ("pyproject.toml", "[project]\nlicense = {file = \"LICENSE\"}\n"),
            ("setup.py", "license = read('LICENSE')\nsetup(license=license)\n"),
            ("setup.py", "setup(my_license='MIT')\n"),
            ("setup.py", "setup(classifiers=['License :: OSI Approved :: BSD License'])\n"),
            ("package.json", "{\"license\": \"SEE LICENSE IN LICENSE.md\"}"),
            ("package.json", "{\"license\": \"UNLICENSED\"}"),
            ("package.json", "{\"licenses\": []}"),
            ("composer.json", "{\"license\": \"proprietary\"}"),
            ("a.gemspec", "  s.license = LICENCE\n"),
            ("sub/a.gemspec", "  s.license = 'MIT'\n"),
            ("pom.xml", "<project><licenses></licenses></project>"),
            ("PKG-INFO", "Name: a\n\nLicense: MIT\n"),
            ("lib/a-1.0.dist-info/RECORD", "License: MIT\n"),
            ("a/package.json", "{\"license\": \"MIT\"}"),
        ] {
            assert_eq!(of(name, text), None, "{name}: {text}");
        }
    }

    #[test]
    fn a_manifest_may_name_the_file_of_its_licence() {
        for (manifest, text, file) in [
            ("Cargo.toml", "[package]\nlicense-file = \"docs/TERMS.md\"\n", "docs/TERMS.md"),
            (
                "Cargo.toml",
                "[workspace.package]\nlicense-file = \"./OWN\"\n[package]\nlicense-file.workspace = true\n",
                "OWN",
            ),
            ("pyproject.toml", "[project]\nlicense = {file = \"legal/mit.txt\"}\n", "legal/mit.txt"),
            ("package.json", "{\"license\": \"SEE LICENSE IN LICENSE.md\"}", "LICENSE.md"),
            ("package.json", "{\"license\": \"See license in ./legal/OWN.txt\"}", "legal/OWN.txt"),
        ] {
            let both = [(manifest, text), (file, "words\n")].map(|(path, text)| (path.to_owned(), text.to_owned()));
            assert_eq!(licence_file(&BTreeMap::from(both)).as_deref(), Some(file), "{text}");
        }
        for (manifest, text) in [
            ("Cargo.toml", "[package]\nlicense-file = \"../LICENSE\"\n"),
            ("Cargo.toml", "[package]\nlicense = \"MIT\"\n"),
            ("package.json", "{\"license\": \"SEE LICENSE IN \"}"),
            ("package.json", "{\"license\": \"sée license in a\"}"),
            ("package.json", "{\"license\": {\"type\": \"MIT\"}}"),
            ("pyproject.toml", "[project]\nlicense = \"MIT\"\n"),
        ] {
            let files =
                BTreeMap::from([(manifest.to_owned(), text.to_owned()), ("LICENSE".to_owned(), "a".to_owned())]);
            assert_eq!(licence_file(&files), None, "{text}");
        }
    }

    #[test]
    fn licence_files_are_known_by_their_names() {
        for path in [
            "LICENSE",
            "licence.md",
            "MIT-LICENSE",
            "MIT-LICENSE.txt",
            "LICENSE-APACHE",
            "LICENSE.MIT",
            "COPYRIGHT",
            "COPYING.LESSER",
            "UNLICENSE",
            "LICENSE_1_0.txt",
            "LICENSES/MIT.txt",
            "License.rst",
            "a-1.0.dist-info/licenses/LICENSE",
            "a-1.0.dist-info/COPYING",
        ] {
            assert!(is_licence_file(path), "{path}");
        }
        for path in ["src/LICENSE", "license.py", "licenses.json", "LICENSES/a/b.txt", "relicense.md", "README"] {
            assert!(!is_licence_file(path), "{path}");
        }
    }

    #[test]
    fn the_only_folder_is_the_root() {
        let files = |paths: &[&str]| paths.iter().map(|path| ((*path).to_owned(), String::new())).collect::<Files>();
        for (paths, folder) in [
            (&["package/LICENSE", "package/lib/a.js"][..], "package/"),
            (&["a.js", "package/a.js"], ""),
            (&["a/x.js", "ab/x.js"], ""),
            (&["LICENSE"], ""),
            (&[], ""),
        ] {
            assert_eq!(only_folder(&files(paths)), folder, "{paths:?}");
        }
        let npm = ("package/package.json".to_owned(), "{\"license\": \"MIT\"}".to_owned());
        assert_eq!(licence(&BTreeMap::from([npm])).as_deref(), Some("MIT"));
        let two = ["a-1.0.dist-info/METADATA", "b-1.0.dist-info/METADATA"];
        let two = two.map(|path| (path.to_owned(), "License: MIT\n".to_owned()));
        assert_eq!(licence(&BTreeMap::from(two)), None, "which of two packages it is, is open");
    }

    #[test]
    fn a_manifest_that_declares_nothing_leaves_the_word_to_the_next() {
        let files = BTreeMap::from([
            ("pyproject.toml".to_owned(), "[project]\ndynamic = [\"license\"]\n".to_owned()),
            ("setup.cfg".to_owned(), "[metadata]\nlicense: MIT\n".to_owned()),
            ("package.json".to_owned(), "{\"license\": \"ISC\"}".to_owned()),
        ]);
        assert_eq!(licence(&files).as_deref(), Some("MIT"));
    }
}
