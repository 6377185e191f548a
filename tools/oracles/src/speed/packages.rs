//! The packages of `tools/nano/packages.toml`, unpacked: a folder of folders, one a package.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use recon_outside::registry::{self, Pin};
use serde::Deserialize;

/// What this task reads of the list.
#[derive(Deserialize)]
struct List {
    package: Vec<Pin>,
}

fn list(root: &Path) -> anyhow::Result<Vec<Pin>> {
    let path = root.join("tools/nano/packages.toml");
    let text = std::fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let list: List = toml::from_str(&text).with_context(|| format!("{} is no list of packages", path.display()))?;
    Ok(list.package)
}

/// The folder of all packages; what is there is not fetched again.
pub(super) fn fetch(root: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let all = work.join("sources");
    registry::fetch(&list(root)?, &work.join("archives"), &|pin| all.join(pin.directory()))?;
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_packages_of_the_list_meet_in_one_folder() {
        let list = list(&recon_outside::folder::workspace()).unwrap();
        let folders: BTreeSet<_> = list.iter().map(Pin::directory).collect();
        assert!(list.len() > 100 && folders.len() == list.len(), "{} of {}", folders.len(), list.len());
    }
}
