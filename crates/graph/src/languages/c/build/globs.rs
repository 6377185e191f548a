//! Patterns of file names as `file(GLOB)` takes them.

use crate::paths;
use crate::repository::Repository;

/// Files one pattern may be held against.
const MAX_LOOKED_AT: usize = 50_000;

/// The files below `directory`, or only in it, whose name the pattern takes.
pub(super) fn files(repository: &Repository, directory: &str, pattern: &str, below: bool) -> Vec<String> {
    let start = if directory.is_empty() { String::new() } else { format!("{directory}/") };
    let inside =
        repository.files.range(start.clone()..).map(|(path, _)| path).take_while(|path| path.starts_with(&start));
    inside
        .take(MAX_LOOKED_AT)
        .filter(|path| below || paths::parent(path) == directory)
        .filter(|path| matches(pattern.as_bytes(), paths::file_name(path).as_bytes()))
        .cloned()
        .collect()
}

/// Whether a name fits a pattern of `*` and `?`; what does not fit is tried again from the last `*` alone.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut read) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while read < name.len() {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at + 1, read));
                at += 1;
            }
            Some(byte) if *byte == b'?' || *byte == name[read] => (at, read) = (at + 1, read + 1),
            _ => match star {
                Some((after, from)) => {
                    star = Some((after, from + 1));
                    (at, read) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    #[test]
    fn stars_and_marks() {
        let fits = |pattern: &str, name: &str| super::matches(pattern.as_bytes(), name.as_bytes());
        assert!(fits("*.c", "a.c") && fits("t?st*.c*", "test_a.cc") && fits("*", "") && fits("a*b*c", "aXbXbc"));
        assert!(!fits("*.c", "a.cc") && !fits("?", "") && !fits("a*b", "acd"));
    }
}
