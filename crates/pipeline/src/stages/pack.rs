//! `pack`: rows to train on, from the trajectories of all shards.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use recon_pack::{PackDocument, PackOptions, PackReport, pack};
use recon_schema::Sha256;
use recon_schema::file::each_json_line;
use recon_schema::trajectory::{SCHEMA, Trajectory};
use recon_text::{Renderer, Rendering};
use serde::Serialize;

use super::TRAJECTORIES;
use crate::failure::{Failure, Outcome};
use crate::observe::Observe;
use crate::stage::{Finished, Key, Stage};

/// Name of the stage and of its directory.
pub(crate) const NAME: &str = "pack";
/// Folder of the rows in it.
pub(crate) const ROWS: &str = "rows";

#[derive(Serialize)]
struct Plan<'a> {
    pack: &'a PackOptions,
    rendering: Rendering,
}

/// Packs the trajectories in `shards` (directory and digest of each, in order) into rows below `root`.
pub(crate) fn run(
    root: &Path,
    shards: &[(PathBuf, Sha256)],
    options: &PackOptions,
    (renderer, rendering): (&Renderer<'_>, Rendering),
    observe: &dyn Observe,
) -> Outcome<Finished<PackReport>> {
    let digests: Vec<String> = shards.iter().map(|(_, digest)| digest.to_string()).collect();
    let key = Key::new(NAME, &["pack"], &Plan { pack: options, rendering })
        .input("trajectories", Sha256::of_fields(digests.iter().map(String::as_bytes)))
        .input("tokenizer", renderer.tokenizer().sha256());
    Stage::new(root, key).run(|directory| {
        observe.begin(NAME, 0);
        let failed: RefCell<Option<Failure>> = RefCell::new(None);
        let keep = |failure: Failure| *failed.borrow_mut() = Some(failure);
        // What cannot be read ends the documents; the packer never sees a part of them as all.
        let trajectories = shards.iter().flat_map(|(directory, _)| read(&directory.join(TRAJECTORIES)));
        let documents = trajectories
            .map_while(|trajectory| trajectory.map_err(keep).ok())
            .map(|trajectory| PackDocument::from_trajectory(renderer, &trajectory));
        let packed = pack(documents, options, &directory.join(ROWS));
        match failed.take() {
            Some(failure) => Err(failure),
            None => packed.map_err(Failure::run),
        }
    })
}

fn read(path: &Path) -> Box<dyn Iterator<Item = Outcome<Trajectory>>> {
    match each_json_line::<Trajectory>(path, SCHEMA) {
        Ok(lines) => Box::new(lines.map(|line| line.map_err(Failure::from))),
        Err(error) => Box::new(std::iter::once(Err(error.into()))),
    }
}
