//! PHP against nikic/php-parser, whose resolver writes names in full, and composer, whose class
//! map says which file a class is loaded from.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program;

use super::oracle::{Comparison, Difference, Landmark, Oracle, Package, Registry, Subject};
use super::told::{Told, without};
use crate::tools::Tools;

pub(super) struct Php;

/// The program that asks php-parser.
const USES: &str = include_str!("witness/uses.php");

const fn source(name: &'static str, version: &'static str, sha256: &'static str) -> Package {
    Package { registry: Registry::Debian, name, version, sha256, folder: "", landmark: None }
}

const PACKAGES: &[Package] = &[
    Package {
        landmark: Some(Landmark {
            core: "src/Illuminate/Container/Container.php",
            entry: "src/Illuminate/Foundation/Application.php",
        }),
        ..source(
            "php-laravel-framework",
            "8.83.26+dfsg",
            "dae1be708d1aea10f38be5a73cf8e583218a6a849a98797ae147b4975c328c84",
        )
    },
    source("composer", "2.5.5", "9d24f477e5a3c1c2ab12c1cf734a0d66d4572740d9edad44e462c5dc60983bce"),
    source("php-codesniffer", "3.7.1", "c43020dc5b8b0e5b6ba34614c83c521f866460a07f35e1d218b06f4d95a563ed"),
    source("php-htmlpurifier", "4.11.0", "bb9eacc09f27354c4aa996549c03165bd6427d0811b8c4d6546a8fb6ee64f2ee"),
    source("php-monolog", "2.9.1", "55d7d62eee001d4e68fe0d53841ede53bd583f4e0e3a172877d9a939f4b3c79e"),
    source("php-parser", "4.15.4", "3fc974804ea2d7e32a8e5b8c714e818cdad0c115198bd2a081bd0c8c46db37ac"),
    source("php-sabredav", "1.8.12", "c86d6699414593f5307595ed87670ce88cb3ff1eae49328de0e70b5605aac3e2"),
    source("php-twig", "3.5.1", "1c6b0b85a6076bc2a96e916121dbb473a650a521b4ff82036fb7806d78dfef03"),
    source("phpunit", "9.6.7", "2e94011459b6cae0bafe6ab667d8111083a927fec138cc397044cc7a03e568b7"),
];

const HELD_OUT: &[Package] = &[
    source("php-league-commonmark", "2.3.9", "c47403767a27c7d14f036a0a8e758eab213958d2489160412043174dc453f9d3"),
    source("php-nesbot-carbon", "2.65.0", "92469cd4ac9ba25bdbfa35fe98fa3df5a9f975dcaf02a8f25a81219dc888f3a3"),
    source("php-ramsey-uuid", "4.6.0", "0722e5adf056f104efa1e0cba1fe0eb5819d3e5024c20d08813b7bb723ede3c9"),
];

impl Oracle for Php {
    fn language(&self) -> &'static str {
        "php"
    }

    fn witness(&self) -> &'static str {
        "nikic/php-parser 4.15 and composer 2.5 (Debian's php-parser and composer, PHP 8.2)"
    }

    fn compared(&self) -> &'static str {
        "Sources are Debian's upstream archives, tests included; files that php-parser does not parse are left out. *names*: pairs (file of a name, file that declares it) over every class, function and constant that the parser's `NameResolver` writes out in full, `use` declarations included. A class is where the map of `composer dump-autoload --optimize --dev` has it; a function or constant where a file of composer's list `files` declares it. What composer does not load is taken from the one file of the package that declares it, and from none where there are several or PHP itself has the name: PHP has one table of names, whoever fills it. *includes*: pairs by `include` and `require` of a path that the parser's evaluator finds constant, relative ones from the file's directory or the package's root. A pair that an include joins is left out of *names* on both sides, as recon writes it once."
    }

    fn packages(&self) -> &'static [Package] {
        PACKAGES
    }

    fn held_out(&self) -> &'static [Package] {
        HELD_OUT
    }

    fn install(&self, _tools: &Tools) -> anyhow::Result<()> {
        let hint = "install PHP first (Debian: php-cli php-mbstring php-parser composer)";
        let parser = "require '/usr/share/php/PhpParser/autoload.php'; new PhpParser\\NodeVisitor\\NameResolver();";
        program::run(Command::new("php").args(["-r", parser])).context(hint)?;
        program::run(Command::new("composer").args(["--version", "--no-interaction"])).context(hint)
    }

    fn compare(&self, tools: &Tools, subject: &Subject<'_>) -> anyhow::Result<Vec<Comparison>> {
        // composer writes into the package.
        let copy = tools.work.join("php").join(subject.package.name);
        fresh(&copy)?;
        program::run(Command::new("cp").arg("-R").arg(subject.directory.join(".")).arg(&copy))?;
        if copy.join("composer.json").exists() {
            autoload(tools, &copy)?;
        }
        let files: Vec<&str> = subject.record.files().filter(|(_, of)| *of == "php").map(|(path, _)| path).collect();
        let (program, list) = (tools.work.join("php/uses.php"), tools.work.join("php/files"));
        std::fs::write(&program, USES)?;
        std::fs::write(&list, files.join("\n"))?;
        let mut command = Command::new("php");
        command.args(["-d", "memory_limit=-1"]).arg(program).arg(&copy).arg(list);
        let text = program::output(&mut command)?;
        let mut told = Told::of(&text);
        let (names, includes) = (told.take("use"), told.take("include"));
        let of_kind = |include: bool| {
            subject.ours("php", |edge| {
                told.seen.contains(&edge.from) && told.seen.contains(&edge.to) && (edge.kind == "include") == include
            })
        };
        let included = of_kind(true);
        let once = |edges| without(edges, [&included, &includes]);
        let names = Comparison { what: "names", ours: once(of_kind(false)), theirs: once(names) };
        Ok(vec![names, Comparison { what: "includes", ours: included, theirs: includes }])
    }

    fn class(&self, subject: &Subject<'_>, difference: &Difference<'_>) -> String {
        let Difference { from, to, line, ours } = *difference;
        let text = subject.line(from, line);
        let include = ["include", "require"].iter().any(|word| text.starts_with(word));
        let target = std::fs::read(subject.directory.join(to)).unwrap_or_default();
        let target = String::from_utf8_lossy(&target);
        match ours {
            true if include => "*includes*: a path that only the program's own include path leads to",
            true => "*names*: a name php-parser or composer finds elsewhere",
            false if include => "*includes*: a path that the include path set in the program finds elsewhere",
            false if target.contains("defined('") => "*names*: a constant defined only where nothing else has",
            false if subject.directory.join("composer.json").exists() => {
                "*names*: a global function or class of a file that composer does not load for it"
            }
            false => "*names*: a name that files php-parser does not parse define too",
        }
        .to_owned()
    }
}

/// Has composer write its class map into `vendor`; nothing is installed, no script is run.
fn autoload(tools: &Tools, package: &Path) -> anyhow::Result<()> {
    let mut command = Command::new("composer");
    command.args(["dump-autoload", "--optimize", "--dev", "--no-interaction", "--no-plugins", "--no-scripts"]);
    command.env("COMPOSER_HOME", tools.work.join("php/home")).env("COMPOSER_ALLOW_SUPERUSER", "1");
    program::run(command.current_dir(package))
}
