//! Folders that tools work in.

use std::path::{Path, PathBuf};

use anyhow::ensure;

/// The root of the workspace that this program was built in.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).expect("tools/outside lies two levels below the root").into()
}

/// Makes a folder, emptied if it is there.
pub fn fresh(path: &Path) -> anyhow::Result<()> {
    if path.exists() {
        std::fs::remove_dir_all(path)?;
    }
    Ok(std::fs::create_dir_all(path)?)
}

/// The one entry of a folder whose name satisfies `is_it`; any other number of them is an error.
pub fn only_entry(folder: &Path, is_it: impl Fn(&str) -> bool) -> anyhow::Result<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(&is_it) {
            found.push(entry.path());
        }
    }
    ensure!(found.len() == 1, "expected one such entry in {}, found {found:?}", folder.display());
    Ok(found.remove(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_the_folder_of_the_workspace() {
        assert!(workspace().join("tools/outside/src/folder.rs").exists());
        assert!(std::fs::read_to_string(workspace().join("Cargo.toml")).unwrap().contains("[workspace]"));
    }

    #[test]
    fn what_a_folder_held_is_gone_and_two_entries_are_not_one() {
        let folder = tempfile::tempdir().unwrap();
        let work = folder.path().join("a/b");
        fresh(&work).unwrap();
        for name in ["x.whl", "y.whl"] {
            std::fs::write(work.join(name), "").unwrap();
        }
        assert!(only_entry(&work, |_| true).is_err() && only_entry(&work, |name| name == "z").is_err());
        assert_eq!(only_entry(&work, |name| name.starts_with('x')).unwrap(), work.join("x.whl"));
        fresh(&work).unwrap();
        assert_eq!(std::fs::read_dir(&work).unwrap().count(), 0);
    }
}
