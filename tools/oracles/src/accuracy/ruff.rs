//! Python against `ruff analyze graph`, which resolves imports as its linter does.
//!
//! ruff does not emit the `__init__` of packages passed on the way; recon's edges of the kind
//! `package` say that and are left out. A stub beside its module (kind `stub`) stands for the
//! module, as it does in ruff.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program::{self, run};

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use crate::tools::Tools;

/// What pip installs.
pub(crate) const PIN: &str = "ruff==0.17.6";

/// ruff's own program, installed once.
pub(crate) fn program(tools: &Tools) -> anyhow::Result<PathBuf> {
    let directory = tools.once("ruff", PIN, |directory| {
        let pip = ["-m", "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:", "--target"];
        run(Command::new("python3").args(pip).arg(directory).arg(PIN))
    })?;
    Ok(directory.join("bin/ruff"))
}

pub(super) struct Ruff;

const fn sdist(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Pypi, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark { core: "src/flask/globals.py", entry: "src/flask/__init__.py" }),
        ..sdist("flask", "3.1.2", "bf656c15c80190ed628ad08cdfd3aaa35beb087855e2f494910aa3774cc4fd87")
    },
    sdist("black", "25.11.0", "9a323ac32f5dc75ce7470501b887250be5005a01602e931a15e45593f70f6e08"),
    sdist("click", "8.3.1", "12ff4785d337a1bb490bb7e9c2b1ee5da3112e94a8622f26a6c77f5d2fc6842a"),
    sdist("django", "5.2.8", "23254866a5bb9a2cfa6004e8b809ec6246eba4b58a7589bc2772f1bcc8456c7f"),
    sdist("httpx", "0.28.1", "75e98c5f16b0f35b567856f597f06ff2270a374470a5c2392242528e3e3e42fc"),
    sdist("pydantic", "2.12.4", "0f8cb9555000a4b5b617f66bfd2566264c4984b27589d3b845685983e8ea85ac"),
    sdist("requests", "2.32.5", "dbba0bac56e100853db0ea71b82b4dfd5fe2bf6d3754a8893c3af500cec7d7cf"),
    sdist("rich", "14.2.0", "73ff50c7c0c1c77c8243079283f4edb376f0f6442433aecb8ce7e6d0b92d1fe4"),
];

const HELD_OUT: &[Package] = &[
    sdist("celery", "5.7.0", "6a5dfcf6662287204f009a02002b9e66c83d4105e47ebabdc7079108772fc6f0"),
    sdist("fastapi", "0.165.0", "dd94d4128319c1e1d50535ab023ab698f850a4d2822f0e181747b46f4ff3c0ab"),
    sdist("scrapy", "2.19.0", "34130726582b64c91531162ab277c4053e558876d49ba219cb43679e71d80a87"),
    sdist("sphinx", "9.0.4", "594ef59d042972abbc581d8baa577404abe4e6c3b04ef61bd7fc2acbd51f3fa3"),
    sdist("sqlalchemy", "2.1.9", "d700a8b2edfb26282a470333d6bc4a454c4acda4d201a3bea7b72fa76c217d28"),
];

impl Oracle for Ruff {
    fn language(&self) -> &'static str {
        "python"
    }

    fn witness(&self) -> &'static str {
        "`ruff analyze graph` (ruff 0.17.6, from PyPI)"
    }

    fn compared(&self) -> &'static str {
        "Pairs between Python files of the source distribution, tests and documentation included. ruff does not name the `__init__` of a package that is only passed on the way (`import a.b` runs `a/__init__`), so recon's edges of the kind `package` are left out."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        program(tools).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let mut command = Command::new(program(tools)?);
        // Isolated: what a package's own settings leave out of linting is still source.
        command.args(["analyze", "graph", "--preview", "--isolated", "--quiet"]).current_dir(subject.directory);
        let text = program::output(&mut command)?;
        let graph: BTreeMap<String, Vec<String>> = serde_json::from_str(&text).context("ruff's graph")?;
        let mut theirs = Edges::new();
        for (from, imports) in graph {
            let Some(from) = subject.relative(&from) else { continue };
            for to in imports.iter().filter_map(|to| subject.relative(to)).filter(|to| *to != from) {
                theirs.insert((from.clone(), to), 0);
            }
        }
        let ours = subject.ours("python", |edge| edge.kind != "package");
        Ok(vec![Comparison { what: "imports", ours, theirs }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        let package = subject.record.edges.iter().any(|edge| edge.from == from && edge.to == to);
        let text = subject.line(from, line);
        match (ours, package) {
            (true, _) if text.contains("import_module(") => "`import_module` with a literal, which ruff passes over",
            (true, _) if text.starts_with("from .") && !subject.record.has(&init_beside(from)) => {
                "a relative import in a directory without `__init__`, which ruff does not resolve"
            }
            (true, _) if text.starts_with("from .") => {
                "a relative import in a directory whose name is a keyword (`async`), which ruff does not resolve"
            }
            (true, _) if to.ends_with(".pyi") => "a stub beside its module",
            (true, _) if to.ends_with("/__init__.py") => {
                "the package itself, which ruff replaces by what is imported of it"
            }
            (true, _) if from.starts_with("docs/") || from.starts_with("examples/") || from.starts_with("tests/") => {
                "a script's neighbour, which ruff looks for only at the root and in `src`"
            }
            (true, _) => "an import ruff does not resolve from its source roots `.` and `src`",
            (false, true) => "recon has it as a package passed on the way",
            (false, _) if to.ends_with("/__init__.py") => {
                "the file's own package, or one ruff names besides the submodule"
            }
            (false, _) if line == 0 && STANDARD_NAMES.iter().any(|name| to.ends_with(name)) => {
                "a file that shares its name with a module of the standard library"
            }
            (false, _) => "an import recon does not resolve",
        }
        .to_owned()
    }
}

/// Modules of the standard library that packages like to name files after.
const STANDARD_NAMES: &[&str] = &["/collections.py", "/types.py", "/typing.py", "/email.py", "/json.py", "/logging.py"];

fn init_beside(path: &str) -> String {
    path.rsplit_once('/').map_or_else(|| "__init__.py".to_owned(), |(directory, _)| format!("{directory}/__init__.py"))
}
