//! Configurations that begin with others: `include = "common.toml"`, or a list of files, later ones winning.
//!
//! Paths are those from the folder of the file that includes. A section is merged key by key; what a file says itself
//! wins over what it includes.

use std::fs::canonicalize;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use recon_pipeline::{Failure, Outcome};

/// A file's text with its inclusion blanked out, so that every line keeps its number.
pub(super) struct Blanked {
    pub(super) text: String,
    /// The files it includes.
    pub(super) included: Vec<String>,
}

#[derive(Deserialize)]
struct Head {
    include: Option<Spanned<Files>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a file, or a list of files")]
enum Files {
    One(String),
    Many(Vec<String>),
}

impl Blanked {
    pub(super) fn new(text: &str) -> Result<Self, toml::de::Error> {
        let Head { include } = toml::from_str(text)?;
        let Some(include) = include else { return Ok(Self { text: text.into(), included: Vec::new() }) };
        let span = include.span();
        let begin = text[..span.start].rfind('\n').map_or(0, |end_of_line| end_of_line + 1);
        let blank: String = text[begin..span.end].chars().map(|c| if c == '\n' { '\n' } else { ' ' }).collect();
        let included = match include.into_inner() {
            Files::One(file) => vec![file],
            Files::Many(files) => files,
        };
        Ok(Self { text: format!("{}{blank}{}", &text[..begin], &text[span.end..]), included })
    }
}

/// Gives a file's own keys and the files that it includes.
type Read<'r> = dyn FnMut(&Path) -> Outcome<(Table, Vec<String>)> + 'r;

/// The file with all it includes, each read by `read`.
pub(super) fn merged(path: &Path, read: &mut Read<'_>) -> Outcome<Table> {
    merged_below(path, read, &mut Vec::new())
}

fn merged_below(path: &Path, read: &mut Read<'_>, above: &mut Vec<PathBuf>) -> Outcome<Table> {
    let (own, included) = read(path)?;
    let place = canonicalize(path).unwrap_or_else(|_| path.into());
    if above.contains(&place) {
        return Err(Failure::input_because(format!("configuration {} includes itself", path.display())));
    }
    above.push(place);
    let mut table = Table::new();
    for file in included {
        let file = path.parent().unwrap_or(Path::new("")).join(file);
        merge(&mut table, merged_below(&file, read, above)?);
    }
    above.pop();
    merge(&mut table, own);
    Ok(table)
}

fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(into)), Value::Table(from)) => merge(into, from),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
