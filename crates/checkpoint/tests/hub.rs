//! Hub ids against a local HTTP server that speaks the hub's protocol: headers with commit, etag
//! and range, and nothing else. No test leaves this machine.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use candle_core::{DType, Device};
use recon_checkpoint::{Error, Hub, ModelFiles, resolve};

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One answered request: its path, and the `Authorization` it carried.
type Log = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// Serves `files` below `/{repository}/resolve/{revision}/`; returns its address and its log.
fn serve(repository: &str, revision: &str, files: BTreeMap<&'static str, Vec<u8>>) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let prefix = format!("/{repository}/resolve/{revision}/");
    let log = Log::default();
    let written = log.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A client that hangs up early is its own business.
            let _ = answer(stream.unwrap(), &prefix, &files, &written);
        }
    });
    (address, log)
}

fn answer(
    mut stream: TcpStream,
    prefix: &str,
    files: &BTreeMap<&'static str, Vec<u8>>,
    log: &Log,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().unwrap_or_else(|| Ok(String::new()))?;
    let (mut range, mut token) = (None, None);
    for line in lines {
        let line = line?;
        let Some((name, value)) = line.split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                range = value
                    .strip_prefix("bytes=")
                    .and_then(|range| range.split_once('-'))
                    .map(|(a, b)| (a.parse().unwrap_or(0), b.parse::<usize>().ok()));
            }
            "authorization" => token = Some(value.to_string()),
            _ => {}
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_string();
    log.lock().unwrap().push((path.clone(), token));
    let Some(content) = path.strip_prefix(prefix).and_then(|file| files.get(file)) else {
        return stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    };
    let (start, end): (usize, Option<usize>) = range.unwrap_or((0, None));
    let end = end.map_or(content.len(), |last| (last + 1).min(content.len()));
    let part = &content[start.min(end)..end];
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n\
         ETag: \"{:x}-{}\"\r\nx-repo-commit: {COMMIT}\r\nConnection: close\r\n\r\n",
        part.len(),
        end.saturating_sub(1),
        content.len(),
        content.iter().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(*byte))),
        content.len(),
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(part)
}

fn hub(endpoint: &str, cache: &Path, token: Option<&str>) -> Hub {
    Hub { endpoint: endpoint.into(), cache: Some(cache.into()), token: token.map(Into::into) }
}

/// One tensor `name` of two floats.
fn safetensors(name: &str) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}}}"#);
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend([1.5_f32, -2.0].iter().flat_map(|value| value.to_le_bytes()));
    bytes
}

fn sharded() -> BTreeMap<&'static str, Vec<u8>> {
    let index = r#"{"weight_map":{"a":"model-00001-of-00002.safetensors","b":"model-00002-of-00002.safetensors"}}"#;
    BTreeMap::from([
        ("config.json", b"{\"model_type\":\"llama\"}".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors.index.json", index.into()),
        ("model-00001-of-00002.safetensors", safetensors("a")),
        ("model-00002-of-00002.safetensors", safetensors("b")),
        ("original/consolidated.00.pth", vec![0; 64]),
    ])
}

#[test]
fn a_sharded_model_is_downloaded_once_with_the_token_and_nothing_more() {
    let cache = tempfile::tempdir().unwrap();
    let (endpoint, log) = serve("owner/name", "v1", sharded());
    let hub = hub(&format!("{endpoint}/"), cache.path(), Some("hf_secret"));
    let files = hub.resolve("owner/name@v1").unwrap();
    assert_eq!(files.config_json().unwrap(), "{\"model_type\":\"llama\"}");
    let tensors = files.tensors().unwrap();
    for name in ["a", "b"] {
        let values: Vec<f32> = tensors.read(name, DType::F32, &Device::Cpu).unwrap().to_vec1().unwrap();
        assert_eq!(values, [1.5, -2.0]);
    }
    let ModelFiles::Directory(directory) = files else { panic!("a hub model is a directory") };
    assert!(directory.starts_with(cache.path()) && directory.ends_with(COMMIT), "{}", directory.display());

    let asked = std::mem::take(&mut *log.lock().unwrap());
    assert!(asked.iter().all(|(_, token)| token.as_deref() == Some("Bearer hf_secret")), "{asked:?}");
    assert!(asked.iter().all(|(path, _)| !path.contains("original")), "{asked:?}");
    hub.resolve("owner/name@v1").unwrap();
    assert_eq!(*log.lock().unwrap(), [], "a complete model needs no network");
    std::fs::remove_file(directory.join("model-00002-of-00002.safetensors")).unwrap();
    hub.resolve("owner/name@v1").unwrap();
    assert!(log.lock().unwrap().iter().any(|(path, _)| path.ends_with("model-00002-of-00002.safetensors")));
}

#[test]
fn a_single_file_model_needs_no_index() {
    let cache = tempfile::tempdir().unwrap();
    let files = BTreeMap::from([
        ("config.json", b"{}".to_vec()),
        ("tokenizer.json", b"{}".to_vec()),
        ("model.safetensors", safetensors("a")),
    ]);
    let (endpoint, log) = serve("owner/small", "main", files);
    let files = hub(&endpoint, cache.path(), None).resolve("owner/small").unwrap();
    assert_eq!(files.tensors().unwrap().names().collect::<Vec<_>>(), ["a"]);
    assert!(log.lock().unwrap().iter().all(|(_, token)| token.is_none()));
}

#[test]
fn failures_name_the_file_the_model_and_what_was_tried() {
    let cache = tempfile::tempdir().unwrap();
    let mut files = sharded();
    files.remove("model-00002-of-00002.safetensors");
    let (endpoint, _) = serve("owner/broken", "main", files);
    let error = hub(&endpoint, cache.path(), None).resolve("owner/broken").unwrap_err();
    let Error::Download { file, name, .. } = &error else { panic!("{error}") };
    assert_eq!((file.as_str(), name.as_str()), ("model-00002-of-00002.safetensors", "owner/broken"));

    let error = hub(&endpoint, cache.path(), None).resolve("owner/absent").unwrap_err().to_string();
    assert!(error.contains("`config.json` of `owner/absent`") && error.contains(&endpoint), "{error}");
    // Nobody listens there: the failure is a download's, not "no such file".
    let error = hub("http://127.0.0.1:1", cache.path(), None).resolve("owner/name").unwrap_err();
    assert!(matches!(error, Error::Download { .. }), "{error}");

    let error = resolve("no-such-model").unwrap_err().to_string();
    assert!(error.contains("no such directory") && error.contains("not a hub id"), "{error}");
    let error = resolve("models/small.Q4_1.gguf").unwrap_err().to_string();
    assert!(error.contains("GGUF") && error.contains("gguf_file"), "{error}");
    let empty = tempfile::tempdir().unwrap();
    let error = resolve(empty.path().to_str().unwrap()).unwrap_err().to_string();
    assert!(error.contains("without `config.json`"), "{error}");
}

#[test]
fn an_index_from_the_hub_cannot_name_files_outside() {
    let cache = tempfile::tempdir().unwrap();
    let mut files = sharded();
    files.insert("model.safetensors.index.json", br#"{"weight_map":{"a":"../../x.safetensors"}}"#.to_vec());
    let (endpoint, _) = serve("owner/hostile", "main", files);
    let error = hub(&endpoint, cache.path(), None).resolve("owner/hostile").unwrap_err().to_string();
    assert!(error.contains("not a plain file name"), "{error}");
}
