//! Paths inside the text of build files.
//!
//! What is known to stand in the repository carries a mark, and so does what nobody knows: text that is joined to either
//! keeps the mark. Invariant: only what stands inside the repository is a place.

use crate::paths;

/// Marks a path that is seen from the repository's root.
pub(super) const ROOT: char = '\u{1}';
/// Stands for what is not known, and spoils every path it is part of.
pub(super) const UNKNOWN: char = '\u{2}';

/// A path of the repository as the text of a build file.
pub(super) fn absolute(path: &str) -> String {
    format!("{ROOT}{path}")
}

/// The path that the text of a build file in `directory` means; none outside of the repository.
pub(super) fn place(directory: &str, text: &str) -> Option<String> {
    if text.contains(UNKNOWN) || text.is_empty() {
        return None;
    }
    match text.rsplit_once(ROOT) {
        // Whatever stands before an absolute path is a mistake of the text or of the reading.
        Some(("", path)) => paths::join("", path.trim_start_matches('/')),
        Some(_) => None,
        None => paths::join(directory, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_the_repository_are_places() {
        assert_eq!(place("a", "../b").as_deref(), Some("b"));
        assert_eq!(place("a", &format!("{}/../c", absolute("x"))).as_deref(), Some("c"));
        assert_eq!(place("a", &format!("{}/b", absolute(""))).as_deref(), Some("b"));
        assert_eq!(place("a", "/usr/include"), None);
        assert_eq!(place("a", "../../b"), None);
        assert_eq!(place("a", "b\u{2}/c"), None);
    }
}
