//! TypeScript against the TypeScript compiler's own resolution trace.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use crate::tools::Tools;

pub(super) struct Tsc;

const fn tarball(name: &'static str, version: &'static str, folder: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Npm, name, version, sha256, folder, landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark { core: "src/internal/Observable.ts", entry: "src/index.ts" }),
        ..tarball("rxjs", "7.8.2", "src", "2312f8ffd9726ffd7bd53ea12c5f13663d09a3dc3326f448c70b88f5ef6fac82")
    },
    tarball("@reduxjs/toolkit", "2.10.1", "src", "e73fbcf9b0392e157175bff762f557f4968cbb3fda92133ce2ba1cdc3c11deaa"),
    tarball(
        "@tanstack/query-core",
        "5.90.7",
        "src",
        "48a68132f1a5208a5bfea35c108977532bc962f1e4bfaa363e935bd46be67f07",
    ),
    tarball("immer", "10.2.0", "src", "23e8ffb42851e74536e4cad3354f1d2183aee0d5a9f16e0d92a33e6fbcea74b2"),
    tarball("redux", "5.0.1", "src", "adacd4f8a377e638a3feb568e45e8b8ff22c926516941db25b1acfc34d94398b"),
    tarball("zod", "3.25.76", "src", "9e1f1a05f0dd0c1dab64ee91ceb9bf55cd44d35368c70edda80a2fdc70a88377"),
];

const HELD_OUT: &[Package] = &[
    tarball(
        "@tanstack/react-query",
        "5.108.4",
        "src",
        "73928ec1c55576aa838adaca5f055d3c3ea03bfd86af48e4ce934697b3a8de83",
    ),
    tarball("@trpc/server", "11.25.2", "src", "43d5562bf3d3ca2ba55bb37a91020c19d90ddaa3359a1eb55e5fefc62c6cb29a"),
    tarball("ajv", "8.20.0", "lib", "b2f0b3a893bbb8cc5efb6814f08b1499e19e31d5dd73683f5893382f48f6e7b3"),
    tarball("effect", "4.1.0", "src", "41705a35c964192dfc742863f0e099727ccda7ff2bd67a06d09b093a336f2b0e"),
    tarball("mobx", "7.1.3", "src", "bbd07665d8851ee01df2fd4e12db106c60fd878839610dd8b899548969625616"),
];

impl Oracle for Tsc {
    fn language(&self) -> &'static str {
        "typescript"
    }

    fn witness(&self) -> &'static str {
        "`tsc --traceResolution` (TypeScript 5.9.3, from npm)"
    }

    fn compared(&self) -> &'static str {
        "Pairs between TypeScript files below the package's `src`, as the compiler resolves every module name it meets there (`--module esnext --moduleResolution bundler`)."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, tools: &Tools) -> anyhow::Result<()> {
        tools.npm("typescript", &["typescript@5.9.3"]).map(drop)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let mut files = BTreeSet::new();
        sources(&subject.directory.join(subject.package.folder), &mut files)?;
        let mut command = Command::new("node");
        command.arg(tools.work.join("tools/typescript/node_modules/typescript/lib/tsc.js"));
        command.args(["--noEmit", "--traceResolution", "--noLib", "--skipLibCheck", "--jsx", "preserve"]);
        command.args(["--module", "esnext", "--moduleResolution", "bundler", "--allowImportingTsExtensions"]);
        command.args(&files).current_dir(subject.directory);
        // The packages' own dependencies are not installed, so the compiler reports errors.
        let (_, trace, _) = program::outcome(&mut command)?;
        let theirs = edges(&trace, subject);
        anyhow::ensure!(!theirs.is_empty(), "tsc resolved nothing:\n{}", trace.lines().take(5).collect::<String>());
        let ours = subject.ours("typescript", |edge| subject.record.language(&edge.to) == Some("typescript"));
        Ok(vec![Comparison { what: "imports", ours, theirs }])
    }

    fn class(&self, _subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { to, ours, .. } = *difference;
        match ours {
            true => "an import tsc does not resolve",
            false if to.ends_with(".d.ts") => "a declaration file",
            false => "an import recon does not resolve",
        }
        .to_owned()
    }
}

/// What the trace resolves inside the compared folder.
fn edges(trace: &str, subject: &Subject<'_>) -> Edges {
    let mut edges = Edges::new();
    let mut from = None;
    for line in trace.lines().filter_map(|line| line.strip_prefix("======== ")) {
        let quoted: Vec<&str> = line.split('\'').skip(1).step_by(2).collect();
        match quoted[..] {
            [_, importer] if line.starts_with("Resolving module") => from = subject.relative(importer),
            [_, target, ..] if line.starts_with("Module name") && line.contains("successfully resolved") => {
                let (Some(from), Some(to)) = (from.take(), subject.relative(target)) else { continue };
                if from != to && subject.record.language(&to) == Some("typescript") {
                    edges.insert((from, to), 0);
                }
            }
            _ => {}
        }
    }
    edges
}

fn sources(directory: &Path, files: &mut BTreeSet<std::path::PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            sources(&path, files)?;
        } else if [".ts", ".tsx", ".mts", ".cts"].iter().any(|end| name.ends_with(end)) {
            files.insert(path);
        }
    }
    Ok(())
}
