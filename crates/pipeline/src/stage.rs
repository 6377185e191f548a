//! One stage: a directory, a key over what goes in, and a manifest written last.
//!
//! A stage says by a plan what decides its result, by inputs what it reads, by crates whose code
//! makes it, and leaves facts of its own type. A stage whose manifest carries the same key and
//! whose outputs still have the listed digests is reused as it stands: nothing is computed and no
//! file is touched. A stage that was interrupted may go on from what it left under the same key.
//!
//! Invariant: a directory that recon did not make is never emptied.

use std::collections::BTreeMap;
use std::fs;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Instant;

use recon_schema::Sha256;
use recon_schema::file::{Written, hash_file, write_bytes};
use recon_schema::manifest::{FILE_NAME, Manifest};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::place::{UNFINISHED, is_ours, remove, sweep};

/// What decides the result of a stage.
pub(crate) struct Key<'a> {
    /// The stage's name, also that of its directory.
    pub name: &'a str,
    /// Every setting that the result depends on.
    pub plan: serde_json::Value,
    /// Digests of what is read, by role.
    pub inputs: Vec<(String, Sha256)>,
    /// The crates whose code makes the result.
    pub crates: &'a [&'a str],
}

impl<'a> Key<'a> {
    /// A stage whose plan is `plan`.
    pub(crate) fn new(name: &'a str, crates: &'a [&'a str], plan: &impl Serialize) -> Self {
        let plan = serde_json::to_value(plan).expect("plans have string keys and finite numbers");
        Self { name, plan, inputs: Vec::new(), crates }
    }

    /// Adds something that is read.
    #[must_use]
    pub(crate) fn input(mut self, role: impl Into<String>, digest: Sha256) -> Self {
        self.inputs.push((role.into(), digest));
        self
    }
}

/// A stage that is about to run or to be reused; `F` is what it leaves as its facts.
pub(crate) struct Stage<F> {
    directory: PathBuf,
    manifest: Manifest,
    keeps_leftovers: bool,
    facts: PhantomData<F>,
}

/// A stage that is complete.
#[derive(Debug, Clone)]
pub(crate) struct Finished<F> {
    /// Its name.
    pub name: String,
    /// Where its outputs lie.
    pub directory: PathBuf,
    /// What it wrote, by path from the directory.
    pub outputs: BTreeMap<String, Written>,
    /// What it found out.
    pub facts: F,
    /// Seconds it took when it ran, over all the runs it took.
    pub seconds: f64,
    /// Whether it was complete before this run.
    pub reused: bool,
}

/// Facts as they stand in a manifest.
#[derive(Serialize, Deserialize)]
struct Recorded<F> {
    seconds: f64,
    found: F,
}

impl<F> Finished<F> {
    /// Digest over all outputs: the input of the stages that follow.
    pub(crate) fn digest(&self) -> Sha256 {
        let fields: Vec<String> = self.outputs.iter().map(|(name, it)| format!("{name} {}", it.sha256)).collect();
        Sha256::of_fields(fields.iter().map(String::as_bytes))
    }
}

impl<F: Serialize + DeserializeOwned> Stage<F> {
    /// A stage in its directory below `root`.
    pub(crate) fn new(root: &Path, key: Key<'_>) -> Self {
        let mut inputs: BTreeMap<String, Sha256> = key.inputs.into_iter().collect();
        inputs.insert("code".into(), crate::code::digest(key.crates));
        let mut manifest = Manifest::new(key.name, key.plan, inputs);
        manifest.revision = option_env!("RECON_REVISION").map(String::from);
        Self { directory: root.join(key.name), manifest, keeps_leftovers: false, facts: PhantomData }
    }

    /// Keeps what an unfinished run with the same key left: the stage knows how to go on from it.
    #[must_use]
    pub(crate) fn keep_leftovers(mut self) -> Self {
        self.keeps_leftovers = true;
        self
    }

    /// The finished stage, if it need not run: as it stands, or as it was before a run with another plan began and did
    /// not finish.
    pub(crate) fn completed(&self) -> Outcome<Option<Finished<F>>> {
        if let Some(finished) = self.read(&self.directory) {
            // Left by a run that was stopped between the manifest and the end.
            let marker = self.directory.join(UNFINISHED);
            if marker.exists() {
                fs::remove_file(&marker).map_err(Failure::of_file("failed to remove", &marker))?;
                remove(&self.previous())?;
            }
            return Ok(Some(finished));
        }
        let previous = self.previous();
        let Some(finished) = self.read(&previous) else { return Ok(None) };
        self.refuse_foreign()?;
        remove(&self.directory)?;
        fs::rename(&previous, &self.directory).map_err(Failure::of_file("failed to restore", &self.directory))?;
        Ok(Some(finished))
    }

    /// A stage that is complete in `directory`; one whose facts do not read is not.
    fn read(&self, directory: &Path) -> Option<Finished<F>> {
        let manifest = self.manifest.completed(directory)?;
        let recorded: Recorded<F> = serde_json::from_value(manifest.facts)
            .inspect_err(
                |error| tracing::warn!(%error, stage = self.manifest.stage, "its facts do not read; it runs again"),
            )
            .ok()?;
        Some(self.finished(manifest.outputs, recorded, true))
    }

    fn finished(&self, outputs: BTreeMap<String, Written>, recorded: Recorded<F>, reused: bool) -> Finished<F> {
        let Recorded { seconds, found: facts } = recorded;
        let (name, directory) = (self.manifest.stage.clone(), self.directory.clone());
        Finished { name, directory, outputs, facts, seconds, reused }
    }

    /// Reuses the stage or runs `work`, which writes into the directory and returns facts.
    ///
    /// Nothing of an earlier, different run is left.
    pub(crate) fn run(self, work: impl FnOnce(&Path) -> Outcome<F>) -> Outcome<Finished<F>> {
        self.run_with(|_| Ok(()), |directory, ()| work(directory))
    }

    /// As [`Stage::run`], with what `open` gives: where that cannot be had, nothing is begun, and where the stage is
    /// complete it is not asked for.
    pub(crate) fn run_with<T>(
        mut self,
        open: impl FnOnce(&Path) -> Outcome<T>,
        work: impl FnOnce(&Path, T) -> Outcome<F>,
    ) -> Outcome<Finished<F>> {
        if let Some(finished) = self.completed()? {
            tracing::info!(stage = self.manifest.stage, "complete already");
            return Ok(finished);
        }
        let opened = open(&self.directory)?;
        self.prepare()?;
        let start = Instant::now();
        let found = work(&self.directory, opened)?;
        let recorded = Recorded { seconds: start.elapsed().as_secs_f64(), found };
        self.manifest.facts = serde_json::to_value(&recorded).expect("facts have string keys and finite numbers");
        list(&self.directory, &self.directory, &mut self.manifest)?;
        self.manifest.write(&self.directory)?;
        self.settle()?;
        Ok(self.finished(self.manifest.outputs.clone(), recorded, false))
    }

    fn prepare(&self) -> Outcome {
        let fail = Failure::of_file("failed to prepare", &self.directory);
        let (marker, key) = (self.directory.join(UNFINISHED), self.manifest.key.to_string());
        let ours = || fs::read_to_string(&marker).is_ok_and(|found| found == key);
        if self.keeps_leftovers && ours() {
            sweep(&self.directory)?;
        } else {
            self.refuse_foreign()?;
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

    /// Stops before anything of the user's is removed.
    fn refuse_foreign(&self) -> Outcome {
        for directory in [self.directory.as_path(), &self.previous()] {
            if !is_ours(directory)? {
                let message = format!("{} was not made by recon, which will not empty it", directory.display());
                return Err(Failure::input_because(message).hint("choose another place with --out"));
            }
        }
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

/// Lists every file below `directory` in the manifest, by path from `root`; locks and markers aside.
fn list(root: &Path, directory: &Path, manifest: &mut Manifest) -> Outcome {
    let fail = Failure::of_file("failed to list", directory);
    for entry in fs::read_dir(directory).map_err(&fail)? {
        let path = entry.map_err(&fail)?.path();
        let of_the_stage = |name| path == root.join(name);
        if path.is_dir() {
            list(root, &path, manifest)?;
        } else if ![FILE_NAME, UNFINISHED, recon_repository::RESULTS_MARK].into_iter().any(of_the_stage) {
            let name = path.strip_prefix(root).expect("listed below root").to_string_lossy().replace('\\', "/");
            manifest.outputs.insert(name, hash_file(&path)?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
