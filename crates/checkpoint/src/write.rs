//! A Hugging Face directory out: weights in one file or in shards, configuration, tokenizer.
//!
//! Everything is written into a temporary sibling directory, flushed, and renamed: the directory
//! is there complete, or not at all. A tensor comes in blocks, so peak memory is that of a block, however large a tensor is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use serde_json::{Map, Value, json};

use crate::hf::{INDEX, Index, SINGLE};
use crate::{Error, Result};

/// The customary size of a shard: small enough to fetch in parallel and to hold in memory, bytes.
pub const SHARD_BYTES: u64 = 5_000_000_000;

/// What goes into the directory besides the weights.
#[derive(Debug, Clone)]
pub struct HfDirectory<'a> {
    /// Type of the stored weights: `BF16` or `F32`.
    pub dtype: DType,
    /// A shard is closed before it would exceed this; a larger tensor gets a shard of its own.
    pub max_shard_bytes: u64,
    /// Text of `config.json`; its `dtype` and `torch_dtype` are set to the stored type.
    pub config_json: &'a str,
    /// Other files by plain name, e.g. `tokenizer.json`.
    pub extra: &'a [(String, Vec<u8>)],
}

/// Writes `directory`, which must not exist yet or be empty.
///
/// `tensors` are named `(name, shape)` first, so that the headers can be written before the data;
/// `read` is then called once for each, in the same order, and gives its elements row after row in blocks of any size.
///
/// # Errors
/// [`Error::Unwritable`] says what does not hold; nothing is left under `directory` then.
pub fn write_hf<B>(
    directory: &Path,
    contents: &HfDirectory,
    tensors: &[(String, Vec<usize>)],
    mut read: impl FnMut(&str) -> Result<B>,
) -> Result<()>
where
    B: IntoIterator<Item = Result<Tensor>>,
{
    let unwritable = |problem: String| Error::Unwritable { path: directory.into(), problem };
    let shards = plan(tensors, contents).map_err(unwritable)?;
    let config = stamped(contents).map_err(unwritable)?;
    let parent = directory.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fail = |source| Error::Write { path: directory.into(), source };
    fs::create_dir_all(parent).map_err(fail)?;
    let partial = tempfile::Builder::new().prefix(".partial-").tempdir_in(parent).map_err(fail)?;
    let mut weight_map = BTreeMap::new();
    for (at, shard) in shards.iter().enumerate() {
        let file = shard_name(at, shards.len());
        write_shard(&partial.path().join(&file), directory, shard, contents.dtype, &mut read)?;
        weight_map.extend(shard.iter().map(|(name, _)| (name.clone(), file.clone())));
    }
    if shards.len() > 1 {
        let total: u64 = shards.iter().flatten().map(|(_, shape)| stored_bytes(shape, contents.dtype)).sum();
        let index = Index { metadata: json!({"total_size": total}), weight_map };
        let text = serde_json::to_vec_pretty(&index).expect("an index has string keys");
        write_file(&partial.path().join(INDEX), directory, &text)?;
    }
    for (name, bytes) in contents.extra {
        write_file(&partial.path().join(name), directory, bytes)?;
    }
    write_file(&partial.path().join("config.json"), directory, config.as_bytes())?;
    make_readable(partial.path()).map_err(fail)?;
    File::open(partial.path()).and_then(|opened| opened.sync_all()).map_err(fail)?;
    // `rename` replaces an empty directory and refuses any other.
    fs::rename(partial.path(), directory).map_err(fail)?;
    // The temporary name is gone: there is nothing to remove any more.
    let _ = partial.keep();
    File::open(parent).and_then(|opened| opened.sync_all()).map_err(fail)
}

type Named = (String, Vec<usize>);

/// Checks the request and cuts the tensors into shards in their order.
fn plan<'t>(tensors: &'t [Named], contents: &HfDirectory) -> Result<Vec<Vec<&'t Named>>, String> {
    if !matches!(contents.dtype, DType::BF16 | DType::F32) {
        return Err(format!("weights are written as BF16 or F32, not {:?}", contents.dtype));
    }
    let mut names = BTreeSet::new();
    if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name)) {
        return Err(format!("tensor `{name}` is given twice"));
    }
    for (name, _) in contents.extra {
        let reserved = name == "config.json" || name == INDEX || name.ends_with(".safetensors");
        if name.is_empty() || name.contains(['/', '\\']) || name.starts_with("..") || reserved {
            return Err(format!("`{name}` cannot be the name of an extra file"));
        }
    }
    let mut shards: Vec<Vec<&Named>> = vec![Vec::new()];
    let mut filled = 0;
    for tensor in tensors {
        let bytes = stored_bytes(&tensor.1, contents.dtype);
        if filled > 0 && filled + bytes > contents.max_shard_bytes {
            shards.push(Vec::new());
            filled = 0;
        }
        filled += bytes;
        shards.last_mut().expect("there is always a shard").push(tensor);
    }
    Ok(shards)
}

fn stored_bytes(shape: &[usize], dtype: DType) -> u64 {
    (shape.iter().product::<usize>() * dtype.size_in_bytes()) as u64
}

fn shard_name(at: usize, of: usize) -> String {
    if of == 1 { SINGLE.into() } else { format!("model-{:05}-of-{of:05}.safetensors", at + 1) }
}

/// `config.json` with the stored type in both spellings (transformers 4 and 5).
fn stamped(contents: &HfDirectory) -> Result<String, String> {
    let mut config: Map<String, Value> =
        serde_json::from_str(contents.config_json).map_err(|error| format!("config.json: {error}"))?;
    let dtype = if contents.dtype == DType::BF16 { "bfloat16" } else { "float32" };
    config.insert("dtype".into(), dtype.into());
    config.insert("torch_dtype".into(), dtype.into());
    Ok(serde_json::to_string_pretty(&config).expect("a map of JSON values is JSON") + "\n")
}

fn write_shard<B>(
    path: &Path,
    directory: &Path,
    shard: &[&Named],
    dtype: DType,
    read: &mut impl FnMut(&str) -> Result<B>,
) -> Result<()>
where
    B: IntoIterator<Item = Result<Tensor>>,
{
    let fail = |source| Error::Write { path: directory.into(), source };
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).map_err(fail)?);
    let header = header(shard, dtype);
    file.write_all(&(header.len() as u64).to_le_bytes()).map_err(fail)?;
    file.write_all(&header).map_err(fail)?;
    for (name, shape) in shard {
        let mut elements = 0;
        for block in read(name)? {
            let block = block?.to_device(&Device::Cpu)?.to_dtype(dtype)?.flatten_all()?;
            elements += block.elem_count();
            match dtype {
                DType::BF16 => write_values(&mut file, &block.to_vec1::<half::bf16>()?, half::bf16::to_le_bytes),
                _ => write_values(&mut file, &block.to_vec1::<f32>()?, f32::to_le_bytes),
            }
            .map_err(fail)?;
        }
        if elements != shape.iter().product::<usize>() {
            let problem = format!("tensor `{name}` has {elements} elements, shape {shape:?} was announced");
            return Err(Error::Unwritable { path: directory.into(), problem });
        }
    }
    let file = file.into_inner().map_err(|error| fail(error.into_error()))?;
    file.sync_all().map_err(fail)
}

/// The header, padded with spaces to a multiple of 8 so that the data is aligned.
fn header(shard: &[&Named], dtype: DType) -> Vec<u8> {
    let kind = if dtype == DType::BF16 { "BF16" } else { "F32" };
    let mut entries = Map::new();
    // transformers refuses a file that does not say which framework's layout it has.
    entries.insert("__metadata__".into(), json!({"format": "pt"}));
    let mut offset = 0;
    for (name, shape) in shard {
        let end = offset + stored_bytes(shape, dtype);
        entries.insert(name.clone(), json!({"dtype": kind, "shape": shape, "data_offsets": [offset, end]}));
        offset = end;
    }
    let mut header = serde_json::to_vec(&entries).expect("a map of JSON values is JSON");
    header.resize(header.len().next_multiple_of(8), b' ');
    header
}

pub(crate) fn write_values<T: Copy, const B: usize>(
    file: &mut impl Write,
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; B],
) -> std::io::Result<()> {
    let mut block = vec![[0; B]; values.len().min(1 << 14)];
    for values in values.chunks(block.len().max(1)) {
        let block = &mut block[..values.len()];
        block.iter_mut().zip(values).for_each(|(bytes, value)| *bytes = to_bytes(*value));
        file.write_all(block.as_flattened())?;
    }
    Ok(())
}

fn write_file(path: &PathBuf, directory: &Path, bytes: &[u8]) -> Result<()> {
    let fail = |source| Error::Write { path: directory.into(), source };
    let mut file = File::create(path).map_err(fail)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(fail)
}

/// Temporary directories are private; a result may be read by whoever may read its parent.
#[cfg(unix)]
fn make_readable(directory: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_readable(_directory: &Path) -> std::io::Result<()> {
    Ok(())
}
