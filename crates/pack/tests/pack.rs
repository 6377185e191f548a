//! From documents to a directory: nothing is lost, nothing is trained that must not be.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proptest::prelude::*;
use recon_pack::{Error, Loader, PackDocument, PackOptions, pack, read_provenance};
use recon_schema::graph::RepositoryRef;
use recon_schema::manifest::Manifest;
use recon_text::{Tokenizer, fake, llama3};

fn options(row_tokens: usize) -> PackOptions {
    PackOptions { row_tokens, domain: "test".into(), shard_bytes: 4096, ..PackOptions::default() }
}

/// A document of distinct ids, the even ones trained.
fn document(number: u32, tokens: usize) -> PackDocument {
    let ids: Vec<u32> = (0..tokens as u32).map(|at| number * 1000 + at).collect();
    let mask = ids.iter().map(|id| u8::from(id % 2 == 0)).collect();
    let repository =
        RepositoryRef { name: format!("r{number}"), source: "test".into(), commit: None, licence: Some("MIT".into()) };
    PackDocument { repository: Some(repository), ..PackDocument::new(format!("d{number}"), ids, mask) }
}

fn corpus(lengths: &[usize]) -> Vec<PackDocument> {
    lengths.iter().zip(0..).map(|(&tokens, number)| document(number, tokens)).collect()
}

fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(directory).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Reads everything back by the sidecar and holds it against the documents.
fn assert_restored(out: &Path, documents: &[PackDocument], row_tokens: usize) {
    let loader = Loader::open(out, 1).unwrap();
    let rows: BTreeMap<usize, _> =
        (0..loader.rows()).map(|position| (loader.place(position).row, loader.at(position).unwrap())).collect();
    assert_eq!(rows.len() as u64, loader.rows());
    type Pieces = BTreeMap<u64, (Vec<u32>, Vec<u8>)>;
    let mut restored: BTreeMap<String, Pieces> = BTreeMap::new();
    let records = read_provenance(out).unwrap();
    assert_eq!(rows.values().map(|row| row.spans.len()).sum::<usize>(), records.len());
    for record in records {
        let row = &rows[&(record.row as usize)];
        let span = record.start as usize..record.end as usize;
        assert!(row.spans.contains(&span) && row.ids.len() <= row_tokens);
        let piece = (row.ids[span.clone()].to_vec(), row.mask[span].to_vec());
        restored.entry(record.document).or_default().insert(record.document_start, piece);
    }
    for document in documents {
        let pieces = restored.remove(&document.id).unwrap_or_default();
        let mut trained_elsewhere = document.mask.clone();
        for (start, (ids, mask)) in pieces {
            let at = start as usize..start as usize + ids.len();
            assert_eq!(document.ids[at.clone()], ids);
            assert_eq!((mask[0], &mask[1..]), (0, &document.mask[at.start + 1..at.end]));
            trained_elsewhere[at.clone()].fill(0);
            // A row's border may cost the prediction of the one token after it.
            trained_elsewhere[at.start] = 0;
        }
        // Every second token is trained, so only a piece of one or two tokens has none but its first.
        let lost = trained_elsewhere.iter().position(|&bit| bit == 1).map(|at| document.ids.len() - at);
        assert!(lost.is_none_or(|tail| tail <= 2), "{}: the last {lost:?} tokens are lost", document.id);
    }
    assert!(restored.is_empty());
}

#[test]
fn documents_come_back_as_they_were() {
    let out = tempfile::tempdir().unwrap();
    let documents = corpus(&[40, 100, 7, 300, 64, 2, 65, 30, 64, 12]);
    let report = pack(documents.clone(), &options(64), out.path()).unwrap();
    assert_restored(out.path(), &documents, 64);
    assert_eq!((report.documents, report.documents_cut, report.highest_id), (10, 3, 9011));
    let provenance = read_provenance(out.path()).unwrap();
    assert_eq!(provenance.len() as u64, report.spans);
    let licence = provenance[0].repository.as_ref().and_then(|it| it.licence.as_deref());
    assert_eq!(licence, Some("MIT"));
    let loader = Loader::open(out.path(), 0).unwrap();
    let rows: Vec<_> = (0..report.rows).map(|position| loader.at(position).unwrap()).collect();
    assert_eq!(rows.iter().map(|row| row.ids.len() as u64).sum::<u64>(), report.tokens);
    let trained = rows.iter().flat_map(|row| &row.mask).map(|&bit| u64::from(bit)).sum::<u64>();
    assert_eq!(trained, report.trained_tokens);
    assert!((report.fill - report.tokens as f64 / (64 * report.rows) as f64).abs() < 1e-12);
}

#[test]
fn nothing_untrained_takes_room() {
    let out = tempfile::tempdir().unwrap();
    let silent = PackDocument::new("silent", vec![1; 50], vec![0; 50]);
    // Only its first token is marked, and a first token is never predicted.
    let first_only = PackDocument::new("first", vec![1; 3], vec![1, 0, 0]);
    let empty = PackDocument::new("empty", vec![], vec![]);
    let mut documents = vec![silent, first_only, empty];
    let error = pack(documents.clone(), &options(64), out.path()).unwrap_err();
    assert_eq!(error.to_string(), "no document has a token to train on (3 documents seen)");
    assert!(Manifest::read(out.path()).unwrap().is_none());
    documents.push(document(1, 10));
    let report = pack(documents, &options(64), out.path()).unwrap();
    assert_eq!((report.rows, report.spans, report.tokens, report.untrained), (1, 1, 10, 3));
}

#[test]
fn long_documents_are_cut_at_turns() {
    let out = tempfile::tempdir().unwrap();
    let long = PackDocument { cuts: vec![1, 30, 50, 90, 200], ..document(3, 120) };
    pack([long], &options(64), out.path()).unwrap();
    let mut starts: Vec<u64> =
        read_provenance(out.path()).unwrap().iter().map(|record| record.document_start).collect();
    starts.sort_unstable();
    assert_eq!(starts, [0, 50, 90]);
}

#[test]
fn one_corpus_gives_one_directory() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lengths: Vec<usize> = (0..200).map(|number| 5 + number * 37 % 120).collect();
    pack(corpus(&lengths), &options(128), first.path()).unwrap();
    pack(corpus(&lengths), &options(128), second.path()).unwrap();
    assert_eq!(files(first.path()), files(second.path()));

    let manifest = Manifest::read(first.path()).unwrap().unwrap();
    manifest.verify(first.path()).unwrap();
    assert_eq!(manifest.outputs.len() + 1, files(first.path()).len(), "every file is listed");
    assert!(manifest.outputs.len() > 5, "there are several shards");

    // A smaller corpus leaves nothing of the larger one, and has another key.
    pack(corpus(&lengths[..9]), &options(128), first.path()).unwrap();
    let smaller = Manifest::read(first.path()).unwrap().unwrap();
    assert_eq!(smaller.outputs.len() + 1, files(first.path()).len());
    assert_ne!(smaller.key, manifest.key);
}

#[test]
fn a_run_that_fails_is_not_complete() {
    let out = tempfile::tempdir().unwrap();
    pack(corpus(&[10, 20]), &options(64), out.path()).unwrap();
    let broken = PackDocument { mask: vec![1], ..document(9, 10) };
    let error = pack([document(1, 60), broken], &options(64), out.path()).unwrap_err();
    assert_eq!(error.to_string(), "document `d9`: 10 ids and 1 mask values");
    assert!(Manifest::read(out.path()).unwrap().is_none());
    assert!(Loader::open(out.path(), 0).is_err());
}

#[test]
fn options_and_documents_out_of_range_are_refused() {
    let out = tempfile::tempdir().unwrap();
    let refuse = |documents: Vec<PackDocument>, options: PackOptions| -> String {
        pack(documents, &options, out.path()).unwrap_err().to_string()
    };
    assert_eq!(refuse(vec![], options(1)), "`row_tokens` is 1, expected 2 to 4294967295");
    assert!(refuse(vec![], PackOptions { buffer_rows: 0, ..options(8) }).contains("buffer_rows"));
    let masked = PackDocument { mask: vec![2; 4], ..document(0, 4) };
    assert_eq!(refuse(vec![masked], options(8)), "document `d0`: mask value 2");
    let cuts = PackDocument { cuts: vec![3, 1], ..document(0, 4) };
    assert_eq!(refuse(vec![cuts], options(8)), "document `d0`: cuts are not ascending");
    assert!(matches!(pack(corpus(&[4]), &options(8), Path::new("/proc/none")), Err(Error::Mds(_))));
    let limited = PackOptions { max_documents: Some(2), ..options(8) };
    assert_eq!(pack(corpus(&[4, 4, 4]), &limited, out.path()).unwrap().documents, 2);
}

#[test]
fn text_that_spells_control_tokens_passes_unchanged() {
    let tokenizer = fake::tokenizer();
    let controls = llama3::control_tokens();
    let texts: Vec<String> = controls
        .iter()
        .map(|control| format!("{control}a {control}\n{control}{control}"))
        .chain([controls.concat(), controls.join(" ")])
        .collect();
    let ids_of =
        |text: &str| [vec![tokenizer.special_id(llama3::BEGIN_OF_TEXT).unwrap()], tokenizer.encode(text)].concat();
    let documents = texts.iter().enumerate().map(|(number, text)| {
        let ids = ids_of(text);
        PackDocument::new(number.to_string(), ids.clone(), vec![1; ids.len()])
    });
    let out = tempfile::tempdir().unwrap();
    let report = pack(documents, &options(16_384), out.path()).unwrap();
    assert_eq!((report.spans, report.documents_cut), (258, 0));
    let loader = Loader::open(out.path(), 3).unwrap();
    let mut seen = vec![false; texts.len()];
    let rows: BTreeMap<usize, _> =
        (0..loader.rows()).map(|position| (loader.place(position).row, loader.at(position).unwrap())).collect();
    for record in read_provenance(out.path()).unwrap() {
        let ids = &rows[&(record.row as usize)].ids[record.start as usize..record.end as usize];
        let number: usize = record.document.parse().unwrap();
        assert_eq!(
            specials(&tokenizer, ids),
            [tokenizer.special_id(llama3::BEGIN_OF_TEXT).unwrap()],
            "{}",
            texts[number]
        );
        assert_eq!(tokenizer.decode(ids), texts[number]);
        seen[number] = true;
    }
    assert!(seen.iter().all(|&seen| seen));
}

fn specials(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u32> {
    ids.iter().copied().filter(|&id| tokenizer.special_name(id).is_some()).collect()
}

#[test]
fn a_row_is_shown_span_by_span() {
    let tokenizer = fake::tokenizer();
    let out = tempfile::tempdir().unwrap();
    let begin = tokenizer.special_id(llama3::BEGIN_OF_TEXT).unwrap();
    let document = |text: &str| {
        let ids = [vec![begin], tokenizer.encode(text)].concat();
        let mask = (0..ids.len()).map(|at| u8::from(at > 2)).collect();
        PackDocument::new(text, ids, mask)
    };
    pack([document("abc"), document("xyz!")], &options(64), out.path()).unwrap();
    let row = Loader::open(out.path(), 0).unwrap().at(0).unwrap();
    assert_eq!(
        row.show(&tokenizer),
        "--- tokens 0..4, 1 trained\n<|begin_of_text|>ab⟦c⟧\n--- tokens 4..9, 2 trained\n<|begin_of_text|>xy⟦z!⟧\n"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn any_corpus_is_restored(lengths in proptest::collection::vec(2_usize..200, 1..40), row in 8_usize..100, buffer in 1_usize..5) {
        let out = tempfile::tempdir().unwrap();
        let documents = corpus(&lengths);
        let options = PackOptions { buffer_rows: buffer, ..options(row) };
        match pack(documents.clone(), &options, out.path()) {
            Ok(_) => assert_restored(out.path(), &documents, row),
            Err(error) => prop_assert!(matches!(error, Error::Nothing { .. }), "{}", error),
        }
    }
}
