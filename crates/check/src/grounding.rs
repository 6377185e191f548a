//! A shown file against the repository: digest, redactions replayed, every byte.

use recon_schema::Sha256;
use recon_schema::trajectory::FileContent;

use crate::{Fault, Lookup};

pub(crate) fn check(file: &FileContent, lookup: &Lookup<'_>) -> Vec<Fault> {
    let path = || file.path.clone();
    let Some(original) = lookup(&file.path) else { return vec![Fault::UnknownFile { path: path() }] };
    let found = Sha256::of(&original);
    if found != file.sha256 {
        return vec![Fault::Digest { path: path(), found, recorded: file.sha256 }];
    }
    match replay(file, &original) {
        Err(fault) => vec![fault],
        Ok(expected) => {
            let text = file.text.as_bytes();
            let same = expected.iter().zip(text).take_while(|(expected, found)| expected == found).count();
            let differs = same < expected.len().max(text.len());
            differs.then(|| Fault::Content { path: path(), byte: same }).into_iter().collect()
        }
    }
}

/// The original with each recorded span replaced.
fn replay(file: &FileContent, original: &[u8]) -> Result<Vec<u8>, Fault> {
    let (mut text, mut kept) = (Vec::with_capacity(original.len()), 0);
    for (index, redaction) in file.redactions.iter().enumerate() {
        let fault = |reason| Fault::Redaction { path: file.path.clone(), index, reason };
        let bound = |at: u64| usize::try_from(at).ok().filter(|at| *at <= original.len());
        let (Some(start), Some(end)) = (bound(redaction.start), bound(redaction.end)) else {
            return Err(fault("reaches beyond the end of the file"));
        };
        if start >= end {
            return Err(fault("replaces nothing"));
        }
        if start < kept {
            return Err(fault("overlaps the one before it"));
        }
        if redaction.rule.is_empty() {
            return Err(fault("names no rule"));
        }
        text.extend_from_slice(&original[kept..start]);
        text.extend_from_slice(redaction.replacement.as_bytes());
        kept = end;
    }
    text.extend_from_slice(&original[kept..]);
    Ok(text)
}
