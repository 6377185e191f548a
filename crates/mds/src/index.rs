//! `index.json` and the configuration inside each shard, in the spelling of Python's
//! `json.dumps(…, sort_keys=True)`: fields in alphabetical order, `", "` and `": "`, ASCII only.

use std::collections::BTreeMap;
use std::io;

use serde::{Deserialize, Serialize};
use serde_json::ser::{Formatter, Serializer};

/// The file that makes a directory a dataset.
pub(crate) const FILE_NAME: &str = "index.json";

/// Version of the format.
pub(crate) const VERSION: u64 = 2;

/// What every shard of one writer has in common. Fields stand in the order they are written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Configuration {
    pub column_encodings: Vec<String>,
    pub column_names: Vec<String>,
    pub column_sizes: Vec<Option<u64>>,
    pub compression: Option<String>,
    pub format: &'static str,
    pub hashes: Vec<&'static str>,
    pub size_limit: Option<u64>,
    pub version: u64,
}

/// One shard as it is written. Fields stand in the order they are written.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct WrittenShard<'a> {
    pub column_encodings: &'a [String],
    pub column_names: &'a [String],
    pub column_sizes: &'a [Option<u64>],
    pub compression: &'a Option<String>,
    pub format: &'static str,
    pub hashes: &'a [&'static str],
    pub raw_data: &'a FileInfo,
    pub samples: u64,
    pub size_limit: Option<u64>,
    pub version: u64,
    pub zip_data: Option<FileInfo>,
}

/// The index as it is written.
#[derive(Debug, Serialize)]
pub(crate) struct WrittenIndex<'a> {
    pub shards: Vec<WrittenShard<'a>>,
    pub version: u64,
}

/// A file with its size and hashes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct FileInfo {
    pub basename: String,
    pub bytes: u64,
    #[serde(default)]
    pub hashes: BTreeMap<String, String>,
}

/// The index as it is read. What is not needed is not looked at.
#[derive(Debug, Deserialize)]
pub(crate) struct Index {
    pub shards: Vec<ShardEntry>,
    pub version: u64,
}

/// One shard of an index as it is read.
#[derive(Debug, Deserialize)]
pub(crate) struct ShardEntry {
    pub column_encodings: Vec<String>,
    pub column_names: Vec<String>,
    pub column_sizes: Vec<Option<u64>>,
    #[serde(default)]
    pub compression: Option<String>,
    pub format: String,
    pub raw_data: FileInfo,
    pub samples: u64,
    pub version: u64,
    #[serde(default)]
    pub zip_data: Option<FileInfo>,
}

/// `value` as Python's `json.dumps` writes it.
pub(crate) fn to_python_json(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut bytes, PythonFormatter);
    value.serialize(&mut serializer).expect("an index has string keys and is written to memory");
    bytes
}

struct PythonFormatter;

impl Formatter for PythonFormatter {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        for character in fragment.chars() {
            if matches!(character, ' '..='~') {
                write!(writer, "{character}")?;
            } else {
                let mut units = [0; 2];
                character.encode_utf16(&mut units).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_spelt_as_python_spells_it() {
        let value = serde_json::json!({"a": [1, null, "é\u{7f}\u{1f600}\"\n\u{1}"], "b": {}});
        let text = String::from_utf8(to_python_json(&value)).unwrap();
        assert_eq!(text, r#"{"a": [1, null, "\u00e9\u007f\ud83d\ude00\"\n\u0001"], "b": {}}"#);
    }
}
