//! One stage of a run: a directory, a key over what goes in, and a manifest written last.
//!
//! A stage whose manifest carries the same key and whose outputs still have the listed digests
//! is reused as it stands: nothing is computed and no file is touched. A stage that was
//! interrupted may go on from what it left, if it left it under the same key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use recon_schema::Sha256;
use recon_schema::file::{hash_file, write_bytes};
use recon_schema::manifest::{FILE_NAME, Manifest};
use serde::Serialize;

use crate::failure::{Failure, Outcome};

/// Holds the key of a stage that has begun and not finished.
const UNFINISHED: &str = "unfinished";

/// What to do with files a stage left behind without finishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leftovers {
    /// Start from an empty directory.
    Clear,
    /// Keep them if they were left under this stage's key: it knows how to go on from them.
    Keep,
}

/// A stage that is about to run or to be reused.
pub struct Stage {
    directory: PathBuf,
    manifest: Manifest,
    leftovers: Leftovers,
}

/// A stage that is complete.
pub struct Finished {
    /// Where its outputs lie.
    pub directory: PathBuf,
    /// Its manifest, facts included.
    pub manifest: Manifest,
    /// Whether it was complete before this run.
    pub reused: bool,
}

impl Finished {
    /// A number among the stage's facts, by JSON pointer.
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.manifest.facts.pointer(pointer)?.as_f64()
    }

    /// Digest over all outputs: the input of the stages that follow.
    pub fn digest(&self) -> Sha256 {
        let digests = self.manifest.outputs.iter().map(|(name, it)| format!("{name} {}", it.sha256));
        let fields: Vec<String> = digests.collect();
        Sha256::of_fields(fields.iter().map(String::as_bytes))
    }
}

impl Stage {
    /// A stage under `root`, named `name`; `plan` and `inputs` decide whether it must run again.
    pub fn new(root: &Path, name: &str, plan: &impl Serialize, inputs: &[(&str, Sha256)]) -> Self {
        let plan = serde_json::to_value(plan).expect("options have string keys and finite numbers");
        let inputs: BTreeMap<String, Sha256> = inputs.iter().map(|(role, it)| (role.to_string(), *it)).collect();
        let mut manifest = Manifest::new(name, plan, inputs);
        manifest.revision = option_env!("RECON_REVISION").map(String::from);
        Self { directory: root.join(name), manifest, leftovers: Leftovers::Clear }
    }

    /// Keeps what an unfinished run with the same key left.
    #[must_use]
    pub fn keep_leftovers(mut self) -> Self {
        self.leftovers = Leftovers::Keep;
        self
    }

    /// Where the outputs go.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The finished stage, if it need not run: as it stands, or as it was before a run with another plan began and did
    /// not finish.
    pub fn completed(&self) -> Outcome<Option<Finished>> {
        let finished = |manifest| Finished { directory: self.directory.clone(), manifest, reused: true };
        if let Some(manifest) = self.manifest.completed(&self.directory) {
            return Ok(Some(finished(manifest)));
        }
        let previous = self.previous();
        let Some(manifest) = self.manifest.completed(&previous) else { return Ok(None) };
        remove(&self.directory)?;
        fs::rename(&previous, &self.directory).map_err(Failure::of_file("failed to restore", &self.directory))?;
        Ok(Some(finished(manifest)))
    }

    /// Reuses the stage or runs `work`, which writes into the directory and returns facts.
    ///
    /// `seconds` is added to the facts. Nothing of an earlier, different run is left.
    pub fn run<F: Serialize>(mut self, work: impl FnOnce(&Path) -> Outcome<F>) -> Outcome<Finished> {
        if let Some(finished) = self.completed()? {
            tracing::info!(stage = self.manifest.stage, "complete already");
            return Ok(finished);
        }
        self.prepare()?;
        let start = Instant::now();
        let facts = work(&self.directory)?;
        let mut facts = serde_json::to_value(&facts).expect("facts have string keys and finite numbers");
        if let Some(map) = facts.as_object_mut() {
            map.insert("seconds".into(), start.elapsed().as_secs_f64().into());
        }
        self.manifest.facts = facts;
        list(&self.directory, &self.directory, &mut self.manifest)?;
        self.manifest.write(&self.directory)?;
        self.settle()?;
        Ok(Finished { directory: self.directory, manifest: self.manifest, reused: false })
    }

    fn prepare(&self) -> Outcome {
        let fail = Failure::of_file("failed to prepare", &self.directory);
        let (marker, key) = (self.directory.join(UNFINISHED), self.manifest.key.to_string());
        let ours = || fs::read_to_string(&marker).is_ok_and(|found| found == key);
        let goes_on = self.leftovers == Leftovers::Keep && ours();
        if !goes_on {
            // Hours of work may lie there: a finished stage goes only when another stands in its place.
            if self.directory.join(FILE_NAME).exists() {
                remove(&self.previous())?;
                fs::rename(&self.directory, self.previous()).map_err(&fail)?;
            }
            remove(&self.directory)?;
        }
        fs::create_dir_all(&self.directory).map_err(&fail)?;
        write_bytes(&marker, key.as_bytes())?;
        Ok(())
    }

    /// Where the finished stage of another plan waits while this one is made.
    fn previous(&self) -> PathBuf {
        self.directory.with_extension("previous")
    }

    /// The manifest stands: nothing is unfinished any more, and nothing waits to be taken back.
    fn settle(&self) -> Outcome {
        remove(&self.previous())?;
        let marker = self.directory.join(UNFINISHED);
        fs::remove_file(&marker).map_err(Failure::of_file("failed to remove", &marker))
    }
}

/// Removes a folder with all that is in it, where there is one.
fn remove(directory: &Path) -> Outcome {
    if !directory.exists() {
        return Ok(());
    }
    fs::remove_dir_all(directory).map_err(Failure::of_file("failed to remove", directory))
}

/// Lists every file below `directory` in the manifest, by path from `root`.
fn list(root: &Path, directory: &Path, manifest: &mut Manifest) -> Outcome {
    let fail = Failure::of_file("failed to list", directory);
    for entry in fs::read_dir(directory).map_err(&fail)? {
        let path = entry.map_err(&fail)?.path();
        if path.is_dir() {
            list(root, &path, manifest)?;
        } else if path != root.join(FILE_NAME) && path != root.join(UNFINISHED) {
            let name = path.strip_prefix(root).expect("listed below root").to_string_lossy().replace('\\', "/");
            manifest.outputs.insert(name, hash_file(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage(root: &Path, limit: u32) -> Stage {
        Stage::new(root, "graph", &serde_json::json!({ "limit": limit }), &[("repository", Sha256::of(b"r"))])
    }

    #[test]
    fn a_finished_stage_is_not_run_again() {
        let root = tempfile::tempdir().unwrap();
        let work = |directory: &Path| {
            fs::create_dir(directory.join("deep")).unwrap();
            fs::write(directory.join("deep/out"), b"1").unwrap();
            Ok(serde_json::json!({ "files": 3 }))
        };
        let first = stage(root.path(), 1).run(work).unwrap();
        assert_eq!((first.reused, first.number("/files")), (false, Some(3.0)));
        assert!(first.manifest.outputs.contains_key("deep/out"));
        let again = stage(root.path(), 1).run(|_| -> Outcome<()> { panic!("must not run") }).unwrap();
        assert!(again.reused);
        assert_eq!(again.digest(), first.digest());
    }

    #[test]
    fn another_plan_or_a_changed_output_runs_again_from_nothing() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &'static str| {
            move |it: &Path| -> Outcome<()> {
                fs::write(it.join(name), b"1").unwrap();
                Ok(())
            }
        };
        stage(root.path(), 1).run(write("old")).unwrap();
        let second = stage(root.path(), 2).run(write("new")).unwrap();
        assert_eq!(second.manifest.outputs.keys().collect::<Vec<_>>(), ["new"]);
        fs::write(root.path().join("graph/new"), b"2").unwrap();
        assert!(!stage(root.path(), 2).run(write("new")).unwrap().reused);
    }

    #[test]
    fn a_failed_stage_leaves_no_manifest() {
        let root = tempfile::tempdir().unwrap();
        let failed = stage(root.path(), 1).run(|it| -> Outcome<()> {
            fs::write(it.join("half"), b"1").unwrap();
            Err(Failure::run(anyhow::anyhow!("no")))
        });
        assert!(failed.is_err());
        assert!(stage(root.path(), 1).completed().unwrap().is_none());
        let kept = stage(root.path(), 1).keep_leftovers().run(|it| Ok(it.join("half").exists())).unwrap();
        assert_eq!(kept.manifest.facts, serde_json::json!(true));
        assert_eq!(kept.manifest.outputs.keys().collect::<Vec<_>>(), ["half"]);
    }

    #[test]
    fn a_finished_stage_stays_until_another_stands_in_its_place() {
        let root = tempfile::tempdir().unwrap();
        let write = |it: &Path| -> Outcome<()> {
            fs::write(it.join("weights"), b"1").unwrap();
            Ok(())
        };
        let refuse = |_: &Path| -> Outcome<()> { Err(Failure::run(anyhow::anyhow!("no"))) };
        let made = stage(root.path(), 1).run(write).unwrap();
        assert!(stage(root.path(), 2).run(refuse).is_err());
        assert!(stage(root.path(), 2).run(refuse).is_err(), "nor does a second failure take it away");
        let restored = stage(root.path(), 1).run(refuse).unwrap();
        assert!(restored.reused && restored.digest() == made.digest() && restored.directory.join("weights").exists());
        stage(root.path(), 2).run(write).unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "one stands, none waits");
    }

    #[test]
    fn what_another_plan_left_unfinished_is_not_gone_on_from() {
        let root = tempfile::tempdir().unwrap();
        let failed = stage(root.path(), 1).run(|it| -> Outcome<()> {
            fs::write(it.join("half"), b"1").unwrap();
            Err(Failure::run(anyhow::anyhow!("no")))
        });
        assert!(failed.is_err());
        let kept = stage(root.path(), 2).keep_leftovers().run(|it| Ok(it.join("half").exists())).unwrap();
        assert_eq!(kept.manifest.facts, serde_json::json!(false));
    }
}
