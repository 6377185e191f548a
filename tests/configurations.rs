//! Every configuration in `configs/` is one the program reads.

use std::fs;
use std::path::{Path, PathBuf};

use recon_cli::config::load;
use recon_pipeline::{Config, Study};

fn configurations(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(configurations(&path));
        } else if path.extension().is_some_and(|ending| ending == "toml") {
            found.push(path);
        }
    }
    found
}

#[test]
fn every_committed_configuration_is_read_and_written_back() {
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let found = configurations(&configs);
    assert!(found.len() >= 4, "{found:?}");
    for path in found {
        if path.parent().is_some_and(|folder| folder.ends_with("study")) {
            let study: Study = load(Some(&path), &[]).unwrap_or_else(|failure| panic!("{}", failure.message()));
            study.validate().unwrap_or_else(|failure| panic!("{}: {}", path.display(), failure.message()));
            continue;
        }
        let config: Config = load(Some(&path), &[]).unwrap_or_else(|failure| panic!("{}", failure.message()));
        let text = toml::to_string(&config).unwrap();
        let again: Config = toml::from_str(&text).unwrap();
        assert_eq!(toml::to_string(&again).unwrap(), text, "{}", path.display());
    }
}
