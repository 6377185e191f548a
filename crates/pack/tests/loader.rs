//! The order of rows: keyed, complete, the same after any restart and for any number of ranks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use recon_mds::{Array, Dtype, Encoding, Sample, Value, Writer, WriterOptions};
use recon_pack::{Error, Loader, PackDocument, PackOptions, Source, pack, share};

/// Packs `rows` rows of one document each; the row's first id is `base` plus its number.
fn packed(directory: &Path, rows: u32, base: u32) {
    let documents = (0..rows).map(|number| PackDocument::new(number.to_string(), vec![base + number; 8], vec![1; 8]));
    let options = PackOptions { row_tokens: 8, shard_bytes: 2048, ..PackOptions::default() };
    assert_eq!(pack(documents, &options, directory).unwrap().rows, u64::from(rows));
}

fn firsts(loader: &Loader, positions: impl IntoIterator<Item = u64>) -> Vec<u32> {
    positions.into_iter().map(|position| loader.at(position).unwrap().ids[0]).collect()
}

#[test]
fn an_epoch_holds_every_row_once_in_an_order_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    packed(directory.path(), 60, 0);
    let loader = Loader::open(directory.path(), 7).unwrap();
    assert_eq!(loader.rows(), 60);
    let epochs: Vec<Vec<u32>> = (0..3).map(|epoch| firsts(&loader, epoch * 60..(epoch + 1) * 60)).collect();
    for epoch in &epochs {
        assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 60);
    }
    assert_ne!(epochs[0], epochs[1]);
    assert_ne!(epochs[1], epochs[2]);
    assert!(!epochs[0].is_sorted());
    let other_seed = Loader::open(directory.path(), 8).unwrap();
    assert_ne!(firsts(&other_seed, 0..60), epochs[0]);
    assert_eq!(loader.row(2, 5).unwrap(), loader.at(125).unwrap());
}

#[test]
fn a_position_leads_to_one_row_wherever_the_run_resumes() {
    let directory = tempfile::tempdir().unwrap();
    packed(directory.path(), 50, 0);
    let whole = firsts(&Loader::open(directory.path(), 7).unwrap(), 0..120);
    for start in [0, 1, 49, 50, 73, 119] {
        let resumed = Loader::open(directory.path(), 7).unwrap();
        assert_eq!(firsts(&resumed, start..120), whole[start as usize..]);
    }
    // The order belongs to the data, not to the place where it lies.
    let moved = directory.path().join("moved");
    fs::create_dir(&moved).unwrap();
    for entry in fs::read_dir(directory.path()).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), moved.join(entry.file_name())).unwrap();
    }
    assert_eq!(firsts(&Loader::open(&moved, 7).unwrap(), 0..120), whole);
}

#[test]
fn ranks_share_the_positions_without_overlap() {
    let directory = tempfile::tempdir().unwrap();
    packed(directory.path(), 30, 0);
    let loader = Loader::open(directory.path(), 7).unwrap();
    for world in [1, 2, 3, 7, 40] {
        let mut positions: Vec<u64> = (0..world).flat_map(|rank| share(0..30, rank, world)).collect();
        positions.sort_unstable();
        assert_eq!(positions, (0..30).collect::<Vec<_>>(), "world {world}");
        let mut rows: Vec<u32> = (0..world).flat_map(|rank| firsts(&loader, share(0..30, rank, world))).collect();
        rows.sort_unstable();
        assert_eq!(rows, (0..30).collect::<Vec<_>>(), "world {world}");
    }
    // A step of four rows holds the same rows for one rank and for four.
    let step: Vec<u64> = (0..4).flat_map(|rank| share(8..12, rank, 4)).collect();
    assert_eq!(step, share(8..12, 0, 1).collect::<Vec<_>>());
}

#[test]
fn sources_are_drawn_in_proportion_to_their_weights() {
    let directory = tempfile::tempdir().unwrap();
    let (code, text) = (directory.path().join("code"), directory.path().join("text"));
    packed(&code, 40, 0);
    packed(&text, 500, 1000);
    let sources = [Source { directory: code, weight: 3.0 }, Source { directory: text, weight: 1.0 }];
    let loader = Loader::open_mix(&sources, 7).unwrap();
    let drawn = firsts(&loader, 0..1024);
    let from_text = drawn.iter().filter(|&&id| id >= 1000).count();
    assert_eq!(from_text, 256);
    // A source that is used up begins its next epoch: 768 draws of 40 rows, 19 or 20 of each row.
    for number in 0..40 {
        let times = drawn.iter().filter(|&&id| id == number).count();
        assert!((19..=20).contains(&times), "row {number} came {times} times");
    }
    let text_rows: Vec<u32> = drawn.into_iter().filter(|&id| id >= 1000).collect();
    assert_eq!(text_rows.iter().collect::<BTreeSet<_>>().len(), 256, "no row of the larger source comes twice");
    let last = loader.place(1023);
    assert!(last.epoch > 0 || last.source == 1);
}

#[test]
fn damage_is_found_before_a_row_is_used() {
    let directory = tempfile::tempdir().unwrap();
    packed(directory.path(), 20, 0);
    let shard = directory.path().join("shard.00001.mds");
    let mut bytes = fs::read(&shard).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&shard, bytes).unwrap();
    let loader = Loader::open(directory.path(), 7).unwrap();
    assert!(matches!(loader.verify(), Err(Error::Mds(recon_mds::Error::HashMismatch { .. }))));
    assert!((0..20).any(|position| loader.at(position).is_err()));
}

/// A dataset of one row with the columns given.
fn foreign(directory: &Path, columns: Vec<(&str, Encoding, Value)>) -> Loader {
    let kinds: Vec<(String, Encoding)> =
        columns.iter().map(|(name, kind, _)| (name.to_string(), kind.clone())).collect();
    let mut writer = Writer::create(directory, kinds, WriterOptions::default()).unwrap();
    writer.write(&columns.into_iter().map(|(name, _, value)| (name.into(), value)).collect::<Sample>()).unwrap();
    writer.finish().unwrap();
    Loader::open(directory, 0).unwrap()
}

fn array(dtype: Dtype) -> Encoding {
    Encoding::NdArray { dtype: Some(dtype), shape: None }
}

fn ids_and_spans(spans: Vec<u32>) -> Vec<(&'static str, Encoding, Value)> {
    let indices = Array::new(vec![spans.len() / 2, 2], spans).unwrap();
    vec![
        ("input_ids", array(Dtype::U32), Array::vector((10..20_u32).collect()).into()),
        ("indices", array(Dtype::U32), indices.into()),
    ]
}

#[test]
fn rows_of_others_are_read_without_mask_and_without_their_padding() {
    let directory = tempfile::tempdir().unwrap();
    let mut columns = ids_and_spans(vec![0, 4, 4, 7]);
    columns.push(("length", Encoding::Int, Value::Int(10)));
    let row = foreign(directory.path(), columns).at(0).unwrap();
    assert_eq!(row.ids, (10..17).collect::<Vec<_>>());
    assert_eq!(row.mask, [0, 1, 1, 1, 0, 1, 1]);
    assert_eq!(row.spans, [0..4, 4..7]);
}

#[test]
fn a_row_without_indices_is_one_document_and_whole_numbers_of_any_type_are_ids() {
    let directory = tempfile::tempdir().unwrap();
    let columns = vec![
        ("input_ids", array(Dtype::I64), Array::vector((10..16_i64).collect()).into()),
        ("mask", array(Dtype::I32), Array::vector(vec![1_i32, 1, 0, 0, 1, 1]).into()),
        ("domain", Encoding::Str, Value::Str("book".into())),
    ];
    let row = foreign(directory.path(), columns).at(0).unwrap();
    assert_eq!((row.ids, row.spans), ((10..16).collect::<Vec<_>>(), vec![0..6]));
    assert_eq!(row.mask, [0, 1, 0, 0, 1, 1], "the first token of a document is never predicted");
}

/// Two datasets as two shards of one, each with its own columns.
fn joined(directory: &Path, first: Vec<(&str, Encoding, Value)>, second: Vec<(&str, Encoding, Value)>) {
    foreign(directory, first);
    let other = directory.join("other");
    foreign(&other, second);
    let read = |directory: &Path| -> serde_json::Value {
        serde_json::from_slice(&fs::read(directory.join("index.json")).unwrap()).unwrap()
    };
    let (mut index, mut added) = (read(directory), read(&other)["shards"][0].clone());
    added["raw_data"]["basename"] = "other/shard.00000.mds".into();
    index["shards"].as_array_mut().unwrap().push(added);
    fs::write(directory.join("index.json"), index.to_string()).unwrap();
}

#[test]
fn schemas_may_differ_between_shards_and_what_is_not_needed_stops_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut first = ids_and_spans(vec![0, 4, 4, 10]);
    first.push(("length", Encoding::Scalar(Dtype::U64), Value::scalar(10_u64)));
    first.push(("meta", Encoding::Str, Value::Str("{}".into())));
    let ids = Array::vector((50..70_u32).collect());
    let second = vec![("input_ids", array(Dtype::U32), ids.into()), ("length", Encoding::Int, Value::Int(20))];
    joined(directory.path(), first, second);
    let index = directory.path().join("index.json");
    let text = fs::read_to_string(&index).unwrap();
    assert!(text.contains("\"str\""), "{text}");
    fs::write(&index, text.replace("\"str\"", "\"json\"")).unwrap();
    let loader = Loader::open(directory.path(), 7).unwrap();
    let mut rows: Vec<_> = (0..2).map(|position| loader.at(position).unwrap()).collect();
    rows.sort_by_key(|row| row.ids[0]);
    assert_eq!((rows[0].spans.len(), rows[1].spans.clone()), (2, vec![0..20]));
    let longest = loader.longest(0).unwrap();
    assert_eq!((longest.row, longest.tokens), (1, 20));
}

#[test]
fn short_rows_are_joined_whole_and_longer_ones_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let kinds = [("input_ids", array(Dtype::U32)), ("mask", array(Dtype::U8))];
    let mut writer = Writer::create(directory.path(), kinds, WriterOptions::default()).unwrap();
    let lengths = [3_u32, 7, 4, 6, 10, 2];
    for (row, length) in (0_u32..).zip(lengths) {
        let ids = Array::vector((0..length).map(|at| 100 * row + at).collect::<Vec<u32>>());
        let mask = Array::vector((0..length).map(|at| u8::from(at % 3 != 1)).collect::<Vec<u8>>());
        writer.write(&Sample::from([("input_ids".into(), ids.into()), ("mask".into(), mask.into())])).unwrap();
    }
    writer.finish().unwrap();
    let open = || Loader::open(directory.path(), 7).unwrap();
    let apart: Vec<_> = (0..6).map(|position| open().at(position).unwrap()).collect();
    let loader = open().joined(10).unwrap();
    assert_eq!(loader.rows(), 4, "10 | 7 + 3 | 6 + 4 | 2");
    let mut documents = Vec::new();
    for position in 0..4 {
        let row = loader.at(position).unwrap();
        assert!(row.ids.len() <= 10 && row.spans.len() <= 2);
        documents
            .extend(row.spans.iter().map(|span| (row.ids[span.clone()].to_vec(), row.mask[span.clone()].to_vec())));
    }
    documents.sort();
    let mut stored: Vec<_> = apart.into_iter().map(|row| (row.ids, row.mask)).collect();
    stored.sort();
    assert_eq!(documents, stored, "every row is in one joined row, as it was");
    let error = open().joined(9).unwrap_err().to_string();
    assert!(error.starts_with("row 4 of") && error.contains("10 ids, more than the window of 9"), "{error}");
}

#[test]
fn a_dataset_of_something_else_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let loader = foreign(directory.path(), vec![("text", Encoding::Str, Value::Str("a".into()))]);
    for error in [loader.at(0).unwrap_err(), loader.longest(0).unwrap_err()] {
        assert!(error.to_string().contains("input_ids"), "{error}");
    }
}

#[test]
fn rows_that_break_the_invariants_are_errors() {
    for spans in [vec![1, 4], vec![0, 4, 5, 7], vec![0, 4, 3, 7], vec![0, 0], vec![0, 11], vec![0, u32::MAX]] {
        let directory = tempfile::tempdir().unwrap();
        let error = foreign(directory.path(), ids_and_spans(spans.clone())).at(0).unwrap_err();
        assert!(matches!(error, Error::Row { row: 0, .. }), "{spans:?}: {error}");
    }
    for mask in [vec![1_u8; 9], vec![2; 10]] {
        let directory = tempfile::tempdir().unwrap();
        let mut columns = ids_and_spans(vec![0, 10]);
        columns.push(("mask", array(Dtype::U8), Array::vector(mask).into()));
        assert!(matches!(foreign(directory.path(), columns).at(0), Err(Error::Row { .. })));
    }
}

#[test]
fn nothing_to_load_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let absent = Loader::open(&directory.path().join("absent"), 0).unwrap_err();
    assert!(absent.to_string().contains("index.json"), "{absent}");
    Writer::create(directory.path(), [("x", Encoding::Int)], WriterOptions::default()).unwrap().finish().unwrap();
    assert!(matches!(Loader::open(directory.path(), 0), Err(Error::NoRows { .. })));
    assert!(matches!(Loader::open_mix(&[], 0), Err(Error::Option { .. })));
}
