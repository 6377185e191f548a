//! Go against its own distribution: `go list` for packages, the type checker `go/types` for files.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program;
use serde::Deserialize;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use super::record::Edge;
use super::told::Told;
use crate::tools::Tools;

pub(super) struct Golang;

/// The program that asks `go/types`.
const USES: &str = include_str!("witness/uses.go");

const fn source(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark { core: "render/render.go", entry: "gin.go" }),
        ..source(
            "golang-github-gin-gonic-gin",
            "1.8.1",
            "9f6a9a6c2b96c323902d8ee1728152bafdf1894130554a93af5d3f1807c0403b",
        )
    },
    source("golang-github-gorilla-mux", "1.8.0", "ea2639259d2ce6f402636655e91eb93ba69c139e3cbf80b044ee393ada53757b"),
    source("golang-github-spf13-cobra", "1.6.1", "f38f8b26895903be06089ff20882fc771dbca12f41cf81d7bd823be65e6cec52"),
    source("golang-golang-x-net", "0.7.0+dfsg", "54ae5e20baf32993c60638fbacf4dc9b50f470a7c32d2a55aec0059577b4e8bd"),
    source("golang-logrus", "1.9.0", "12446ed9eb96573c2aae4df2db81900a65bfd21d2ce92efde7201614e42134f7"),
    source("golang-testify", "1.8.1", "6749fede6c26ae66b7e7500136dbe56913b4e0679099b6c1154d2210a9a1ec00"),
];

const HELD_OUT: &[Package] = &[
    source(
        "golang-github-spf13-pflag",
        "1.0.6~git20210604-d5e0c0615ace",
        "9b21056481ebf33e78a80ae999a714abb29392a5995a515bc8fefd6d88b6b204",
    ),
    source("golang-github-spf13-viper", "1.10.1", "9d4276ff76799b7e5a4ad39542df3b27e3b24e70356e84ceaa338c782617c275"),
    source("golang-github-urfave-cli-v2", "2.3.0", "b17376246f1477157daab86d4a1562d6b004f5be0d15dfc61ebd8bb129384e6b"),
    source("golang-google-grpc", "1.33.3", "2255ad83a5b6bd2b285ea839afd315b2fb810e532569280760ebc91567d3b1e1"),
];

impl Oracle for Golang {
    fn language(&self) -> &'static str {
        "go"
    }

    fn witness(&self) -> &'static str {
        "`go list -e -json ./...` and `go/types` (Go 1.19, Debian's golang-go)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives. *packages*: pairs of directories, of which one holds a file that imports the other, `testdata` left out, as `go list` reports `Imports`, `TestImports` and `XTestImports`. *files*: pairs (file of an identifier, file that declares what the type checker resolves it to) over every identifier that names something at package level, of the file's own package or an imported one. Methods and fields are no such names. Only files built on Linux/amd64 without cgo count on either side, and modules that are not fetched leave what is theirs unresolved. Blank imports, which name nothing, are left out of *files*."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        program::output(Command::new("go").arg("version")).context("install Go first (Debian: golang-go)")?;
        let build = |directory: &std::path::Path| {
            std::fs::write(directory.join("uses.go"), USES)?;
            program::run(Command::new("go").args(["build", "-o", "uses", "uses.go"]).current_dir(directory))
        };
        tools.once("go", &format!("uses.go of {} bytes", USES.len()), build).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let text = program::output(
            Command::new(tools.work.join("tools/go/uses")).arg(subject.directory).current_dir(&tools.work),
        )?;
        let mut told = Told::of(&text);
        let theirs = told.take("use");
        let built = |edge: &Edge| told.seen.contains(&edge.from) && told.seen.contains(&edge.to);
        let blank = |edge: &Edge| edge.kind == "import" && subject.line(&edge.from, edge.line).contains("_ \"");
        let files = Comparison { what: "files", ours: subject.ours("go", |edge| built(edge) && !blank(edge)), theirs };
        let imports = subject.ours("go", |edge| built(edge) && edge.kind == "import");
        let mut ours = Edges::new();
        for ((from, to), _) in imports {
            let pair = (directory(&from).to_owned(), directory(&to).to_owned());
            // `./...` leaves directories of this name out.
            if !pair.0.split('/').chain(pair.1.split('/')).any(|part| part == "testdata") {
                ours.insert(pair, 0);
            }
        }
        let packages = Comparison { what: "packages", ours, theirs: listed(tools, subject)? };
        Ok(vec![files, packages])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, line, ours, .. } = *difference;
        let text = subject.line(from, line);
        match ours {
            true if line == 0 => "an import of a package go does not list",
            true => "a name go/types resolves elsewhere",
            false if text.contains(':') => "a key of a literal, which recon takes for a field",
            false => "a name recon does not resolve",
        }
        .to_owned()
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    dir: String,
    import_path: String,
    #[serde(default)]
    imports: Vec<String>,
    #[serde(default)]
    test_imports: Vec<String>,
    #[serde(default, rename = "XTestImports")]
    outer_test_imports: Vec<String>,
}

/// Pairs of directories by `go list`.
fn listed(tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Edges> {
    let copy = tools.work.join("go").join(subject.package.name);
    fresh(&copy)?;
    program::run(Command::new("cp").arg("-R").arg(subject.directory.join(".")).arg(&copy))?;
    // Without what it requires, go has nothing to fetch and lists imports of it as errors.
    let manifest = std::fs::read_to_string(copy.join("go.mod")).context("a package without go.mod")?;
    let module = manifest.lines().find(|line| line.starts_with("module ")).context("a go.mod without a module")?;
    std::fs::write(copy.join("go.mod"), format!("{module}\n\ngo 1.18\n"))?;
    let mut command = Command::new("go");
    command.args(["list", "-e", "-json", "./..."]).current_dir(&copy);
    command.env("GOPROXY", "off").env("GOFLAGS", "-mod=readonly").env("CGO_ENABLED", "0");
    let (_, text, errors) = program::outcome(&mut command)?;
    let all: Vec<Listed> = serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>()?;
    anyhow::ensure!(!all.is_empty(), "go list names no package: {errors}");
    let root = std::fs::canonicalize(&copy)?;
    let inside = |listed: &Listed| {
        let path = std::path::Path::new(&listed.dir).strip_prefix(&root).ok()?;
        Some(path.to_str()?.to_owned())
    };
    let directories: BTreeMap<&str, String> =
        all.iter().filter_map(|listed| Some((listed.import_path.as_str(), inside(listed)?))).collect();
    let mut edges = Edges::new();
    for package in &all {
        let Some(from) = directories.get(package.import_path.as_str()) else { continue };
        for import in package.imports.iter().chain(&package.test_imports).chain(&package.outer_test_imports) {
            if let Some(to) = directories.get(import.as_str()) {
                edges.insert((from.clone(), to.clone()), 0);
            }
        }
    }
    Ok(edges)
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}
