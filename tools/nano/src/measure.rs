//! Held-out bits per byte, beside `xz -9` on the same files.
//!
//! The model reads each held-out project as a document of the raw arm and pays for every trained
//! token: the line that names the file, the content, the end. `xz` gets the same files, once as
//! one tar archive and once each alone. Bits are divided by the bytes of the files' contents.
//! A file too long for the context is in neither figure.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;
use candle_core::{DType, Device};
use recon_checkpoint::ModelFiles;
use recon_llama::{Config, FlatParams, Llama, Packed};
use recon_outside::program::run;
use recon_schema::trajectory::{Arm, Trajectory};
use recon_text::{Renderer, Rendering, Tokenizer};
use serde::{Deserialize, Serialize};

use crate::documents::trajectories;
use crate::select::Project;

/// The figures of one model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Files measured.
    pub(crate) files: u64,
    /// Bytes of their contents.
    pub(crate) bytes: u64,
    /// Trained tokens the model paid for.
    pub(crate) tokens: u64,
    /// Their −log p.
    pub(crate) nats: f64,
    /// The model's bits by byte.
    pub(crate) model_bits_per_byte: f64,
    /// `xz -9` over one tar archive of the files.
    pub(crate) xz_tar_bits_per_byte: f64,
    /// `xz -9` over each file alone.
    pub(crate) xz_files_bits_per_byte: f64,
}

/// Measures the model in `model` on the held-out projects.
pub(crate) fn measure(work: &Path, model: &Path, held_out: &[Project]) -> anyhow::Result<Figures> {
    let files = ModelFiles::Directory(model.into());
    let tokenizer = Tokenizer::from_dir(model)?;
    let renderer = Renderer::new(&tokenizer, Rendering::Chat);
    let config = Config::from_json(&files.config_json()?)?;
    let tensors = files.tensors()?;
    let params = FlatParams::load(&config, &Device::Cpu, DType::F32, |name, shape| {
        tensors.read_shaped(name, shape, DType::F32, &Device::Cpu)
    })?;
    let llama = Llama::new(config, &Device::Cpu, DType::F32)?;
    let (mut nats, mut tokens, mut written) = (0.0, 0, BTreeMap::new());
    for project in held_out {
        for trajectory in trajectories(project, Arm::Raw, &renderer)? {
            let document = renderer.document(&trajectory);
            let all = 0..document.ids.len();
            let loss = recon_train::loss_over(
                &llama,
                &params,
                &[Packed { ids: document.ids, mask: document.mask, spans: vec![all] }],
            )?;
            nats += loss.nats;
            tokens += loss.tokens;
            collect(&trajectory, project, &mut written);
        }
    }
    let bytes: usize = written.values().map(String::len).sum();
    ensure!(bytes > 0, "nothing is held out");
    let bits = |bits: f64| bits / bytes as f64;
    let (tar_bytes, file_bytes) = xz(&work.join("held-out"), &written)?;
    Ok(Figures {
        files: written.len() as u64,
        bytes: bytes as u64,
        tokens,
        nats,
        model_bits_per_byte: bits(nats / std::f64::consts::LN_2),
        xz_tar_bits_per_byte: bits(8.0 * tar_bytes as f64),
        xz_files_bits_per_byte: bits(8.0 * file_bytes as f64),
    })
}

/// The files a trajectory writes, by package and path.
fn collect(trajectory: &Trajectory, project: &Project, written: &mut BTreeMap<String, String>) {
    for step in &trajectory.steps {
        if let Some(file) = step.written() {
            written.insert(format!("{}/{}", project.name.replace('/', "-"), file.path), file.text.clone());
        }
    }
}

/// Bytes of `xz -9` over one archive of `files`, and summed over each of them alone.
fn xz(directory: &Path, files: &BTreeMap<String, String>) -> anyhow::Result<(u64, u64)> {
    if directory.exists() {
        std::fs::remove_dir_all(directory)?;
    }
    let tree = directory.join("files");
    for (path, text) in files {
        recon_schema::file::write_bytes(&tree.join(path), text.as_bytes())?;
    }
    let archive = directory.join("files.tar");
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--mtime=@0", "-cf"]).arg(&archive).arg("-C").arg(&tree);
    run(tar.arg("."))?;
    run(Command::new("xz").args(["-9", "--keep"]).arg(&archive))?;
    let compressed = std::fs::metadata(directory.join("files.tar.xz"))?.len();
    let mut alone = 0;
    for path in files.keys() {
        let path = tree.join(path);
        run(Command::new("xz").args(["-9", "--keep"]).arg(&path))?;
        let mut name = path.into_os_string();
        name.push(".xz");
        alone += std::fs::metadata(name)?.len();
    }
    Ok((compressed, alone))
}
