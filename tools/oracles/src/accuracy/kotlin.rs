//! Kotlin against its own compiler's resolution of names.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Landmark, Oracle, Package, Registry, Subject};
use super::record::Edge;
use super::told::Told;
use crate::tools::Tools;

pub(super) struct Kotlin;

/// The program that asks the compiler.
const USES: &str = include_str!("witness/KotlinUses.java");

/// The distribution of the compiler that a registry of this task has: it comes with a notebook's kernel.
const KERNEL: &str = "kotlin-jupyter-kernel==0.12.0.217";

/// The compiler and its standard library below the kernel's folder.
const JARS: [&str; 2] = [
    "run_kotlin_kernel/jars/kotlin-jupyter-kernel-0.12.0-217-all.jar",
    "run_kotlin_kernel/jars/kotlin-stdlib-1.9.23.jar",
];

const fn package(registry: Registry, name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark {
            core: "common/kotlinx-coroutines-core-common/src/Job.kt",
            entry: "common/kotlinx-coroutines-core-common/src/Builders.common.kt",
        }),
        ..package(
            Registry::Debian,
            "kotlinx-coroutines",
            "1.0.1",
            "361a1e02f2d223c0d8ee16f5cd3987202264f037a4eff5de0e29334c38d16782",
        )
    },
    package(
        Registry::Debian,
        "gradle-kotlin-dsl",
        "0.13.2",
        "78f95160c8f5c0d85a676aa28170d23f5d7def6c16c41cd080987f06bc8439f4",
    ),
    package(
        Registry::Npm,
        "@stripe/stripe-react-native",
        "0.78.0",
        "f6a884a1cbd1f78399b75aa5a0568ed9016e6a8cb04258ff648a353d4a0e6fc0",
    ),
    package(
        Registry::Npm,
        "expo-modules-core",
        "58.0.7",
        "c6001deb1a5f9ca7601e7a09f159c13430fcf5d32f4a2f54ead60408ba6c6a21",
    ),
    package(
        Registry::Npm,
        "react-native",
        "0.86.3",
        "04e0ef4284ef9e2fb94075b0f98c6371d12ea1b31c2e42540a900a1e86ea46f5",
    ),
    package(
        Registry::Npm,
        "react-native-gesture-handler",
        "3.5.0",
        "def16cdaf173779802dc558eea9719b4119d383ed85f4a0e6efe426a6799fb3a",
    ),
    package(
        Registry::Npm,
        "react-native-screens",
        "4.30.1",
        "04593f281d706615907e8df114288daa5145c4f5360c4743356dd460e979d23a",
    ),
];

impl Oracle for Kotlin {
    fn language(&self) -> &'static str {
        "kotlin"
    }

    fn witness(&self) -> &'static str {
        "the Kotlin compiler's own analysis (Kotlin 1.9.23, from PyPI's kotlin-jupyter-kernel, on Debian's default-jdk-headless)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives and npm's packages for Android, tests included; files with an error of syntax, scripts (`.kts`) and files of source sets for JavaScript and native code are left out. *names*: pairs (file of a name, file that declares what the compiler resolves it to) over every written name, imports included, that means a type or a type alias, or a function or property outside of types, in Kotlin or Java. Members are no such names, nor are operators. Of an import that means several functions all count. A folder `common` is compiled alone, where a name means the `expect` declaration, and then with the rest, where it means the `actual` one. Android and other libraries are not there: the compiler finds nothing in them, and leaves open what a name means that is called on a value of their types. A pair of recon that the compiler has not counts against recon unless the compiler left open, somewhere in the file, all the names that make it."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        program::output(Command::new("javac").arg("--version"))
            .context("install a JDK first (Debian: default-jdk-headless)")?;
        tools.once("kotlin", KERNEL, |directory| {
            let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"];
            program::run(Command::new("python3").args(pip).arg(directory).arg(KERNEL))
        })?;
        let build = |directory: &Path| {
            std::fs::write(directory.join("KotlinUses.java"), USES)?;
            let mut command = Command::new("javac");
            command.args(["-proc:none", "-nowarn", "-d", ".", "-cp"]).arg(jar(tools, 0));
            program::run(command.arg("KotlinUses.java").current_dir(directory))
        };
        tools.once("kotlin-uses", &format!("KotlinUses.java of {} bytes", USES.len()), build).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let files = subject.record.files().filter(|(path, of)| matches!(*of, "kotlin" | "java") && is_for_java(path));
        let files: Vec<&str> = files.map(|(path, _)| path).collect();
        let list = tools.work.join("tools/kotlin-uses/files");
        std::fs::write(&list, files.join("\n"))?;
        let classes = std::env::join_paths([tools.work.join("tools/kotlin-uses"), jar(tools, 0)])?;
        let mut command = Command::new("java");
        command.arg("-cp").arg(classes).arg("KotlinUses").arg(subject.directory).arg(list);
        let text = program::output(command.arg(jar(tools, 1)))?;
        let mut told = Told::of(&text);
        let mut theirs = told.take("use");
        let java: BTreeSet<&str> = files.into_iter().filter(|path| path.ends_with(".java")).collect();
        let parsed = |path: &String| told.seen.contains(path) || java.contains(path.as_str());
        theirs.retain(|(from, to), _| parsed(from) && parsed(to));
        let ours = subject.ours("kotlin", |edge: &Edge| {
            let left_open = |name: &String| told.open.contains(&(edge.from.clone(), name.clone()));
            let judged = edge.names.is_empty() || !edge.names.iter().all(left_open);
            let found = theirs.contains_key(&(edge.from.clone(), edge.to.clone()));
            parsed(&edge.from) && parsed(&edge.to) && (judged || found)
        });
        Ok(vec![Comparison { what: "names", ours, theirs }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        let text = subject.line(from, line);
        match ours {
            true if to.contains("stdlib-stubs/") => {
                "the project's stub of the standard library, of which the compiler has the library itself"
            }
            true if text.starts_with("import ") && text.ends_with('*') => {
                "an extension behind an import on demand, where the value has a member of that name, or a library one"
            }
            true if text.contains('.') => {
                "an extension called on a value that has a member or a library's extension of that name"
            }
            true => "a function of which the call means another overload, or a member",
            false if text.starts_with("import ") => "a declaration in a file that the grammar does not read all of",
            false => {
                "a function that a variable or a member of its name hides from recon, or code the grammar does not read"
            }
        }
        .to_owned()
    }
}

/// One of the kernel's archives.
fn jar(tools: &Tools, at: usize) -> std::path::PathBuf {
    tools.work.join("tools/kotlin").join(JARS[at])
}

/// Whether a file is compiled for the Java machine, by the usual names of source sets; scripts are not.
fn is_for_java(path: &str) -> bool {
    let other = |part: &str| {
        ["js", "native", "wasm", "ios"].iter().any(|name| part == *name || part.ends_with(&format!("-{name}")))
    };
    !path.ends_with(".kts") && !path.split('/').any(other)
}
