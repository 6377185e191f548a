//! The licence a repository declares in its own manifests.

use std::collections::BTreeMap;

/// The first SPDX expression declared at the root, asked of Cargo, Python and npm in this order.
pub(crate) fn licence(files: &BTreeMap<String, String>) -> Option<String> {
    let toml = |name: &str| files.get(name)?.parse::<toml::Table>().ok();
    let cargo = || {
        let table = toml("Cargo.toml")?;
        let declared = |section: &toml::Value| Some(section.get("license")?.as_str()?.to_owned());
        table
            .get("package")
            .and_then(declared)
            .or_else(|| table.get("workspace").and_then(|workspace| workspace.get("package")).and_then(declared))
    };
    let python = || {
        let table = toml("pyproject.toml")?;
        let poetry = || table.get("tool")?.get("poetry")?.get("license");
        let declared = table.get("project").and_then(|project| project.get("license")).or_else(poetry)?;
        let text = declared.as_str().or_else(|| declared.get("text")?.as_str())?;
        Some(text.to_owned())
    };
    let npm = || {
        let package: serde_json::Value = serde_json::from_str(files.get("package.json")?).ok()?;
        Some(package.get("license")?.as_str()?.to_owned())
    };
    [cargo(), python(), npm()].into_iter().flatten().find(|text| is_expression(text))
}

/// Whether `text` has the form of an SPDX expression; prose such as `MIT License` has not.
fn is_expression(text: &str) -> bool {
    let words: Vec<&str> = text.split(['(', ')', ' ']).filter(|word| !word.is_empty()).collect();
    let operator = |word: &str| matches!(word, "AND" | "OR" | "WITH");
    let identifier = |word: &str| word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '+' | ':'));
    // Identifiers and operators alternate.
    words.len() % 2 == 1
        && words.iter().enumerate().all(|(at, word)| operator(word) == (at % 2 == 1) && identifier(word))
        && !matches!(words[0], "UNLICENSED" | "Proprietary" | "SEE")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_is_no_licence_expression() {
        assert!(is_expression("MIT") && is_expression("(MIT OR Apache-2.0)"));
        assert!(!is_expression("MIT License") && !is_expression("") && !is_expression("MIT/Apache-2.0"));
    }

    #[test]
    fn the_workspace_licence_counts() {
        let manifest = "[workspace.package]\nlicense = \"MIT OR Apache-2.0\"\n[package]\nlicense.workspace = true\n";
        let files = BTreeMap::from([("Cargo.toml".to_owned(), manifest.to_owned())]);
        assert_eq!(licence(&files).as_deref(), Some("MIT OR Apache-2.0"));
    }
}
