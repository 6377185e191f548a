//! The files of a training state: several are written at a time, since a digest takes longer than a disk.
//!
//! Tensors are asked for one after the other by the caller's thread, so whoever gathers them from other ranks does it in
//! order; a tensor waits until a thread is free, so memory holds as many as there are threads, and one.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Mutex, PoisonError};

use candle_core::{CpuStorage, Device, Storage, Tensor};
use recon_schema::file::{AtomicFile, Written, write_json};
use recon_schema::manifest::Manifest;

use super::record::{Entry, RECORD, Record, SCHEMA, STAGE, Stored};
use crate::write::write_values;
use crate::{Error, Result};

/// Files written at a time, at most: the rest of a machine is the training's.
const THREADS: usize = 4;

/// Writes the files of a checkpoint, its manifest last. Returns their bytes.
///
/// # Errors
/// The first file that could not be written, in their order; all tensors are asked for also then.
pub(super) fn write<E: From<Error>>(
    target: &Path,
    step: u64,
    record: &serde_json::Value,
    tensors: impl IntoIterator<Item = Result<(String, Tensor), E>>,
) -> Result<u64, E> {
    let mut outputs = BTreeMap::new();
    let mut entries = Vec::new();
    for (entry, written) in write_tensors(target, tensors)? {
        outputs.insert(entry.file.clone(), written);
        entries.push(entry);
    }
    let record = Record { schema: SCHEMA.into(), step, record: record.clone(), tensors: entries };
    outputs.insert(RECORD.into(), write_json(&target.join(RECORD), &record).map_err(Error::from)?);
    let bytes = outputs.values().map(|written| written.bytes).sum();
    let mut manifest = Manifest::new(STAGE, serde_json::json!({"step": step}), BTreeMap::new());
    manifest.outputs = outputs;
    manifest.write(target).map_err(Error::from)?;
    Ok(bytes)
}

type Numbered = (usize, (String, Tensor));
type Done = (usize, Result<(Entry, Written)>);

fn write_tensors<E: From<Error>>(
    target: &Path,
    tensors: impl IntoIterator<Item = Result<(String, Tensor), E>>,
) -> Result<Vec<(Entry, Written)>, E> {
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(THREADS);
    let (sender, receiver) = sync_channel(0);
    let receiver = Mutex::new(receiver);
    let (asked, mut done) = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(|| write_each(target, &receiver))).collect();
        let mut asked = Ok(());
        for (at, tensor) in tensors.into_iter().enumerate() {
            // On this thread, which the device knows.
            let on_host =
                |(name, tensor): (String, Tensor)| Ok((name, tensor.to_device(&Device::Cpu).map_err(Error::from)?));
            match tensor.and_then(on_host) {
                Ok(tensor) => sender.send((at, tensor)).expect("the receiver outlives the threads"),
                Err(error) if asked.is_ok() => asked = Err(error),
                Err(_) => {}
            }
        }
        drop(sender);
        let panics = |panic| std::panic::resume_unwind(panic);
        let done: Vec<Done> = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(panics)).collect();
        (asked, done)
    });
    asked?;
    done.sort_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, written)| written).collect::<Result<_>>()?)
}

/// Writes what comes until nothing comes any more. After an error it only takes what comes.
fn write_each(target: &Path, tensors: &Mutex<Receiver<Numbered>>) -> Vec<Done> {
    let mut done: Vec<Done> = Vec::new();
    loop {
        let next = tensors.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((at, (name, tensor))) = next else { return done };
        if done.last().is_none_or(|(_, written)| written.is_ok()) {
            done.push((at, write_tensor(target, at, name, &tensor)));
        }
    }
}

fn write_tensor(target: &Path, at: usize, name: String, tensor: &Tensor) -> Result<(Entry, Written)> {
    let file = format!("{at:05}.tensor");
    let path = target.join(&file);
    let Some(dtype) = Stored::of(tensor.dtype()) else {
        let problem = format!("tensor `{name}` is {:?}, which a training state does not hold", tensor.dtype());
        return Err(Error::Unwritable { path, problem });
    };
    let written = write_values_of(path, tensor)?;
    Ok((Entry { name, dtype, shape: tensor.dims().to_vec(), file }, written))
}

fn write_values_of(path: PathBuf, tensor: &Tensor) -> Result<Written> {
    let values = tensor.contiguous()?;
    let (storage, layout) = values.storage_and_layout();
    let Storage::Cpu(storage) = &*storage else { unreachable!("it was brought to the CPU") };
    let range = layout.start_offset()..layout.start_offset() + values.elem_count();
    let mut file = AtomicFile::create(&path)?;
    match storage {
        CpuStorage::F32(values) => write_values(&mut file, &values[range], f32::to_le_bytes),
        CpuStorage::F64(values) => write_values(&mut file, &values[range], f64::to_le_bytes),
        CpuStorage::BF16(values) => write_values(&mut file, &values[range], half::bf16::to_le_bytes),
        CpuStorage::U32(values) => write_values(&mut file, &values[range], u32::to_le_bytes),
        CpuStorage::I64(values) => write_values(&mut file, &values[range], i64::to_le_bytes),
        _ => unreachable!("`Stored` names the types"),
    }
    .and_then(|()| file.flush())
    .map_err(|source| Error::Write { path, source })?;
    Ok(file.finish()?)
}
