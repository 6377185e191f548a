//! What TypeScript's configurations say that the resolver does not read: `moduleSuffixes`, and
//! `paths` for names that begin with a dot and for files that no configuration includes.
//!
//! A name is relative only where it begins with `./` or `../`: `.storybook/preview` may be an
//! alias. A file that no configuration includes (a story, a script beside the sources) is built by
//! tools that take the nearest one.
//!
//! Source: the TSConfig reference, `moduleSuffixes` and `paths`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oxc_resolver::TsConfig;
use serde_json::Value;

use super::files;
use crate::paths;
use crate::repository::Repository;

/// Longer chains of `extends` are not followed.
const MAX_EXTENDS: usize = 16;

/// The endings that a configuration tries before the extension, in order; none for the usual one.
pub(super) type Suffixes = Vec<String>;

/// The configurations that set `moduleSuffixes`, by their places in the made-up file system.
pub(super) fn suffixes(repository: &Repository) -> BTreeMap<PathBuf, Suffixes> {
    let mut found = BTreeMap::new();
    if !repository.files.iter().any(|(path, text)| path.ends_with(".json") && text.contains("\"moduleSuffixes\"")) {
        return found;
    }
    for path in repository.files.keys().filter(|path| paths::extension(path) == "json") {
        if let Some(suffixes) = suffixes_of(repository, path, 0).filter(|suffixes| !suffixes.is_empty()) {
            found.insert(files::absolute(path), suffixes);
        }
    }
    found
}

/// Its own, or those of the last configuration that it extends and that sets them.
fn suffixes_of(repository: &Repository, path: &str, depth: usize) -> Option<Suffixes> {
    let text = repository.files.get(path).filter(|_| depth < MAX_EXTENDS)?;
    if !text.contains("moduleSuffixes") && !text.contains("extends") {
        return None;
    }
    let config: Value = serde_json::from_str(&files::plain_json(text)).ok()?;
    if let Some(own) = config.get("compilerOptions").and_then(|options| options.get("moduleSuffixes")) {
        return Some(own.as_array()?.iter().filter_map(|suffix| suffix.as_str().map(str::to_owned)).collect());
    }
    let bases: Vec<&Value> = match config.get("extends")? {
        Value::Array(all) => all.iter().collect(),
        one => vec![one],
    };
    bases.into_iter().rev().filter_map(Value::as_str).find_map(|base| {
        let base = paths::join(paths::parent(path), base)?;
        let named = [base.clone(), format!("{base}.json"), format!("{base}/tsconfig.json")];
        named.iter().find_map(|base| suffixes_of(repository, base, depth + 1))
    })
}

/// The nearest configuration above a file, whether it includes the file or not.
pub(super) fn nearest(repository: &Repository, from: &str) -> Option<PathBuf> {
    let holds = |directory: &&str| {
        ["tsconfig.json", "jsconfig.json"]
            .iter()
            .any(|name| paths::join(directory, name).is_some_and(|path| repository.contains(&path)))
    };
    let directory = paths::ancestors(from).find(holds)?;
    // A `jsconfig.json` is served under the other name.
    Some(files::absolute(&paths::join(directory, "tsconfig.json")?))
}

/// Whether TypeScript takes a specifier for a path from the importing file.
pub(super) fn is_relative(specifier: &str) -> bool {
    matches!(specifier, "." | "..") || ["./", "../"].iter().any(|start| specifier.starts_with(start))
}

/// The places that `paths`, or else `baseUrl`, give a specifier that is not relative.
pub(super) fn mapped(config: &TsConfig, specifier: &str) -> Vec<PathBuf> {
    let from_paths = config.compiler_options.paths.as_ref().and_then(|map| {
        if let Some(exact) = map.get(specifier) {
            return Some(exact.clone());
        }
        let matching = map.iter().filter_map(|(pattern, targets)| {
            let (prefix, suffix) = pattern.split_once('*')?;
            let rest = specifier.strip_prefix(prefix)?.strip_suffix(suffix)?;
            Some((prefix.len(), rest, targets))
        });
        let (_, rest, targets) = matching.max_by_key(|(length, ..)| *length)?;
        let filled = |target: &PathBuf| PathBuf::from(target.to_string_lossy().replacen('*', rest, 1));
        Some(targets.iter().map(filled).collect())
    });
    from_paths.unwrap_or_else(|| {
        let base = config.compiler_options.base_url.as_ref();
        base.map(|base| absolute_below(config, base).join(specifier)).into_iter().collect()
    })
}

/// `baseUrl` is written from the configuration's own directory.
fn absolute_below(config: &TsConfig, base: &Path) -> PathBuf {
    config.path.parent().map_or_else(|| base.to_owned(), |directory| directory.join(base))
}
