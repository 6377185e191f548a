//! Compiles `kernels/*.cu` where a feature asks for them: with nvcc for a GPU (`cuda`), or with the C++ compiler against
//! the emulation of CUDA (`emulated`). Without a feature there is nothing to compile.
//!
//! Output: a static library of the entry points, linked into whatever uses this crate. Machine code for compute
//! capability 8.0 and 9.0, and portable code that the driver translates for anything newer.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, thread};

/// Every `.cu` file, in order.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot list {}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a folder that was just opened").path()).collect();
    files.retain(|path| path.extension().is_some_and(|ending| ending == "cu"));
    files.sort();
    files
}

fn main() {
    println!("cargo:rustc-check-cfg=cfg(recon_device)");
    println!("cargo:rerun-if-changed=build.rs");
    let on = |feature: &str| env::var_os(format!("CARGO_FEATURE_{feature}")).is_some();
    if !on("CUDA") && !on("EMULATED") {
        return;
    }
    assert!(!(on("CUDA") && on("EMULATED")), "features `cuda` and `emulated` define the same functions: choose one");
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("../..");
    // Another folder of the same files: `cargo xtask kernels-emulated --planted` puts bugs into a copy.
    println!("cargo:rerun-if-env-changed=RECON_KERNELS");
    let folder = env::var_os("RECON_KERNELS").map_or_else(|| root.join("kernels"), PathBuf::from);
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    println!("cargo:rerun-if-changed={}", folder.display());
    println!("cargo:rustc-cfg=recon_device");
    let files = sources(&folder);
    if on("CUDA") { cuda(&files, &out) } else { emulated(&files, &folder) }
}

fn cuda(files: &[PathBuf], out: &Path) {
    for name in ["CUDA_HOME", "RECON_CUDA_DRIVER", "CUDA_COMPUTE_CAP"] {
        println!("cargo:rerun-if-env-changed={name}");
    }
    let home = PathBuf::from(env::var_os("CUDA_HOME").unwrap_or_else(|| {
        panic!("feature `cuda` needs the CUDA toolkit and finds no CUDA_HOME\nhint: eval \"$(scripts/cuda-toolkit)\"")
    }));
    // candle's kernels are translated from code for this capability, so nothing older runs the program.
    let capability = env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| "90".to_owned());
    println!("cargo:rustc-env=RECON_CUDA_CAPABILITY={capability}");
    let jobs: usize = env::var("NUM_JOBS").ok().and_then(|jobs| jobs.parse().ok()).unwrap_or(1);
    let object = |file: &PathBuf| out.join(file.file_stem().expect("a .cu file has a name")).with_extension("o");
    let each = files.len().div_ceil(jobs.max(1)).max(1);
    thread::scope(|scope| {
        for part in files.chunks(each) {
            let home = &home;
            scope.spawn(move || part.iter().for_each(|file| nvcc(home, file, &object(file))));
        }
    });
    if env::var_os("CARGO_FEATURE_CUDNN").is_some() {
        cudnn(&home, files[0].parent().expect("a file lies in a folder"));
    }
    let archive = out.join("librecon_kernels_cuda.a");
    let _ = fs::remove_file(&archive);
    run(Command::new("ar").arg("rcs").arg(&archive).args(files.iter().map(object)));
    println!("cargo:rustc-link-search=native={}", out.display());
    println!("cargo:rustc-link-lib=static=recon_kernels_cuda");
    // Before the toolkit's own folder, which may hold a stub that keeps a program without a driver from starting.
    if let Some(driver) = env::var_os("RECON_CUDA_DRIVER") {
        println!("cargo:rustc-link-search=native={}", Path::new(&driver).display());
    }
    for folder in ["lib64", "lib"] {
        println!("cargo:rustc-link-search=native={}", home.join(folder).display());
    }
    for library in ["cublasLt", "cudart", "stdc++"] {
        println!("cargo:rustc-link-lib=dylib={library}");
    }
}

fn nvcc(home: &Path, file: &Path, object: &Path) {
    let mut command = Command::new(home.join("bin/nvcc"));
    // Meant for the kernels of others, which a check of lints need not optimise.
    command.env_remove("NVCC_APPEND_FLAGS");
    command.args(["-std=c++17", "-O3", "-Xcompiler", "-fPIC,-Wall,-Wextra", "-Werror", "all-warnings"]);
    for target in ["compute_80,code=sm_80", "compute_90a,code=sm_90a", "compute_80,code=compute_80"] {
        command.args(["-gencode".to_owned(), format!("arch={target}")]);
    }
    run(command.arg("-c").arg(file).arg("-o").arg(object));
}

/// The headers alone: the library is opened when a run asks for it.
#[cfg(feature = "cudnn")]
fn cudnn(home: &Path, folder: &Path) {
    println!("cargo:rerun-if-env-changed=RECON_CUDNN_INCLUDE");
    let include = env::var_os("RECON_CUDNN_INCLUDE").unwrap_or_else(|| {
        panic!("feature `cudnn` needs cuDNN's headers and finds no RECON_CUDNN_INCLUDE\nhint: eval \"$(scripts/cuda-toolkit cudnn)\"")
    });
    let mut build = cc::Build::new();
    build.cpp(true).std("c++17").opt_level(2).debug(false).warnings_into_errors(true);
    for path in env::split_paths(&include).chain([home.join("include")]) {
        build.flag("-isystem").flag(path);
    }
    build.file(folder.join("attention_cudnn.cpp")).compile("recon_kernels_cudnn");
}

#[cfg(not(feature = "cudnn"))]
fn cudnn(_: &Path, _: &Path) {
    unreachable!("called for feature `cudnn` only");
}

fn run(command: &mut Command) {
    let status = command.status().unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed: {status}");
}

#[cfg(feature = "emulated")]
fn emulated(files: &[PathBuf], folder: &Path) {
    let mut build = cc::Build::new();
    // `-ffp-contract=off`: products and sums round as written, on every processor.
    for flag in ["-std=c++17", "-O2", "-U_FORTIFY_SOURCE", "-Wno-unknown-pragmas", "-ffp-contract=off"] {
        build.flag(flag);
    }
    build.cpp(true).define("RECON_EMULATED", None).debug(false).opt_level(2).warnings_into_errors(true);
    // The files end in `.cu`: each goes in through one that the compiler takes for C++.
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for file in files {
        let name = file.file_name().expect("a .cu file has a name").to_string_lossy();
        let wrapper = out.join(format!("{name}.cpp"));
        fs::write(&wrapper, format!("#include \"{name}\"\n")).expect("OUT_DIR can be written");
        build.file(wrapper);
    }
    let order = out.join("order.cpp");
    fs::write(&order, "#include \"common/emulation.hpp\"\nextern \"C\" void recon_emulation_order(int descending) {\n  emulation::descending = descending != 0;\n}\n")
        .expect("OUT_DIR can be written");
    build.file(order).include(folder).compile("recon_kernels_emulated");
}

#[cfg(not(feature = "emulated"))]
fn emulated(_: &[PathBuf], _: &Path) {
    unreachable!("called for feature `emulated` only");
}
