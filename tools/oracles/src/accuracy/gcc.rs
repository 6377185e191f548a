//! C and C++ against gcc's preprocessor.
//!
//! `gcc -E -dI` prints every `#include` it carries out, and a line marker where it enters a file.
//! A directive that a guard answers enters nothing; it names the file that the same directive
//! entered elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use super::record::Edge;
use crate::tools::Tools;

/// One of the two languages.
pub(super) struct Gcc {
    language: &'static str,
    packages: &'static [Package],
    held_out: &'static [Package],
}

const fn source(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder: "", landmark: None }
}

pub(super) const C: Gcc = Gcc {
    language: "c",
    packages: &[
        Package {
            landmark: Some(Landmark { core: "src/sds.c", entry: "src/server.c" }),
            ..source("redis", "7.0.15", "4b1dc4ee6d622a09fff9c6777191209750fb5e5a725ef78ea012d6eef4c22982")
        },
        source("cjson", "1.7.15", "5308fd4bd90cef7aa060558514de6a1a4a0819974a26e6ed13973c5f624c24b2"),
        source("libuv1", "1.44.2", "d79b4b06ef04be85fb890bf39d55942cc64c2e15fd14eaa32dae5dce94485484"),
        source("lua5.4", "5.4.4", "164c7849653b80ae67bec4b7473b884bf5cc8d2dca05653475ec2ed27b9ebf61"),
        source("lz4", "1.9.4", "0b0e3aa07c8c063ddf40b082bdf7e37a1562bda40a0ff5272957f3e987e0e54b"),
        source("zlib", "1.2.13.dfsg", "71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1"),
    ],
    held_out: &[
        source("jq", "1.6", "3ba940b97571c866923f0409678033d33b5a98758dfc174fad8397ed908bc4d9"),
        source("libevent", "2.1.12-stable", "92e6de1be9ec176428fd2367677e61ceffc2ee1cb119035037a27d346b0403bb"),
        source("libgit2", "1.5.1+ds", "96369433500bb528f036c16be9921bd437c098b745f1aaeccb91290815518970"),
        source("libyaml", "0.2.5", "fa240dbf262be053f3898006d502d514936c818e422afdcf33921c63bed9bf2e"),
        source("libzstd", "1.5.4+dfsg2", "8cf4bbb65e77ec348d052c8d6230eba66d435bddf64c8b5be2fcb16880c19953"),
    ],
};

pub(super) const CPP: Gcc = Gcc {
    language: "cpp",
    packages: &[
        Package {
            landmark: Some(Landmark { core: "include/leveldb/slice.h", entry: "db/db_impl.cc" }),
            ..source("leveldb", "1.23", "9a37f8a6174f09bd622bc723b55881dc541cd50747cbd08831c2a82d620f6d76")
        },
        source("fmtlib", "9.1.0+ds1", "84ce1c2d0be3a9863935137969dcec6970125caac032f82474640bfc81463583"),
        source("libjsoncpp", "1.9.5", "f409856e5920c18d0c2fb85276e24ee607d2a09b5e7d5f0a371368903c275da2"),
        source("re2", "20220601+dfsg", "3bc61251da3b0b97be40a8a127818c517c62516e4eda11fc901d29496663df54"),
        source("spdlog", "1.10.0+ds", "620ca6842b5c21014470bd42eb4716024674214fb973b5ffa3aaea33310ad327"),
        source("tinyxml2", "9.0.0+dfsg", "96510f47a5db537f70dff3e83dd71fd2180cbba4aa76c589a549467e7f34bc9b"),
    ],
    held_out: &[
        source("double-conversion", "3.2.1", "e40d236343cad807e83d192265f139481c51fc83a1c49e406ac6ce0a0ba7cd35"),
        source("google-glog", "0.6.0", "8a83bf982f37bb70825df71a9709fa90ea9f4447fb3c099e1d720a439d88bad6"),
        source("pugixml", "1.13", "5c5ad5d7caeb791420408042a7d88c2c6180781bf218feca259fd9d840a888e1"),
        source("snappy", "1.1.9", "75c1fbb3d618dd3a0483bff0e26d0a92b495bbe5059c8b4f1c962b478b6e06e7"),
        source("yaml-cpp", "0.7.0+dfsg", "dc63708605404e0b963e0ca3a9619d1c8270eda2839603e6fa0384e5e51e5312"),
    ],
};

/// What the builds of a package's parts put on the search path and define: package, folder, flags.
const FLAGS: &[(&str, &str, &[&str])] = &[
    ("redis", "", &["-Isrc", "-Ideps/hiredis", "-Ideps/linenoise", "-Ideps/lua/src", "-Ideps/hdr_histogram"]),
    ("redis", "deps/jemalloc", &["-Ideps/jemalloc/include", "-Ideps/jemalloc/test/include"]),
    ("cjson", "", &["-I.", "-Itests/unity/src", "-Itests/unity/extras/fixture/src", "-Itests/unity/extras/memory/src"]),
    ("cjson", "tests/unity/examples/example_1", &["-Itests/unity/examples/example_1/src"]),
    ("cjson", "tests/unity/examples/example_2", &["-Itests/unity/examples/example_2/src"]),
    ("cjson", "tests/unity/examples/example_3", &["-Itests/unity/examples/example_3/src"]),
    ("libuv1", "", &["-Iinclude", "-Isrc"]),
    ("lua5.4", "", &[]),
    ("lz4", "", &["-Ilib", "-Iprograms"]),
    ("zlib", "", &["-I."]),
    ("leveldb", "", &["-I.", "-Iinclude", "-DLEVELDB_PLATFORM_POSIX"]),
    ("fmtlib", "", &["-Iinclude", "-Itest"]),
    ("libjsoncpp", "", &["-Iinclude"]),
    ("re2", "", &["-I."]),
    ("spdlog", "", &["-Iinclude"]),
    ("tinyxml2", "", &["-I."]),
    ("jq", "", &["-I.", "-Isrc"]),
    ("libevent", "", &["-I.", "-Iinclude", "-Icompat"]),
    ("libgit2", "", &["-Iinclude", "-Isrc/libgit2", "-Isrc/util"]),
    (
        "libgit2",
        "tests",
        &["-Itests/libgit2", "-Itests/util", "-Itests/clar", "-Iinclude", "-Isrc/libgit2", "-Isrc/util"],
    ),
    ("libyaml", "", &["-Iinclude", "-Isrc"]),
    ("libzstd", "", &["-Ilib", "-Ilib/common", "-Iprograms"]),
    ("libzstd", "contrib/externalSequenceProducer", &["-Ilib", "-Ilib/common", "-Ilib/compress", "-Iprograms"]),
    ("libzstd", "contrib/seekable_format", &["-Ilib", "-Ilib/common", "-Icontrib/seekable_format"]),
    ("libzstd", "contrib/linux-kernel/test", &["-Icontrib/linux-kernel/test/include", "-Icontrib/linux-kernel"]),
    ("double-conversion", "", &["-I."]),
    ("google-glog", "", &["-Isrc"]),
    ("pugixml", "", &["-Isrc"]),
    ("snappy", "", &["-I."]),
    ("yaml-cpp", "", &["-Iinclude", "-Isrc"]),
    ("yaml-cpp", "test", &["-Itest", "-Itest/integration", "-Iinclude", "-Isrc"]),
];

impl Oracle for Gcc {
    fn language(&self) -> &'static str {
        self.language
    }

    fn witness(&self) -> &'static str {
        "gcc's preprocessor (`gcc -E -dI`, gcc 12, Debian's)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives, without any configure step. Pairs (file of the directive, file it includes), both in the archive, over every `#include` that gcc carries out while each file, headers too, is preprocessed alone with the include directories of the package's own build; `-MM` would list what is included through others as well. Recon is not told these directories. What gcc does not reach in this configuration (other systems, what stands behind a header that is not there) is not judged: recon's edges count where gcc carried out that directive of that file, whether it found the header or failed."
    }

    fn packages(&self) -> &'static [Package] {
        self.packages
    }

    fn held_out(&self) -> &'static [Package] {
        self.held_out
    }

    fn install(&self, _tools: &Tools) -> anyhow::Result<()> {
        program::output(Command::new("gcc").arg("--version")).context("install gcc first").map(drop)
    }

    fn compare(&self, _tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let mut preprocessed = Preprocessed::default();
        for (file, language) in subject.record.files().filter(|(_, language)| matches!(*language, "c" | "cpp")) {
            let mut command = Command::new("gcc");
            command.args(["-E", "-dI", "-x", if language == "c" { "c" } else { "c++" }]);
            for (package, folder, flags) in FLAGS {
                if *package == subject.package.name && std::path::Path::new(file).starts_with(folder) {
                    command.args(*flags);
                }
            }
            command.arg(file).current_dir(subject.directory);
            let (_, text, _) = program::outcome(&mut command)?;
            preprocessed.read(&text, subject);
        }
        let theirs = preprocessed.edges(subject, self.language);
        anyhow::ensure!(!theirs.is_empty(), "gcc includes nothing of the archive");
        let judged = |edge: &Edge| {
            let text = directive(&subject.line(&edge.from, edge.line));
            edge.kind == "include"
                && text.is_some_and(|text| preprocessed.reached.contains_key(&(edge.from.clone(), text)))
        };
        Ok(vec![Comparison { what: "includes", ours: subject.ours(self.language, judged), theirs }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        let elsewhere = subject
            .record
            .edges
            .iter()
            .any(|edge| edge.from == from && edge.to != to && edge.to.rsplit('/').next() == to.rsplit('/').next());
        match ours {
            true if from.contains("/expectdata/") => {
                "a generator's expected output, which nothing compiles in its place"
            }
            true if subject.line(from, line).contains('<') => "a `<…>` that gcc finds in the system or not at all",
            true if elsewhere => "a file of the same name elsewhere",
            true => "a header gcc finds elsewhere or not at all",
            false if elsewhere => "recon takes a file of the same name elsewhere",
            false if line == 0 => "an include that a macro names",
            false => "an include recon does not resolve: several files end like that",
        }
        .to_owned()
    }
}

/// What gcc printed about all files: where each directive it carried out led, if anywhere.
#[derive(Default)]
struct Preprocessed {
    reached: BTreeMap<(String, String), Option<String>>,
}

impl Preprocessed {
    /// Reads what gcc printed for one file.
    fn read(&mut self, text: &str, subject: &Subject<'_>) {
        let mut open: Vec<String> = Vec::new();
        let mut pending: Option<String> = None;
        // Directives in order, and the files entered by them.
        let mut carried: Vec<(String, String)> = Vec::new();
        let mut entered: BTreeMap<String, String> = BTreeMap::new();
        for line in text.lines() {
            let from = || open.last().and_then(|path| inside(subject, path));
            let Some((path, flags)) = marker(line) else {
                let found = directive(line);
                carried.extend(from().zip(found.clone()));
                if found.is_some() || !line.trim().is_empty() {
                    pending = found;
                }
                continue;
            };
            if flags.contains(&"1") {
                if let Some(text) = pending.take() {
                    if let Some(from) = from() {
                        self.reached.insert((from, text.clone()), Some(path.clone()));
                    }
                    entered.entry(text).or_insert_with(|| path.clone());
                }
                open.push(path);
            } else if flags.contains(&"2") {
                open.pop();
                pending = None;
            } else if open.is_empty() {
                open.push(path);
            } else if open.len() == 1 && !path.starts_with('<') {
                open[0] = path;
            }
        }
        // The directive gcc failed at, which ended its work.
        let failed = pending.and_then(|text| carried.pop_if(|(_, last)| *last == text));
        for key in carried {
            if !self.reached.get(&key).is_some_and(Option::is_some) {
                let to = guarded(subject, &key, &entered);
                self.reached.insert(key, to);
            }
        }
        if let Some(key) = failed {
            self.reached.entry(key).or_default();
        }
    }

    fn edges(&self, subject: &Subject<'_>, language: &str) -> Edges {
        let mut edges = Edges::new();
        for ((from, text), to) in &self.reached {
            let to = to.as_deref().and_then(|path| inside(subject, path));
            if let Some(to) = to.filter(|to| to != from && subject.record.language(from) == Some(language)) {
                edges.insert((from.clone(), to), line_of(subject, from, text));
            }
        }
        edges
    }
}

/// A printed path as the record writes it; none outside of the archive.
fn inside(subject: &Subject<'_>, path: &str) -> Option<String> {
    subject.relative(&normal(path)?)
}

/// The file that a directive names which a guard answered: beside it, or entered before by the
/// same directive, or the only one entered before whose path ends like that.
fn guarded(subject: &Subject<'_>, key: &(String, String), entered: &BTreeMap<String, String>) -> Option<String> {
    let (from, text) = key;
    let name = text.trim_matches(['"', '<', '>']);
    let directory = from.rsplit_once('/').map_or("", |(directory, _)| directory);
    let beside = normal(&format!("{directory}/{name}")).map(|path| path.trim_start_matches('/').to_owned());
    let beside = beside.filter(|path| text.starts_with('"') && subject.record.has(path));
    let suffix = || {
        let plain = name.trim_start_matches("../");
        let ends =
            |path: &&String| path.strip_suffix(plain).is_some_and(|before| before.is_empty() || before.ends_with('/'));
        let all: BTreeSet<&String> = entered.values().filter(ends).collect();
        (all.len() == 1).then(|| all.into_iter().next().cloned()).flatten()
    };
    beside.or_else(|| entered.get(text).cloned()).or_else(suffix)
}

/// `# LINE "FILE" FLAGS`.
fn marker(line: &str) -> Option<(String, Vec<&str>)> {
    let rest = line.strip_prefix("# ")?;
    let (number, rest) = rest.split_once(" \"")?;
    number.parse::<u32>().ok()?;
    let (path, flags) = rest.rsplit_once('"')?;
    Some((path.to_owned(), flags.split_whitespace().collect()))
}

/// What an `#include` names, with its marks.
fn directive(line: &str) -> Option<String> {
    let word = line.trim_start().strip_prefix('#')?.trim_start();
    let rest = ["include_next", "include", "import"].iter().find_map(|name| word.strip_prefix(name))?.trim_start();
    let close = if rest.starts_with('"') { '"' } else { '>' };
    let end = rest.get(1..)?.find(close)? + 2;
    matches!(rest.as_bytes()[0], b'"' | b'<').then(|| rest[..end].to_owned())
}

/// The path without `.` and `..`; none where it leaves the archive.
fn normal(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "." => {}
            "" if !parts.is_empty() || !path.starts_with('/') => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

fn line_of(subject: &Subject<'_>, path: &str, text: &str) -> u32 {
    let source = std::fs::read(subject.directory.join(path)).unwrap_or_default();
    let source = String::from_utf8_lossy(&source).into_owned();
    let at = source.lines().position(|line| directive(line).as_deref() == Some(text));
    at.and_then(|at| u32::try_from(at + 1).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_gcc_prints_is_read() {
        assert_eq!(marker("# 3 \"a/b.h\" 1 3"), Some(("a/b.h".to_owned(), vec!["1", "3"])));
        assert_eq!(marker("#include \"x\""), None);
        assert_eq!(directive("  # include <a/b.h> // x").as_deref(), Some("<a/b.h>"));
        assert_eq!(directive("#include_next \"x.h\"").as_deref(), Some("\"x.h\""));
        assert_eq!(directive("#define X"), None);
        assert_eq!(directive("#include MACRO"), None);
        assert_eq!(normal("./a/../b/./c.h").as_deref(), Some("b/c.h"));
    }
}
