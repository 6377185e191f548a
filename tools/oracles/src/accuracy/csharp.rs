//! C# against mcs, the compiler of Mono, made to tell what it resolves names to.
//!
//! mcs has no interface for that. A copy of it is woven (`witness/Weave.cs`) with calls that log
//! the result of its own methods for looking up names (`witness/Log.cs`); nothing else is changed.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use crate::tools::Tools;

pub(super) struct CSharp;

/// What puts the calls into the compiler.
const WEAVE: &str = include_str!("witness/Weave.cs");
/// What is called.
const LOG: &str = include_str!("witness/Log.cs");

/// Debian's places of the compiler and of the library that rewrites it.
const COMPILER: &str = "/usr/lib/mono/4.5/mcs.exe";
const CECIL: [&str; 2] = ["/usr/lib/mono-cecil/Mono.Cecil.dll", "/usr/lib/mono-cecil/Mono.Cecil.Rocks.dll"];

const fn source(name: &'static str, version: &'static str, folder: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder, landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark {
            core: "Src/Newtonsoft.Json/JsonReader.cs",
            entry: "Src/Newtonsoft.Json/JsonConvert.cs",
        }),
        ..source(
            "newtonsoft-json",
            "6.0.8+dfsg",
            "Src/Newtonsoft.Json",
            "3b7c77da971bbe1c6fdbb5cbb634d106a86aa30c82647abd9b23d2f31be0c630",
        )
    },
    source("dbus-sharp", "0.8.1", "src", "0866c001f2d6e01a6f1b4d080db08d25ba1422e34c7d03020e0e70f3de3a9859"),
    source("dnlib", "2.1", "src", "eb2d35a27a68ca37568659615d93cf2a544527d0ba7428a7e2852b7592362556"),
    source(
        "nunit",
        "2.6.4+dfsg",
        "src/NUnitFramework/framework",
        "daebaa04b4a4ccd2ecf120e8d6f315ef51092d06a6aa42223a12fc2cee3dd361",
    ),
    source(
        "opentk",
        "1.1.4c+dfsg",
        "Source/OpenTK",
        "7ad120129d0d6bc2760b638a9a49ee96f93238eb01f1a68b80aa6df715dd6201",
    ),
];

/// What a package's own build passes to the compiler: libraries and symbols.
fn build(package: &str) -> [&'static str; 2] {
    match package {
        "newtonsoft-json" => [
            "-r:System.Core,System.Xml,System.Xml.Linq,System.Data,System.Numerics,System.Runtime.Serialization,System.ComponentModel.DataAnnotations",
            "-d:NET40",
        ],
        "dbus-sharp" => ["-r:System.Core,Mono.Posix", "-d:NET40"],
        "nunit" => ["-r:System.Core", "-d:CLR_2_0,NET_2_0,CS_3_0"],
        "opentk" => ["-r:System.Core,System.Drawing,System.Windows.Forms,System.Xml,System.Data", "-d:OPENTK"],
        _ => ["-r:System.Core,System.Xml", "-d:TRACE"],
    }
}

impl Oracle for CSharp {
    fn language(&self) -> &'static str {
        "csharp"
    }

    fn witness(&self) -> &'static str {
        "mcs 6.8, Mono's C# compiler, woven with Mono.Cecil to log every name it resolves (Debian's mono-mcs, libmono-cil-dev and libmono-cecil-cil)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives; of each the library that gives the package its name is compiled, with its own build's symbols. *types*: pairs (file of a name, file that defines the type mcs resolves it to) over every name in types, expressions, attributes and `using` directives that means a type of the sources; of a partial type all its files count, and none where one part stands in the naming file. Methods, properties and the types of what they give back, which no name says, are no such names. mcs sees one configuration, so an edge of recon that mcs does not have counts against it only where mcs resolved a name on its line, and the file it leads to defines a type in this configuration. Files that recon does not read (larger than a megabyte, not UTF-8) are compiled and not compared."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        program::output(Command::new("mcs").arg("--version"))
            .context("install Mono's compiler first (Debian: mono-mcs libmono-cil-dev libmono-cecil-cil)")?;
        let weave = |directory: &Path| {
            for (name, text) in [("Weave.cs", WEAVE), ("Log.cs", LOG)] {
                std::fs::write(directory.join(name), text)?;
            }
            for library in CECIL.map(Path::new) {
                let name = library.file_name().context("a library has a name")?;
                std::fs::copy(library, directory.join(name)).with_context(|| format!("failed to copy {library:?}"))?;
            }
            let compile = |flags: &[&str]| program::run(Command::new("mcs").args(flags).current_dir(directory));
            compile(&["-target:library", &format!("-r:{COMPILER}"), "Log.cs"])?;
            compile(&["-r:Mono.Cecil.dll,Mono.Cecil.Rocks.dll", "Weave.cs"])?;
            let arguments = ["Weave.exe", COMPILER, "Log.dll", "mcs.exe"];
            program::run(Command::new("mono").args(arguments).current_dir(directory))
        };
        let wanted = format!("Weave.cs of {} bytes, Log.cs of {} bytes", WEAVE.len(), LOG.len());
        tools.once("csharp", &wanted, weave).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let work = tools.work.join("csharp").join(subject.package.name);
        fresh(&work)?;
        let inside = |path: &str| path.starts_with(&format!("{}/", subject.package.folder));
        // What it says of the assembly asks for a key that is not there.
        let compiled = |path: &str| inside(path) && !path.ends_with("/AssemblyInfo.cs");
        let files = subject.record.files().filter(|(path, of)| *of == "csharp" && compiled(path));
        let files: BTreeSet<&str> = files.map(|(path, _)| path).collect();
        let list = files.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>();
        std::fs::write(work.join("files"), list.join("\n"))?;
        let mut command = Command::new("mono");
        // What is compiled ahead of time of the compiler does not fit its copy.
        command.arg("-O=-aot").arg(tools.work.join("tools/csharp/mcs.exe"));
        command.args(["-target:library", "-unsafe", "-nowarn:0"]).args(build(subject.package.name));
        command.arg(format!("-out:{}", work.join("out.dll").display()));
        command.arg(format!("@{}", work.join("files").display())).current_dir(subject.directory);
        let uses = work.join("uses");
        program::run(command.env("USES", &uses))?;
        let (mut seen, mut defining, mut theirs) = (BTreeSet::new(), BTreeSet::new(), Edges::new());
        for line in std::fs::read_to_string(&uses)?.lines() {
            match line.split('\t').collect::<Vec<_>>()[..] {
                ["defines", file] => defining.extend(subject.relative(file)),
                ["seen", from, line] => {
                    let Some(from) = subject.relative(from) else { continue };
                    seen.insert((from, line.parse::<u32>().unwrap_or(0)));
                }
                ["use", from, to, line, _] => {
                    let (Some(from), Some(to)) = (subject.relative(from), subject.relative(to)) else { continue };
                    if subject.record.is_read(&from) && subject.record.is_read(&to) {
                        theirs.entry((from, to)).or_insert(line.parse().unwrap_or(0));
                    }
                }
                _ => {}
            }
        }
        let ours = subject.ours("csharp", |edge| {
            let compiled = files.contains(edge.from.as_str()) && defining.contains(&edge.to);
            let judged = seen.contains(&(edge.from.clone(), edge.line));
            compiled && (judged || theirs.contains_key(&(edge.from.clone(), edge.to.clone())))
        });
        Ok(vec![Comparison { what: "types", ours, theirs }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, ours, .. } = *difference;
        let source = std::fs::read(subject.directory.join(from)).unwrap_or_default();
        let conditional = String::from_utf8_lossy(&source).lines().any(|line| line.trim_start().starts_with("#if"));
        match ours {
            true if conditional => "a `using` or a type of another configuration (`#if`)",
            true => "a property called like its type, inherited from another file",
            false => "a name behind an `#if` or an error of the grammar",
        }
        .to_owned()
    }
}
