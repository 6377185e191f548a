//! JSON Lines: one object a line; only the columns asked for are kept of it.
//!
//! Memory holds one line, and a line longer than `max_row_bytes` is passed over unread.

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{Fault, Row, RowOptions, Rows, Wanted, joined, place};
use crate::{Error, Result};
use recon_repository::source::{exceeded, open_stream};

pub(super) fn open(path: &Path, options: &RowOptions) -> Result<Rows> {
    let stream = open_stream(path, &options.limits).map_err(|source| Error::Read { path: path.into(), source })?;
    let lines = Lines {
        reader: BufReader::with_capacity(1 << 16, stream),
        path: path.into(),
        names: options.names.clone(),
        max_row_bytes: options.max_row_bytes,
        line: 0,
        buffer: Vec::new(),
        ended: false,
    };
    Ok(Box::new(lines))
}

struct Lines<R> {
    reader: R,
    path: PathBuf,
    names: Wanted,
    max_row_bytes: u64,
    line: u64,
    buffer: Vec<u8>,
    ended: bool,
}

impl<R: BufRead> Lines<R> {
    fn fault(&self, rule: &'static str, message: String) -> Fault {
        Fault { rule, place: place(&self.path, self.line), message }
    }

    /// The next line into the buffer; how many bytes it has, `None` at the end.
    fn fill(&mut self) -> std::io::Result<Option<u64>> {
        self.buffer.clear();
        let limit = self.max_row_bytes.saturating_add(1);
        let read = self.reader.by_ref().take(limit).read_until(b'\n', &mut self.buffer)? as u64;
        if read < limit || self.buffer.ends_with(b"\n") {
            return Ok((read > 0).then_some(read));
        }
        self.reader.skip_until(b'\n')?;
        Ok(Some(read))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Row, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.ended {
                return None;
            }
            self.line += 1;
            let length = match self.fill() {
                Ok(None) => return None,
                Ok(Some(length)) => length,
                Err(error) => {
                    self.ended = true;
                    let message = exceeded(&error).unwrap_or_else(|| format!("the shard breaks off: {error}"));
                    return Some(Err(self.fault("shard_damaged", message)));
                }
            };
            if length > self.max_row_bytes {
                let message = format!("more than {} bytes (corpus.max_row_bytes)", self.max_row_bytes);
                return Some(Err(self.fault("row_too_large", message)));
            }
            if self.buffer.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            // Some writers open the file with the byte-order mark of UTF-8.
            let text = if self.line == 1 { self.buffer.strip_prefix(b"\xef\xbb\xbf") } else { None };
            let text = text.unwrap_or(&self.buffer);
            let mut parser = serde_json::Deserializer::from_slice(text);
            let row = Columns(&self.names).deserialize(&mut parser).and_then(|row| parser.end().map(|()| row));
            return Some(row.map_err(|error| self.fault("row_malformed", error.to_string())));
        }
    }
}

/// Reads an object into a [`Row`], whatever else it holds.
struct Columns<'a>(&'a Wanted);

/// One text or several.
#[derive(Deserialize)]
#[serde(untagged)]
enum Texts {
    One(String),
    Many(Vec<String>),
    None(()),
}

impl<'de> DeserializeSeed<'de> for Columns<'_> {
    type Value = Row;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Row, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Columns<'_> {
    type Value = Row;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wanted { repository, path, content, .. } = self.0;
        let names: Vec<String> =
            repository.iter().chain(path).chain([content]).map(|name| format!("`{name}`")).collect();
        write!(f, "an object with {}", names.join(", "))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Row, A::Error> {
        let names = self.0;
        let (mut repository, mut path, mut content, mut licence, mut commit) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            if names.repository.as_deref() == Some(&key) {
                repository = Some(map.next_value()?);
            } else if names.path.as_deref() == Some(&key) {
                path = Some(map.next_value()?);
            } else if key == names.content {
                content = Some(map.next_value()?);
            } else if names.licence.as_deref() == Some(&key) {
                licence = match map.next_value()? {
                    Texts::One(text) => Some(text),
                    Texts::Many(texts) => joined(&texts),
                    Texts::None(()) => None,
                };
            } else if names.commit.as_deref() == Some(&key) {
                commit = map.next_value::<Option<String>>()?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        let missing = |name: &str| serde::de::Error::custom(format!("`{name}` is missing"));
        let found = |name: &Option<String>, value: Option<String>| match name {
            Some(name) => value.ok_or_else(|| missing(name)),
            None => Ok(String::new()),
        };
        Ok(Row {
            repository: found(&names.repository, repository)?,
            path: found(&names.path, path)?,
            content: content.ok_or_else(|| missing(&names.content))?,
            licence,
            commit,
        })
    }
}
