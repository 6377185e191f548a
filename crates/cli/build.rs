//! With the feature `cuda`, the programs remember where the toolkit's libraries lay when they were built, so that they
//! start in any shell of that machine. `LD_LIBRARY_PATH` comes first where it is set.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let Some(home) = env::var_os("CUDA_HOME").map(PathBuf::from) else { return };
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for folder in ["lib64", "lib"].map(|folder| home.join(folder)).iter().filter(|folder| folder.is_dir()) {
        println!("cargo:rustc-link-arg-bins=-Wl,-rpath,{}", folder.display());
    }
}
