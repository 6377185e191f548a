//! Hugging Face directories: what is written is read back exactly, what is damaged is refused.

use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use recon_checkpoint::{EmbeddedModel, Error, HfDirectory, HfTensors, ModelFiles, resolve, write_hf};

/// Three tensors whose values bf16 holds exactly.
fn tensors() -> Vec<(String, Tensor)> {
    let of = |start: f32, shape: &[usize]| {
        let count = shape.iter().product::<usize>();
        let values: Vec<f32> = (0..count).map(|i| start - i as f32 * 0.5).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
    };
    vec![
        ("model.embed_tokens.weight".into(), of(3.0, &[5, 4])),
        ("model.norm.weight".into(), of(-1.0, &[4])),
        ("lm_head.weight".into(), of(8.0, &[5, 4])),
    ]
}

fn write(directory: &Path, dtype: DType, max_shard_bytes: u64) -> Result<(), Error> {
    let tensors = tensors();
    let names: Vec<_> = tensors.iter().map(|(name, tensor)| (name.clone(), tensor.dims().to_vec())).collect();
    let extra = [("tokenizer.json".to_string(), b"{}".to_vec())];
    let contents = HfDirectory { dtype, max_shard_bytes, config_json: r#"{"vocab_size": 5}"#, extra: &extra };
    write_hf(directory, &contents, &names, |name| {
        let (_, tensor) = tensors.iter().find(|(found, _)| found == name).expect("it was announced");
        // In blocks of two elements.
        let flat = tensor.flatten_all()?;
        let blocks = (0..flat.elem_count()).step_by(2).map(move |at| Ok(flat.narrow(0, at, 2)?));
        Ok(blocks)
    })
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn check(files: &ModelFiles) {
    let read = files.tensors().unwrap();
    assert_eq!(read.names().count(), 3);
    for (name, tensor) in tensors() {
        assert_eq!(read.shape(&name).unwrap(), tensor.dims());
        assert_eq!(values(&read.read(&name, DType::F32, &Device::Cpu).unwrap()), values(&tensor), "{name}");
    }
}

#[test]
fn single_and_sharded_directories_round_trip_in_both_types() {
    let root = tempfile::tempdir().unwrap();
    for (at, (dtype, max_shard_bytes)) in
        [(DType::F32, u64::MAX), (DType::F32, 96), (DType::BF16, u64::MAX), (DType::BF16, 1)].into_iter().enumerate()
    {
        let directory = root.path().join(format!("new/model-{at}"));
        write(&directory, dtype, max_shard_bytes).unwrap();
        let files = resolve(directory.to_str().unwrap()).unwrap();
        check(&files);
        let config: serde_json::Value = serde_json::from_str(&files.config_json().unwrap()).unwrap();
        let stored = if dtype == DType::BF16 { "bfloat16" } else { "float32" };
        assert_eq!(
            (&config["dtype"], &config["torch_dtype"], &config["vocab_size"]),
            (&stored.into(), &stored.into(), &5.into())
        );
        assert_eq!(directory.join("model.safetensors").exists(), max_shard_bytes == u64::MAX);
        assert_eq!(files.tokenizer_json().unwrap(), b"{}");
    }
    let left: Vec<_> = fs::read_dir(root.path().join("new")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "nothing temporary is left: {left:?}");
}

#[test]
fn shards_respect_their_limit_and_the_reference_reader_reads_them() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("model");
    write(&directory, DType::F32, 96).unwrap();
    let index: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.join("model.safetensors.index.json")).unwrap()).unwrap();
    assert_eq!(index["metadata"]["total_size"], 176);
    assert_eq!(index["weight_map"]["model.norm.weight"], "model-00001-of-00002.safetensors");
    assert_eq!(index["weight_map"]["lm_head.weight"], "model-00002-of-00002.safetensors");
    let bytes = fs::read(directory.join("model-00001-of-00002.safetensors")).unwrap();
    let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    let reference = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let stored: Vec<u8> = values(&tensors()[1].1).iter().flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(reference.tensor("model.norm.weight").unwrap().data(), stored);
}

#[test]
fn a_failed_write_leaves_nothing_and_an_existing_model_is_not_replaced() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("model");
    let names = [("a".to_string(), vec![2])];
    let contents = HfDirectory { dtype: DType::F32, max_shard_bytes: 1, config_json: "{}", extra: &[] };
    let wrong = |_: &str| Ok([Ok(Tensor::zeros(3, DType::F32, &Device::Cpu)?)]);
    let error = write_hf(&directory, &contents, &names, wrong).unwrap_err();
    assert!(error.to_string().contains("`a` has 3 elements, shape [2] was announced"), "{error}");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);

    write(&directory, DType::F32, u64::MAX).unwrap();
    let before = fs::read(directory.join("model.safetensors")).unwrap();
    assert!(matches!(write(&directory, DType::BF16, u64::MAX), Err(Error::Write { .. })));
    assert_eq!(fs::read(directory.join("model.safetensors")).unwrap(), before);
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
    for bad in ["../tokenizer.json", "config.json", "x.safetensors", ""] {
        let extra = [(bad.to_string(), Vec::new())];
        let contents = HfDirectory { extra: &extra, ..contents.clone() };
        let error = write_hf(&root.path().join("other"), &contents, &names, wrong).unwrap_err();
        assert!(matches!(error, Error::Unwritable { .. }), "{bad}: {error}");
    }
}

#[test]
fn an_embedded_model_is_read_like_a_directory() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("model");
    write(&directory, DType::BF16, u64::MAX).unwrap();
    let files = ModelFiles::Directory(directory.clone());
    let model: &'static EmbeddedModel = Box::leak(Box::new(EmbeddedModel {
        config_json: Box::leak(files.config_json().unwrap().into_boxed_str()),
        tokenizer_json: b"{}",
        companions: &[],
        safetensors: Vec::leak(fs::read(directory.join("model.safetensors")).unwrap()),
    }));
    check(&ModelFiles::Embedded(model));
    let digest = files.sha256().unwrap();
    fs::write(directory.join("tokenizer.json"), "{ }").unwrap();
    assert_ne!(files.sha256().unwrap(), digest);
}

/// Opens `bytes` as a model of one file.
fn open(bytes: &[u8]) -> Result<HfTensors, Error> {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("model.safetensors"), bytes).unwrap();
    HfTensors::open(root.path())
}

fn file(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn damaged_files_are_refused_and_named() {
    let good = file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, 8);
    assert!(open(&good).is_ok());
    let huge = [u64::MAX.to_le_bytes().as_slice(), b"{}"].concat();
    let cases: [(&str, Vec<u8>); 9] = [
        ("empty", Vec::new()),
        ("shorter than a header", good[..6].to_vec()),
        ("header cut", good[..20].to_vec()),
        ("data cut", good[..good.len() - 1].to_vec()),
        ("data too long", [good.as_slice(), &[0]].concat()),
        ("header of 2^64 bytes", huge),
        ("not JSON", file("not json", 0)),
        ("shape overflows", file(r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}}"#, 8)),
        (
            "offsets overlap",
            file(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
        ),
    ];
    for (case, bytes) in cases {
        let error = open(&bytes).expect_err(case);
        assert!(matches!(error, Error::Malformed { .. }), "{case}: {error}");
        assert!(error.to_string().contains("model.safetensors"), "{case}: {error}");
    }
    // Every truncation and every flipped header byte: an error or another header, never a panic.
    for at in 0..good.len() {
        let _ = open(&good[..at]).expect_err("a truncated file");
        let mut flipped = good.clone();
        flipped[at] ^= 0x15;
        if let Ok(tensors) = open(&flipped) {
            let names: Vec<String> = tensors.names().map(Into::into).collect();
            names.iter().for_each(|name| drop(tensors.read(name, DType::F32, &Device::Cpu)));
        }
    }
}

#[test]
fn missing_tensors_wrong_shapes_and_types_name_tensor_and_file() {
    let root = tempfile::tempdir().unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"ids":{"dtype":"I64","shape":[1],"data_offsets":[8,16]},"q":{"dtype":"F8_E4M3","shape":[8],"data_offsets":[16,24]}}"#;
    fs::write(root.path().join("model.safetensors"), file(header, 24)).unwrap();
    let tensors = HfTensors::open(root.path()).unwrap();
    let read = |name: &str, shape: &[usize]| tensors.read_shaped(name, shape, DType::F32, &Device::Cpu);
    assert!(read("a", &[2]).is_ok());
    let cases = [
        ("b", vec![2], "no tensor `b`"),
        ("a", vec![3], "expected [3]"),
        ("q", vec![8], "F8_E4M3"),
        ("ids", vec![1], "floating"),
    ];
    for (name, shape, part) in cases {
        let error = read(name, &shape).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains(name) && error.contains("model.safetensors"), "{error}");
    }
}

#[test]
fn an_index_cannot_leave_its_directory_and_its_shards_must_be_there() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("model");
    fs::create_dir(&directory).unwrap();
    let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    for place in [root.path(), &directory] {
        fs::write(place.join("one.safetensors"), file(header, 8)).unwrap();
    }
    let open = |index: &str| {
        fs::write(directory.join("model.safetensors.index.json"), index).unwrap();
        HfTensors::open(&directory)
    };
    assert!(open(r#"{"weight_map":{"a":"one.safetensors"}}"#).is_ok());
    let absolute = root.path().join("one.safetensors").display().to_string();
    for shard in ["../one.safetensors", absolute.as_str(), "..", "sub/one.safetensors", "c:one.safetensors", "one"] {
        let error = open(&serde_json::json!({"weight_map": {"a": shard}}).to_string()).unwrap_err();
        assert!(error.to_string().contains("not a plain file name"), "{shard}: {error}");
    }
    let error = open(r#"{"weight_map":{"a":"two.safetensors"}}"#).unwrap_err().to_string();
    assert!(error.contains("`two.safetensors`, which is missing"), "{error}");
    assert!(matches!(open("[]").unwrap_err(), Error::Malformed { .. }));
}

/// One file of F32 tensors.
fn weights(tensors: &[(&str, &[f32])]) -> Vec<u8> {
    let mut at = 0;
    let entries: Vec<String> = tensors
        .iter()
        .map(|(name, values)| {
            let end = at + 4 * values.len();
            let start = std::mem::replace(&mut at, end);
            format!(r#""{name}":{{"dtype":"F32","shape":[{}],"data_offsets":[{start},{at}]}}"#, values.len())
        })
        .collect();
    let mut bytes = file(&format!("{{{}}}", entries.join(",")), 0);
    bytes.extend(tensors.iter().flat_map(|(_, values)| values.iter().flat_map(|value| value.to_le_bytes())));
    bytes
}

#[test]
fn what_the_shards_hold_counts_and_not_what_the_index_lists() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("one.safetensors"), weights(&[("a", &[1.0]), ("both", &[2.0])])).unwrap();
    fs::write(root.path().join("two.safetensors"), weights(&[("both", &[3.0]), ("unlisted", &[4.0])])).unwrap();
    let index = r#"{"weight_map":{"a":"one.safetensors","both":"two.safetensors","model.layers.0.self_attn.rotary_emb.inv_freq":"one.safetensors"}}"#;
    fs::write(root.path().join("model.safetensors.index.json"), index).unwrap();
    let tensors = HfTensors::open(root.path()).unwrap();
    assert_eq!(tensors.names().collect::<Vec<_>>(), ["a", "both", "unlisted"]);
    let read = |name: &str| tensors.read(name, DType::F32, &Device::Cpu).map(|tensor| values(&tensor));
    assert_eq!(read("a").unwrap(), [1.0]);
    assert_eq!(read("both").unwrap(), [3.0], "of two, the one the index names");
    assert_eq!(read("unlisted").unwrap(), [4.0]);
    let error = read("model.layers.0.self_attn.rotary_emb.inv_freq").unwrap_err().to_string();
    assert!(error.contains("inv_freq") && error.contains("model.safetensors.index.json"), "{error}");
}

#[test]
fn names_without_their_prefix_are_the_same_tensors() {
    let bare = weights(&[
        ("embed_tokens.weight", &[1.0]),
        ("layers.0.x", &[2.0]),
        ("norm.weight", &[3.0]),
        ("lm_head.weight", &[4.0]),
    ]);
    let tensors = open_kept(&bare);
    let names: Vec<&str> = tensors.1.names().collect();
    assert_eq!(names, ["lm_head.weight", "model.embed_tokens.weight", "model.layers.0.x", "model.norm.weight"]);
    let read = |name: &str| values(&tensors.1.read(name, DType::F32, &Device::Cpu).unwrap());
    assert_eq!((read("model.layers.0.x"), read("lm_head.weight")), (vec![2.0], vec![4.0]));
    assert_eq!(tensors.1.shape("model.norm.weight"), Some(&[1][..]));
    // Where both spellings are stored, neither stands for the other.
    let both = open_kept(&weights(&[("norm.weight", &[1.0]), ("model.norm.weight", &[2.0])]));
    assert_eq!(values(&both.1.read("model.norm.weight", DType::F32, &Device::Cpu).unwrap()), [2.0]);
    assert_eq!(values(&both.1.read("norm.weight", DType::F32, &Device::Cpu).unwrap()), [1.0]);
}

/// Like [`open`], with the folder that holds the data.
fn open_kept(bytes: &[u8]) -> (tempfile::TempDir, HfTensors) {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("model.safetensors"), bytes).unwrap();
    let tensors = HfTensors::open(root.path()).unwrap();
    (root, tensors)
}

#[test]
fn a_head_that_differs_from_the_table_it_is_tied_to_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().to_path_buf();
    let tensors = |config: &str, table: &str, head: &[f32]| {
        fs::write(directory.join("config.json"), config).unwrap();
        let stored = weights(&[(table, &[1.0, 2.0]), ("lm_head.weight", head)]);
        fs::write(directory.join("model.safetensors"), stored).unwrap();
        ModelFiles::Directory(directory.clone()).tensors()
    };
    let (tied, table) = (r#"{"tie_word_embeddings": true}"#, "model.embed_tokens.weight");
    assert!(tensors(tied, table, &[1.0, 2.0]).is_ok(), "an equal head says nothing else");
    assert!(tensors(r#"{"tie_word_embeddings": false}"#, table, &[1.0, 2.5]).is_ok());
    for (table, head) in [(table, &[1.0, 2.5][..]), (table, &[1.0]), ("embed_tokens.weight", &[0.0, 2.0])] {
        let error = tensors(tied, table, head).unwrap_err().to_string();
        assert!(error.contains("`lm_head.weight`") && error.contains("`model.embed_tokens.weight`"), "{error}");
    }
}
