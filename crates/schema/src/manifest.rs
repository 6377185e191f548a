//! The manifest of one stage: what went in, what came out, and that it is complete.
//!
//! It is written last. A stage whose manifest carries the same key, and whose outputs still
//! have the listed digests, need not run again.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::file::{Written, hash_file, read_json, write_json};
use crate::{Error, Result, Sha256};

/// The name every manifest carries.
pub const SCHEMA: &str = "recon.manifest/1";

/// The file a stage writes last into its output directory.
pub const FILE_NAME: &str = "manifest.json";

/// What went in and what came out of one stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`SCHEMA`].
    pub schema: String,
    /// The stage, e.g. `graph`.
    pub stage: String,
    /// Version of the program.
    pub version: String,
    /// Git revision of the program, where it was built in a checkout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Digest over stage, version, plan and inputs: two runs with one key have one result.
    pub key: Sha256,
    /// The resolved configuration of the stage.
    pub plan: serde_json::Value,
    /// Digests of what was read, by role.
    pub inputs: BTreeMap<String, Sha256>,
    /// What was written, by path from the output directory.
    pub outputs: BTreeMap<String, Written>,
    /// Counts and measurements worth keeping; not part of the key.
    #[serde(default)]
    pub facts: serde_json::Value,
}

impl Manifest {
    /// A manifest with no outputs yet.
    pub fn new(stage: &str, plan: serde_json::Value, inputs: BTreeMap<String, Sha256>) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_string();
        let mut fields: Vec<Vec<u8>> = vec![stage.into(), version.clone().into(), plan.to_string().into()];
        for (role, digest) in &inputs {
            fields.push(role.clone().into());
            fields.push(digest.to_string().into());
        }
        let key = Sha256::of_fields(fields.iter().map(Vec::as_slice));
        Self {
            schema: SCHEMA.into(),
            stage: stage.into(),
            version,
            revision: None,
            key,
            plan,
            inputs,
            outputs: BTreeMap::new(),
            facts: serde_json::Value::Null,
        }
    }

    /// Reads the manifest of `directory`; `None` where there is none.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let path = directory.join(FILE_NAME);
        if !path.exists() {
            return Ok(None);
        }
        let manifest: Self = read_json(&path, SCHEMA)?;
        if manifest.schema != SCHEMA {
            return Err(Error::Schema { path, found: manifest.schema, expected: SCHEMA });
        }
        Ok(Some(manifest))
    }

    /// The finished manifest in `directory` if it has this one's key and its outputs are intact.
    pub fn completed(&self, directory: &Path) -> Option<Self> {
        let found = Self::read(directory).ok()??;
        (found.key == self.key && found.verify(directory).is_ok()).then_some(found)
    }

    /// Checks that every listed output is there with its digest.
    pub fn verify(&self, directory: &Path) -> Result<()> {
        for (name, written) in &self.outputs {
            let path = directory.join(name);
            if hash_file(&path)? != *written {
                return Err(Error::HashMismatch { path });
            }
        }
        Ok(())
    }

    /// Writes the manifest into `directory`; call it when every output is finished.
    pub fn write(&self, directory: &Path) -> Result<()> {
        write_json(&directory.join(FILE_NAME), self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::write_bytes;

    #[test]
    fn a_changed_output_or_plan_asks_for_a_new_run() {
        let directory = tempfile::tempdir().unwrap();
        let mut manifest = Manifest::new("graph", serde_json::json!({"limit": 1}), BTreeMap::new());
        assert!(manifest.completed(directory.path()).is_none());
        let written = write_bytes(&directory.path().join("graph.json"), b"{}").unwrap();
        manifest.outputs.insert("graph.json".into(), written);
        manifest.write(directory.path()).unwrap();
        let again = Manifest::new("graph", serde_json::json!({"limit": 1}), BTreeMap::new());
        assert_eq!(again.completed(directory.path()).as_ref(), Some(&manifest));
        let other = Manifest::new("graph", serde_json::json!({"limit": 2}), BTreeMap::new());
        assert!(other.completed(directory.path()).is_none());
        std::fs::write(directory.path().join("graph.json"), b"{ }").unwrap();
        assert!(again.completed(directory.path()).is_none());
    }
}
