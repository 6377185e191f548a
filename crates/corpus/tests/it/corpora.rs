//! Whole corpora: shards of both forms, folders of repositories, and what goes wrong in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archives::{gzip, tar_of, zstd};
use parquet::basic::{BrotliLevel, Compression};
use parquet::data_type::{ByteArray, ByteArrayType};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use recon_corpus::rows::{ColumnNames, Columns, texts};
use recon_corpus::{ACCOUNTS, CorpusOptions, CorpusReport, Error, Grouping, Input, Settings, Store, gather, shard_of};
use recon_repository::{CleanOptions, ReadOptions, Repository, SourceOptions};

/// Repository, path, content.
pub(crate) type Row = (String, String, String);

fn code(seed: u64) -> String {
    let word = |at: u64| format!("n{:x}", (at ^ seed << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 44);
    (0..12).map(|at| format!("def {}(request): return request.{}\n", word(at), word(at + 50))).collect()
}

/// `repositories` of three files that import each other, rows scattered over the corpus.
fn scattered(repositories: u64) -> Vec<Row> {
    let row = |file: u64, at: u64| {
        let text = if file == 0 { format!("import m1\nimport m2\n{}", code(at * 3)) } else { code(at * 3 + file) };
        (format!("owner/r{at}"), format!("m{file}.py"), text)
    };
    (0..3).flat_map(|file| (0..repositories).map(move |at| row(file, at))).collect()
}

pub(crate) fn json(rows: &[Row]) -> Vec<u8> {
    let line = |(repository, path, content): &Row| {
        let row = serde_json::json!({ "repository": repository, "path": path, "content": content, "licence": ["MIT"], "stars": {"n": 1} });
        format!("{row}\n")
    };
    rows.iter().map(line).collect::<String>().into_bytes()
}

pub(crate) fn parquet(path: &Path, rows: &[Row], names: [&str; 4]) {
    compressed_parquet(path, rows, names, Compression::UNCOMPRESSED);
}

fn compressed_parquet(path: &Path, rows: &[Row], names: [&str; 4], compression: Compression) {
    let [repository, file, content, licence] = names;
    let schema = format!(
        "message row {{ required binary {repository} (UTF8); required int64 size; optional binary {file} (UTF8); \
         optional binary {content} (UTF8); \
         optional group {licence} (LIST) {{ repeated group list {{ optional binary element (UTF8); }} }} }}"
    );
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let properties = Arc::new(WriterProperties::builder().set_compression(compression).build());
    let mut writer = SerializedFileWriter::new(fs::File::create(path).unwrap(), schema, properties).unwrap();
    for rows in rows.chunks(7) {
        let mut group = writer.next_row_group().unwrap();
        let texts =
            |of: fn(&Row) -> &String| rows.iter().map(|row| ByteArray::from(of(row).as_str())).collect::<Vec<_>>();
        let present = vec![1; rows.len()];
        for at in 0..5 {
            let mut column = group.next_column().unwrap().unwrap();
            if at == 1 {
                let sizes: Vec<i64> = rows.iter().map(|row| row.2.len() as i64).collect();
                column.typed::<parquet::data_type::Int64Type>().write_batch(&sizes, None, None).unwrap();
            } else {
                let typed = column.typed::<ByteArrayType>();
                match at {
                    0 => typed.write_batch(&texts(|row| &row.0), None, None),
                    2 => typed.write_batch(&texts(|row| &row.1), Some(&present), None),
                    3 => typed.write_batch(&texts(|row| &row.2), Some(&present), None),
                    // Lists of none, one and two licences by turns.
                    _ => {
                        let (mut values, mut defined, mut repeated) = (Vec::new(), Vec::new(), Vec::new());
                        for row in 0..rows.len() {
                            defined.extend([[1].as_slice(), &[3], &[3, 3]][row % 3]);
                            repeated.extend([[0].as_slice(), &[0], &[0, 1]][row % 3]);
                            values.extend(["MIT", "ISC"][..row % 3].iter().map(|it| ByteArray::from(*it)));
                        }
                        typed.write_batch(&values, Some(&defined), Some(&repeated))
                    }
                }
                .unwrap();
            }
            column.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
}

struct Ran {
    report: CorpusReport,
    /// Every repository of the store, shard after shard.
    repositories: Vec<Repository>,
    accounts: Vec<u8>,
}

fn run_with(paths: &[PathBuf], corpus: &CorpusOptions) -> Result<Ran, Error> {
    gathered(Input::Many(paths.to_vec()), corpus)
}

fn gathered(input: Input, corpus: &CorpusOptions) -> Result<Ran, Error> {
    let out = tempfile::tempdir().unwrap();
    let (read, source, clean) = (ReadOptions::default(), SourceOptions::default(), CleanOptions::default());
    let settings = Settings { read: &read, source: &source, clean: &clean, corpus };
    let report = gather(input, &settings, out.path(), &|_| {})?;
    let store = Store::open(out.path()).unwrap();
    let left = fs::read_dir(out.path()).unwrap().count();
    assert_eq!(left, 1 + 2 * store.shards().len(), "the accounts and two files a shard; nothing else is left");
    let mut repositories = Vec::new();
    for &shard in store.shards() {
        for entry in store.entries(shard).unwrap() {
            assert_eq!(shard_of(&entry.name, corpus.shards), shard, "{}", entry.name);
            let repository = store.repository(shard, &entry).unwrap();
            assert_eq!(repository.reference.name, entry.name);
            repositories.push(repository);
        }
    }
    Ok(Ran { report, repositories, accounts: fs::read(out.path().join(ACCOUNTS)).unwrap() })
}

fn run(paths: &[PathBuf]) -> Ran {
    run_with(paths, &CorpusOptions::default()).unwrap()
}

/// Graphs by name: what a corpus holds, whatever its order.
fn by_name(ran: &Ran) -> BTreeMap<String, (usize, usize)> {
    let graph = |repository: &Repository| recon_graph::build(repository);
    let graphs = ran.repositories.iter().map(graph);
    graphs.map(|graph| (graph.repository.name.clone(), (graph.order.len(), graph.edges.len()))).collect()
}

fn balances(report: &CorpusReport) {
    let dropped: u64 = report.dropped_files.values().map(|count| count.files).sum();
    let unread: u64 = report.unread_files.values().sum();
    let accounted = report.kept.files + dropped + unread + report.files_of_refused_repositories;
    assert_eq!(report.met.files, accounted, "every file is in one count: {report:#?}");
    let refused: u64 = report.refused_repositories.values().sum();
    let unusable: u64 = report.unusable_repositories.values().sum();
    assert_eq!(report.repositories, report.kept_repositories + refused + unusable, "{report:#?}");
}

#[test]
fn shards_of_every_form_hold_the_same_repositories() {
    let work = tempfile::tempdir().unwrap();
    let rows = scattered(30);
    let expected: BTreeMap<String, (usize, usize)> = (0..30).map(|at| (format!("owner/r{at}"), (3, 2))).collect();
    let text = json(&rows);
    for (name, bytes) in [
        ("a.jsonl", text.clone()),
        ("a.jsonl.gz", gzip(&text)),
        ("a.jsonl.zst", zstd(&text)),
        ("mark.jsonl", [b"\xef\xbb\xbf", text.as_slice()].concat()),
        ("folder/x/a.jsonl", text),
    ] {
        let path = work.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        let path = if name.starts_with("folder") { work.path().join("folder") } else { path };
        let ran = run(&[path]);
        assert_eq!(by_name(&ran), expected, "{name}");
        assert!(ran.repositories.iter().all(|it| it.reference.licence.as_deref() == Some("MIT")));
        assert_eq!((ran.report.rows, ran.report.kept_repositories), (90, 30));
        balances(&ran.report);
    }
    let path = work.path().join("a.parquet");
    parquet(&path, &rows, ["max_stars_repo_name", "max_stars_repo_path", "content", "max_stars_repo_licenses"]);
    let corpus = CorpusOptions { columns: Columns::StackV1, ..CorpusOptions::default() };
    let ran = run_with(&[path], &corpus).unwrap();
    assert_eq!(by_name(&ran), expected, "parquet");
    let named = ColumnNames {
        repository: "r".into(),
        path: "p".into(),
        content: "c".into(),
        licence: Some("l".into()),
        commit: Some("nowhere".into()),
    };
    let path = work.path().join("b.parquet");
    parquet(&path, &rows, ["r", "p", "c", "l"]);
    let corpus = CorpusOptions { columns: Columns::Named(named), ..CorpusOptions::default() };
    assert_eq!(by_name(&run_with(&[path], &corpus).unwrap()), expected, "any names");
    for compression in [Compression::LZ4_RAW, Compression::LZ4, Compression::BROTLI(BrotliLevel::default())] {
        let path = work.path().join(format!("{}.parquet", compression.to_string().replace(['(', ')'], "")));
        compressed_parquet(&path, &rows, ["r", "p", "c", "l"], compression);
        assert_eq!(by_name(&run_with(&[path], &corpus).unwrap()), expected, "{compression}");
    }
}

#[test]
fn rows_that_stand_together_need_no_disk_and_scattered_ones_are_told() {
    let work = tempfile::tempdir().unwrap();
    let mut rows = scattered(20);
    rows.sort();
    let path = work.path().join("a.jsonl");
    fs::write(&path, json(&rows)).unwrap();
    let corpus = CorpusOptions { grouping: Grouping::Together, ..CorpusOptions::default() };
    let ran = run_with(std::slice::from_ref(&path), &corpus).unwrap();
    assert_eq!(by_name(&ran), by_name(&run(std::slice::from_ref(&path))));
    let apart = rows.remove(0);
    rows.push(apart);
    fs::write(&path, json(&rows)).unwrap();
    let ran = run_with(&[path], &corpus).unwrap();
    assert_eq!(ran.report.unusable_rows, BTreeMap::from([("scattered_row".to_owned(), 1)]));
}

#[test]
fn any_number_of_shards_holds_the_same_set_once() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("a.jsonl");
    fs::write(&path, json(&scattered(40))).unwrap();
    let whole = by_name(&run(std::slice::from_ref(&path)));
    assert_eq!(whole.len(), 40);
    for shards in [1, 3, 1_000] {
        let ran = run_with(std::slice::from_ref(&path), &CorpusOptions { shards, ..CorpusOptions::default() }).unwrap();
        assert_eq!((ran.repositories.len(), by_name(&ran)), (40, whole.clone()), "{shards} shards");
    }
}

#[test]
fn one_repository_is_a_set_of_one() {
    let twice = [("a.py", code(1)), ("b.py", code(1)), ("gen_pb2.py", code(2))];
    let repository = Repository::from_files("shop", twice);
    let ran =
        gathered(Input::One(Box::new(repository)), &CorpusOptions { shards: 1, ..CorpusOptions::default() }).unwrap();
    assert_eq!(ran.repositories[0].kept().count(), 2, "what stands twice in one repository stays");
    assert_eq!(ran.repositories[0].files.len(), 3, "and what is dropped keeps its text");
    balances(&ran.report);
}

#[test]
fn what_is_named_twice_is_met_once_and_another_of_the_same_name_is_set_aside() {
    let work = tempfile::tempdir().unwrap();
    let shard = work.path().join("a.jsonl");
    fs::write(&shard, json(&scattered(30))).unwrap();
    let ran = run(&[shard.clone(), shard.clone(), work.path().join("./a.jsonl")]);
    assert_eq!((ran.report.rows, ran.report.repositories), (90, 30));
    for folder in ["x", "y"] {
        fs::create_dir_all(work.path().join(folder).join("shop")).unwrap();
        fs::write(work.path().join(folder).join("shop/m.py"), code(folder.len() as u64 + 77)).unwrap();
    }
    let corpus = CorpusOptions { max_skipped_fraction: 0.5, ..CorpusOptions::default() };
    let ran = run_with(&[work.path().join("x"), work.path().join("y")], &corpus).unwrap();
    assert_eq!(ran.report.unusable_repositories, BTreeMap::from([("repeated_name".to_owned(), 1)]));
    assert_eq!((ran.report.repositories, ran.report.kept_repositories), (2, 1));
    balances(&ran.report);
}

#[test]
fn one_repository_a_thousand_times_is_one() {
    let work = tempfile::tempdir().unwrap();
    let rows: Vec<Row> = (0..1_000).map(|at| (format!("fork{at}/shop"), "m.py".into(), code(5))).collect();
    let path = work.path().join("a.jsonl");
    fs::write(&path, json(&rows)).unwrap();
    let ran = run(&[path]);
    assert_eq!((ran.report.repositories, ran.report.kept_repositories), (1_000, 1));
    assert_eq!(ran.report.refused_repositories, BTreeMap::from([("duplicate_repository".to_owned(), 999)]));
}

#[test]
fn options_that_mean_nothing_are_refused() {
    let with = |change: fn(&mut CorpusOptions)| {
        let mut options = CorpusOptions::default();
        change(&mut options);
        options.validate().map_err(|error| error.to_string())
    };
    assert_eq!(with(|_| {}), Ok(()));
    for change in [
        (|it| it.max_skipped_fraction = f64::NAN) as fn(&mut CorpusOptions),
        |it| it.max_skipped_fraction = f64::INFINITY,
        |it| it.max_skipped_fraction = -1.0,
        |it| it.shards = 0,
        |it| it.shards = u32::MAX,
        |it| it.duplicates.jaccard = f64::NAN,
        |it| it.contamination.run_words = 0,
    ] {
        assert!(with(change).unwrap_err().starts_with("`corpus."));
    }
}

#[test]
fn a_damaged_frame_is_an_error_that_names_its_file() {
    let work = tempfile::tempdir().unwrap();
    let out = work.path().join("out");
    fs::create_dir(&out).unwrap();
    let shard = work.path().join("a.jsonl");
    fs::write(&shard, json(&scattered(2))).unwrap();
    let (read, source, clean) = (ReadOptions::default(), SourceOptions::default(), CleanOptions::default());
    let corpus = CorpusOptions { shards: 1, ..CorpusOptions::default() };
    let settings = Settings { read: &read, source: &source, clean: &clean, corpus: &corpus };
    gather(Input::Many(vec![shard]), &settings, &out, &|_| {}).unwrap();
    let store = Store::open(&out).unwrap();
    let entry = store.entries(0).unwrap().remove(0);
    let frames = &store.files(0)[0];
    let mut bytes = fs::read(frames).unwrap();
    bytes[entry.offset as usize + entry.bytes as usize / 2] ^= 1;
    fs::write(frames, bytes).unwrap();
    let error = store.repository(0, &entry).unwrap_err();
    assert!(matches!(&error, Error::Read { path, .. } if path == frames), "{error}");
}

#[test]
fn the_number_of_threads_does_not_show() {
    let work = tempfile::tempdir().unwrap();
    let mut rows = scattered(25);
    rows.extend((0..10).map(|at| (format!("owner/r{at}"), "copy.py".into(), code(7))));
    let path = work.path().join("a.jsonl");
    fs::write(&path, json(&rows)).unwrap();
    let with = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let ran = pool.install(|| run(std::slice::from_ref(&path)));
        (serde_json::to_string(&ran.repositories).unwrap(), ran.accounts, ran.report)
    };
    let one = with(1);
    assert_eq!(one.2.dropped_files["duplicate_file"].files, 9 + 1, "copies, and the file they are copies of");
    assert_eq!(one, with(6));
}

#[test]
fn a_folder_of_repositories_is_a_corpus_and_a_broken_one_is_counted() {
    let work = tempfile::tempdir().unwrap();
    for at in 0..30 {
        let file = (format!("p{at}/m.py"), code(at).into_bytes());
        fs::write(work.path().join(format!("p{at}.tar.gz")), gzip(&tar_of(&[file]))).unwrap();
    }
    fs::create_dir(work.path().join("plain")).unwrap();
    fs::write(work.path().join("plain/m.py"), code(99)).unwrap();
    // Data of a repository makes no shard of it.
    fs::create_dir(work.path().join("plain/data")).unwrap();
    fs::write(work.path().join("plain/data/example.jsonl"), "{}\n").unwrap();
    fs::create_dir(work.path().join("words")).unwrap();
    fs::write(work.path().join("words/readme.md"), "# words\n").unwrap();
    fs::write(work.path().join("notes.txt"), "no repository").unwrap();
    fs::write(work.path().join("torn.tar.gz"), &gzip(&tar_of(&[("m.py".into(), code(1).into_bytes())]))[..60]).unwrap();
    let ran = run(&[work.path().into()]);
    assert_eq!((ran.report.repositories, ran.report.kept_repositories), (33, 31));
    assert_eq!(ran.report.unusable_repositories, BTreeMap::from([("archive_damaged".to_owned(), 1)]));
    assert_eq!(ran.report.refused_repositories, BTreeMap::from([("no_source".to_owned(), 1)]));
    balances(&ran.report);
    let strict = CorpusOptions { max_skipped_fraction: 0.01, ..CorpusOptions::default() };
    let error = run_with(&[work.path().into()], &strict).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::TooManyFaults { rule, .. } if rule == "archive_damaged"), "{error}");
    assert!(error.to_string().contains("1 of 33 repositories") && error.to_string().contains("torn"), "{error}");
}

#[test]
fn faults_of_rows_are_counted_and_past_the_limit_fail() {
    let work = tempfile::tempdir().unwrap();
    let mut text = json(&scattered(40));
    let long = format!("{{\"repository\":\"r\",\"path\":\"l.py\",\"content\":\"{}\"}}\n", "x".repeat(5_000));
    text.extend(format!("{{\"repository\": \"r\", \"path\": 3}}\nnot json\n{}\n{long}", "[".repeat(3_000)).bytes());
    text.extend(br#"{"repository":"r","content":"x"}"#);
    let path = work.path().join("a.jsonl");
    fs::write(&path, &text).unwrap();
    let corpus = CorpusOptions { max_row_bytes: 4_000, ..CorpusOptions::default() };
    let ran = run_with(std::slice::from_ref(&path), &corpus).unwrap();
    assert_eq!(
        ran.report.unusable_rows,
        BTreeMap::from([("row_malformed".to_owned(), 4), ("row_too_large".to_owned(), 1)])
    );
    assert_eq!((ran.report.rows, ran.report.kept_repositories), (125, 40));
    let strict = CorpusOptions { max_skipped_fraction: 0.0, ..corpus };
    let error = run_with(&[path], &strict).map(|_| ()).unwrap_err();
    assert!(
        error.to_string().starts_with("5 of 125 rows are unusable") && error.to_string().contains("row_malformed"),
        "{error}"
    );
    // A shard that breaks off ends there and the rest is read.
    let whole = json(&scattered(400));
    fs::write(work.path().join("b.jsonl.gz"), &gzip(&whole)[..gzip(&whole).len() / 2]).unwrap();
    fs::write(work.path().join("c.jsonl"), json(&[("later/r".into(), "m.py".into(), code(5_000))])).unwrap();
    let ran = run(&[work.path().join("b.jsonl.gz"), work.path().join("c.jsonl")]);
    assert_eq!(ran.report.unusable_rows, BTreeMap::from([("shard_damaged".to_owned(), 1)]));
    assert!(by_name(&ran).contains_key("later/r"));
}

#[test]
fn a_shard_with_other_columns_is_an_error_that_names_them() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("a.parquet");
    parquet(&path, &scattered(2), ["repo", "file", "text", "licences"]);
    let error = run_with(std::slice::from_ref(&path), &CorpusOptions::default()).map(|_| ()).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Columns { .. }) && text.contains("`repository`") && text.contains("repo, size, file"),
        "{text}"
    );
    // A column of the right name and the wrong type is not the column.
    let named = ColumnNames {
        repository: "repo".into(),
        path: "file".into(),
        content: "size".into(),
        licence: None,
        commit: None,
    };
    let corpus = CorpusOptions { columns: Columns::Named(named), ..CorpusOptions::default() };
    assert!(matches!(run_with(std::slice::from_ref(&path), &corpus), Err(Error::Columns { .. })));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(run_with(std::slice::from_ref(&path), &CorpusOptions::default()), Err(Error::Shard { .. })));
    let empty = work.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(matches!(run_with(&[empty], &CorpusOptions::default()), Err(Error::EmptyCorpus { .. })));
    let nowhere = work.path().join("nowhere");
    assert!(matches!(run_with(&[nowhere], &CorpusOptions::default()), Err(Error::Read { .. })));
}

#[test]
fn duplicates_and_benchmarks_are_accounted_for() {
    let work = tempfile::tempdir().unwrap();
    let mut rows = scattered(5);
    let fork = (0..3).map(|file| ("fork/r0".to_owned(), format!("m{file}.py"), rows[file * 5].2.clone()));
    rows.extend(fork.collect::<Vec<Row>>());
    rows.push(("owner/r1".into(), "again.py".into(), code(4).replace('(', " ( ")));
    let task = "a task that nobody may train on because it is part of the exam\n";
    rows.push(("owner/r2".into(), "exam.py".into(), format!("# {task}{}", code(700))));
    fs::write(work.path().join("exam.txt"), task).unwrap();
    let path = work.path().join("a.jsonl");
    fs::write(&path, json(&rows)).unwrap();
    let mut corpus = CorpusOptions::default();
    corpus.contamination.benchmarks = vec![work.path().join("exam.txt")];
    let ran = run_with(&[path], &corpus).unwrap();
    let rule = |name: &str| ran.report.dropped_files.get(name).map_or(0, |count| count.files);
    assert_eq!((rule("duplicate_file"), rule("benchmark")), (1, 1), "{:#?}", ran.report);
    assert_eq!(ran.report.refused_repositories, BTreeMap::from([("duplicate_repository".to_owned(), 1)]));
    assert_eq!(ran.report.kept_repositories, 5);
    balances(&ran.report);
    let repository = ran.repositories.iter().find(|it| it.reference.name == "owner/r2").unwrap();
    assert!(!repository.is_kept("exam.py") && repository.files.contains_key("exam.py"), "it is marked, and stays");
}

#[test]
fn texts_of_one_column_come_in_order_from_json_and_parquet() {
    let work = tempfile::tempdir().unwrap();
    let rows = scattered(5);
    let (lines, table) = (work.path().join("a.jsonl"), work.path().join("a.parquet"));
    fs::write(&lines, json(&rows)).unwrap();
    parquet(&table, &rows, ["repository", "path", "content", "licence"]);
    let (corpus, limits) = (CorpusOptions::default(), SourceOptions::default());
    for path in [&lines, &table] {
        let found: Vec<_> = texts(path, "content", &corpus, &limits).unwrap().map(Result::unwrap).collect();
        let expected: Vec<&str> = rows.iter().map(|(_, _, content)| content.as_str()).collect();
        assert_eq!(found.iter().map(|text| text.text.as_str()).collect::<Vec<_>>(), expected);
        assert!(found[2].place.ends_with(":3"), "{}", found[2].place);
    }
    assert!(matches!(texts(&table, "absent", &corpus, &limits).err(), Some(Error::Columns { .. })));
    let faults = texts(&lines, "absent", &corpus, &limits).unwrap().filter(Result::is_err).count();
    assert_eq!(faults, rows.len());
    assert!(matches!(texts(&work.path().join("a.txt"), "text", &corpus, &limits).err(), Some(Error::NoTexts { .. })));
}
