//! Ruby against its own parser and search of the load path, and against Zeitwerk.

use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Edges, Landmark, Oracle, Package, Registry, Subject};
use super::told::{Told, without};
use crate::tools::Tools;

pub(super) struct Ruby;

/// The program that asks Ruby.
const USES: &str = include_str!("witness/uses.rb");

const fn source(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark {
            core: "activesupport/lib/active_support/concern.rb",
            entry: "railties/lib/rails/all.rb",
        }),
        ..source("rails", "6.1.7.10+dfsg", "54f0c056757697e2fd6887e622c23fac5eb862a65ac497e9e3a5081a3dc57f66")
    },
    source("puma", "5.6.5", "8c056fddcf3acefb4547bff3533741cd8e8a1b08c3ff0a60a5ec68f208b4659b"),
    source("redmine", "5.0.4", "6fccf53629e8beaa6b0c5020a24f5c66acbb7b546d4e6f3fb62974d5e9274ec6"),
    source("rubocop", "1.39.0+dfsg", "ba0ddf790c6afb418a9de66d272d7205e5ae448c65afbc29fbee56c7eb76ec11"),
    source("ruby-devise", "4.8.1", "85e44619f5cabf16a7716ac643d80e82e88b7dd287900abfafd348a117a3d8a8"),
    source("ruby-nokogiri", "1.13.10+dfsg", "98e920d292f48904e63eca9fa8c42204f320cbfd82c080e31377cdcc22adddeb"),
    source("ruby-sidekiq", "6.4.1+dfsg", "9b66aae6cfe8531410a75cbb78f953842b5524041e105f29aa2f928205607c09"),
];

impl Oracle for Ruby {
    fn language(&self) -> &'static str {
        "ruby"
    }

    fn witness(&self) -> &'static str {
        "Ruby 3.1 (`RubyVM::AbstractSyntaxTree`, `$LOAD_PATH.resolve_feature_path`), Zeitwerk 2.6 and Rails 6.1 (Debian's ruby and ruby-railties)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives; files that Ruby 3.1 does not parse are left out. *requires*: pairs by every `require`, `require_relative`, `require_dependency`, `load` and `autoload` in Ruby's own syntax tree whose path is made of literals, `__dir__`, `__FILE__` and functions of `File`; such an expression is evaluated by Ruby, and the path is searched by Ruby along a load path of the own gem's directories (its gemspec is run to know them), `test` and `spec` for files below them, the other gems of the archive, Ruby's own libraries. An `autoload` without a path is ActiveSupport's, which is asked for it. *constants*: pairs (file of a constant, file that Zeitwerk loads the longest known part of it from) in Rails applications and engines, looked up as Ruby looks in modules around, innermost first, what the file defines itself before all. Which directories are loaded Rails' own configuration says, and the application's initializer of Zeitwerk, which is run; what a name in them means Zeitwerk's inflector. Ancestors are not looked into by either side, and a gem that requires its files has no pairs by constants. A pair that a require joins is left out of *constants* on both sides, as recon writes it once."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn install(&self, _tools: &Tools) -> anyhow::Result<()> {
        let ask = ["-e", "require 'rails'; require 'zeitwerk'; $LOAD_PATH.resolve_feature_path('set')"];
        program::run(Command::new("ruby").args(ask))
            .context("install Ruby and Rails first (Debian: ruby ruby-railties)")
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        let work = tools.work.join("ruby");
        fresh(&work)?;
        let (program, list) = (work.join("uses.rb"), work.join("files"));
        let files: Vec<&str> = subject.record.files().filter(|(_, of)| *of == "ruby").map(|(path, _)| path).collect();
        std::fs::write(&program, USES)?;
        std::fs::write(&list, files.join("\n"))?;
        let mut command = Command::new("ruby");
        let text = program::output(command.arg("-W0").arg(program).arg(subject.directory).arg(list))?;
        let mut told = Told::of(&text);
        let (requires, constants) = (told.take("require"), told.take("constant"));
        let (mut required, mut used) = (Edges::new(), Edges::new());
        // A program may also load what is no Ruby by its name.
        let parsed = |path: &String| told.seen.contains(path) || subject.record.language(path) != Some("ruby");
        for (pair, line) in subject.ours("ruby", |edge| parsed(&edge.from) && parsed(&edge.to)) {
            let asks = asks(&subject.line(&pair.0, line));
            if asks { &mut required } else { &mut used }.insert(pair, line);
        }
        let once = |edges| without(edges, [&required, &requires]);
        let constants = Comparison { what: "constants", ours: once(used), theirs: once(constants) };
        Ok(vec![Comparison { what: "requires", ours: required, theirs: requires }, constants])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        match (ours, asks(&subject.line(from, line))) {
            (true, true) => "*requires*: a path made with a variable, which the witness does not follow",
            (true, false) if to.contains("/test/") => {
                "*constants*: a directory that a test gives its loader while it runs"
            }
            (true, false) => "*constants*: a file that the program tells its loader to ignore",
            (false, true) => "*requires*: a path recon does not resolve",
            (false, false) => "*constants*: a constant recon does not resolve",
        }
        .to_owned()
    }
}

/// Whether a line asks for a file by its path.
fn asks(line: &str) -> bool {
    const CALLS: [&str; 5] = ["require", "require_relative", "require_dependency", "autoload", "load"];
    CALLS.iter().any(|call| {
        line.match_indices(call).any(|(at, _)| {
            let free = !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_.:".contains(c));
            free && line[at + call.len()..].starts_with([' ', '('])
        }) || line.contains(&format!("Kernel.{call}"))
    })
}
