//! Parquet: the asked columns side by side, a few rows at a time.
//!
//! Memory holds one page of each column; a shard is never read as a whole.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use parquet::basic::Type;
use parquet::column::reader::{ColumnReader, ColumnReaderImpl, get_typed_column_reader};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::schema::types::SchemaDescriptor;

use super::{Fault, Row, RowOptions, Rows, joined, place};
use crate::{Error, Result};

/// Rows decoded at once.
const BATCH: usize = 32;

/// Positions of the columns among the leaves.
#[derive(Clone, Copy)]
struct Leaves {
    repository: Option<usize>,
    path: Option<usize>,
    content: usize,
    licence: Option<usize>,
    commit: Option<usize>,
}

pub(super) fn open(path: &Path, options: &RowOptions) -> Result<Rows> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let damaged = |reason: String| Error::Shard { path: path.into(), reason };
    let reader = guarded(|| SerializedFileReader::new(file)).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let names = &options.names;
    let wanted = |name: &str| leaf(schema, name, true).ok_or_else(|| no_column(path, schema, name));
    let optional = |name: &Option<String>| name.as_ref().and_then(|name| leaf(schema, name, false));
    let leaves = Leaves {
        repository: names.repository.as_deref().map(wanted).transpose()?,
        path: names.path.as_deref().map(wanted).transpose()?,
        content: wanted(&names.content)?,
        licence: optional(&names.licence),
        commit: optional(&names.commit),
    };
    Ok(Box::new(Table {
        reader,
        path: path.into(),
        leaves,
        max_row_bytes: options.max_row_bytes,
        group: 0,
        columns: None,
        batch: Vec::new().into_iter(),
        row: 0,
        ended: false,
    }))
}

/// The leaf of a column of texts; a list of texts counts where `flat` is not asked.
fn leaf(schema: &SchemaDescriptor, name: &str, flat: bool) -> Option<usize> {
    let fits = |at: &usize| {
        let column = schema.column(*at);
        let top = column.path().parts().first().map(String::as_str);
        let depth = column.max_rep_level();
        top == Some(name) && column.physical_type() == Type::BYTE_ARRAY && depth <= if flat { 0 } else { 1 }
    };
    (0..schema.num_columns()).find(fits)
}

fn no_column(path: &Path, schema: &SchemaDescriptor, name: &str) -> Error {
    let found: Vec<&str> = schema.root_schema().get_fields().iter().map(|field| field.name()).collect();
    Error::Columns { path: path.into(), name: name.into(), found: found.join(", ") }
}

struct Table {
    reader: SerializedFileReader<File>,
    path: PathBuf,
    leaves: Leaves,
    max_row_bytes: u64,
    group: usize,
    columns: Option<Group>,
    batch: std::vec::IntoIter<Result<Row, &'static str>>,
    row: u64,
    ended: bool,
}

/// The columns of one row group and how many rows are left in it.
struct Group {
    repository: Option<Column>,
    path: Option<Column>,
    content: Column,
    licence: Option<Column>,
    commit: Option<Column>,
    rows_left: usize,
}

struct Column {
    reader: ColumnReaderImpl<ByteArrayType>,
    max_def: i16,
    is_list: bool,
}

impl Column {
    /// The texts of the next `count` rows, several or none for a list.
    fn texts(&mut self, count: usize) -> parquet::errors::Result<Vec<Vec<ByteArray>>> {
        let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
        let mut rows: Vec<Vec<ByteArray>> = Vec::with_capacity(count);
        while rows.len() < count {
            values.clear();
            defined.clear();
            repeated.clear();
            let (read, ..) =
                self.reader.read_records(count - rows.len(), Some(&mut defined), Some(&mut repeated), &mut values)?;
            if read == 0 {
                return Err(parquet::errors::ParquetError::EOF("a column has fewer rows than its group".into()));
            }
            let mut values = values.drain(..);
            // A column without optional or repeated parts has no levels.
            if self.max_def == 0 {
                defined.resize(read, 0);
            }
            for (at, level) in defined.iter().enumerate() {
                if !self.is_list || repeated.get(at).is_none_or(|level| *level == 0) {
                    rows.push(Vec::new());
                }
                if *level == self.max_def {
                    rows.last_mut().expect("the first level of a page begins a row").extend(values.next());
                }
            }
        }
        Ok(rows)
    }
}

impl Table {
    /// Decodes the next rows; false at the end.
    fn advance(&mut self) -> parquet::errors::Result<bool> {
        loop {
            if let Some(group) = self.columns.as_mut().filter(|group| group.rows_left > 0) {
                let count = group.rows_left.min(BATCH);
                let rows = group.read(count, self.max_row_bytes)?;
                self.batch = rows.into_iter();
                return Ok(true);
            }
            if self.group >= self.reader.num_row_groups() {
                return Ok(false);
            }
            self.columns = Some(self.open_group()?);
            self.group += 1;
        }
    }

    fn open_group(&self) -> parquet::errors::Result<Group> {
        let group = self.reader.get_row_group(self.group)?;
        let column = |leaf: usize| {
            let described = group.metadata().column(leaf).column_descr_ptr();
            let reader = match group.get_column_reader(leaf)? {
                reader @ ColumnReader::ByteArrayColumnReader(_) => get_typed_column_reader::<ByteArrayType>(reader),
                _ => return Err(parquet::errors::ParquetError::General("a text column of another type".into())),
            };
            Ok(Column { reader, max_def: described.max_def_level(), is_list: described.max_rep_level() > 0 })
        };
        let Leaves { repository, path, content, licence, commit } = self.leaves;
        Ok(Group {
            repository: repository.map(column).transpose()?,
            path: path.map(column).transpose()?,
            content: column(content)?,
            licence: licence.map(column).transpose()?,
            commit: commit.map(column).transpose()?,
            rows_left: usize::try_from(group.metadata().num_rows()).unwrap_or(0),
        })
    }
}

impl Group {
    fn read(&mut self, count: usize, max_row_bytes: u64) -> parquet::errors::Result<Vec<Result<Row, &'static str>>> {
        let repository = self.repository.as_mut().map(|column| column.texts(count)).transpose()?;
        let path = self.path.as_mut().map(|column| column.texts(count)).transpose()?;
        let content = self.content.texts(count)?;
        let licence = self.licence.as_mut().map(|column| column.texts(count)).transpose()?;
        let commit = self.commit.as_mut().map(|column| column.texts(count)).transpose()?;
        self.rows_left -= count;
        let listed = |column: &Option<Vec<Vec<ByteArray>>>, at: usize| -> Vec<String> {
            let texts = column.as_ref().map_or(&[][..], |rows| &rows[at]);
            texts.iter().filter_map(|text| text.as_utf8().ok().map(String::from)).collect()
        };
        let row = |at: usize| {
            let one = |column: &[Vec<ByteArray>]| match column[at].first() {
                None => Err("a value is null"),
                Some(value) if value.len() as u64 > max_row_bytes => Err("more bytes than corpus.max_row_bytes"),
                Some(value) => value.as_utf8().map(String::from).map_err(|_| "a value is not UTF-8"),
            };
            let named = |column: &Option<Vec<Vec<ByteArray>>>| column.as_deref().map_or(Ok(String::new()), one);
            Ok(Row {
                repository: named(&repository)?,
                path: named(&path)?,
                content: one(&content)?,
                licence: joined(&listed(&licence, at)),
                commit: listed(&commit, at).into_iter().next(),
            })
        };
        Ok((0..count).map(row).collect())
    }
}

impl Iterator for Table {
    type Item = Result<Row, Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(row) = self.batch.next() {
                self.row += 1;
                let place = place(&self.path, self.row);
                return Some(row.map_err(|message| Fault { rule: "row_malformed", place, message: message.into() }));
            }
            if self.ended {
                return None;
            }
            match guarded(|| self.advance()) {
                Ok(true) => {}
                Ok(false) => self.ended = true,
                Err(message) => {
                    self.ended = true;
                    let place = place(&self.path, self.row + 1);
                    let message = format!("the shard breaks off: {message}");
                    return Some(Err(Fault { rule: "shard_damaged", place, message }));
                }
            }
        }
    }
}

/// The result of `work` on one line; a panic of the decoder over damaged bytes is an error too.
fn guarded<T>(work: impl FnOnce() -> parquet::errors::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| error.to_string().replace('\n', " ")),
        Err(_) => Err("the decoder gave up".into()),
    }
}
