//! Directories as they are met in the wild: what is kept, what is skipped, what is an error.

use std::fs;
use std::path::Path;

use recon_repository::{Error, ReadOptions, Repository, read_directory};
use recon_schema::graph::SkipReason;

fn write(root: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn read(root: &Path) -> Repository {
    read_directory(root, &ReadOptions::default()).unwrap()
}

#[test]
fn what_git_ignores_or_hides_is_not_met() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), ".gitignore", "/out\n*.log\n");
    write(root.path(), "out/gen.py", "x = 1\n");
    write(root.path(), "a.log", "x\n");
    write(root.path(), ".git/hooks/hook.py", "x = 1\n");
    write(root.path(), ".hidden/h.py", "x = 1\n");
    write(root.path(), "src/.gitignore", "local.py\n");
    write(root.path(), "src/local.py", "x = 1\n");
    write(root.path(), "src/kept.py", "x = 1\n");
    let repository = read(root.path());
    assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["src/kept.py"]);
    assert!(repository.skipped.is_empty() && repository.diagnostics.is_empty());
}

#[test]
fn what_git_tracks_is_met_though_it_is_ignored() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), ".gitignore", "/out\n");
    write(root.path(), ".ignore", "kept.py\n");
    write(root.path(), "kept.py", "x = 1\n");
    write(root.path(), "out/added.py", "x = 1\n");
    write(root.path(), "out/built.py", "x = 1\n");
    // An index of version 2 that names a file, one that was deleted and one that is hidden.
    let names = ["out/.hidden.py", "out/added.py", "out/deleted.py"];
    let mut index = [b"DIRC".as_slice(), &2_u32.to_be_bytes(), &(names.len() as u32).to_be_bytes()].concat();
    for name in names {
        let start = index.len();
        index.extend([0; 24]);
        index.extend(0o100_644_u32.to_be_bytes());
        index.extend([0; 32]);
        index.extend((name.len() as u16).to_be_bytes());
        index.extend(name.as_bytes());
        index.resize(start + (index.len() - start + 8) / 8 * 8, 0);
    }
    write(root.path(), ".git/index", index);
    assert_eq!(read(root.path()).files.keys().collect::<Vec<_>>(), ["kept.py", "out/added.py"]);
    write(root.path(), ".git/index", "nonsense");
    assert_eq!(read(root.path()).files.keys().collect::<Vec<_>>(), ["kept.py"], "a damaged index tracks nothing");
}

#[test]
fn what_cannot_be_taken_is_recorded() {
    let root = tempfile::tempdir().unwrap();
    let big = "x = 1\n".repeat(40);
    write(root.path(), "ok.py", "x = 1\r\n");
    write(root.path(), "bom.py", "\u{feff}x = 1\n");
    write(root.path(), "binary.py", b"\x00\x01\x02");
    write(root.path(), "latin.py", b"# caf\xe9\n");
    write(root.path(), "utf16.py", b"\xff\xfex\x00");
    write(root.path(), "empty.py", "");
    write(root.path(), "big.py", &big);
    let options = ReadOptions { max_file_bytes: 100, ..ReadOptions::default() };
    let repository = read_directory(root.path(), &options).unwrap();
    let kept: Vec<(&str, &str)> = repository.files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    assert_eq!(kept, [("bom.py", "\u{feff}x = 1\n"), ("ok.py", "x = 1\r\n")], "kept bytes are the file's bytes");
    let skipped: Vec<_> = repository.skipped.iter().map(|(path, file)| (path.as_str(), file.reason)).collect();
    let expected = [
        ("big.py", SkipReason::TooLarge),
        ("binary.py", SkipReason::Binary),
        ("empty.py", SkipReason::Empty),
        ("latin.py", SkipReason::NotUtf8),
        ("utf16.py", SkipReason::NotUtf8),
    ];
    assert_eq!(skipped, expected);
    let graph = recon_graph::build(&repository);
    assert_eq!(graph.files.len(), 7, "every file met has a node");
    assert_eq!(graph.order, ["bom.py", "ok.py"]);
    assert_eq!(graph.file("big.py").unwrap().bytes, big.len() as u64);
}

#[cfg(unix)]
#[test]
fn links_are_listed_and_never_followed() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret.py", "password = 1\n");
    write(root.path(), "real.py", "x = 1\n");
    symlink(outside.path().join("secret.py"), root.path().join("leaves.py")).unwrap();
    symlink(outside.path(), root.path().join("leaves_too")).unwrap();
    symlink("loop_b", root.path().join("loop_a")).unwrap();
    symlink("loop_a", root.path().join("loop_b")).unwrap();
    symlink(".", root.path().join("itself")).unwrap();
    symlink("real.py", root.path().join("alias.py")).unwrap();
    let repository = read(root.path());
    assert_eq!(repository.files.keys().collect::<Vec<_>>(), ["real.py"]);
    let links: Vec<&str> = repository.skipped.keys().map(String::as_str).collect();
    assert_eq!(links, ["alias.py", "itself", "leaves.py", "leaves_too", "loop_a", "loop_b"]);
    assert!(repository.skipped.values().all(|file| file.reason == SkipReason::Link));
    assert_eq!(repository.diagnostics.len(), 6, "each link is explained");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_a_diagnostic() {
    use std::os::unix::ffi::OsStrExt as _;
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "ok.py", "x = 1\n");
    fs::write(root.path().join(std::ffi::OsStr::from_bytes(b"bad\xff.py")), "x = 1\n").unwrap();
    let repository = read(root.path());
    assert_eq!(repository.files.len(), 1);
    assert_eq!(repository.diagnostics.len(), 1);
    assert_eq!(repository.diagnostics[0].rule, "path_not_utf8");
}

#[test]
fn a_short_budget_keeps_source_and_lists_the_rest() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.md", "# a\n");
    write(root.path(), "b.py", "import c\n");
    write(root.path(), "c.py", "x = 1\ny = 2\n");
    let options = ReadOptions { max_files: 2, ..ReadOptions::default() };
    let by_count = read_directory(root.path(), &options).unwrap();
    assert_eq!(by_count.files.keys().collect::<Vec<_>>(), ["b.py", "c.py"], "source goes before documents");
    assert_eq!(by_count.skipped["a.md"].reason, SkipReason::OverBudget);

    let options = ReadOptions { max_bytes: 9, ..ReadOptions::default() };
    let by_bytes = read_directory(root.path(), &options).unwrap();
    assert_eq!(by_bytes.files.keys().collect::<Vec<_>>(), ["b.py"]);
    let graph = recon_graph::build(&by_bytes);
    let left_out = graph.file("c.py").unwrap();
    assert_eq!((left_out.skipped, left_out.lines), (Some(SkipReason::OverBudget), 2), "it keeps its node");
    assert_eq!(graph.edges[0].to, "c.py", "and imports of it still lead there");
}

#[test]
fn results_of_the_program_are_no_part_of_the_repository() {
    let root = tempfile::tempdir().unwrap();
    write(root.path(), "a.py", "x = 1\n");
    write(root.path(), "out/a/export/config.py", "y = 1\n");
    write(root.path(), "out/notes.py", "z = 1\n");
    let names = || {
        let read = read_directory(root.path(), &ReadOptions::default()).unwrap();
        read.files.into_keys().collect::<Vec<_>>()
    };
    assert_eq!(names(), ["a.py", "out/a/export/config.py", "out/notes.py"]);
    write(root.path(), &format!("out/a/{}", recon_repository::RESULTS_MARK), "");
    assert_eq!(names(), ["a.py", "out/notes.py"]);
    // What is asked for by name is read, whatever it is.
    write(root.path(), recon_repository::RESULTS_MARK, "");
    assert_eq!(names(), ["a.py", "out/notes.py"]);
}

#[test]
fn a_root_that_cannot_be_a_repository_is_an_error_with_its_path() {
    let root = tempfile::tempdir().unwrap();
    let options = ReadOptions::default();
    let missing = root.path().join("missing");
    let error = read_directory(&missing, &options).unwrap_err();
    assert!(matches!(error, Error::Open { .. }) && error.to_string().contains("missing"), "{error}");
    write(root.path(), "readme.md", "# only words\n");
    let error = read_directory(root.path(), &options).unwrap_err();
    assert!(matches!(error, Error::NoSource { files: 1, beyond: 0, .. }), "{error}");
    write(root.path(), "long.py", "x = 1\n".repeat(9));
    let error = read_directory(root.path(), &ReadOptions { max_file_bytes: 20, ..options }).unwrap_err();
    assert!(error.to_string().ends_with("2 files were met, 1 of them beyond the limits of `read`"), "{error}");
    let options = ReadOptions::default();
    let error = read_directory(&root.path().join("readme.md"), &options).unwrap_err();
    assert!(matches!(error, Error::NotADirectory { .. }), "{error}");
}

#[test]
fn the_reference_tells_origin_commit_and_licence_but_no_local_path() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path().join("checkout");
    write(&directory, "main.py", "x = 1\n");
    assert_eq!(
        (read(&directory).reference.name.as_str(), read(&directory).reference.source.as_str()),
        ("checkout", "checkout")
    );
    let id = "0123456789abcdef0123456789abcdef01234567";
    write(&directory, ".git/HEAD", id);
    write(&directory, ".git/config", "[remote \"origin\"]\n\turl = https://user:token@host.org/team/tool.git\n");
    write(&directory, "pyproject.toml", "[project]\nlicense = \"MIT\"\n");
    let reference = read(&directory).reference;
    assert_eq!(reference.name, "tool");
    assert_eq!(reference.source, "https://host.org/team/tool.git");
    assert_eq!((reference.commit.as_deref(), reference.licence.as_deref()), (Some(id), Some("MIT")));
    write(&directory, ".git/config", "[remote \"origin\"]\n\turl = /home/someone/tool\n");
    assert_eq!(read(&directory).reference.source, "checkout");
}

#[test]
fn a_file_nothing_is_trained_on_stays_what_it_is() {
    let mut repository = Repository::from_files(
        "r",
        [("a.py", "import pkg.b\n"), ("pkg/__init__.py", "x = 1\n"), ("pkg/b.py", "x = 1\n")],
    );
    repository.untrain("pkg/b.py", SkipReason::HeldOut);
    repository.untrain("pkg/b.py", SkipReason::Generated);
    repository.untrain("nowhere.py", SkipReason::HeldOut);
    assert_eq!(repository.untrained, [("pkg/b.py".to_owned(), SkipReason::HeldOut)].into());
    assert_eq!(repository.kept().map(|(path, _)| path).collect::<Vec<_>>(), ["a.py", "pkg/__init__.py"]);
    assert!(repository.content("pkg/b.py").is_none(), "no document holds it");
    let graph = recon_graph::build(&repository);
    assert_eq!(graph.file("pkg/b.py").unwrap().skipped, Some(SkipReason::HeldOut));
    assert!(graph.edges.iter().any(|edge| edge.to == "pkg/b.py"), "and imports of it still lead there");
    assert_eq!(graph.order, ["pkg/__init__.py", "a.py"]);
}
