//! JavaScript against madge, which walks imports, `require` and dynamic imports.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use crate::tools::Tools;

pub(super) struct Madge;

/// What npm installs.
pub(crate) const PIN: &str = "madge@8.0.0";

/// madge over a folder of scripts; it prints its graph as JSON.
pub(crate) fn command(tools: &Tools, folder: &OsStr) -> anyhow::Result<Command> {
    let mut command = Command::new("node");
    command.arg(tools.npm("madge", &[PIN])?.join("node_modules/madge/bin/cli.js"));
    command.args(["--json", "--no-spinner", "--extensions", "js,mjs,cjs,jsx"]).arg(folder);
    Ok(command)
}

const fn tarball(name: &'static str, version: &'static str, folder: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Npm, name, version, sha256, folder, landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark { core: "lib/utils.js", entry: "lib/express.js" }),
        ..tarball("express", "5.1.0", "", "dd6bdb4d4e54d520c78443d5c35aa4ae552be1837e8650d2ec1641df99393e1b")
    },
    tarball("axios", "1.13.2", "lib", "6b4421f0d98e874f7151a88741d3aff2014b8f31e80aef2efa83bfb88662adec"),
    tarball("eslint", "9.39.1", "lib", "470c0b8b46a7dd5b0bdc63bf6b4c8793e8521c5350491a9522fa5c9c73bf9218"),
    tarball("mocha", "11.7.5", "lib", "acd4a16fa42b6cfc850764270ac21bdd32376a641ac4d581b3d16e9705b8415c"),
    tarball("webpack", "5.103.0", "lib", "e1bbb07e3cb9cfe69473c43c656578e3e400711e8aa1a448c2ee334f078b07eb"),
];

const HELD_OUT: &[Package] = &[
    tarball("fastify", "5.12.8", "", "459048aabd9311309f4f95b36e8ca065e3a4613ded292bcf50442926931e4748"),
    tarball("koa", "3.3.0", "", "2b1cae002c5c8a066b9c77ac9bf197e2369ba8501fb76b75c9f21d474ef02cf4"),
    tarball("mongoose", "9.12.1", "lib", "de332a61c69faea1f9775291a984a9391a985e0b452d51c55b6458796de7d04b"),
    tarball("nodemailer", "6.9.16", "lib", "2b06f251c370e362e1805baf33db5d5bdb1a2dadaf1eaf5c054b25dd76c7d270"),
    tarball("winston", "3.19.0", "lib", "4183f422c69153b58b8595d3ec06c523087ca1a978006e1a6db63e199c18748e"),
];

impl Oracle for Madge {
    fn language(&self) -> &'static str {
        "javascript"
    }

    fn witness(&self) -> &'static str {
        "madge 8.0.0 (from npm)"
    }

    fn compared(&self) -> &'static str {
        "Pairs between JavaScript files of the package's sources: `import`, `export … from`, `require` and dynamic imports."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        tools.npm("madge", &[PIN]).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let folder = subject.directory.join(subject.package.folder);
        let mut command = command(tools, folder.as_os_str())?;
        // Into a file: madge ends before a pipe has taken all it wrote.
        let printed = tools.work.join("madge.json");
        program::run(command.current_dir(&folder).stdout(std::fs::File::create(&printed)?))?;
        let text = std::fs::read_to_string(printed)?;
        let graph: BTreeMap<String, Vec<String>> = serde_json::from_str(&text).context("madge's graph")?;
        // madge writes paths from the folder it was given.
        let full = |path: &str| subject.relative(folder.join(path).to_str()?);
        let mut theirs = Edges::new();
        for (from, imports) in &graph {
            let Some(from) = full(from) else { continue };
            let script = |to: &String| *to != from && subject.record.language(to) == Some("javascript");
            for to in imports.iter().filter_map(|to| full(to)).filter(script) {
                theirs.insert((from.clone(), to), 0);
            }
        }
        let ours = subject.ours("javascript", |edge| subject.record.language(&edge.to) == Some("javascript"));
        Ok(vec![Comparison { what: "imports", ours, theirs }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, line, ours, .. } = *difference;
        let text = subject.line(from, line);
        match ours {
            true if text.contains("import(") => "a dynamic import in a CommonJS file",
            true if text.contains("require(") => "`require` inside an ECMAScript module",
            true => "an import madge does not resolve",
            false => "an import recon does not resolve",
        }
        .to_owned()
    }
}
