//! `cargo xtask kernels-emulated`: every CUDA kernel on the CPU, and proof that this finds bugs.
//!
//! With `--planted` the tests run on copies of `kernels/` in which one bug a file is planted: a missing barrier, a
//! reduction read too early, an index off by one, a mask too wide, a copy not waited for. A bug whose tests pass is a
//! failure, and so is one that no longer fits the source. The shipped files are not touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::Context as _;
use recon_outside::folder::fresh;
use recon_outside::program::cargo;

/// Crates whose tests run on a device.
const FOLDERS: [&str; 4] = ["kernels", "llama", "engine", "train"];

/// A text of a kernel file, which stands there once, and the bug that takes its place.
struct Bug {
    /// What is wrong, and so which rule of the tests must notice.
    kind: &'static str,
    file: &'static str,
    text: &'static str,
    planted: &'static str,
    /// Test binaries of `recon-kernels`, each of which must fail.
    tests: &'static [&'static str],
}

/// Bugs of one round are planted together and must lie in files that no other bug's tests use.
const ROUNDS: &[&[Bug]] = &[
    &[
        bug("barrier", "common/attend.cuh", "__syncthreads();\n    float s[", "float s[", &["attention", "paged"]),
        bug(
            "barrier",
            "cross_entropy.cu",
            "__syncthreads();\n    if (j < a.vocab",
            "if (j < a.vocab",
            &["cross_entropy"],
        ),
        bug("barrier", "embedding.cu", "__syncthreads();\n    for (int warp", "for (int warp", &["embedding"]),
        bug("barrier", "linear.cu", "__syncthreads();\n    for (int depth", "for (int depth", &["linear"]),
        bug("barrier", "sampling.cu", "= ties;\n  __syncthreads();", "= ties;", &["sampling"]),
        bug(
            "index",
            "norm.cu",
            "first + each < groups ? first + each",
            "first + each < groups ? first + each - 1",
            &["norm"],
        ),
        bug("index", "adamw.cu", "int64_t(a.first & 1)", "0", &["adamw"]),
        bug("index", "swiglu.cu", "(a.dgate) + i, g)", "(a.dgate) + (i > 0 ? i - N : i), g)", &["swiglu"]),
        bug("mask", "rope.cu", "position < a.table_rows", "position <= a.table_rows", &["rope"]),
        bug("index", "rms_norm.cu", "p < partials", "p + 1 < partials", &["rms_norm"]),
    ],
    &[
        bug("mask", "attention.cu", "return tile.first + i + 1;", "return tile.first + i + 2;", &["attention"]),
        bug("index", "paged.cu", "+ y) / SPLIT + 1", "+ y) / SPLIT", &["paged"]),
        bug("index", "cross_entropy.cu", "j == target", "j + 1 == target", &["cross_entropy"]),
        bug("mask", "embedding.cu", "store<N>(to + i, id < a.voc", "store<N>(to + i, id <= a.voc", &["embedding"]),
        bug("index", "linear.cu", "depth < TILE;", "depth < TILE - 1;", &["linear"]),
        bug("mask", "sampling.cu", "rank < kept_ties", "rank <= kept_ties", &["sampling"]),
        bug("barrier", "common/device.cuh", "] = value;\n  __syncthreads();", "] = value;", &["norm", "rms_norm"]),
    ],
    &[
        bug("wait", "common/attend.cuh", "copy_async_wait<1>();", "copy_async_wait<2>();", &["paged"]),
        bug("mask", "attention.cu", "<= tile.first + y &&", "< tile.first + y &&", &["attention"]),
        bug("barrier", "common/device.cuh", "__syncthreads();  // the last call's readers are done", "", &["rms_norm"]),
        bug("index", "linear.cu", "(a.c)[at]) + sum", "(a.c)[at ? at - 1 : 0]) + sum", &["linear"]),
        bug("index", "embedding.cu", "- 1 - int64_t(threadIdx.x)", "- 2 - int64_t(threadIdx.x)", &["embedding"]),
    ],
];

const fn bug(
    kind: &'static str,
    file: &'static str,
    text: &'static str,
    planted: &'static str,
    tests: &'static [&'static str],
) -> Bug {
    Bug { kind, file, text, planted, tests }
}

impl Bug {
    /// The file's text with the bug in it.
    fn plant(&self, source: &str) -> anyhow::Result<String> {
        let places = source.matches(self.text).count();
        anyhow::ensure!(places == 1, "{}: `{}` stands there {places} times, expected once", self.file, self.text);
        Ok(source.replacen(self.text, self.planted, 1))
    }
}

/// Every test of a device, on the CPU.
pub(crate) fn run(root: &Path) -> anyhow::Result<bool> {
    let mut cargo = cargo_test(root);
    cargo.arg("--lib");
    for folder in FOLDERS {
        for test in integration_tests(&root.join("crates").join(folder).join("tests"))? {
            cargo.arg("--test").arg(test);
        }
    }
    Ok(cargo.args(["--", "device"]).status()?.success())
}

/// The whole workspace is selected, whatever is tested: for a selection of packages cargo chooses other features of what
/// they depend on, and compiles all of it once more.
fn cargo_test(root: &Path) -> Command {
    let mut cargo = cargo();
    let features = FOLDERS.map(|folder| format!("recon-{folder}/emulated")).join(",");
    cargo.args(["test", "--workspace", "--features", &features]).current_dir(root);
    cargo
}

/// Files and folders of tests, as cargo names them.
fn integration_tests(folder: &Path) -> anyhow::Result<BTreeSet<String>> {
    let listed = || -> std::io::Result<Vec<PathBuf>> { fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect() };
    let paths = listed().with_context(|| format!("failed to list {}", folder.display()))?;
    let tests =
        paths.iter().filter(|path| path.extension().is_some_and(|x| x == "rs") || path.join("main.rs").exists());
    Ok(tests.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect())
}

/// The kernels' tests once for each round of bugs; true when every bug was found.
pub(crate) fn planted(root: &Path) -> anyhow::Result<bool> {
    let mut all_found = true;
    for (round, bugs) in ROUNDS.iter().enumerate() {
        let folder = root.join(format!("target/planted/{round}"));
        fresh(&folder).with_context(|| format!("failed to empty {}", folder.display()))?;
        copy(&root.join("kernels"), &folder)?;
        for bug in *bugs {
            let file = folder.join(bug.file);
            let source = fs::read_to_string(&file).with_context(|| format!("failed to read {}", file.display()))?;
            fs::write(&file, bug.plant(&source)?).with_context(|| format!("failed to write {}", file.display()))?;
        }
        let tests: BTreeSet<&str> = bugs.iter().flat_map(|bug| bug.tests).copied().collect();
        // A bug that does not compile proves nothing.
        let built = test(root, &folder, tests.iter().copied(), &["--no-run"])?;
        anyhow::ensure!(built.status.success(), "round {round}: {}", String::from_utf8_lossy(&built.stderr));
        for bug in *bugs {
            for name in bug.tests {
                let ran = test(root, &folder, [*name].into_iter(), &["--", "device"])?;
                let found = !ran.status.success() && is_about_a_test(&ran);
                all_found &= found;
                let verdict = if found { "found" } else { "NOT FOUND" };
                eprintln!("{verdict} by {name}: {} in {}: `{}`", bug.kind, bug.file, one_line(bug.text));
            }
        }
    }
    Ok(all_found)
}

/// `cargo test` of these test binaries over the kernels in `folder`.
fn test<'a>(root: &Path, folder: &Path, names: impl Iterator<Item = &'a str>, last: &[&str]) -> anyhow::Result<Output> {
    let mut cargo = cargo_test(root);
    cargo.arg("--quiet").args(names.flat_map(|name| ["--test", name])).args(last);
    Ok(cargo.env("RECON_KERNELS", folder).output()?)
}

/// Whether a test failed, or the emulation stopped its process; not cargo, nor the machine.
fn is_about_a_test(ran: &Output) -> bool {
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    stdout.contains("test result: FAILED") || stderr.contains("process didn't exit successfully")
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to).with_context(|| format!("failed to make {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("failed to list {}", from.display()))? {
        let (source, target) = (entry?.path(), to.to_owned());
        let target = target.join(source.file_name().expect("an entry of a folder has a name"));
        if source.is_dir() {
            copy(&source, &target)?;
        } else {
            fs::copy(&source, &target).with_context(|| format!("failed to copy {}", source.display()))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use recon_outside::folder::workspace;

    use super::*;

    #[test]
    fn every_bug_fits_the_source_and_changes_it() {
        let kernels = workspace().join("kernels");
        for bug in ROUNDS.iter().copied().flatten() {
            let source = fs::read_to_string(kernels.join(bug.file)).unwrap();
            assert_ne!(bug.plant(&source).unwrap(), source, "{}", bug.file);
        }
    }

    #[test]
    fn tests_are_found_in_files_and_in_folders() {
        let tests = |folder| integration_tests(&workspace().join("crates").join(folder).join("tests"));
        assert!(tests("kernels").unwrap().contains("attention") && !tests("kernels").unwrap().contains("common"));
        assert!(tests("engine").unwrap().contains("engine"));
    }

    #[test]
    fn the_bugs_of_a_round_do_not_meet() {
        for bugs in ROUNDS {
            let tests: Vec<&str> = bugs.iter().flat_map(|bug| bug.tests).copied().collect();
            assert_eq!(tests.iter().collect::<BTreeSet<_>>().len(), tests.len(), "two bugs for one test");
        }
    }
}
