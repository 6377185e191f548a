//! One JSON line a step, and what a run that goes on does with the lines it will write again.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A file of lines each of which says its `step`, open for appending.
pub(crate) struct StepLines {
    path: PathBuf,
    file: File,
}

/// What every line says.
#[derive(Deserialize)]
struct Line {
    step: u64,
}

impl StepLines {
    /// Opens `path` and drops the lines after `step`, and a torn last line: no step appears twice.
    pub(crate) fn open(path: PathBuf, step: u64) -> Result<Self> {
        let kept = kept_bytes(&path, step)?;
        let fail = |source| Error::Write { path: path.clone(), source };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fail)?;
        file.set_len(kept).map_err(fail)?;
        Ok(Self { path, file })
    }

    pub(crate) fn append(&mut self, line: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_string(line).expect("figures have string keys");
        line.push('\n');
        self.file.write_all(line.as_bytes()).map_err(|source| Error::Write { path: self.path.clone(), source })
    }
}

/// Length of the complete lines of steps up to `step`.
fn kept_bytes(path: &Path, step: u64) -> Result<u64> {
    let text = match fs::read_to_string(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            return Err(Error::Read { path: path.into(), source });
        }
        text => text.unwrap_or_default(),
    };
    let is_kept = |text: &&str| {
        let line = text.strip_suffix('\n').and_then(|line| serde_json::from_str::<Line>(line).ok());
        line.is_some_and(|line| line.step <= step)
    };
    Ok(text.split_inclusive('\n').take_while(is_kept).map(str::len).sum::<usize>() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_after_the_checkpoint_and_torn_lines_are_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let line = |step: u64| serde_json::json!({"step": step, "loss_nats": 0.5});
        let mut file = StepLines::open(path.clone(), 0).unwrap();
        (1..=5).for_each(|step| file.append(&line(step)).unwrap());
        fs::write(&path, fs::read_to_string(&path).unwrap() + "{\"step\":6,\"lo").unwrap();
        let mut file = StepLines::open(path.clone(), 3).unwrap();
        file.append(&line(4)).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let steps: Vec<u64> = text.lines().map(|line| serde_json::from_str::<Line>(line).unwrap().step).collect();
        assert_eq!(steps, [1, 2, 3, 4]);
    }
}
