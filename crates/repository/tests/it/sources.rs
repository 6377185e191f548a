//! One repository from every kind of source, and sources as they are met in the wild.

use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use crate::archives::{self, gzip, tar_of, zip_of, zstd};
use crate::git::Git;
use recon_repository::{Error, Source, SourceOptions};
use recon_repository::{ReadOptions, Repository};
use recon_schema::graph::SkipReason;

const FILES: &[(&str, &str)] = &[
    ("app.py", "import shop.cart\n"),
    ("shop/__init__.py", ""),
    ("shop/cart.py", "x = 1\r\n"),
    ("README.md", "# Café\n"),
    (".hidden/x.py", "x = 1\n"),
];

fn read_with(path: &Path, read: &ReadOptions, limits: &SourceOptions) -> Result<Repository, Error> {
    Source::locate(path).read(read, limits)
}

fn read(path: &Path) -> Result<Repository, Error> {
    read_with(path, &ReadOptions::default(), &SourceOptions::default())
}

fn within(files: &[(&str, &str)], top: &str) -> Vec<(String, Vec<u8>)> {
    files.iter().map(|(path, text)| (format!("{top}{path}"), text.as_bytes().to_vec())).collect()
}

/// Files and what is recorded beside them; names differ by source.
fn body(repository: Repository) -> impl PartialEq + std::fmt::Debug {
    (repository.files, repository.skipped, repository.diagnostics)
}

#[test]
fn every_source_of_the_same_files_gives_the_same_repository() {
    let work = tempfile::tempdir().unwrap();
    let directory = work.path().join("shop-1.0");
    for (path, text) in FILES {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let expected = body(read(&directory).unwrap());
    let archive = tar_of(&within(FILES, "shop-1.0/"));
    let flat = tar_of(&within(FILES, "./"));
    for (name, bytes) in [
        ("a.tar", archive.clone()),
        ("named-otherwise", archive.clone()),
        ("a.tar.gz", gzip(&archive)),
        ("a.tar.zst", zstd(&archive)),
        ("flat.tar", flat),
        ("a.zip", zip_of(&within(FILES, "shop-1.0/"))),
    ] {
        let path = work.path().join(name);
        fs::write(&path, bytes).unwrap();
        let repository = read(&path).unwrap();
        if name != "flat.tar" {
            assert_eq!(repository.reference.name, "shop-1.0", "{name}: named by its folder");
        }
        assert_eq!(body(repository), expected, "{name}");
    }
    let git = Git::bare(&work.path().join("shop.git"));
    let commit = git.commit(&within(FILES, ""), "v1");
    let repository = read(&work.path().join("shop.git")).unwrap();
    assert_eq!(repository.reference.name, "shop");
    assert_eq!(repository.reference.commit.as_deref(), Some(commit.as_str()));
    assert_eq!(body(repository), expected, "a bare git repository");
}

#[test]
fn a_revision_is_a_branch_a_tag_an_id_or_its_beginning() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("r.git");
    let git = Git::bare(&path);
    let first = git.commit(&within(&[("a.py", "x = 1\n")], ""), "v1");
    let second = git.commit(&within(&[("a.py", "x = 2\n")], ""), "v2");
    let text = |revision: &str| {
        let named = format!("{}@{revision}", path.display());
        read(Path::new(&named)).map(|repository| repository.files["a.py"].clone())
    };
    for revision in ["v1", "refs/tags/v1", &first, &first[..12]] {
        assert_eq!(text(revision).unwrap(), "x = 1\n", "{revision}");
    }
    for revision in ["HEAD", "main", &second] {
        assert_eq!(text(revision).unwrap(), "x = 2\n", "{revision}");
    }
    for revision in ["nowhere", "0123456789abcdef0123456789abcdef01234567", "../../etc", "-x"] {
        assert!(matches!(text(revision), Err(Error::Revision { .. })), "{revision}: {:?}", text(revision));
    }
}

#[test]
fn damaged_git_objects_are_faults_of_their_files() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("r.git");
    let git = Git::bare(&path);
    let files =
        [("gone.py", "gone = 1\n"), ("bad/torn.py", "torn = 1\n"), ("ok.py", "x = 1\n"), ("swap.py", "s = 1\n")];
    git.commit(&within(&files, ""), "v1");
    fs::remove_file(git.object_file("gone = 1\n")).unwrap();
    let torn = git.object_file("torn = 1\n");
    let bytes = fs::read(&torn).unwrap();
    crate::git::overwrite(&torn, &bytes[..bytes.len() / 2]);
    // A whole object under another object's id: only its hash can tell.
    let ok = fs::read(git.object_file("ok = 1\n")).unwrap_or_else(|_| git.loose("s = 2\n"));
    crate::git::overwrite(&git.object_file("s = 1\n"), &ok);
    let repository = read(&path).unwrap();
    assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["ok.py"]);
    for path in ["gone.py", "bad/torn.py", "swap.py"] {
        assert_eq!(repository.skipped[path].reason, SkipReason::Unreadable, "{path}");
        assert!(repository.diagnostics.iter().any(|it| it.path == path && it.rule == "unreadable"), "{path}");
    }
    // Without the tree of a folder the rest is read; without the commit nothing is.
    fs::remove_file(git.tree_file(&[("torn.py", "torn = 1\n")])).unwrap();
    let repository = read(&path).unwrap();
    assert_eq!(repository.diagnostics.iter().filter(|it| it.path == "bad/").count(), 1, "{:?}", repository.diagnostics);
    fs::remove_file(git.head_file()).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, Error::Revision { .. } | Error::Git { .. }), "{error}");
}

#[test]
fn a_tree_that_multiplies_itself_is_stopped() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("bomb.git");
    Git::bare(&path).commit_bomb(10, 12);
    let limits = SourceOptions { max_entries: 20_000, ..SourceOptions::default() };
    let error = read_with(&path, &ReadOptions::default(), &limits).unwrap_err();
    assert!(matches!(error, Error::TooMuch { .. }) && error.to_string().contains("max_entries"), "{error}");
}

#[test]
fn an_archive_cannot_reach_outside_itself() {
    let work = tempfile::tempdir().unwrap();
    let named: Vec<(String, Vec<u8>)> = ["/abs.py", "../up.py", "a/../../up.py", "a/..\\..\\b.py", "ok.py"]
        .iter()
        .map(|name| ((*name).to_owned(), b"x = 1\n".to_vec()))
        .collect();
    let mut tar = tar_of(&named);
    // Links are appended by hand: one inside, one that climbs, one absolute, one hard.
    tar.truncate(tar.len() - 1024);
    for (name, target, kind) in [
        ("l/inside.py", "../ok.py", b'2'),
        ("l/climbs.py", "../../etc/passwd", b'2'),
        ("l/absolute.py", "/etc/passwd", b'2'),
        ("l/hard.py", "ok.py", b'1'),
    ] {
        tar.extend(archives::tar_link(name, target, kind));
    }
    tar.extend([0; 1024]);
    for (name, bytes) in [("a.tar", tar), ("a.zip", zip_of(&named))] {
        let path = work.path().join(name);
        fs::write(&path, bytes).unwrap();
        let repository = read(&path).unwrap();
        assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["ok.py"], "{name}");
        let unsafe_paths = repository.diagnostics.iter().filter(|it| it.rule == "unsafe_path").count();
        assert_eq!(unsafe_paths, 4, "{name}: {:?}", repository.diagnostics);
        if name == "a.tar" {
            let message =
                |path: &str| repository.diagnostics.iter().find(|it| it.path == path).unwrap().message.clone();
            assert!(repository.skipped.values().all(|file| file.reason == SkipReason::Link));
            assert_eq!(repository.skipped.len(), 4);
            assert!(message("l/climbs.py").contains("leaves") && message("l/absolute.py").contains("leaves"));
            assert!(!message("l/inside.py").contains("leaves") && !message("l/hard.py").contains("leaves"));
        }
    }
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 2, "nothing was unpacked");
}

#[test]
fn bombs_are_stopped_by_ratio_and_by_size() {
    let work = tempfile::tempdir().unwrap();
    let limits = SourceOptions { max_expanded_bytes: 400 << 20, ..SourceOptions::default() };
    let zeros = archives::tar_of_zeros(450 << 20);
    for (name, compress) in [("bomb.tar.gz", true), ("bomb.tar.zst", false)] {
        let path = work.path().join(name);
        let file = fs::File::create(&path).unwrap();
        let mut stream = zeros.stream();
        if compress {
            let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::best());
            std::io::copy(&mut stream, &mut encoder).unwrap();
            encoder.finish().unwrap();
        } else {
            let mut encoder = ::zstd::Encoder::new(file, 1).unwrap();
            std::io::copy(&mut stream, &mut encoder).unwrap();
            encoder.finish().unwrap();
        }
        assert!(fs::metadata(&path).unwrap().len() < 8 << 20);
        let error = read_with(&path, &ReadOptions::default(), &limits).unwrap_err();
        assert!(matches!(error, Error::TooMuch { .. }) && error.to_string().contains("max_ratio"), "{name}: {error}");
        let generous = SourceOptions { max_ratio: u32::MAX, ..limits.clone() };
        let error = read_with(&path, &ReadOptions::default(), &generous).unwrap_err();
        assert!(error.to_string().contains("max_expanded_bytes"), "{name}: {error}");
    }
    // A zip whose entries are each small enough and together are not.
    let entries: Vec<(String, Vec<u8>)> = (0..40).map(|at| (format!("f{at}.py"), vec![b' '; 1 << 20])).collect();
    let path = work.path().join("bomb.zip");
    fs::write(&path, zip_of(&entries)).unwrap();
    let limits = SourceOptions { max_expanded_bytes: 8 << 20, ..SourceOptions::default() };
    let error = read_with(&path, &ReadOptions::default(), &limits).unwrap_err();
    assert!(matches!(error, Error::TooMuch { .. }), "{error}");
}

/// A zip entry that claims to be small and is not is cut at the limit.
#[test]
fn a_zip_that_lies_about_sizes_is_held_to_the_stream() {
    let work = tempfile::tempdir().unwrap();
    let mut bytes = zip_of(&[("a.py".into(), vec![b'x'; 3 << 20]), ("ok.py".into(), b"x = 1\n".to_vec())]);
    let size = (3_u32 << 20).to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == size).collect();
    for at in places {
        bytes[at..at + 4].copy_from_slice(&10_u32.to_le_bytes());
    }
    let path = work.path().join("lies.zip");
    fs::write(&path, bytes).unwrap();
    if let Ok(repository) = read(&path) {
        assert!(!repository.files.contains_key("a.py") && repository.skipped.contains_key("a.py"));
    }
}

#[test]
fn a_file_of_two_gigabytes_is_listed_and_not_read() {
    let work = tempfile::tempdir().unwrap();
    let directory = work.path().join("r");
    fs::create_dir(&directory).unwrap();
    fs::write(directory.join("ok.py"), "x = 1\n").unwrap();
    fs::File::create(directory.join("huge.py")).unwrap().set_len(2 << 30).unwrap();
    let repository = read(&directory).unwrap();
    assert_eq!(
        (repository.skipped["huge.py"].reason, repository.skipped["huge.py"].bytes),
        (SkipReason::TooLarge, 2 << 30)
    );
    // The same in a stream that is made while it is read.
    let stream = archives::tar_of_zeros(2 << 30);
    let path = work.path().join("huge.tar");
    let mut file = fs::File::create(&path).unwrap();
    let mut head = vec![0; 512];
    let mut whole = stream.stream();
    whole.read_exact(&mut head).unwrap();
    file.write_all(&head).unwrap();
    // The content stays a hole in the file.
    file.set_len(512 + (2 << 30)).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    file.write_all(&tar_of(&[("ok.py".into(), b"x = 1\n".to_vec())])).unwrap();
    let repository = read(&path).unwrap();
    assert_eq!(repository.skipped["zeros.py"].reason, SkipReason::TooLarge);
    assert!(repository.files.contains_key("ok.py"), "what follows is read");
}

#[test]
fn archives_that_break_off_or_are_none_are_named_in_one_line() {
    let work = tempfile::tempdir().unwrap();
    let tar = tar_of(&within(FILES, ""));
    let mut flipped = tar.clone();
    flipped[3 * 512] ^= 1;
    for (name, bytes, none) in [
        ("cut.tar", tar[..700].to_vec(), false),
        ("cut.tar.gz", gzip(&tar)[..200].to_vec(), false),
        ("cut.tar.zst", zstd(&tar)[..100].to_vec(), false),
        ("flipped.tar", flipped, false),
        ("cut.zip", zip_of(&within(FILES, ""))[..200].to_vec(), false),
        ("text.py", b"x = 1\n".to_vec(), true),
        ("text.py.gz", gzip(b"x = 1\n"), true),
        ("empty", Vec::new(), true),
    ] {
        let path = work.path().join(name);
        fs::write(&path, bytes).unwrap();
        let error = read(&path).unwrap_err();
        let right =
            if none { matches!(error, Error::UnknownKind { .. }) } else { matches!(error, Error::Archive { .. }) };
        assert!(right, "{name}: {error:?}");
        assert!(!error.to_string().contains('\n') && error.to_string().contains(name), "{name}: {error}");
    }
    let error = read(&work.path().join("nowhere")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
}

#[test]
fn odd_names_and_contents_are_faults_of_their_files() {
    let work = tempfile::tempdir().unwrap();
    let mut entries =
        within(&[("ok.py", "x = 1\n"), ("OK.py", "y = 1\n"), ("twice.py", "a\n"), ("twice.py", "b\n")], "");
    entries.push(("nul.py".into(), b"x = 1\n\0\n".to_vec()));
    entries.push(("late_nul.py".into(), [b"x = 1\n".repeat(4000), vec![0]].concat()));
    entries.push(("latin.py".into(), b"# caf\xe9\n".to_vec()));
    entries.push(("cut.py".into(), "# caf\u{e9}".as_bytes()[..6].to_vec()));
    let mut tar = tar_of(&entries);
    tar.truncate(tar.len() - 1024);
    tar.extend(archives::tar_entry(b"caf\xe9.py", b"x = 1\n"));
    tar.extend(archives::tar_pax(&format!("{}/x.py", "d".repeat(300)), b"x = 2\n"));
    tar.extend([0; 1024]);
    let path = work.path().join("odd.tar");
    fs::write(&path, tar).unwrap();
    let repository = read(&path).unwrap();
    let reason = |path: &str| repository.skipped.get(path).map(|file| file.reason);
    assert_eq!(reason("nul.py"), Some(SkipReason::Binary));
    assert_eq!(reason("late_nul.py"), Some(SkipReason::Binary));
    assert_eq!(reason("latin.py"), Some(SkipReason::NotUtf8));
    assert_eq!(reason("cut.py"), Some(SkipReason::NotUtf8));
    assert_eq!(reason("twice.py"), Some(SkipReason::Ambiguous));
    assert!(repository.files.contains_key("ok.py") && repository.files.contains_key("OK.py"));
    assert!(repository.files.keys().any(|path| path.len() > 300), "a pax header names a long path");
    for rule in ["case_collision", "path_not_utf8", "not_utf8", "ambiguous"] {
        assert!(repository.diagnostics.iter().any(|it| it.rule == rule), "{rule}: {:?}", repository.diagnostics);
    }
}

#[test]
fn a_stream_of_many_tiny_files_is_read_within_the_limits() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("many.tar.zst");
    let mut encoder = ::zstd::Encoder::new(fs::File::create(&path).unwrap(), 1).unwrap();
    for at in 0..200_000_u32 {
        // Content that does not compress away, or the ratio would stop it.
        let text = format!(
            "x{at} = \"{:032x}{:032x}\"\n",
            u128::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835),
            at
        );
        encoder.write_all(&archives::tar_entry(format!("d{}/f{at}.py", at % 100).as_bytes(), text.as_bytes())).unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    encoder.finish().unwrap();
    let read = ReadOptions { max_files: 500, max_listed: 1_000, ..ReadOptions::default() };
    let repository = read_with(&path, &read, &SourceOptions::default()).unwrap();
    assert_eq!((repository.files.len(), repository.skipped.len()), (500, 1_000));
    let untold: Vec<_> = repository.diagnostics.iter().filter(|it| it.path.is_empty()).collect();
    assert!(untold.iter().any(|it| it.message.starts_with("198500 files")), "{untold:?}");
}

#[test]
fn tar_stops_at_a_name_that_has_no_end() {
    let work = tempfile::tempdir().unwrap();
    let mut header = ::tar::Header::new_gnu();
    header.set_entry_type(::tar::EntryType::GNULongName);
    header.set_size(1 << 40);
    header.set_cksum();
    let path = work.path().join("name.tar");
    fs::write(&path, [header.as_bytes().to_vec(), vec![b'a'; 4096]].concat()).unwrap();
    let error = read(&path).unwrap_err();
    assert!(matches!(error, Error::Archive { .. }), "{error}");
}

#[test]
fn a_folder_that_is_the_package_stays_part_of_the_paths() {
    let work = tempfile::tempdir().unwrap();
    let files = [("__init__.py", "x = 1\n"), ("cart.py", "from shop import x\n")];
    let paths = |archive: &str, top: &str, files: &[(&str, &str)]| {
        let path = work.path().join(archive);
        fs::write(&path, tar_of(&within(files, top))).unwrap();
        read(&path).unwrap().files.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(paths("code.tar", "shop/", &files), ["shop/__init__.py", "shop/cart.py"]);
    assert_eq!(paths("shop.tar", "shop/", &files), ["shop/__init__.py", "shop/cart.py"], "whatever the archive's name");
    assert_eq!(paths("code.tar", "src/", &[("a.py", "x = 1\n")]), ["src/a.py"], "nothing says that it was put around");
    assert_eq!(paths("tool.tar", "tool/", &[("a.py", "x = 1\n")]), ["a.py"], "called like the archive");
    assert_eq!(paths("x.tar", "tool-1.2.0/", &[("a.py", "x = 1\n")]), ["a.py"]);
    assert_eq!(paths("x.tar", "tool-main/", &[("a.py", "x = 1\n")]), ["a.py"]);
    assert_eq!(paths("x.tgz", "package/", &[("a.js", "let x;\n"), ("package.json", "{}\n")]), ["a.js", "package.json"]);
}

#[test]
fn a_sparse_entry_is_told_and_what_follows_it_is_read() {
    let work = tempfile::tempdir().unwrap();
    let records = ["GNU.sparse.major=1", "GNU.sparse.name=hole.py", "GNU.sparse.realsize=4096"];
    let records: String = records.iter().map(|it| format!("{} {it}\n", it.len() + 4)).collect();
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_size(records.len() as u64);
    header.set_cksum();
    let mut extension = header.as_bytes().to_vec();
    extension.extend(records.as_bytes());
    extension.resize(1024, 0);
    let entry = archives::tar_entry(b"GNUSparseFile.1/hole.py", b"1\n0\n4\nx=1\n");
    let path = work.path().join("a.tar");
    fs::write(&path, [extension, entry, archives::tar_entry(b"ok.py", b"x = 1\n"), vec![0; 1024]].concat()).unwrap();
    let repository = read(&path).unwrap();
    assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["ok.py"]);
    assert_eq!(repository.skipped["hole.py"].reason, SkipReason::Unreadable);
}

#[test]
fn git_repositories_of_other_forms_are_refused_in_one_line() {
    let work = tempfile::tempdir().unwrap();
    for (name, setting, word) in
        [("a.git", "objectFormat = sha256", "sha256"), ("b.git", "refStorage = reftable", "reftable")]
    {
        let path = work.path().join(name);
        Git::bare(&path).commit(&within(&[("a.py", "x = 1\n")], ""), "v1");
        let config = fs::read_to_string(path.join("config")).unwrap_or_default();
        fs::write(path.join("config"), format!("{config}\n[extensions]\n\t{setting}\n")).unwrap();
        let error = read(&path).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Git { .. }) && text.contains(word) && !text.contains('\n'), "{text}");
    }
}
