//! Java against the JDK: javac's own resolution of names, and `jdeps` on the classes it makes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use super::record::Edge;
use super::told::Told;
use crate::tools::Tools;

pub(super) struct Javac;

/// The program that asks javac.
const USES: &str = include_str!("witness/Uses.java");

const fn source(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark {
            core: "src/main/java/org/jsoup/nodes/Node.java",
            entry: "src/main/java/org/jsoup/Jsoup.java",
        }),
        ..source("jsoup", "1.15.3", "052511f0be47511f9b2a17d44fc1eccc4b5373e77cc5a3221e34b6af437e1e2e")
    },
    source("commons-io", "2.11.0", "5a55361cf2b97228f94b3c65e3a4af784581debe322be551c44b2776db1c6483"),
    source("libcommons-codec-java", "1.15", "857c58c23bfe6b284b174d89f323de438042ce9a005b2a81afa658962caff90f"),
    source("libcommons-collections4-java", "4.2", "e6b25f22128d2b5e6181d9736f313103e079366013f853061aba16e8d4feb729"),
    source("libcommons-lang3-java", "3.12.0", "f7c22574707611b63bae19ff17f59e24cdd32e2b0e61a50ec9b1b525fbc909d1"),
];

const HELD_OUT: &[Package] = &[
    source("commons-csv", "1.9.0", "661252998cf2b9aac1aa12fe9e104dc23190761a8971384f83a6c1fc02536867"),
    source("jackson-core", "2.14.1", "d9eb6aa1898c4d5a582c52e69da249efae25e4d2c809c57dc6b6ee01c4b0fb3b"),
    source("junit4", "4.13.2", "8cb9e6cd3c1188e93ce6ed56df12f8dab9db379256386973dbc61690ad184c60"),
    source("libcommons-compress-java", "1.22", "c0270188ea43f7af708ff384a6421597e2eee5d68db152b60ad6e682f0e88160"),
    source("libjoda-time-java", "2.10.14", "600ab9a000b7c8ab4cb24e0fbd5c5ee6c4be46b97c55f90004df3cd1c56bd0b5"),
];

impl Oracle for Javac {
    fn language(&self) -> &'static str {
        "java"
    }

    fn witness(&self) -> &'static str {
        "javac's tree interface and `jdeps -verbose:class` (OpenJDK 17, Debian's)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives. *names*: pairs (file of a name, file that declares the type javac resolves it to) over every name in `src` that means a type, imports and tests included. *classes*: pairs of files by `jdeps` on the classes of `src/main/java`, where javac compiles them without further libraries. Bytecode is another question: it keeps no import that only documentation uses, no inlined constant and no erased type, and it names the types of intermediate results that no source names."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        program::output(Command::new("jdeps").arg("--version"))
            .context("install a JDK first (Debian: default-jdk-headless)")?;
        let build = |directory: &Path| {
            std::fs::write(directory.join("Uses.java"), USES)?;
            program::run(Command::new("javac").args(["-d", ".", "Uses.java"]).current_dir(directory))
        };
        tools.once("java", &format!("Uses.java of {} bytes", USES.len()), build).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let mut command = Command::new("java");
        command.arg("-cp").arg(tools.work.join("tools/java")).arg("Uses").arg(subject.directory).arg("src");
        let text = program::output(&mut command)?;
        let mut told = Told::of(&text);
        let theirs = told.take("use");
        let read = |edge: &Edge| told.seen.contains(&edge.from) && told.seen.contains(&edge.to);
        let mut comparisons = vec![Comparison { what: "names", ours: subject.ours("java", read), theirs }];
        if let Some(theirs) = classes(tools, subject)? {
            let main = |path: &str| path.starts_with(MAIN);
            let ours = subject.ours("java", |edge| main(&edge.from) && main(&edge.to));
            comparisons.push(Comparison { what: "classes", ours, theirs });
        }
        Ok(comparisons)
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        let text = subject.line(from, line);
        let name = Path::new(to).file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let source = std::fs::read(subject.directory.join(from)).unwrap_or_default();
        let source = String::from_utf8_lossy(&source);
        let named = source.lines().filter(|line| !is_comment(line) && has_word(line, name));
        let code = named.filter(|line| !line.trim_start().starts_with("import ")).count();
        match ours {
            true if text.starts_with("import ") && code == 0 => {
                "*classes*: an import that only documentation uses, or of static members"
            }
            true => "*classes*: a type whose use leaves no trace in bytecode (a constant, a cast or bound that is erased, an annotation)",
            false if line > 0 => "*names*: a name recon does not resolve",
            false if code == 0 => "*classes*: the type of an intermediate result or of an inherited member, which the source does not name",
            false => "*classes*: a type recon does not resolve",
        }
        .to_owned()
    }
}

/// Where the compiled sources stand.
const MAIN: &str = "src/main/java/";

/// Pairs of files by `jdeps`; none where the sources do not compile alone.
fn classes(tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Option<Edges>> {
    let build = tools.work.join("classes").join(subject.package.name);
    fresh(&build)?;
    let is_source = |path: &&str| path.starts_with(MAIN) && !path.ends_with("module-info.java");
    let java = subject.record.files().filter(|(_, language)| *language == "java").map(|(path, _)| path);
    let sources: Vec<&str> = java.filter(is_source).collect();
    let list = build.join("sources");
    std::fs::write(&list, sources.join("\n"))?;
    let mut command = Command::new("javac");
    command.args(["-proc:none", "-nowarn", "-Xlint:none", "-encoding", "UTF-8", "-d"]).arg(build.join("out"));
    command.arg(format!("@{}", list.display())).current_dir(subject.directory);
    let (compiled, ..) = program::outcome(&mut command)?;
    if !compiled {
        return Ok(None);
    }
    let mut command = Command::new("jdeps");
    command.args(["-verbose:class", "-filter:none", "-cp"]).arg(build.join("out")).arg(build.join("out"));
    let text = program::output(&mut command)?;
    let files: BTreeMap<String, &str> = sources.iter().map(|path| (class_of(path), *path)).collect();
    let file = |class: &str| files.get(class.split('$').next().unwrap_or(class)).copied();
    let mut edges = Edges::new();
    for (from, to) in text.lines().filter_map(|line| line.strip_prefix("   ")?.split_once(" -> ")) {
        let to = to.split_whitespace().next().unwrap_or_default();
        if let (Some(from), Some(to)) = (file(from.trim()), file(to))
            && from != to
        {
            edges.insert((from.to_owned(), to.to_owned()), 0);
        }
    }
    Ok(Some(edges))
}

/// The full name of the class a file is named after.
fn class_of(path: &str) -> String {
    path.trim_start_matches(MAIN).trim_end_matches(".java").replace('/', ".")
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with('*') || line.starts_with("/*") || line.starts_with("//")
}

/// Whether a line of code, outside of its strings, holds a word.
fn has_word(line: &str, word: &str) -> bool {
    let code: String = line.split('"').step_by(2).collect();
    code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|part| part == word)
}
