//! What a stage promises.

use super::*;

fn stage<F: Serialize + DeserializeOwned>(root: &Path, limit: u32) -> Stage<F> {
    let key = Key::new("graph", &["graph"], &serde_json::json!({ "limit": limit }));
    Stage::new(root, key.input("repository", Sha256::of(b"r")))
}

fn write(name: &'static str) -> impl FnOnce(&Path) -> Outcome<u32> {
    move |directory: &Path| {
        fs::write(directory.join(name), b"1").unwrap();
        Ok(3)
    }
}

#[test]
fn a_finished_stage_is_not_run_again() {
    let root = tempfile::tempdir().unwrap();
    let work = |directory: &Path| {
        fs::create_dir(directory.join("deep")).unwrap();
        write("deep/out")(directory)
    };
    let first = stage(root.path(), 1).run(work).unwrap();
    assert_eq!((first.reused, first.facts), (false, 3));
    assert!(first.outputs.contains_key("deep/out"));
    let again = stage::<u32>(root.path(), 1).run(|_| panic!("must not run")).unwrap();
    assert_eq!((again.reused, again.facts, again.digest()), (true, 3, first.digest()));
}

#[test]
fn another_plan_or_a_changed_output_runs_again_from_nothing() {
    let root = tempfile::tempdir().unwrap();
    stage(root.path(), 1).run(write("old")).unwrap();
    let second = stage(root.path(), 2).run(write("new")).unwrap();
    assert_eq!(second.outputs.keys().collect::<Vec<_>>(), ["new"]);
    fs::write(root.path().join("graph/new"), b"2").unwrap();
    assert!(!stage(root.path(), 2).run(write("new")).unwrap().reused);
}

#[test]
fn a_failed_stage_leaves_no_manifest() {
    let root = tempfile::tempdir().unwrap();
    let failed = stage::<u32>(root.path(), 1).run(|it| {
        fs::write(it.join("half"), b"1").unwrap();
        fs::write(it.join(".partial-1.tmp"), b"1").unwrap();
        Err(Failure::run(anyhow::anyhow!("no")))
    });
    assert!(failed.is_err());
    assert!(stage::<u32>(root.path(), 1).completed().unwrap().is_none());
    let kept = stage(root.path(), 1).keep_leftovers().run(|it| Ok(it.join("half").exists())).unwrap();
    assert!(kept.facts);
    assert_eq!(kept.outputs.keys().collect::<Vec<_>>(), ["half"], "and nothing half-written is listed");
}

#[test]
fn a_finished_stage_stays_until_another_stands_in_its_place() {
    let root = tempfile::tempdir().unwrap();
    let first = stage(root.path(), 1).run(write("out")).unwrap();
    let failed = stage::<u32>(root.path(), 2).run(|_| Err(Failure::run(anyhow::anyhow!("no"))));
    assert!(failed.is_err());
    let back = stage::<u32>(root.path(), 1).completed().unwrap().expect("it waited");
    assert_eq!(back.digest(), first.digest());
    stage(root.path(), 2).run(write("out")).unwrap();
    assert!(stage::<u32>(root.path(), 1).completed().unwrap().is_none(), "another one stands there");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1, "and nothing waits beside it");
}

#[test]
fn what_recon_did_not_make_is_never_emptied() {
    let root = tempfile::tempdir().unwrap();
    let mine = root.path().join("graph/mine.txt");
    fs::create_dir(root.path().join("graph")).unwrap();
    fs::write(&mine, "mine").unwrap();
    let failure = stage(root.path(), 1).run(write("out")).unwrap_err();
    assert_eq!(failure.fault, crate::Fault::Input);
    assert!(failure.message().contains("graph was not made by recon"), "{}", failure.message());
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    // Nor does a finished stage that waits beside it come back over it.
    let other = tempfile::tempdir().unwrap();
    stage(other.path(), 1).run(write("out")).unwrap();
    fs::rename(other.path().join("graph"), root.path().join("graph.previous")).unwrap();
    assert!(stage::<u32>(root.path(), 1).completed().is_err());
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
    // A manifest of somebody else's is no mark of recon.
    fs::write(root.path().join("graph/manifest.json"), "{\"name\": \"a web page\"}").unwrap();
    assert!(stage(root.path(), 1).run(write("out")).is_err());
    assert_eq!(fs::read_to_string(&mine).unwrap(), "mine");
}

#[test]
fn a_marker_that_was_left_behind_stops_nothing() {
    let root = tempfile::tempdir().unwrap();
    stage(root.path(), 1).run(write("out")).unwrap();
    let marker = root.path().join("graph").join(UNFINISHED);
    fs::write(&marker, "anything").unwrap();
    assert!(stage::<u32>(root.path(), 1).run(|_| panic!("must not run")).unwrap().reused);
    assert!(!marker.exists());
}

#[test]
fn facts_that_do_not_read_are_made_again() {
    let root = tempfile::tempdir().unwrap();
    stage(root.path(), 1).run(write("out")).unwrap();
    let manifest = root.path().join("graph").join(FILE_NAME);
    let mut edited: serde_json::Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    edited["facts"]["found"] = "many".into();
    fs::write(&manifest, edited.to_string()).unwrap();
    assert!(!stage(root.path(), 1).run(write("out")).unwrap().reused);
}
