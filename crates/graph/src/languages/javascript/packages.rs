//! The named packages of a repository, and where `typesVersions` sends those who import them.
//!
//! Source: the npm documentation of `package.json`; the TypeScript handbook, "Version selection
//! with typesVersions".

use std::collections::BTreeMap;

use serde_json::Value;

use crate::paths;
use crate::repository::Repository;

/// The version of TypeScript that ranges are held against: the language's present one.
const TYPESCRIPT: (u32, u32) = (5, 9);

/// The named packages of the repository with their directories, the root's own included.
pub(super) fn named(repository: &Repository) -> BTreeMap<String, String> {
    let manifests = repository.files.iter().filter(|(path, _)| paths::file_name(path) == "package.json");
    let named = manifests.filter_map(|(path, text)| {
        let manifest: Value = serde_json::from_str(text).ok()?;
        let name = manifest.get("name")?.as_str()?;
        let plain = !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        plain.then(|| (name.to_owned(), paths::parent(path).to_owned()))
    });
    // The shortest path keeps a name that fixtures deeper down repeat.
    let mut packages: BTreeMap<String, String> = BTreeMap::new();
    for (name, directory) in named {
        let entry = packages.entry(name).or_insert_with(|| directory.clone());
        if directory.len() < entry.len() {
            *entry = directory;
        }
    }
    packages
}

/// The package that a specifier names, and the rest of the specifier.
pub(super) fn owner<'p, 's>(packages: &'p BTreeMap<String, String>, specifier: &'s str) -> Option<(&'p str, &'s str)> {
    let owner = paths::ancestors(specifier).chain([specifier]).find(|name| packages.contains_key(*name))?;
    Some((packages[owner].as_str(), specifier[owner.len()..].trim_start_matches('/')))
}

/// Paths from the directory of a package that its `typesVersions` gives for `rest` of a specifier;
/// none where the package says by `exports` what may be imported.
pub(super) fn typed(manifest: &str, rest: &str) -> Vec<String> {
    let manifest: Value = serde_json::from_str(manifest).unwrap_or_default();
    let ranges = manifest.get("typesVersions").and_then(Value::as_object).filter(|_| manifest.get("exports").is_none());
    let Some((_, patterns)) = ranges.into_iter().flatten().find(|(range, _)| admits(range)) else { return Vec::new() };
    let main = ["types", "typings", "main"].iter().find_map(|key| manifest.get(key)).and_then(Value::as_str);
    let wanted = if rest.is_empty() { main.unwrap_or("index").trim_start_matches("./") } else { rest };
    let best = patterns.as_object().into_iter().flatten().filter_map(|(pattern, targets)| {
        if pattern == wanted {
            return Some((usize::MAX, "", targets));
        }
        let (prefix, suffix) = pattern.split_once('*')?;
        let middle = wanted.strip_prefix(prefix)?.strip_suffix(suffix)?;
        Some((prefix.len(), middle, targets))
    });
    let Some((_, middle, targets)) = best.max_by_key(|(length, ..)| *length) else { return Vec::new() };
    let targets = targets.as_array().into_iter().flatten().filter_map(Value::as_str);
    targets.map(|target| target.replacen('*', middle, 1)).collect()
}

/// Whether a range of versions admits [`TYPESCRIPT`]; all of its comparators must.
fn admits(range: &str) -> bool {
    let of_alternative = |alternative: &str| {
        alternative.split_whitespace().all(|comparator| {
            let bare = comparator.trim_start_matches(['>', '<', '=', '^', '~']);
            let mut numbers = bare.split('.').map(|part| part.trim_end_matches(|c: char| !c.is_ascii_digit()).parse());
            let Some(Ok(major)) = numbers.next() else { return bare == "*" };
            let minor = numbers.next().and_then(Result::ok);
            let version = (major, minor.unwrap_or(0));
            match &comparator[..comparator.len() - bare.len()] {
                ">=" => TYPESCRIPT >= version,
                ">" => TYPESCRIPT > version,
                "<=" => TYPESCRIPT <= version || (minor.is_none() && TYPESCRIPT.0 == major),
                "<" => TYPESCRIPT < version,
                "^" => TYPESCRIPT.0 == major && TYPESCRIPT >= version,
                _ => TYPESCRIPT.0 == major && minor.is_none_or(|minor| TYPESCRIPT.1 == minor),
            }
        })
    };
    range.split("||").any(of_alternative)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_range_that_admits_the_language_of_today_counts() {
        for range in ["*", ">=4.0", ">4", "^5.0", "5.9", "5.x", ">=4 <6", "<4 || >=5", "<=5"] {
            assert!(admits(range), "{range}");
        }
        for range in ["<4.0", "4.x", "^4.2", ">=6", ">=3 <5", "<=5.1", "next"] {
            assert!(!admits(range), "{range}");
        }
    }

    #[test]
    fn patterns_map_what_is_imported() {
        let manifest = |rest: &str| {
            format!(
                "{{ \"types\": \"./index.d.ts\", \"typesVersions\": {{ \"<4\": {{ \"*\": [\"old/*\"] }}, \">=4\": {rest} }} }}"
            )
        };
        let all = manifest("{ \"*\": [\"ts/*\", \"more/*\"], \"deep/*.js\": [\"d/*.d.ts\"], \"exact\": [\"e.d.ts\"] }");
        assert_eq!(typed(&all, "x/y"), ["ts/x/y", "more/x/y"]);
        assert_eq!(typed(&all, "deep/z.js"), ["d/z.d.ts"], "the longest prefix");
        assert_eq!(typed(&all, "exact"), ["e.d.ts"]);
        assert_eq!(typed(&all, ""), ["ts/index.d.ts", "more/index.d.ts"], "the package itself is its types");
        assert!(typed("{ \"exports\": {}, \"typesVersions\": { \"*\": { \"*\": [\"a/*\"] } } }", "x").is_empty());
        assert!(typed("{", "x").is_empty());
    }
}
