//! Which of several files that answer to one name is meant: the one that stands nearest.
//!
//! The nearest shares the longest run of folders with the file that asks; of those, the one with
//! the fewest folders left to go. Where two are equally near nothing is said: the order of paths
//! means nothing.

use recon_schema::graph::Confidence;

use crate::paths;

/// How near `to` stands to `from`; more is nearer.
fn rank(from: &str, to: &str) -> (usize, isize) {
    let folders = |path: &str| paths::parent(path).split('/').filter(|part| !part.is_empty()).count();
    let (a, b) = (paths::parent(from).split('/'), paths::parent(to).split('/'));
    let shared = a.zip(b).take_while(|(a, b)| a == b && !a.is_empty()).count();
    (shared, -isize::try_from(folders(to) - shared).unwrap_or(isize::MAX))
}

/// The file meant, another than `from` itself, and how sure that is.
pub(super) fn only<'p>(from: &str, files: impl Iterator<Item = &'p str>) -> Option<(&'p str, Confidence)> {
    let ranked: Vec<_> = files.filter(|file| *file != from).map(|file| (rank(from, file), file)).collect();
    let (best, _) = ranked.iter().max()?;
    let mut nearest = ranked.iter().filter(|(rank, _)| rank == best);
    let (Some((_, file)), None) = (nearest.next(), nearest.next()) else { return None };
    let confidence = if ranked.len() > 1 { Confidence::Likely } else { Confidence::Exact };
    Some((file, confidence))
}

#[cfg(test)]
mod tests {
    use super::only;

    #[test]
    fn shared_folders_go_before_steps_and_a_tie_says_nothing() {
        let nearest = |from: &str, files: &[&'static str]| only(from, files.iter().copied()).map(|(file, _)| file);
        assert_eq!(nearest("a/b/x.c", &["a/deep/er/y.h", "y.h"]), Some("a/deep/er/y.h"), "a folder in common");
        assert_eq!(nearest("t/x.c", &["a/b/y.h", "z/y.h"]), Some("z/y.h"), "fewer steps");
        assert_eq!(nearest("t/x.c", &["a/y.h", "b/y.h"]), None);
        assert_eq!(nearest("x.c", &["x.c"]), None, "never the file itself");
        assert_eq!(nearest("ab/x.c", &["a/y.h", "ab/y.h"]), Some("ab/y.h"), "folders, not letters");
    }
}
