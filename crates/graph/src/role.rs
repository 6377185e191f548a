//! What a file is to those who develop a repository, as far as its path says.
//!
//! Path → [`Role`]. People set up a project, write its sources, test them and document them; the
//! order of files ([`order`](crate::order)) follows that where imports leave a choice. What is
//! [`Given`](Role::Given) nobody develops: it comes from elsewhere, or a tool writes it.

use crate::paths;

/// What a file is to those who develop a repository, in the order they turn to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Manifests, build files and configuration.
    Manifest,
    /// Everything without another role.
    Source,
    /// Tests, benchmarks and examples: what uses the sources.
    Test,
    /// Documentation.
    Documentation,
    /// Licence texts, change logs and lock files.
    Given,
}

const MANIFESTS: &[&str] = &[
    "BUILD",
    "BUILD.bazel",
    "CMakeLists.txt",
    "Capfile",
    "Cargo.toml",
    "Dockerfile",
    "GNUmakefile",
    "Gemfile",
    "Guardfile",
    "Justfile",
    "MANIFEST.in",
    "MODULE.bazel",
    "Makefile",
    "Package.swift",
    "Pipfile",
    "Procfile",
    "Rakefile",
    "WORKSPACE",
    "build.gradle",
    "build.gradle.kts",
    "build.rs",
    "composer.json",
    "configure.ac",
    "deno.json",
    "environment.yml",
    "go.mod",
    "go.work",
    "jsconfig.json",
    "justfile",
    "makefile",
    "meson.build",
    "package.json",
    "pom.xml",
    "requirements.txt",
    "settings.gradle",
    "settings.gradle.kts",
    "setup.py",
];
const MANIFEST_EXTENSIONS: &[&str] = &[
    "cfg",
    "cmake",
    "conf",
    "csproj",
    "gemspec",
    "gradle",
    "ini",
    "mk",
    "properties",
    "props",
    "sln",
    "targets",
    "toml",
    "yaml",
    "yml",
];
const LOCKS: &[&str] =
    &["bun.lockb", "go.sum", "gradle.lockfile", "npm-shrinkwrap.json", "package-lock.json", "packages.lock.json"];
const LICENCES: &[&str] = &["license", "licence", "copying", "copyright", "notice", "unlicense", "patents"];
const CHANGES: &[&str] = &["changelog", "changes", "history", "news", "releases", "release_notes", "release-notes"];
/// Extensions of prose.
const PROSE: &[&str] = &["adoc", "asciidoc", "markdown", "md", "mdx", "org", "rdoc", "rst", "textile", "txt"];
const TEST_FOLDERS: &[&str] = &[
    "__tests__",
    "bench",
    "benches",
    "benchmark",
    "benchmarks",
    "e2e",
    "example",
    "examples",
    "features",
    "samples",
    "spec",
    "specs",
    "test",
    "tests",
];

/// The role of the file of this path.
pub fn role(path: &str) -> Role {
    let name = paths::file_name(path);
    if is_given(path, name) {
        return Role::Given;
    }
    // Java's and Kotlin's main sources may be of a package that is called `test`.
    let folders = if path.contains("src/main/") { "" } else { paths::parent(path) };
    if folders.split('/').any(|folder| TEST_FOLDERS.contains(&folder)) || is_test(name) {
        return Role::Test;
    }
    if folders.split('/').any(|folder| matches!(folder, "doc" | "docs" | "documentation")) {
        return Role::Documentation;
    }
    let extension = paths::extension(name);
    let tool = |tool: &str| name.starts_with(tool) && extension != "md";
    let configures = ["tsconfig.", "requirements-", "Dockerfile.", "docker-compose"].into_iter().any(tool);
    // `vite.config.ts`, `eslint.config.mjs`.
    let configures = configures || paths::stem(name).ends_with(".config");
    if configures || MANIFESTS.contains(&name) || MANIFEST_EXTENSIONS.contains(&extension) {
        return Role::Manifest;
    }
    let prose = PROSE.contains(&extension);
    if prose || name.eq_ignore_ascii_case("readme") { Role::Documentation } else { Role::Source }
}

fn is_given(path: &str, name: &str) -> bool {
    let extension = paths::extension(name);
    if extension == "lock" || LOCKS.contains(&name) || matches!(name, "pnpm-lock.yaml" | "pnpm-lock.yml") {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    let is_text = |word: &&str| match lower.strip_prefix(*word) {
        None => false,
        Some("") => true,
        // `LICENSE.txt`, `LICENSE-MIT`, `COPYING.LESSER`; `license.py` is a source.
        Some(rest) => {
            let prose = rest.rsplit_once('.').is_some_and(|(_, extension)| PROSE.contains(&extension));
            let named = !name[word.len()..].contains(|c: char| c.is_ascii_lowercase());
            rest.starts_with(['-', '_', '.']) && (prose || named)
        }
    };
    LICENCES.iter().chain(CHANGES).any(is_text) || paths::parent(path).split('/').any(|folder| folder == "LICENSES")
}

fn is_test(name: &str) -> bool {
    let stem = paths::stem(name);
    // `x.test.ts`, `x.spec.js`; `test_x.py`, `x_test.go`, `x_spec.rb`; `XTest.java`, `XTests.cs`.
    let around = stem.starts_with("test_") || ["_test", "_tests", "_spec"].iter().any(|end| stem.ends_with(end));
    let dotted = [".test", ".spec", ".e2e"].iter().any(|end| stem.ends_with(end));
    let class = ["Test", "Tests", "TestCase", "Spec"].iter().any(|end| stem.ends_with(end) && stem != *end);
    around || dotted || class || matches!(stem, "test" | "tests" | "conftest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_say_what_a_file_is_to_its_developers() {
        let rows: [(Role, &[&str]); 5] = [
            (
                Role::Manifest,
                &[
                    "Cargo.toml",
                    "a/package.json",
                    "tsconfig.base.json",
                    "vite.config.ts",
                    "x.csproj",
                    "setup.py",
                    "ci.yml",
                ],
            ),
            (
                Role::Source,
                &[
                    "src/lib.rs",
                    "license.py",
                    "changes.rs",
                    "news/views.py",
                    "latest.go",
                    "web/index.html",
                    "data.json",
                    "src/main/java/org/test/A.java",
                ],
            ),
            (
                Role::Test,
                &[
                    "tests/a.py",
                    "src/x.test.ts",
                    "x_test.go",
                    "test_x.py",
                    "app/FooTest.java",
                    "spec/a_spec.rb",
                    "conftest.py",
                    "examples/README.md",
                    "pkg/tests.rs",
                ],
            ),
            (Role::Documentation, &["README.md", "README", "docs/conf.py", "doc/a.txt", "guide.rst", "notes.txt"]),
            (
                Role::Given,
                &[
                    "LICENSE",
                    "LICENSE-MIT",
                    "COPYING.LESSER",
                    "licence.txt",
                    "CHANGELOG.md",
                    "HISTORY.rst",
                    "Cargo.lock",
                    "go.sum",
                    "a/package-lock.json",
                    "LICENSES/MIT.txt",
                    "docs/changelog.md",
                ],
            ),
        ];
        for (expected, paths) in rows {
            for path in paths {
                assert_eq!(role(path), expected, "{path}");
            }
        }
    }
}
