//! What cleaning finds in repositories, to be looked at and counted.
//!
//! `cargo run --release -p recon-corpus --example cleaned -- [--texts] SOURCE…` → a line for each finding:
//! source, rule, path, what was found, separated by tabs; the rule `licence` gives the licence.
//! With `--texts` manifests are left out of the search for it. Secrets are printed: for eyes only.

use std::io::Write as _;
use std::path::Path;

use recon_repository::{CleanOptions, Source, SourceOptions, clean};
use recon_repository::{ReadOptions, is_licence_file};

fn main() -> std::io::Result<()> {
    let texts = std::env::args().any(|argument| argument == "--texts");
    let mut out = std::io::stdout().lock();
    for source in std::env::args().skip(1).filter(|argument| argument != "--texts") {
        let located = Source::locate(Path::new(&source));
        let mut repository = match located.read(&ReadOptions::default(), &SourceOptions::default()) {
            Ok(repository) => repository,
            Err(error) => {
                writeln!(out, "{source}\terror\t\t{error}")?;
                continue;
            }
        };
        if texts {
            repository.reference.licence = None;
            repository.files.retain(|path, _| is_licence_file(path));
        }
        let original = repository.files.clone();
        let report = clean(&mut repository, &CleanOptions::default());
        let licence = repository.reference.licence.clone().unwrap_or_default();
        writeln!(out, "{source}\tlicence\t\t{licence}")?;
        for file in report.dropped {
            writeln!(out, "{source}\t{}\t{}\t", file.rule, file.path)?;
        }
        for (path, file) in &repository.redacted {
            for span in &file.redactions {
                let text = &original[path][span.start as usize..span.end as usize];
                writeln!(out, "{source}\t{}\t{path}\t{}", span.rule, text.escape_debug())?;
            }
        }
    }
    Ok(())
}
