//! What a repository is called whose source is a file.

use std::path::Path;

/// The name of a file without the endings of archives.
pub fn stem(path: &Path) -> String {
    let name = path.file_name().map_or_else(|| "repository".into(), |name| name.to_string_lossy().into_owned());
    const ENDINGS: [&str; 13] = [
        ".tar.gz", ".tar.zst", ".tgz", ".tzst", ".tar", ".zip", ".crate", ".whl", ".git", ".parquet", ".gz", ".zst",
        ".jsonl",
    ];
    let mut stem = name.as_str();
    while let Some(shorter) = ENDINGS.iter().find_map(|ending| stem.strip_suffix(ending)).filter(|it| !it.is_empty()) {
        stem = shorter;
    }
    stem.to_owned()
}
