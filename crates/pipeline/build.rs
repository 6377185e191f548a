//! Digests of the program's own code, one for each crate with all it uses, for the keys of stages.
//!
//! A stage that a changed program would compute otherwise must not be reused, and one whose code
//! did not change should be: so the key holds the digest of the crates whose code runs in it, of
//! the kernels, and of the versions of everything else that is compiled in.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use sha2::{Digest as _, Sha256};

fn main() {
    let own = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let crates = own.parent().expect("a crate lies in the folder of crates");
    let root = crates.parent().expect("the folder of crates lies in the workspace");
    let (kernels, lock) = (root.join("kernels"), root.join("Cargo.lock"));
    for watched in [crates, &kernels, &lock] {
        println!("cargo:rerun-if-changed={}", watched.display());
    }
    let mut own_code: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut uses: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for folder in folders(crates) {
        let name = folder.file_name().expect("a folder has a name").to_string_lossy().into_owned();
        let Ok(manifest) = fs::read_to_string(folder.join("Cargo.toml")) else { continue };
        let mut code = Sha256::new();
        // Of the pipeline itself only what a stage does counts, not how a run is put together.
        let parts = if name == "pipeline" { ["src/stages", ""] } else { ["src", "prompts"] };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            digest(&folder.join(part), &folder, &mut code);
        }
        if name == "kernels" {
            digest(&kernels, root, &mut code);
        }
        code.update(manifest.as_bytes());
        own_code.insert(name.clone(), code.finalize().to_vec());
        uses.insert(name, used(&manifest));
    }
    let others = Sha256::digest(fs::read(&lock).unwrap_or_default());
    let mut table = String::from("&[\n");
    for name in own_code.keys() {
        let mut code = Sha256::new();
        code.update(others);
        for member in with_all_used(name, &uses) {
            code.update(own_code.get(&member).map(Vec::as_slice).unwrap_or_default());
        }
        let hex: String = code.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(table, "    ({name:?}, {hex:?}),");
    }
    table.push(']');
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("code.rs"), table).expect("the build folder can be written");
}

fn folders(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the workspace can be read").flatten();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// Names and contents of all files below `place`, in order of their paths.
fn digest(place: &Path, root: &Path, code: &mut Sha256) {
    let Ok(entries) = fs::read_dir(place) else { return };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            digest(&path, root, code);
        } else if let Ok(bytes) = fs::read(&path) {
            code.update(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().as_bytes());
            code.update((bytes.len() as u64).to_le_bytes());
            code.update(bytes);
        }
    }
}

/// The crates of this workspace that a manifest names among its dependencies.
fn used(manifest: &str) -> BTreeSet<String> {
    let body = manifest.split("\n[dependencies]").nth(1).unwrap_or_default();
    let body = body.split("\n[").next().unwrap_or_default();
    let name = |line: &str| Some(line.trim().strip_prefix("recon-")?.split(['.', ' ', '=']).next()?.to_owned());
    body.lines().filter_map(name).collect()
}

fn with_all_used(name: &str, uses: &BTreeMap<String, BTreeSet<String>>) -> BTreeSet<String> {
    let (mut found, mut open) = (BTreeSet::new(), vec![name.to_owned()]);
    while let Some(name) = open.pop() {
        if found.insert(name.clone()) {
            open.extend(uses.get(&name).into_iter().flatten().cloned());
        }
    }
    found
}
