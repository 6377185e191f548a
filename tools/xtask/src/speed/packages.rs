//! The packages of `tools/nano/packages.toml`, unpacked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::accuracy::tools::{fresh, run};

/// One package of the list.
struct Package {
    name: String,
    version: String,
}

fn packages(root: &Path, registry: &str) -> anyhow::Result<Vec<Package>> {
    let list: toml::Table = fs::read_to_string(root.join("tools/nano/packages.toml"))?.parse()?;
    let all = list["package"].as_array().context("the list has packages")?;
    let text = |package: &toml::Value, key: &str| package[key].as_str().unwrap_or_default().to_owned();
    let of = all.iter().filter(|package| text(package, "registry") == registry);
    Ok(of.map(|package| Package { name: text(package, "name"), version: text(package, "version") }).collect())
}

/// The folder of all packages, each a folder of its own; a registry that is complete is not asked again.
pub(super) fn fetch(root: &Path, work: &Path) -> anyhow::Result<PathBuf> {
    let all = work.join("packages");
    fs::create_dir_all(&all)?;
    for (registry, client) in
        [("pypi", pypi as fn(&[Package], &Path) -> anyhow::Result<()>), ("crates", crates), ("npm", npm)]
    {
        let complete = work.join(format!("{registry}.complete"));
        if complete.exists() {
            continue;
        }
        eprintln!("graph-speed: fetching from {registry}");
        let partial = work.join(format!("{registry}.partial"));
        fresh(&partial)?;
        fs::create_dir(partial.join("packages"))?;
        client(&packages(root, registry)?, &partial)?;
        for entry in fs::read_dir(partial.join("packages"))? {
            let package = entry?;
            let to = all.join(package.file_name());
            if to.exists() {
                fs::remove_dir_all(&to)?;
            }
            fs::rename(package.path(), to)?;
        }
        fs::remove_dir_all(&partial)?;
        fs::write(complete, "")?;
    }
    Ok(all)
}

fn pypi(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let wheels = partial.join("wheels");
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest"]).arg(&wheels);
    run(pip.args(packages.iter().map(|it| format!("{}=={}", it.name, it.version))))?;
    for entry in fs::read_dir(&wheels)? {
        let wheel = entry?.path();
        let stem = wheel.file_stem().context("a wheel has a name")?;
        let to = partial.join("packages").join(stem);
        run(Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&wheel).arg(to))?;
    }
    Ok(())
}

fn crates(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let line = |it: &Package| format!("{} = {{ version = \"={}\", default-features = false }}\n", it.name, it.version);
    let listed: String = packages.iter().map(line).collect();
    let manifest = format!(
        "[workspace]\n[package]\nname = \"s\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[dependencies]\n{listed}"
    );
    fs::create_dir_all(partial.join("src"))?;
    fs::write(partial.join("src/lib.rs"), "")?;
    fs::write(partial.join("Cargo.toml"), manifest)?;
    run(crate::cargo().args(["vendor", "--quiet", "--versioned-dirs", "vendor"]).current_dir(partial))?;
    for entry in fs::read_dir(partial.join("vendor"))? {
        let (path, name) = {
            let entry = entry?;
            (entry.path(), entry.file_name().to_string_lossy().into_owned())
        };
        // The named packages only: what they depend on has no pinned version.
        let named = |it: &Package| {
            let exact = format!("{}-{}", it.name, it.version);
            name == exact || name.starts_with(&format!("{exact}+"))
        };
        if packages.iter().any(named) {
            fs::rename(path, partial.join("packages").join(name))?;
        }
    }
    Ok(())
}

fn npm(packages: &[Package], partial: &Path) -> anyhow::Result<()> {
    let tarballs = partial.join("tarballs");
    fs::create_dir_all(&tarballs)?;
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--ignore-scripts", "--pack-destination"]).arg(&tarballs);
    run(pack.args(packages.iter().map(|it| format!("{}@{}", it.name, it.version))))?;
    for entry in fs::read_dir(&tarballs)? {
        let tarball = entry?.path();
        let to = partial.join("packages").join(tarball.file_stem().context("a tarball has a name")?);
        fs::create_dir_all(&to)?;
        run(Command::new("tar").args(["--no-same-owner", "-xzf"]).arg(&tarball).arg("-C").arg(to))?;
    }
    Ok(())
}
